"""Making the target on the SQL Server stand-in: once, whole, and again without harm."""

from typing import Any

import pyodbc
import pytest

from activities import schema
from orchestrators.finish import finish_schema
from shared import runs
from shared.contracts import RestoredWork
from shared.errors import Refusal
from shared.sqlserver import catalogue, marker
from shared.sqlserver.existing import empty
from shared.sqlserver.ledger_table import LEDGER_TABLE
from shared.sqlserver.runtimetarget import empty_for_runtime
from tests.fixtures.runmarker import state_of
from tests.integration.schema.conftest import Stand, at_once

DROP: dict[str, Any] = {"target_not_empty": "drop", "confirm": "test"}


def columns_of(connection: pyodbc.Connection, table: str) -> dict[str, bool]:
    rows = connection.execute(
        "SELECT c.name, c.is_nullable FROM sys.columns AS c JOIN sys.tables AS t ON t.object_id = c.object_id "
        "WHERE t.name = ? ORDER BY c.column_id",
        table,
    ).fetchall()
    return {row[0]: bool(row[1]) for row in rows}


def test_every_planned_table_is_made_as_a_heap(stand: Stand, target: pyodbc.Connection) -> None:
    stand.planned()
    assert stand.call(schema.create_schema) == {"findings": []}
    plan = stand.plan()
    assert catalogue.tables(target) == sorted(table.name for table in plan.tables)
    for table in plan.tables:
        assert columns_of(target, table.name) == {column.name: column.nullable for column in table.columns}
        assert catalogue.indexes(target, table.name) == {}
    assert catalogue.table_exists(target, LEDGER_TABLE)
    assert state_of(target, stand.run.id) == "created"


def test_with_keys_first_the_primary_keys_are_there_from_the_start(
    stand: Stand, target: pyodbc.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARGET__TEST__LOAD", "keys-first")
    schema.settings.cache_clear()
    stand.planned()
    stand.call(schema.create_schema)
    assert catalogue.indexes(target, "system$user") == {"pk_system$user": True}
    assert stand.drive(finish_schema) == []


def test_a_target_that_is_not_empty_is_refused_and_left_alone(stand: Stand, target: pyodbc.Connection) -> None:
    target.execute("CREATE TABLE [dbo].[precious] ([id] int NOT NULL)")
    target.execute("INSERT INTO [dbo].[precious] ([id]) VALUES (?)", 7)
    stand.planned()
    finding = stand.refused(schema.create_schema)
    assert (finding.code, finding.object) == ("TARGET_NOT_EMPTY", "precious")
    assert '"target_not_empty": "drop"' in finding.remedy
    assert catalogue.table_rows(target) == {"precious": 1}


def test_tables_are_dropped_only_when_the_request_says_so(stand: Stand, target: pyodbc.Connection) -> None:
    target.execute("CREATE TABLE [dbo].[parent] ([id] int NOT NULL, CONSTRAINT [pk] PRIMARY KEY CLUSTERED ([id]))")
    target.execute("CREATE TABLE [dbo].[child] ([id] int NOT NULL)")
    target.execute("ALTER TABLE [dbo].[child] ADD CONSTRAINT [fk] FOREIGN KEY ([id]) REFERENCES [dbo].[parent] ([id])")
    stand.request(**DROP)
    stand.planned()
    (finding,) = stand.call(schema.create_schema)["findings"]
    assert (finding["code"], finding["severity"], finding["count"]) == ("TARGET_DROPPED", "info", 2)
    assert "parent" not in catalogue.tables(target)


def test_a_second_delivery_after_copying_began_drops_nothing(stand: Stand, target: pyodbc.Connection) -> None:
    stand.request(**DROP)
    stand.planned()
    stand.call(schema.create_schema)
    target.execute("INSERT INTO [dbo].[system$language] ([id]) VALUES (?)", 42)
    assert stand.call(schema.create_schema) == {"findings": []}
    assert catalogue.table_rows(target)["system$language"] == 1


def test_a_second_delivery_without_drop_does_not_refuse_its_own_tables(stand: Stand, target: pyodbc.Connection) -> None:
    stand.planned()
    stand.call(schema.create_schema)
    target.execute("INSERT INTO [dbo].[system$language] ([id]) VALUES (?)", 42)
    assert stand.call(schema.create_schema) == {"findings": []}
    assert catalogue.table_rows(target)["system$language"] == 1


def test_two_deliveries_at_once_make_the_tables_once(stand: Stand, target: pyodbc.Connection) -> None:
    target.execute("CREATE TABLE [dbo].[old] ([id] int NOT NULL)")
    stand.request(**DROP)
    stand.planned()
    answers = at_once(*[lambda: schema.create_schema(None, stand.work)] * 3)
    dropped = [finding["code"] for answer in answers for finding in answer["findings"]]
    assert dropped == ["TARGET_DROPPED"]
    assert len(catalogue.tables(target)) == len(stand.plan().tables)


def another_run(stand: Stand, **request: Any) -> str:
    """Go on as another run on the same database; returns the run before."""
    before = stand.run.id
    stand.run = stand.run.model_copy(update={"id": "20200101t000000-abcdef"})
    stand.request(**request)
    stand.planned()
    return before


def test_another_run_on_the_same_target_must_drop_or_is_refused(stand: Stand, target: pyodbc.Connection) -> None:
    stand.planned()
    stand.call(schema.create_schema)
    first = another_run(stand)
    runs.close(first)
    assert stand.refused(schema.create_schema).code == "TARGET_NOT_EMPTY"
    stand.request(**DROP)
    stand.call(schema.create_schema)
    assert state_of(target, first) is None
    assert state_of(target, stand.run.id) == "created"


def test_a_database_that_another_run_fills_is_left_alone_until_that_run_is_over(
    stand: Stand, target: pyodbc.Connection
) -> None:
    stand.planned()
    stand.call(schema.create_schema)
    first = another_run(stand, **DROP)
    refused = stand.refused(schema.create_schema)
    assert (refused.code, refused.object) == ("TARGET_BUSY", first)
    with pytest.raises(Refusal, match="TARGET_BUSY"):
        empty_for_runtime(stand.target, stand.run.id, drop=True, closed=runs.closed)
    with pytest.raises(Refusal, match="TARGET_BUSY"):
        empty(stand.target, stand.plan(), drop=True, closed=runs.closed)
    assert state_of(target, first) == "created"
    assert len(catalogue.tables(target)) == len(stand.plan().tables)


def test_a_delivery_that_wakes_up_after_the_clean_up_drops_nothing(stand: Stand, target: pyodbc.Connection) -> None:
    """It was frozen between its first look at the run and the target's lock: the boundary let it pass."""
    stand.request(**DROP)
    stand.planned()
    stand.call(schema.create_schema)
    target.execute("INSERT INTO [dbo].[system$user] ([id], [name]) VALUES (1, N'verified')")
    runs.close(stand.run.id)
    marker.remove(target, stand.run.id)
    work = RestoredWork.model_validate(stand.work)
    with pytest.raises(Refusal) as late:
        schema.create_schema.typed(work)  # type: ignore[attr-defined]
    assert late.value.code == "RUN_OVER"
    for drop in (
        lambda: empty(stand.target, stand.plan(), drop=True, closed=runs.closed),
        lambda: empty_for_runtime(stand.target, stand.run.id, drop=True, closed=runs.closed),
    ):
        with pytest.raises(Refusal, match="RUN_OVER"):
            drop()
    assert catalogue.table_rows(target)["system$user"] == 1
    assert marker.runs_on(target) == []


def test_when_making_a_table_fails_nothing_is_left(
    stand: Stand, target: pyodbc.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.planned()
    from shared.sqlserver import creation

    broken = "CREATE TABLE [dbo].[broken] ([id] int NOT NULL, [id] int NOT NULL)"
    monkeypatch.setattr(creation, "CREATE_LEDGER", broken)
    assert schema.create_schema(None, stand.work)["refused"]["code"] == "SQL_REFUSED"
    assert catalogue.tables(target) == []
    assert state_of(target, stand.run.id) is None
