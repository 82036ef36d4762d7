"""Target mode `runtime`: what our copy would do on the way is done in the temporary database, which the runtime reads.

Masks, remedies of values, rows that are left out, tables that start empty and the rounding of timestamps are all source
expressions and predicates of the plan; here they become UPDATE and DELETE. Afterwards the temporary database is exactly
what the target shall hold, and the comparison reads both as they are. The temporary database is ours; the snapshot
stays as it was.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from shared.copying.reading import identifier, table_sql, value_sql
from shared.databaseplan import PREFIX, DatabasePlan, PlannedColumn, PlannedTable
from shared.postgres import locks
from shared.postgres.connection import connect
from shared.settings import Postgres
from shared.sqlserver.columntype import parse

IDENTIFIERS = f"{PREFIX}entityidentifier"
"""The one metadata table with a remedy of its own; the others the runtime reads as PostgreSQL left them."""

MARKS = "CREATE TABLE IF NOT EXISTS mxferry.settled (what text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
MARK = "INSERT INTO mxferry.settled (what) VALUES (%s) ON CONFLICT DO NOTHING"
KEPT = parse("datetime2(3)")


@dataclass(frozen=True)
class Settled:
    """What was changed in one table: rows left out, rows with changed values, rows with rounded timestamps."""

    table: str
    deleted: int = 0
    changed: int = 0
    rounded: int = 0


def to_settle(plan: DatabasePlan) -> list[str]:
    """Return the tables in which something may have to change, the largest first."""
    tables = sorted(plan.tables, key=lambda table: (-table.source_bytes, table.name))
    return [table.name for table in tables if statements(table) != (None, None, None)]


def statements(table: PlannedTable) -> tuple[str | None, str | None, str | None]:
    """Return the statements that leave rows out, change values and round timestamps; None where there is nothing to do."""
    if table.name.startswith(PREFIX) and table.source_name != IDENTIFIERS:
        return None, None, None
    if table.content == "empty":
        return f"DELETE FROM {table_sql(table)}", None, None  # noqa: S608
    delete = f"DELETE FROM {table_sql(table)} WHERE ({table.where}) IS NOT TRUE" if table.where else None  # noqa: S608
    return delete, _update(table, [one for one in table.columns if one.expression]), _rounding(table)


def settle_table(server: Postgres, database: str, table: PlannedTable, session: Mapping[str, str]) -> Settled | None:
    """Change one table, once; None where an earlier delivery has done it. Doing it twice would make a mask of a mask.

    `session` holds the key of the masks.
    """
    with _marked(server, database, table.name, session) as connection:
        if connection is None:
            return None
        # Rows are deleted first: the predicates are about the values as they were.
        deleted, changed, rounded = (
            connection.execute(text.encode()).rowcount if text else 0 for text in statements(table)
        )
    return Settled(table.name, deleted=deleted, changed=changed, rounded=rounded)


@contextmanager
def once(server: Postgres, database: str, name: str) -> Iterator[bool]:
    """Say whether the run does this for the first time; mark it as done when it succeeds.

    The mark lies in the temporary database, because the target has to stay without any table of ours.
    """
    with _marked(server, database, name) as connection:
        yield connection is not None


def make_marks(server: Postgres, database: str) -> None:
    """Make the table of marks; may be done twice, one after the other or at once."""
    with connect(server, database, application_name="mxferry settle") as connection:
        locks.hold(connection, locks.SETTLING, 0, database)
        connection.execute(MARKS)


def settled_plan(plan: DatabasePlan) -> DatabasePlan:
    """Return the plan for a settled database, which is read as it stands."""
    tables = [
        table.model_copy(update={"columns": [_plain(column) for column in table.columns], "where": None})
        for table in plan.tables
    ]
    return plan.model_copy(update={"tables": tables})


def _plain(column: PlannedColumn) -> PlannedColumn:
    return column.model_copy(update={"expression": None}) if column.expression else column


def _update(table: PlannedTable, columns: list[PlannedColumn]) -> str | None:
    values = [(identifier(one.source_name), value_sql(one)) for one in columns]
    return _set(table, values)


def _rounding(table: PlannedTable) -> str | None:
    """Round half up to what the target keeps: the runtime's own rounding is not documented, so nothing is left for it."""
    values = []
    for column in table.columns:
        if parse(column.type) == KEPT:
            name = identifier(column.source_name)
            values.append((name, f"date_trunc('milliseconds', {name} + interval '500 microseconds')"))
    return _set(table, values)


def _set(table: PlannedTable, values: list[tuple[str, str]]) -> str | None:
    if not values:
        return None
    changes = ", ".join(f"{name} = {value}" for name, value in values)
    differ = " OR ".join(f"{name} IS DISTINCT FROM {value}" for name, value in values)
    return f"UPDATE {table_sql(table)} SET {changes} WHERE {differ}"  # noqa: S608


@contextmanager
def _marked(
    server: Postgres, database: str, name: str, session: Mapping[str, str] | None = None
) -> Iterator[psycopg.Connection | None]:
    """A transaction that marks `name` as done; None where it is marked already. One delivery at a time.

    `TransientError` when another delivery is at it for longer than two minutes.
    """
    with connect(server, database, application_name="mxferry settle", session=session) as connection:
        locks.hold(connection, locks.SETTLING, name, name)
        first = connection.execute(MARK, (name,)).rowcount > 0
        yield connection if first else None
