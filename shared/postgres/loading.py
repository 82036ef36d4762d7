"""Loading a table's rows from the dump, in segments: a transaction each, with the note of how far the table has come.

A segment lasts some minutes, so that no table is too large for one activity. The next one inflates the table's text again
up to the note and goes on from there. Only the first empties the table; a killed delivery leaves the rows that the note counts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from shared.budget import Budget
from shared.errors import Refusal, TransientError
from shared.postgres import fence, locks, runrole
from shared.postgres.diagnosis import without_values
from shared.postgres.storage import FULL, when_full
from shared.settings import Postgres
from shared.snapshot.restoring import TableData
from shared.snapshot.rowtext import Rewrite, TextParts, rewritten

COPY_BYTES = 64 * 1024 * 1024
"""Bytes of text of one COPY. A server that refuses a row takes the rest of its COPY in silence before it says so."""

NOTED = "SELECT rows, rows_read, text_bytes, finished FROM mxferry.loaded WHERE entry = %s"
NOTE = """
    INSERT INTO mxferry.loaded AS l (entry, schema_name, table_name, rows, rows_read, text_bytes, finished)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (entry) DO UPDATE SET rows = excluded.rows, rows_read = excluded.rows_read,
        text_bytes = excluded.text_bytes, finished = excluded.finished
"""


@dataclass(frozen=True)
class Destination:
    """A database that tables are loaded into; `encoding` is the dump's.

    `run` is the run whose marker the database must hold; None where the database itself is the run's, and goes with it.
    """

    server: Postgres
    database: str
    encoding: str
    run: str | None = None


@dataclass(frozen=True)
class TableLoaded:
    """How far a table is in: rows as the server counted them, rows and bytes of text that were read from the dump.

    `new_rows` and `new_bytes` (of text) are what the last call brought of it.
    """

    rows: int = 0
    rows_read: int = 0
    text_bytes: int = 0
    finished: bool = False
    new_rows: int = field(default=0, compare=False)
    new_bytes: int = field(default=0, compare=False)


def load_table(
    into: Destination,
    table: TableData,
    text: Iterable[bytes],
    rewrites: Sequence[Rewrite] = (),
    budget: Budget | None = None,
) -> TableLoaded:
    """Load one segment of the table's COPY text, the whole rest without a budget; return how far the table is in then.

    `text` begins with the table's first row; `rewrites` change it on its way. Safe to be called twice at once: the second
    waits for the first, and goes on where that one stopped. Raises `Refusal` DUMP_ROW_REFUSED when PostgreSQL does not
    take the rows, DUMP_ROWS_DIFFER when not all, SERVER_FULL when it has no room for them, RUN_OVER when the target is another run's.
    """
    with runrole.session(into.server, into.database, "mxferry restore") as connection:
        locks.hold(connection, locks.TABLE, table.entry, table.label)
        if into.run is not None:
            fence.hold(connection, into.run)
        found = connection.execute(NOTED, (table.entry,)).fetchone()
        before = TableLoaded(*found) if found else None
        if before is not None and before.finished:
            return before
        connection.execute(sql.SQL("SET client_encoding = {}").format(into.encoding))
        loaded = _segment(connection, table, TextParts(text), rewrites, before, budget)
        _note(connection, table, loaded)
        connection.commit()
        return loaded


def copy_statement(table: TableData, *, emptied: bool) -> sql.Composed:
    """Return the statement that takes the table's text: ours, of the names in the dump, never the dump's own.

    FREEZE: the rows are written as visible to everybody, so that the readers after us need not write them again. It is
    allowed where the table is emptied in the same transaction.
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    names = sql.SQL("({}) ").format(columns) if table.columns else sql.SQL("")
    options = sql.SQL(" WITH (FREEZE)" if emptied else "")
    return sql.SQL("COPY {} {}FROM STDIN{}").format(sql.Identifier(table.schema_name, table.table), names, options)


def _segment(
    connection: psycopg.Connection[Any],
    table: TableData,
    text: TextParts,
    rewrites: Sequence[Rewrite],
    before: TableLoaded | None,
    budget: Budget | None,
) -> TableLoaded:
    start = before or TableLoaded()
    if before is None:
        connection.execute(sql.SQL("TRUNCATE ONLY {}").format(sql.Identifier(table.schema_name, table.table)))
    else:
        text.skip(start.text_bytes)
        if budget:
            budget.arrived()
    rows = start.rows

    def spent() -> bool:
        return budget is not None and budget.spent

    while True:
        part = rewritten(text.part(lambda size: size >= COPY_BYTES or spent()), rewrites)
        rows += _copy(connection, table, part, before=rows, emptied=before is None)
        if not rewrites and rows - start.rows != text.rows:
            raise _not_as_many(table, start.rows_read + text.rows, rows)
        if text.ended or spent():
            new = (rows - start.rows, text.at - start.text_bytes)
            return TableLoaded(rows, start.rows_read + text.rows, text.at, text.ended, *new)


def _not_as_many(table: TableData, wanted: int, found: int) -> Refusal:
    """Return the refusal of a text that COPY does not read to its end, or not as one row a line."""
    return Refusal(
        "DUMP_ROWS_DIFFER",
        table.label,
        f"expected {wanted:,} rows, one for each line of the table's text, found that PostgreSQL took {found:,}.",
        "The dump is damaged or was not written by pg_dump; take the backup again.",
    )


def _note(connection: psycopg.Connection[Any], table: TableData, now: TableLoaded) -> None:
    what = (table.entry, table.schema_name, table.table)
    connection.execute(NOTE, (*what, now.rows, now.rows_read, now.text_bytes, now.finished))


def _copy(
    connection: psycopg.Connection[Any], table: TableData, text: Iterable[bytes], *, before: int, emptied: bool
) -> int:
    with connection.cursor() as cursor:
        try:
            with cursor.copy(copy_statement(table, emptied=emptied)) as copy:
                for piece in text:
                    # psycopg cuts a piece into parts of 128 KiB; slices of a memoryview are not copied.
                    copy.write(memoryview(piece))
        except FULL as error:
            raise when_full(table.label, error) from None
        except psycopg.errors.QueryCanceled as error:
            raise TransientError(
                "LOAD_CANCELED", table.label, f"expected the load to go on, found: {error.diag.message_primary}."
            ) from None
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
            where = f", counted after {before:,} rows" if before else ""
            raise Refusal(
                "DUMP_ROW_REFUSED",
                table.label,
                f"expected PostgreSQL to take every row, found: {without_values(error)}{where}.",
                "The dump is damaged or was written by a newer PostgreSQL; take the backup again.",
            ) from None
        return cursor.rowcount
