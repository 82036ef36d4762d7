"""Target mode `existing`: a schema as the runtime made it, with other names and other short ids, takes the rows."""

from typing import Any

import psycopg
import pyodbc
import pytest

from activities import schema
from orchestrators.copy import copy_rows
from orchestrators.finish import finish_schema
from orchestrators.inspect import inspect_data
from orchestrators.verify import verify_rows
from shared import runpaths
from shared.databaseplan import DatabasePlan, PlannedTable
from shared.errors import Finding
from shared.inspection.collation import MENDIX_DEFAULT
from shared.sqlserver import catalogue, marker
from shared.sqlserver.types import is_string
from tests.fixtures.runs import new_run
from tests.fixtures.runtimedouble import OTHER_COLUMN, OTHER_TABLE, with_other_names
from tests.integration.schema.conftest import WITH_COLLATION, Stand


def renamed(table: PlannedTable) -> PlannedTable:
    """A table as another database would name it; rows only where the runtime writes its own description."""
    content = "copy" if table.name.startswith("mendixsystem$") else "empty"
    return with_other_names(table).model_copy(update={"content": content})


@pytest.fixture
def runtime_schema(stand: Stand, target: pyodbc.Connection) -> DatabasePlan:
    """The target as a runtime made it; the stand's run is a new one, in mode `existing`."""
    stand.planned()
    plan = stand.plan()
    made = plan.model_copy(update={"tables": [renamed(table) for table in plan.tables]})
    stand.staging.upload_blob(
        runpaths.of_run(stand.run.id, runpaths.PLAN), made.model_dump_json().encode(), overwrite=True
    )
    stand.call(schema.create_schema)
    stand.answer(copy_rows)
    assert stand.drive(finish_schema) == []
    marker.remove(target, stand.run.id)
    for statement in (
        f"UPDATE [dbo].[mendixsystem$entity] SET [table_name] = '{OTHER_TABLE}' WHERE [table_name] = 'orders$category'",
        f"UPDATE [dbo].[mendixsystem$attribute] SET [column_name] = '{OTHER_COLUMN}' WHERE [column_name] = 'phone'",
        "UPDATE [dbo].[mendixsystem$entityidentifier] SET [short_id] = [short_id] + 100, [object_sequence] = 1",
        "UPDATE [dbo].[mendixsystem$sequence] SET [current_value] = 0, [name] = [name] + '_x'",
        "INSERT INTO [dbo].[system$user] ([id], [name]) VALUES (1, N'MxAdmin')",
    ):
        target.execute(statement)
    stand.run = new_run(options=WITH_COLLATION)
    stand.request(options={"target_mode": "existing", "collation": None})
    return made


def planned(stand: Stand) -> dict[tuple[str, str], Finding]:
    findings = [Finding.model_validate(one) for one in stand.planned()["findings"]]
    return {(one.code, one.object): one for one in findings}


@pytest.mark.slow
def test_rows_go_into_the_runtimes_own_schema_by_guid_with_the_sources_identities(
    stand: Stand, target: pyodbc.Connection, runtime_schema: DatabasePlan
) -> None:
    found = planned(stand)
    assert {key for key in found if key[0] == "NAME_DIFFERS"} == {
        ("NAME_DIFFERS", "orders$category"),
        ("NAME_DIFFERS", "customers$party.phone"),
    }
    assert {one.severity for one in found.values()} == {"info"}
    before = {table: catalogue.indexes(target, table) for table in catalogue.tables(target)}
    columns = [column for table in stand.plan().tables for column in table.columns]
    strings = {column.collation for column in columns if is_string(column.type)}
    assert strings == {MENDIX_DEFAULT}, "that of the columns which the runtime made"
    assert stand.drive(inspect_data) == []
    (emptied,) = stand.call(schema.create_schema)["findings"]
    assert emptied["code"] == "TARGET_EMPTIED"
    stand.answer(copy_rows)
    assert stand.drive(finish_schema) == []
    verified = stand.answer(verify_rows)
    assert [one for one in verified["checks"] if one["outcome"] == "failed"] == []
    rows = catalogue.table_rows(target)
    for table in stand.plan().tables:
        assert rows[table.name] == (table.rows if table.content == "copy" else 0), table.name
    assert rows[OTHER_TABLE] > 0
    assert {table: catalogue.indexes(target, table) for table in catalogue.tables(target)} == before
    names = {row[0] for row in target.execute("SELECT [table_name] FROM [dbo].[mendixsystem$entity]").fetchall()}
    assert OTHER_TABLE in names
    query = 'SELECT short_id, object_sequence FROM "mendixsystem$entityidentifier"'
    with psycopg.connect(stand.postgres.dsn(stand.database)) as source:
        identities = sorted(source.execute(query).fetchall())
    query = "SELECT [short_id], [object_sequence] FROM [dbo].[mendixsystem$entityidentifier]"
    assert sorted(tuple(row) for row in target.execute(query).fetchall()) == identities
    query = "SELECT [name], [current_value] FROM [dbo].[mendixsystem$sequence]"
    sequences = {str(row[0]): int(row[1]) for row in target.execute(query).fetchall()}
    assert all(name.endswith("_x") for name in sequences)
    assert sequences["orders$order_ordernumber_mxseq_x"] > 100_000


@pytest.mark.slow
def test_rows_of_an_app_on_the_target_are_refused_unless_it_may_be_emptied(
    stand: Stand, target: pyodbc.Connection, runtime_schema: DatabasePlan
) -> None:
    target.execute("INSERT INTO [dbo].[tickets$tag] ([id], [name]) VALUES (?, ?)", 1, "precious")
    stand.planned()
    finding = stand.refused(schema.create_schema)
    assert (finding.code, finding.object) == ("TARGET_NOT_EMPTY", "tickets$tag")
    assert catalogue.table_rows(target)["tickets$tag"] == 1
    stand.request(target_not_empty="drop", confirm="test")
    stand.call(schema.create_schema)
    assert catalogue.table_rows(target)["tickets$tag"] == 0
    target.execute("INSERT INTO [dbo].[tickets$tag] ([id], [name]) VALUES (?, ?)", 1, "copied")
    assert stand.call(schema.create_schema) == {"findings": []}
    assert catalogue.table_rows(target)["tickets$tag"] == 1


DIFFERENCES: list[tuple[str, tuple[str, str], str]] = [
    (
        "DELETE FROM [dbo].[mendixsystem$entity] WHERE [table_name] = 'tickets$ticket'",
        ("ENTITY_MISSING_ON_TARGET", "tickets$ticket"),
        "error",
    ),
    (
        "DELETE FROM [dbo].[mendixsystem$attribute] WHERE [column_name] = 'displayname'",
        ("ATTRIBUTE_MISSING_ON_TARGET", "customers$party.displayname"),
        "error",
    ),
    (
        "UPDATE [dbo].[mendixsystem$version] SET [modelversionnumber] = '9.9.9'",
        ("MODEL_VERSION_DIFFERS", "mendixsystem$version"),
        "warning",
    ),
    (
        "INSERT INTO [dbo].[mendixsystem$entity] ([id], [entity_name], [table_name]) VALUES ('new', 'A.B', 'a$b')",
        ("ENTITY_ONLY_ON_TARGET", "a$b"),
        "error",
    ),
    (
        "INSERT INTO [dbo].[mendixsystem$attribute] ([id], [entity_id], [attribute_name], [column_name], [type], [length], "
        "[is_auto_number]) SELECT 'new', [id], 'Colour', 'colour', 30, 20, 0 FROM [dbo].[mendixsystem$entity] "
        "WHERE [table_name] = 'tickets$tag'",
        ("ATTRIBUTE_ONLY_ON_TARGET", "tickets$tag.colour"),
        "warning",
    ),
    (
        "INSERT INTO [dbo].[mendixsystem$association] ([id], [association_name], [table_name], [parent_entity_id], "
        "[child_entity_id], [parent_column_name], [child_column_name], [storage_format]) SELECT 'new', 'Tickets.Tag_Tag', "
        "'tickets$tag', [id], [id], 'id', 'tickets$tag_tag', 1 FROM [dbo].[mendixsystem$entity] "
        "WHERE [table_name] = 'tickets$tag'",
        ("ASSOCIATION_ONLY_ON_TARGET", "tickets$tag.tickets$tag_tag"),
        "warning",
    ),
    (
        "INSERT INTO [dbo].[mendixsystem$sequence] ([name], [attribute_id], [start_value], [current_value]) "
        "VALUES ('a$b_number_mxseq', 'new-number', 1, 0)",
        ("AUTONUMBER_ONLY_ON_TARGET", "a$b_number_mxseq"),
        "error",
    ),
    (
        "CREATE INDEX [idx_more] ON [dbo].[orders$payment] ([amount])",
        ("KEY_ONLY_ON_TARGET", "orders$payment.idx_more"),
        "info",
    ),
    (
        "CREATE UNIQUE INDEX [uniq_more] ON [dbo].[orders$payment] ([paidat])",
        ("KEY_ONLY_ON_TARGET", "orders$payment.uniq_more"),
        "warning",
    ),
    (
        "ALTER TABLE [dbo].[orders$product] DROP CONSTRAINT [uniq_orders$product_sku]",
        ("KEY_MISSING_ON_TARGET", "orders$product.uniq_orders$product_sku"),
        "warning",
    ),
]


@pytest.mark.slow
def test_what_differs_is_said(stand: Stand, target: pyodbc.Connection, runtime_schema: DatabasePlan) -> None:
    for statement, _, _ in DIFFERENCES:
        target.execute(statement)
    target.execute("DROP TABLE [dbo].[orders$product_category]")
    found = planned(stand)
    for _, key, severity in DIFFERENCES:
        assert found[key].severity == severity, key
    assert ("ENTITY_MISSING_ON_TARGET", "orders$product_category") in found
    remedies = {"ENTITY_MISSING_ON_TARGET": "leave-out", "AUTONUMBER_ONLY_ON_TARGET": "accept"}
    stand.request(options={"remedies": remedies})
    chosen = planned(stand)
    assert chosen[("ENTITY_MISSING_ON_TARGET", "tickets$ticket")].chosen == "leave-out"
    assert chosen[("AUTONUMBER_ONLY_ON_TARGET", "a$b_number_mxseq")].chosen == "accept"
    assert "tickets$ticket" not in {table.name for table in stand.plan().tables}


def test_a_target_without_a_runtimes_schema_is_refused(stand: Stand, target: pyodbc.Connection) -> None:
    stand.request(options={"target_mode": "existing", "collation": None})
    finding = stand.refused(schema.plan_database)
    assert finding.code == "TARGET_HAS_NO_SCHEMA"
    assert '"create"' in finding.remedy


def test_types_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.databaseplan import PlannedColumn
    from shared.mendix import existing
    from shared.sqlserver.schema import TargetColumn

    def difference(ours: str, theirs: str) -> list[tuple[str, str]]:
        fitting: Any = existing._Fitting(source=None, existing=None)  # type: ignore[arg-type]
        column = PlannedColumn(name="c", source_name="c", source_type="x", type=ours)
        existing._compare_types(fitting, "t.c", column, TargetColumn("c", theirs, True))
        return [(one.code, one.severity) for one in fitting.findings]

    assert difference("nvarchar(200)", "nvarchar(200)") == []
    assert difference("nvarchar(200)", "nvarchar(400)") == []
    assert difference("nvarchar(200)", "nvarchar(max)") == []
    assert difference("int", "bigint") == []
    assert difference("nvarchar(200)", "nvarchar(100)") == [("LENGTH_DIFFERS", "warning")]
    assert difference("nvarchar(max)", "nvarchar(100)") == [("LENGTH_DIFFERS", "warning")]
    assert difference("bigint", "int") == [("TYPE_DIFFERS", "error")]
    assert difference("datetime2(3)", "datetime") == [("TYPE_DIFFERS", "error")]
    assert difference("datetime2(3)", "datetime2(7)") == [("TYPE_DIFFERS", "error")]
