"""The ledger of loaded chunks: its row is written first in the transaction that loads the chunk.

Durable activities are delivered at least once, sometimes twice at the same time. The ledger's primary key decides: a
second delivery waits for the first one's lock (error 1222 when that takes too long) or is told that the chunk is there
(error 2627). A COMMIT whose answer was lost is found out the same way by the retry.

The run's marker is the fence: only while it says `created` are rows taken, and the load holds a shared lock on it until
its COMMIT. A delivery so late that the schema was finished, the run cleaned up, or another run has begun on the same
target, finds no such marker (error 50010); who changes the marker waits for the loads that found it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyodbc

from shared.sqlserver.connection import literal
from shared.sqlserver.ledger_table import LEDGER_TABLE, MARKER_TABLE

NOT_TAKING = 50010
"""Error number of ours: the target does not take rows of this run (any more)."""

_TABLE = f"[dbo].[{LEDGER_TABLE}]"
_COLUMNS = "[table_name], [chunk], [rows_loaded], [bytes], [rows_rejected], [rounded]"
_MARKER = f"[dbo].[{MARKER_TABLE}]"


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A chunk that is in the target: `bytes` of its rows in Arrow, rows left out, timestamps that lost microseconds."""

    table: str
    chunk: int
    rows: int
    bytes: int
    rejected: int = 0
    rounded: int = 0


def claim_statement(run: str, table: str, chunk: int, rows: int) -> str:
    """Return the batch that claims a chunk of a run that may load. Literals, as the loading session takes no parameters.

    HOLDLOCK keeps the shared lock on the marker until COMMIT, also under READ_COMMITTED_SNAPSHOT, where a plain SELECT
    locks nothing: https://learn.microsoft.com/sql/t-sql/queries/hints-transact-sql-table
    """
    return (
        f"IF NOT EXISTS (SELECT 1 FROM {_MARKER} WITH (HOLDLOCK) "  # noqa: S608
        f"WHERE [run_id] = {literal(run)} AND [state] = N'created') "
        f"BEGIN THROW {NOT_TAKING}, N'the target takes no rows of this run', 1; END; "
        f"INSERT INTO {_TABLE} ([run_id], [table_name], [chunk], [rows_loaded], [bytes], [rows_rejected], [rounded], "
        f"[loaded_at]) VALUES ({literal(run)}, {literal(table)}, {chunk:d}, {rows:d}, 0, 0, 0, SYSUTCDATETIME())"
    )


def settle_statement(run: str, loaded: LedgerRow) -> str:
    """Return the UPDATE that notes what the load brought."""
    return (
        f"UPDATE {_TABLE} SET [rows_loaded] = {loaded.rows:d}, [bytes] = {loaded.bytes:d}, "  # noqa: S608
        f"[rows_rejected] = {loaded.rejected:d}, [rounded] = {loaded.rounded:d} "
        f"WHERE [run_id] = {literal(run)} AND [table_name] = {literal(loaded.table)} AND [chunk] = {loaded.chunk:d}"
    )


def chunk_statement(run: str, table: str, chunk: int) -> str:
    """Return the SELECT of what the ledger says of a chunk, in the order of `LedgerRow`."""
    return (
        f"SELECT {_COLUMNS} FROM {_TABLE} "  # noqa: S608
        f"WHERE [run_id] = {literal(run)} AND [table_name] = {literal(table)} AND [chunk] = {chunk:d}"
    )


def loaded_chunks(connection: pyodbc.Connection, run: str) -> list[LedgerRow]:
    """Return every chunk of a run that was committed, by table and chunk number."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM {_TABLE} WHERE [run_id] = ? ORDER BY [table_name], [chunk]",  # noqa: S608
        run,
    ).fetchall()
    return [ledger_row(row) for row in rows]


def ledger_row(row: Sequence[Any]) -> LedgerRow:
    """Return a fetched row of the ledger."""
    return LedgerRow(str(row[0]), *(int(number) for number in row[1:]))


def forget_run(connection: pyodbc.Connection, run: str) -> None:
    """Delete a run's rows: after it the run's chunks could be loaded again, so only for a run that is over."""
    connection.execute(f"DELETE FROM {_TABLE} WHERE [run_id] = ?", run)  # noqa: S608


def drop_ledger(connection: pyodbc.Connection) -> None:
    """Drop the ledger table if it is there: the last step of a migration's clean-up."""
    connection.execute(f"DROP TABLE IF EXISTS {_TABLE}")
