"""The run's marker in the target: what has been made there, by which run, and how far it is.

It is written in the transaction that makes the tables. A second delivery of `create_schema` that finds it does nothing:
what is dropped once must never be dropped again, when rows may already be there. A run that finds the marker of another
one leaves the database alone, unless that run is closed: two profiles may name one database.
"""

from collections.abc import Callable
from typing import Literal

import pyodbc

from shared.errors import Refusal
from shared.sqlserver.catalogue import table_exists
from shared.sqlserver.ledger import drop_ledger, forget_run
from shared.sqlserver.ledger_table import CREATE_MARKER, LEDGER_TABLE, MARKER_TABLE
from shared.sqlserver.locks import SCHEMA_LOCK, locked_transaction

State = Literal["created", "finished"]
Closed = Callable[[str], bool]
"""Says of a run whether its clean-up has begun."""

UPDATE = f"UPDATE [dbo].[{MARKER_TABLE}] SET [state] = ?, [changed_at] = SYSUTCDATETIME() WHERE [run_id] = ?"  # noqa: S608
READ_ALL = f"SELECT [run_id] FROM [dbo].[{MARKER_TABLE}] ORDER BY [changed_at]"  # noqa: S608
FORGET = f"DELETE FROM [dbo].[{MARKER_TABLE}] WHERE [run_id] = ?"  # noqa: S608
FORGET_OTHERS = f"DELETE FROM [dbo].[{MARKER_TABLE}] WHERE [run_id] <> ?"  # noqa: S608
INSERT = f"INSERT INTO [dbo].[{MARKER_TABLE}] ([run_id], [state], [changed_at]) VALUES (?, ?, SYSUTCDATETIME())"  # noqa: S608


def runs_on(connection: pyodbc.Connection) -> list[str]:
    """Return the runs that have a marker on this target."""
    if not table_exists(connection, MARKER_TABLE):
        return []
    return [str(run) for (run,) in connection.execute(READ_ALL).fetchall()]


def may_begin(connection: pyodbc.Connection, run: str, closed: Closed) -> bool:
    """Say whether the run has still to make room here; False where it has done so. Call it under the schema's lock.

    A run without a marker may also be one that has taken it off: then its rows are verified, and a delivery that was
    frozen until now must not drop them. A run is closed before its marker goes. Raises `Refusal` RUN_OVER, and
    TARGET_BUSY where another run that is not closed has its marker here.
    """
    marked = runs_on(connection)
    if run in marked:
        return False
    if closed(run):
        raise Refusal(
            "RUN_OVER", run, "expected a run that goes on, found it cleaned up: this delivery came too late.",
            "Nothing to do; nothing was done.",
        )  # fmt: skip
    busy = [other for other in marked if not closed(other)]
    if busy:
        raise Refusal(
            "TARGET_BUSY", busy[0], "expected no other migration in this database, found one that is not over.",
            "Wait for it or abort it, and start again. If no installation of the app knows it any more: "  # noqa: S608
            f"DELETE FROM [dbo].[{MARKER_TABLE}] WHERE [run_id] = N'{busy[0]}'.",
        )  # fmt: skip
    return True


def set_created(connection: pyodbc.Connection, run: str) -> None:
    """Write the marker; the table is made if it is missing. Call it in the transaction that holds the schema's lock.

    Markers of other runs go: no late delivery of theirs may load rows into what belongs to this run now. A load of
    theirs that is under way holds its marker, and is waited for.
    """
    if not table_exists(connection, MARKER_TABLE):
        connection.execute(CREATE_MARKER)
    connection.execute(FORGET_OTHERS, run)
    connection.execute(INSERT, run, "created")


def set_finished(connection: pyodbc.Connection, run: str) -> None:
    """Say that the schema is finished, twice at the same time if need be.

    A delivery so late that the run has cleaned up already finds no marker, and must not leave one behind.
    """
    if table_exists(connection, MARKER_TABLE):
        connection.execute(UPDATE, "finished", run)


def remove(connection: pyodbc.Connection, run: str) -> None:
    """Take a run's marker and its rows of the ledger off the target, the last thing that it does there; may be done twice.

    The tables go with the last run: another one may have begun in this database. The connection is in autocommit mode.
    """
    with locked_transaction(connection, SCHEMA_LOCK):
        if table_exists(connection, LEDGER_TABLE):
            forget_run(connection, run)
        if table_exists(connection, MARKER_TABLE):
            connection.execute(FORGET, run)
        if not runs_on(connection):
            drop_ledger(connection)
            connection.execute(f"DROP TABLE IF EXISTS [dbo].[{MARKER_TABLE}]")
