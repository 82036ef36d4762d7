"""Loading a table's rows from the dump: one transaction, after which the table is whole, or as empty as before."""

from collections.abc import Iterable

import psycopg
from psycopg import sql

from shared.errors import Refusal, TransientError
from shared.postgres.connection import connect
from shared.postgres.diagnosis import without_values
from shared.postgres.room import FULL, when_full
from shared.postgres.temporary import LOCK, LOCK_WAIT
from shared.settings import Postgres
from shared.snapshot.restoring import TableData


def load_table(server: Postgres, database: str, table: TableData, encoding: str, text: Iterable[bytes]) -> int:
    """Load COPY text into the table and return its rows; where that has been done, return what was counted then.

    Safe to be called twice at once: the second waits for the first and finds its mark. Raises `Refusal`
    DUMP_ROW_REFUSED when PostgreSQL does not take the rows, SERVER_FULL when it has no room for them.
    """
    with connect(server, database, application_name="mxferry restore") as connection:
        connection.execute(sql.SQL("SET lock_timeout = {}").format(LOCK_WAIT))
        _lock(connection, table)
        found = connection.execute("SELECT rows FROM mxferry.loaded WHERE entry = %s", (table.entry,)).fetchone()
        if found:
            return int(found[0])
        connection.execute(sql.SQL("SET client_encoding = {}").format(encoding))
        connection.execute(sql.SQL("TRUNCATE ONLY {}").format(sql.Identifier(table.schema_name, table.table)))
        rows = _copy(connection, table, text)
        connection.execute(
            "INSERT INTO mxferry.loaded VALUES (%s, %s, %s, %s)", (table.entry, table.schema_name, table.table, rows)
        )
        connection.commit()
        return rows


def copy_statement(table: TableData) -> sql.Composed:
    """Return the statement that takes the table's text: ours, of the names in the dump, never the dump's own.

    FREEZE: the rows are written as visible to everybody, so that the readers after us need not write them again. It is
    allowed because the table was truncated in the same transaction.
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    names = sql.SQL("({}) ").format(columns) if table.columns else sql.SQL("")
    name = sql.Identifier(table.schema_name, table.table)
    return sql.SQL("COPY {} {}FROM STDIN WITH (FREEZE)").format(name, names)


def _lock(connection: psycopg.Connection, table: TableData) -> None:
    try:
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK, table.entry))
    except psycopg.errors.LockNotAvailable:
        raise TransientError(
            "TABLE_BUSY", table.label, f"expected to be alone, found another delivery loading it for {LOCK_WAIT}."
        ) from None


def _copy(connection: psycopg.Connection, table: TableData, text: Iterable[bytes]) -> int:
    with connection.cursor() as cursor:
        try:
            with cursor.copy(copy_statement(table)) as copy:
                for piece in text:
                    # psycopg cuts it into 128 KiB: parts of a view are not copied.
                    copy.write(memoryview(piece))
        except FULL as error:
            raise when_full(table.label, error) from None
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
            raise Refusal(
                "DUMP_ROW_REFUSED",
                table.label,
                f"expected PostgreSQL to take every row, found: {without_values(error)}.",
                "The dump is damaged or was written by a newer PostgreSQL; take the backup again.",
            ) from None
        return cursor.rowcount
