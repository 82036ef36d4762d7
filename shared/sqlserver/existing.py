"""Reads a target whose schema the runtime has made, and empties the tables that a migration fills."""

import pyodbc

from shared.databaseplan import PREFIX, DatabasePlan, PlannedTable
from shared.errors import Finding, Refusal
from shared.settings import SqlServer
from shared.sqlserver import catalogue, marker
from shared.sqlserver.connection import session, table_name
from shared.sqlserver.creation import LOCK_SECONDS
from shared.sqlserver.errors import number_of, text_of
from shared.sqlserver.ledger_table import CREATE_LEDGER, LEDGER_TABLE
from shared.sqlserver.locks import SCHEMA_LOCK, locked_transaction

SEEDED = (PREFIX, "system$", "administration$")
"""Beginnings of tables that a runtime fills by itself at its first start."""

EMPTYING_SECONDS = 25 * 60
VIOLATES_FOREIGN_KEY = 547


def app_rows(rows: dict[str, int]) -> dict[str, int]:
    """Return the tables with rows among those that a runtime does not fill by itself."""
    return {name: count for name, count in rows.items() if count and not name.startswith(SEEDED)}


def empty(target: SqlServer, plan: DatabasePlan, *, drop: bool, closed: marker.Closed) -> list[Finding]:
    """Empty the tables that the plan fills, once, in one transaction; foreign keys are disabled until `check_again`.

    Rows that only an app can have written are a Refusal TARGET_NOT_EMPTY unless `drop`. A second delivery finds the
    run's marker and changes nothing. Raises what `marker.may_begin` raises.
    """
    with (
        session(target, timeout=EMPTYING_SECONDS) as connection,
        locked_transaction(connection, SCHEMA_LOCK, LOCK_SECONDS),
    ):
        if not marker.may_begin(connection, plan.run, closed):
            return []
        held = catalogue.table_rows(connection)
        _refuse_unless(app_rows(held), drop=drop)
        for statement in emptying(plan):
            connection.execute(statement)
        if catalogue.table_exists(connection, LEDGER_TABLE):
            connection.execute(f"DROP TABLE {table_name(LEDGER_TABLE)}")
        connection.execute(CREATE_LEDGER)
        marker.set_created(connection, plan.run)
    emptied = {table.name: held[table.name] for table in plan.tables if held.get(table.name)}
    return [_emptied(emptied)] if emptied else []


def emptying(plan: DatabasePlan) -> list[str]:
    """Return the statements that empty the plan's tables, with foreign keys disabled."""
    resting = [
        f"ALTER TABLE {table_name(table.name)} NOCHECK CONSTRAINT ALL" for table in plan.tables if table.foreign_keys
    ]
    return resting + [f"DELETE FROM {table_name(table.name)}" for table in plan.tables]  # noqa: S608


def check_again(connection: pyodbc.Connection, table: PlannedTable) -> list[Finding]:
    """Let a table's foreign keys be enforced again, and check its rows; may be done twice."""
    try:
        connection.execute(f"ALTER TABLE {table_name(table.name)} WITH CHECK CHECK CONSTRAINT ALL")
    except pyodbc.Error as error:
        if number_of(error) != VIOLATES_FOREIGN_KEY:
            raise
        return [
            Finding(
                code="FOREIGN_KEY_REFUSED", severity="error", object=table.name,
                message=f"SQL Server does not enforce the table's foreign keys again: {text_of(error)}",
                remedy="Remove the references to nothing, then run ALTER TABLE … WITH CHECK CHECK CONSTRAINT ALL.",
            )
        ]  # fmt: skip
    return []


def _refuse_unless(rows: dict[str, int], *, drop: bool) -> None:
    if rows and not drop:
        raise Refusal(
            "TARGET_NOT_EMPTY",
            ", ".join(list(rows)[:10]),
            f"expected no rows of the app on the target, found {sum(rows.values()):,} rows in {len(rows)} tables.",
            'Use a fresh database, or say `"target_not_empty": "drop"` with the profile\'s name in `"confirm"`.',
        )


def _emptied(rows: dict[str, int]) -> Finding:
    return Finding(
        code="TARGET_EMPTIED",
        severity="info",
        object=f"{len(rows)} tables",
        message=f"the target's tables were emptied, {sum(rows.values()):,} rows, to take the snapshot's.",
        count=len(rows),
        examples=[f"{table}: {count:,} rows" for table, count in list(rows.items())[:10]],
    )
