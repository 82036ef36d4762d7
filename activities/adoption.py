"""Target mode `runtime`, after the hand-over: the schema that the runtime made is read, and the comparison planned."""

from contextlib import closing
from typing import Any, LiteralString

import psycopg
import pyodbc
from psycopg import sql

from activities.boundary import activity
from activities.schema import target_of, temporary_database
from shared import runpaths
from shared.blobs import clients
from shared.blobs.documents import write, write_or_read
from shared.contracts import Check, Findings, RestoredWork, TableRows
from shared.copying.settling import settled_plan
from shared.copying.stage import database_plan, write_lines
from shared.databaseplan import DatabasePlan, PlannedTable
from shared.errors import Refusal
from shared.mendix.adoption import (
    DEFAULT_ADMINISTRATOR,
    FILE,
    USER,
    SelfChanging,
    adopt,
    attribute_column,
    identities_check,
    left_out_check,
    sequences_check,
)
from shared.mendix.catalogue import read_database
from shared.mendix.existing import Existing
from shared.mendix.existingtarget import read_existing
from shared.mendix.metadata import Metadata, physical, read_metadata
from shared.mendix.planning import with_row_counts
from shared.mendix.remedies import decide
from shared.mendix.sequences import read_auto_numbers
from shared.sqlserver import catalogue
from shared.sqlserver.connection import session, table_name

ADMINISTRATOR_NAME = "MxAdminUserName"


class Adopted(Findings):
    """Output of `adopt_schema`: how many tables to compare, the rows that the runtime copied into them, checks made on the way."""

    tables: int
    rows: int
    checks: list[Check]


@activity
def adopt_schema(work: RestoredWork) -> Adopted:
    """Fit the plan to the runtime's schema, check what ids and AutoNumbers depend on, count the runtime's rows."""
    existing = _existing(work)
    with closing(temporary_database(work)()) as connection:
        source = read_metadata(connection)
        numbers = read_auto_numbers(connection, read_database(connection), source)
        changing = _changing(connection, source, work.run.request.options.not_compared)
    adoption = adopt(settled_plan(_plan_before(work.run.id)), source, existing, changing)
    plan = with_row_counts(temporary_database(work), adoption.plan)
    write(clients.staged(work.run.id, runpaths.PLAN), plan)
    rows = _count(work, plan)
    return Adopted(
        findings=decide(adoption.findings, work.run.request.options.remedies),
        tables=len(rows),
        rows=sum(one.rows_copied for one in rows),
        checks=[
            identities_check(source, existing.metadata),
            sequences_check(numbers, existing.metadata),
            left_out_check(adoption),
        ],
    )


def _plan_before(run: str) -> DatabasePlan:
    """Return the plan as it was before the first delivery fitted it, so that every delivery starts from the same plan."""
    before = clients.staged(run, runpaths.SETTLED_PLAN)
    return write_or_read(before, database_plan(clients.staging(), run))


def _existing(work: RestoredWork) -> Existing:
    try:
        return read_existing(target_of(work))
    except Refusal as refused:
        if refused.code != "TARGET_HAS_NO_SCHEMA":
            raise
        raise Refusal(
            "RUNTIME_COPIED_NOTHING", refused.about,
            "expected the tables that the Mendix runtime makes from its source, found no mendixsystem$entity.",
            "Look into the app's log: had it the SourceDatabase settings, and does it use this database?",
        ) from None  # fmt: skip


def _changing(connection: psycopg.Connection[Any], source: Metadata, tables: list[str]) -> SelfChanging:
    """Look in the source for what a started app will change by itself."""
    name = source.properties.get(ADMINISTRATOR_NAME, DEFAULT_ADMINISTRATOR)
    administrator = _one(connection, source, USER, "Name", "SELECT id FROM public.{table} WHERE {column} = %s", name)
    unknown = "SELECT 1 FROM public.{table} WHERE {column} IS NULL OR {column} < %s LIMIT 1"
    return SelfChanging(administrator, _one(connection, source, FILE, "Size", unknown, 0) is not None, tables)


def _one(
    connection: psycopg.Connection[Any],
    source: Metadata,
    entity: str,
    attribute: str,
    query: LiteralString,
    value: object,
) -> int | None:
    """Return the number that a query about an entity's table gives; None without such a row, table or column."""
    table = next((one.table for one in source.entities if one.name == entity), None)
    column = attribute_column(source, entity, attribute)
    if table is None or column is None:
        return None
    names = {"table": sql.Identifier(physical(table)), "column": sql.Identifier(column)}
    row = connection.execute(sql.SQL(query).format(**names), (value,)).fetchone()
    return int(row[0]) if row else None


def _count(work: RestoredWork, plan: DatabasePlan) -> list[TableRows]:
    """Count the rows that the runtime copied into each compared table; store the counts where those of a copy are stored."""
    with session(target_of(work)) as connection:
        counted = catalogue.table_rows(connection)
        rows = [_rows(connection, table, counted) for table in plan.tables]
    write_lines(clients.staging(), runpaths.of_run(work.run.id, runpaths.COPIED), rows)
    return rows


def _rows(connection: pyodbc.Connection, table: PlannedTable, counted: dict[str, int]) -> TableRows:
    found = counted.get(table.name, 0)
    if table.target_where:
        query = f"SELECT COUNT_BIG(*) FROM {table_name(table.name)} WHERE {table.target_where}"  # noqa: S608
        row = connection.execute(query).fetchone()
        found = int(row[0]) if row else 0
    return TableRows(
        name=table.name, rows_source=table.rows, rows_copied=found, bytes=table.source_bytes,
        content=table.content, reason=table.deviation,
    )  # fmt: skip
