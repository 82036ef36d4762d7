"""Reading a chunk from PostgreSQL by ADBC: rows as Arrow batches, and their count, in one snapshot."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from shared.errors import MxferryError, Refusal, TransientError

BATCH_BYTES = 8 * 1024 * 1024
"""Batches are about this large; a row larger than it is a batch of its own."""

SOURCE_ERRORS = (adbc_driver_manager.Error, pa.ArrowException)

# Classes of SQLSTATE that come back however often one asks: syntax and names, data, features, programming.
_HOPELESS = ("42", "22", "0A", "XX")


class Source:
    """A read-only session on the temporary database."""

    def __init__(self, uri: str) -> None:
        # autocommit, because the transactions are begun by our own statement, with its isolation level.
        self._connection = adbc.connect(uri, autocommit=True)
        with self._connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")

    @contextmanager
    def snapshot(self) -> Generator["Snapshot"]:
        """Give one view of the database: what is counted is what is read."""
        # The stream closes with its cursor, so the cursor lives as long as the snapshot.
        options = {"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)}
        with self._connection.cursor(adbc_stmt_kwargs=options) as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield Snapshot(cursor)
            finally:
                with suppress(Exception):
                    cursor.execute("ROLLBACK")

    def close(self) -> None:
        """Close the session."""
        with suppress(Exception):
            self._connection.close()


class Snapshot:
    """A read-only transaction."""

    def __init__(self, cursor: adbc.Cursor) -> None:
        self._cursor = cursor

    def count(self, statement: str) -> int:
        """Return the number that a `SELECT count(*)` gives."""
        self._cursor.execute(statement)
        return int(self._cursor.fetchone()[0])

    def batches(self, statement: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a SELECT in batches of about `BATCH_BYTES`."""
        self._cursor.execute(statement)
        yield from self._cursor.fetch_record_batch()


def source_error(error: BaseException, about: str) -> MxferryError:
    """Return what reading raised as TransientError SOURCE_FAILED, or Refusal SOURCE_REFUSED when it is hopeless."""
    state = str(getattr(error, "sqlstate", None) or "")
    text = " ".join(str(error).split())
    if state.startswith(_HOPELESS):
        return Refusal("SOURCE_REFUSED", about, f"PostgreSQL refused to read the rows: {text}")
    return TransientError("SOURCE_FAILED", about, f"reading from PostgreSQL failed: {text}")
