"""Completing the target on the SQL Server stand-in: keys, indexes, foreign keys, options; again without harm."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pyodbc
import pytest

from activities import finish, schema
from orchestrators import calling
from orchestrators.finish import finish_schema
from orchestrators.inspect import inspect_data
from shared.errors import TransientError
from shared.sqlserver import catalogue, completion, marker
from shared.sqlserver.completion import keys_to_add
from shared.sqlserver.connection import connect
from shared.sqlserver.ledger import loaded_chunks
from shared.sqlserver.ledger_table import LEDGER_TABLE, MARKER_TABLE
from shared.sqlserver.locks import locked
from tests.fixtures import driving
from tests.fixtures.runmarker import state_of
from tests.integration.schema.conftest import Stand, at_once


def completed(stand: Stand) -> list[Any]:
    stand.call(schema.plan_database)
    stand.drive(inspect_data)
    stand.call(schema.create_schema)
    return stand.drive(finish_schema)


def test_finish_makes_every_key_index_and_foreign_key_of_the_plan(stand: Stand, target: pyodbc.Connection) -> None:
    assert completed(stand) == []
    plan = stand.plan()
    for table in plan.tables:
        assert table.primary_key is not None
        expected = {table.primary_key.name: True} | {one.name: False for one in table.indexes if not one.omitted}
        assert catalogue.indexes(target, table.name) == expected
    keys = {(table.name, key.name) for table in plan.tables for key in table.foreign_keys if not key.omitted}
    assert set(catalogue.foreign_keys(target)) == keys
    assert state_of(target, stand.run.id) == "finished"
    assert stand.statuses[-1]["done"]["tables"] == len(plan.tables)


def test_index_columns_have_their_order_and_direction_on_the_target(stand: Stand, target: pyodbc.Connection) -> None:
    completed(stand)
    rows = target.execute(
        "SELECT c.name, x.is_descending_key FROM sys.indexes AS i "
        "JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id "
        "JOIN sys.columns AS c ON c.object_id = x.object_id AND c.column_id = x.column_id "
        "WHERE i.name = ? ORDER BY x.key_ordinal",
        "idx_customers$party_displayname_asc_since_desc",
    ).fetchall()
    assert [(row[0], bool(row[1])) for row in rows] == [("displayname", False), ("since", True), ("id", False)]


def test_finish_may_be_done_again_and_twice_at_once(stand: Stand, target: pyodbc.Connection) -> None:
    stand.planned()
    stand.call(schema.create_schema)
    planned = stand.call(finish.plan_finish)
    for group in range(planned["groups"]):
        work = stand.work | {"group": group}
        answers = at_once(*[lambda work=work: finish.finish_tables(None, work)] * 2)
        assert [answer["findings"] for answer in answers] == [[], []]
    assert stand.drive(finish_schema) == []
    assert stand.drive(finish_schema) == []


def test_a_large_table_gets_one_key_a_call_and_all_of_them_in_the_end(
    stand: Stand, target: pyodbc.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "LARGE_ROWS", 0)
    stand.planned()
    stand.call(schema.create_schema)
    plan = stand.plan()
    group = finish.finish_groups(plan.tables).index(["customers$party"])
    wanted = [one.name for one in keys_to_add(plan.table("customers$party"))]
    assert len(wanted) > 1
    for step in range(len(wanted)):
        answer = stand.call(finish.finish_tables, group=group, step=step)
        assert answer["finished"] == (step + 1 == len(wanted))
        assert set(catalogue.indexes(target, "customers$party")) == set(wanted[: step + 1])
    assert stand.drive(finish_schema) == []
    assert stand.statuses[-1]["done"]["tables"] == len(plan.tables)
    keys = {(table.name, key.name) for table in plan.tables for key in table.foreign_keys if not key.omitted}
    assert set(catalogue.foreign_keys(target)) == keys


def test_large_tables_that_share_a_group_get_one_key_a_call_too(
    stand: Stand, target: pyodbc.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "LARGE_ROWS", 0)
    monkeypatch.setattr(finish, "GROUPS", 2)
    stand.planned()
    stand.call(schema.create_schema)
    tables = stand.plan().tables
    _, shared = finish.finish_groups(tables)
    large = [table for table in tables if table.name in shared and table.rows]
    assert 1 < len(large) < len(shared)
    calls = sum(len(keys_to_add(table)) for table in large) + 1
    for step in range(calls):
        answer = stand.call(finish.finish_tables, group=1, step=step)
        assert answer["finished"] == (step + 1 == calls)
        made = sum(len(catalogue.indexes(target, table.name)) for table in large)
        assert made == min(step + 1, calls - 1)
    assert answer["tables"] == len(shared)
    assert stand.drive(finish_schema) == []
    assert stand.statuses[-1]["done"]["tables"] == len(tables)


@pytest.fixture
def held_for(
    stand: Stand, target: pyodbc.Connection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, int], list[int]]]:
    """Let another session hold a table's lock from an activity's first call on, until so many have found it.

    Returns the steps of those calls.
    """
    patient = completion.DELIVERY_WAIT
    monkeypatch.setattr(completion, "DELIVERY_WAIT", 0)
    holding = ExitStack()

    def hold(activity: str, calls: int) -> list[int]:
        found: list[int] = []
        deliver = driving.ACTIVITIES[activity]
        taken: list[object] = []

        def delivered(context: object, payload: Any) -> Any:
            if not taken:
                taken.append(holding.enter_context(locked(connect(stand.target), "table:orders$order")))
            answer = deliver(context, payload)
            if answer.get("held"):
                found.append(payload.get("step", 0))
                if len(found) == calls:
                    holding.close()
                    monkeypatch.setattr(completion, "DELIVERY_WAIT", patient)  # a busy machine needs its time, too
            return answer

        monkeypatch.setitem(driving.ACTIVITIES, activity, delivered)
        return found

    with holding:
        yield hold


@pytest.mark.parametrize("activity", ["finish_tables", "finish_links"])
def test_a_table_that_another_session_holds_is_waited_for_and_its_keys_are_made_then(
    stand: Stand, target: pyodbc.Connection, held_for: Callable[[str, int], list[int]], activity: str
) -> None:
    found = held_for(activity, 20)
    assert completed(stand) == []
    assert len(found) == 20
    assert len(set(found)) == 1
    notes = [one["note"] for one in stand.statuses]
    assert [
        note for note in notes if "mxferry:table:orders$order waits for a lock, call 20 of 50: another session" in note
    ]
    assert "waits" not in notes[-1]
    assert stand.statuses[-1]["done"]["tables"] == len(stand.plan().tables)
    assert len(catalogue.indexes(target, "orders$order")) == len(keys_to_add(stand.plan().table("orders$order")))


def test_a_table_that_is_never_free_ends_the_stage_with_who_holds_it(
    stand: Stand, held_for: Callable[[str, int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "MOST_WAITS", 3)
    found = held_for("finish_tables", 4)
    with pytest.raises(calling.StageRefused) as caught:
        completed(stand)
    assert len(found) == 3
    finding = caught.value.finding
    assert (finding.code, finding.object) == ("TARGET_LOCKED", "mxferry:table:orders$order")
    assert "another session of mxferry" in finding.message
    assert "in 3 calls" in finding.message
    assert "resource_database_id = DB_ID() AND request_status = N'GRANT'" in finding.remedy
    assert "CHARINDEX(N'[mxferry:table:orders$order]', resource_description) > 0" in finding.remedy


def test_who_holds_a_lock_is_looked_for_by_what_the_server_shows_of_its_name(
    stand: Stand, target: pyodbc.Connection
) -> None:
    name = "table:driver's$licence_of_a_person_that_drives"
    with locked(target, name), pytest.raises(TransientError) as caught, locked(connect(stand.target), name, 0):
        pass
    assert "CHARINDEX(N'[mxferry:table:driver''s$licence_o]', resource_description)" in caught.value.remedy
    assert "several" in caught.value.remedy


def test_the_sequence_procedure_gives_the_next_number(stand: Stand, target: pyodbc.Connection) -> None:
    completed(stand)
    target.execute(
        "INSERT INTO [dbo].[mendixsystem$sequence] ([name], [attribute_id], [start_value], [current_value]) "
        "VALUES (?, ?, ?, ?)",
        "orders$order_ordernumber_mxseq", "guid", 1, 284,
    )  # fmt: skip
    call = "DECLARE @given bigint; EXEC @given = [dbo].[usp_nextsequencevalue] @SeqName = ?; SELECT @given"
    given = [target.execute(call, "orders$order_ordernumber_mxseq").fetchval() for _ in range(3)]
    assert given == [285, 286, 287]
    row = target.execute("SELECT [current_value] FROM [dbo].[mendixsystem$sequence]").fetchone()
    assert row[0] == 287


def test_the_options_a_runtime_needs_are_set(stand: Stand, target: pyodbc.Connection) -> None:
    completed(stand)
    state = catalogue.database_state(target)
    assert state.read_committed_snapshot
    assert state.snapshot_isolation
    assert state.compatibility_level >= 140


def test_the_script_begins_with_the_options_and_setting_them_twice_does_no_harm(
    stand: Stand, target: pyodbc.Connection
) -> None:
    ddl = stand.planned()["ddl_blob"]
    script = stand.reports.download_blob(ddl).readall().decode()
    head = [one for one in script[: script.index("-- Schema of run")].split("\nGO\n") if one]
    for _ in range(2):
        for batch in head:
            target.execute(batch)
    state = catalogue.database_state(target)
    assert state.read_committed_snapshot
    assert state.snapshot_isolation
    assert state.compatibility_level >= 140


def test_rows_that_collide_on_the_target_become_a_finding_and_the_other_keys_are_made(
    stand: Stand, target: pyodbc.Connection
) -> None:
    stand.planned()
    stand.call(schema.create_schema)
    for number in range(3):
        target.execute("INSERT INTO [dbo].[tickets$tag] ([id], [name]) VALUES (?, ?)", number, "secret value")
    (finding,) = stand.drive(finish_schema)
    assert (finding.code, finding.object) == ("UNIQUE_VIOLATION", "tickets$tag.uniq_tickets$tag_name")
    assert finding.severity == "error"
    assert finding.count == 3
    assert "secret value" not in finding.model_dump_json()
    assert "pk_tickets$tag" in catalogue.indexes(target, "tickets$tag")


def test_a_reference_to_nothing_becomes_a_finding(stand: Stand, target: pyodbc.Connection) -> None:
    stand.planned()
    stand.call(schema.create_schema)
    target.execute("INSERT INTO [dbo].[orders$order] ([id], [orders$order_customer]) VALUES (?, ?)", 1, 12345)
    (finding,) = stand.drive(finish_schema)
    assert (finding.code, finding.object) == (
        "FOREIGN_KEY_REFUSED",
        "orders$order.frn_orders$order_orders$order_customer",
    )


def test_remedies_are_carried_out_on_the_target(
    stand: Stand, restored_with_problems: str, target: pyodbc.Connection
) -> None:
    stand.database = restored_with_problems
    remedies = {"UNIQUE_NULLS": "filtered-index", "UNIQUE_COLLISION": "drop-constraint"}
    stand.request(options={"remedies": remedies | {"UNLIMITED_UNIQUE": "drop-constraint"}})
    assert completed(stand) == []
    assert "uniq_tickets$tag_name" not in catalogue.indexes(target, "tickets$tag")
    for number in range(2):
        target.execute("INSERT INTO [dbo].[customers$party] ([id], [customernumber]) VALUES (?, NULL)", number)
    target.execute("INSERT INTO [dbo].[customers$party] ([id], [customernumber]) VALUES (?, ?)", 7, "C-1")
    with pytest.raises(pyodbc.IntegrityError):
        target.execute("INSERT INTO [dbo].[customers$party] ([id], [customernumber]) VALUES (?, ?)", 8, "C-1")


def test_clean_up_takes_marker_and_ledger_away_and_may_be_done_twice(stand: Stand, target: pyodbc.Connection) -> None:
    completed(stand)
    with connect(stand.target) as connection:
        marker.remove(connection, stand.run.id)
        marker.remove(connection, stand.run.id)
    assert not catalogue.table_exists(target, MARKER_TABLE)
    assert not catalogue.table_exists(target, LEDGER_TABLE)
    assert len(catalogue.tables(target)) == len(stand.plan().tables)


def test_a_late_clean_up_leaves_another_runs_marker_and_ledger_alone(stand: Stand, target: pyodbc.Connection) -> None:
    completed(stand)
    late, other = "20200101t000000-abcdef", stand.run.id
    target.execute(
        f"INSERT INTO [dbo].[{MARKER_TABLE}] ([run_id], [state], [changed_at]) VALUES (?, 'created', SYSUTCDATETIME())",
        late,
    )
    for run in (late, other):
        target.execute(
            f"INSERT INTO [dbo].[{LEDGER_TABLE}] ([run_id], [table_name], [chunk], [rows_loaded], [bytes], [rows_rejected], "
            "[rounded], [loaded_at]) VALUES (?, 't', 99, 1, 1, 0, 0, SYSUTCDATETIME())",
            run,
        )
    marker.remove(target, late)
    assert state_of(target, other) == "finished"
    assert loaded_chunks(target, late) == []
    assert [row.chunk for row in loaded_chunks(target, other) if row.table == "t"] == [99]
    answers = at_once(*[lambda: removed(stand, other)] * 3)
    assert answers == [None] * 3
    assert not catalogue.table_exists(target, MARKER_TABLE)
    assert not catalogue.table_exists(target, LEDGER_TABLE)


def removed(stand: Stand, run: str) -> None:
    with connect(stand.target) as connection:
        marker.remove(connection, run)


def test_finishing_the_database_twice_at_once_refuses_neither_and_late_leaves_no_marker(
    stand: Stand, target: pyodbc.Connection
) -> None:
    completed(stand)
    for _ in range(5):
        answers = at_once(*[lambda: finish.finish_database(None, stand.work)] * 2)
        assert [answer.get("refused") for answer in answers] == [None, None]
    marker.remove(target, stand.run.id)
    target.commit()
    assert "refused" not in finish.finish_database(None, stand.work)
    assert not catalogue.table_exists(target, MARKER_TABLE)
