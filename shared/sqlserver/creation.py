"""Makes the tables of a plan on the target, once, in one transaction."""

import pyodbc

from shared.databaseplan import DatabasePlan
from shared.errors import Finding, Refusal
from shared.settings import SqlServer
from shared.sqlserver import catalogue, marker
from shared.sqlserver.connection import quote, session, table_name
from shared.sqlserver.ddl import create_table
from shared.sqlserver.ledger_table import CREATE_LEDGER, OUR_TABLES
from shared.sqlserver.locks import SCHEMA_LOCK, locked_transaction

LOCK_SECONDS = 120


def create(
    target: SqlServer, plan: DatabasePlan, *, drop: bool, keys_first: bool, closed: marker.Closed
) -> list[Finding]:
    """Make the plan's tables and the ledger; return what is worth reporting.

    All of it is one transaction under an application lock: it is there whole or not at all, and a second delivery
    finds the run's marker and changes nothing. With `drop`, tables that are there are dropped first; without it they
    are a Refusal TARGET_NOT_EMPTY. Raises what `marker.may_begin` raises.
    """
    with session(target) as connection, locked_transaction(connection, SCHEMA_LOCK, LOCK_SECONDS):
        if not marker.may_begin(connection, plan.run, closed):
            return []
        dropped = make_room(connection, drop=drop)
        for table in plan.tables:
            connection.execute(create_table(table, plan.collation, with_key=keys_first))
        connection.execute(CREATE_LEDGER)
        marker.set_created(connection, plan.run)
    return [dropped_finding(dropped)] if dropped else []


def make_room(connection: pyodbc.Connection, *, drop: bool) -> dict[str, int]:
    """Drop every table of dbo, or refuse if there are any; return what was dropped, with rows."""
    present = catalogue.table_rows(connection)
    if present and not drop:
        raise Refusal(
            "TARGET_NOT_EMPTY",
            ", ".join(list(present)[:10]),
            f"expected no tables in schema dbo of the target, found {len(present)}.",
            'Use an empty database, or say `"target_not_empty": "drop"` with the profile\'s name in `"confirm"`.',
        )
    for table, key in catalogue.foreign_keys(connection):
        connection.execute(f"ALTER TABLE {table_name(table)} DROP CONSTRAINT {quote(key)}")
    for table in [*present, *(name for name in OUR_TABLES if catalogue.table_exists(connection, name))]:
        connection.execute(f"DROP TABLE {table_name(table)}")
    return present


def dropped_finding(dropped: dict[str, int]) -> Finding:
    """Say what was dropped: table → rows."""
    return Finding(
        code="TARGET_DROPPED",
        severity="info",
        object=f"{len(dropped)} tables",
        message=f"the target's tables were dropped, {sum(dropped.values())} rows with them, as the request says.",
        count=len(dropped),
        examples=[f"{table}: {rows:,} rows" for table, rows in list(dropped.items())[:10]],
    )
