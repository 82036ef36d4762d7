"""The run's marker in the target: what has been made there, by which run, and how far it is.

It is written in the transaction that makes the tables. A second delivery of `create_schema` that finds it does nothing:
what is dropped once must never be dropped again, when rows may already be there.
"""

from typing import Literal

import pyodbc

from shared.sqlserver.catalogue import table_exists
from shared.sqlserver.ledger import drop_ledger
from shared.sqlserver.ledger_table import CREATE_MARKER, MARKER_TABLE

State = Literal["created", "finished"]

READ = f"SELECT [state] FROM [dbo].[{MARKER_TABLE}] WHERE [run_id] = ?"  # noqa: S608
UPDATE = f"UPDATE [dbo].[{MARKER_TABLE}] SET [state] = ?, [changed_at] = SYSUTCDATETIME() WHERE [run_id] = ?"  # noqa: S608
FORGET_OTHERS = f"DELETE FROM [dbo].[{MARKER_TABLE}] WHERE [run_id] <> ?"  # noqa: S608
INSERT = f"INSERT INTO [dbo].[{MARKER_TABLE}] ([run_id], [state], [changed_at]) VALUES (?, ?, SYSUTCDATETIME())"  # noqa: S608


def state_of(connection: pyodbc.Connection, run: str) -> State | None:
    """Return how far a run is on this target; None when it has made nothing there."""
    if not table_exists(connection, MARKER_TABLE):
        return None
    row = connection.execute(READ, run).fetchone()
    return None if row is None else row[0]


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


def remove(connection: pyodbc.Connection) -> None:
    """Take marker and ledger off the target: the last thing a migration does there. May be done twice."""
    drop_ledger(connection)
    connection.execute(f"DROP TABLE IF EXISTS [dbo].[{MARKER_TABLE}]")
