"""From the restored sample to a verified target: plan, inspect, create, copy, finish, verify."""

from typing import Any

import psycopg
import pyodbc
import pytest

from activities import schema
from orchestrators.copy import copy_rows
from orchestrators.finish import finish_schema
from orchestrators.inspect import inspect_data
from orchestrators.verify import verify_rows
from shared.contracts import TableRows
from shared.copying.stage import read_lines
from shared.errors import Finding
from shared.masking import key_of, session_settings
from shared.sqlserver import catalogue
from tests.integration.schema.conftest import Stand

EVERY_REMEDY = {
    "UNIQUE_COLLISION": "drop-constraint",
    "UNIQUE_NULLS": "filtered-index",
    "UNLIMITED_UNIQUE": "drop-constraint",
    "INDEX_KEY_TOO_WIDE": "leave-out",
    "INDEX_KEY_TOO_WIDE:legacy$lookup.pk_legacy$lookup": "nonclustered",
    "UNKNOWN_TYPE": "as-text",
    "SEQUENCE_MISSING": "accept",
    "AUTONUMBER_WITHOUT_SEQUENCE": "accept",
    "TOO_LONG_UTF16": "truncate",
    "DATE_OUT_OF_RANGE": "clamp",
    "NUMERIC_NOT_FINITE": "null",
    "NUMERIC_OVERFLOW": "null",
    "NUMERIC_SCALE": "round",
    "DANGLING_REFERENCE": "null",
    "OBJECT_SEQUENCE_BEHIND": "raise",
    "UNKNOWN_SHORT_ID": "accept",
}


def move(stand: Stand) -> dict[str, Any]:
    """Do the stages of the database's side; return the answer of verification."""
    planned = stand.call(schema.plan_database)
    findings = [*(Finding.model_validate(one) for one in planned["findings"]), *stand.drive(inspect_data)]
    assert [one for one in findings if one.severity == "error" and one.chosen is None] == []
    stand.call(schema.create_schema)
    copied = stand.answer(copy_rows)
    assert copied["rows"] == sum(table.rows for table in stand.plan().tables if table.content == "copy") > 2000
    assert stand.drive(finish_schema) == []
    return stand.answer(verify_rows)


def passed(verified: dict[str, Any]) -> bool:
    assert [one for one in verified["checks"] if one["outcome"] == "failed"] == []
    assert [one for one in verified["findings"] if one["severity"] != "info"] == []
    return any(one["outcome"] == "passed" for one in verified["checks"])


@pytest.mark.slow
def test_a_sound_sample_arrives_whole_and_verified(stand: Stand, target: pyodbc.Connection) -> None:
    assert passed(move(stand))
    rows = catalogue.table_rows(target)
    for table in stand.plan().tables:
        assert rows[table.name] == (table.rows if table.content == "copy" else 0), table.name
    sequences = target.execute("SELECT [name], [current_value] FROM [dbo].[mendixsystem$sequence]").fetchall()
    largest = target.execute("SELECT MAX([ordernumber]) FROM [dbo].[orders$order]").fetchval()
    assert dict(map(tuple, sequences))["orders$order_ordernumber_mxseq"] >= largest


@pytest.mark.slow
def test_a_sample_with_every_problem_arrives_verified_once_a_remedy_is_chosen_for_each(
    stand: Stand, restored_with_problems: str, target: pyodbc.Connection
) -> None:
    stand.database = restored_with_problems
    stand.request(options={"remedies": EVERY_REMEDY})
    assert passed(move(stand))


@pytest.mark.slow
def test_a_masked_rehearsal_is_verified_against_the_masked_rows(stand: Stand, target: pyodbc.Connection) -> None:
    masks = [{"table": "customers$party", "column": "displayname", "how": "name"}]
    stand.request(options={"purpose": "rehearsal", "masks": masks})
    verified = move(stand)
    assert passed(verified)
    told = {one.name: one.reason for one in read_lines(stand.staging, verified["tables_blob"], TableRows)}
    assert told["customers$party"] == "displayname: masked (name)", "no plain copy, and the report says so"
    assert told["orders$order"] is None
    query = "SELECT [displayname] FROM [dbo].[customers$party] WHERE [displayname] IS NOT NULL"
    names = [str(row[0]) for row in target.execute(query).fetchall()]
    assert len(names) > 50
    assert [name for name in names if not name.startswith("Name ")] == []
    halves = [half.encode() for half in session_settings(key_of(stand.database)).values()]
    written = [
        box.download_blob(name).readall() for box in (stand.staging, stand.reports) for name in box.list_blob_names()
    ]
    assert len(written) > 3
    assert not [half for half in halves for content in written if half in content], "the key lies in no file"


def test_link_rows_that_point_to_nothing_are_left_out_counted_and_verified(
    stand: Stand, target: pyodbc.Connection
) -> None:
    links, gone = "orders$orderline_product", (7 << 48) + (123456789 << 7) + 5
    first = f'"orders$orderlineid" = (SELECT min("orders$orderlineid") FROM "{links}")'
    stand.source(f'UPDATE "{links}" SET "orders$productid" = {gone} WHERE {first}')
    stand.request(options={"remedies": {"DANGLING_REFERENCE": "null"}})
    with psycopg.connect(stand.postgres.dsn(stand.database)) as source:
        (rows,) = source.execute(f'SELECT count(*) FROM "{links}"'.encode()).fetchone() or (0,)
    assert passed(move(stand))
    assert catalogue.table_rows(target)[links] == stand.plan().table(links).rows == rows - 1
