"""Reading a chunk from PostgreSQL by ADBC: rows as Arrow batches, and their count, in one snapshot.

The driver's public `fetch_record_batch` hands out pyarrow's own reader, which says of an error in the middle of the rows
only its text, as an OSError. The reader under it keeps the SQLSTATE, and is reached by two names that are not public:
`Cursor._results` and its `reader`; `tests/integration/rows/test_source.py` pins them.
"""

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from shared.copying.memory import BATCH_BYTES, WIDE_BATCH_BYTES, WIDE_ROW_BYTES
from shared.errors import MxferryError, Refusal, TransientError

SOURCE_ERRORS = (adbc_driver_manager.Error, pa.ArrowException)

# Classes of SQLSTATE that trying again does not mend: syntax and names, data, features, programming.
_HOPELESS = ("42", "22", "0A", "XX")
_VALUES = "22"  # their texts quote the value
_QUOTED = re.compile(r'"[^"]*"')

Opening = Callable[[Callable[[], adbc.Connection]], adbc.Connection]
"""Calls a connect function, and so lets the watchdog note which sockets that opened."""


class Source:
    """A read-only session on the temporary database."""

    def __init__(self, uri: str, opening: Opening = lambda connect: connect()) -> None:
        self._uri, self._opening = uri, opening
        self._connection = self._connect()

    @contextmanager
    def snapshot(self) -> Generator["Snapshot"]:
        """Give one view of the database: what is counted is what is read."""
        # The stream closes with its cursor, so the cursor lives as long as the snapshot.
        with self._connection.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield Snapshot(cursor)
            finally:
                with suppress(Exception):
                    cursor.execute("ROLLBACK")

    def renew(self) -> None:
        """Connect again, after a wide row: libpq's receive buffer has grown to the row's size and never shrinks."""
        self.close()
        self._connection = self._connect()

    def close(self) -> None:
        """Close the session."""
        with suppress(Exception):
            self._connection.close()

    def _connect(self) -> adbc.Connection:
        # autocommit, because the transactions are begun by our own statement, with its isolation level.
        connection = self._opening(lambda: adbc.connect(self._uri, autocommit=True))
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")
        return connection


class Snapshot:
    """A read-only transaction."""

    def __init__(self, cursor: adbc.Cursor) -> None:
        self._cursor = cursor

    def measured(self, statement: str) -> tuple[int, int]:
        """Return the two numbers of a `size_sql`: how many rows, and the bytes of the largest."""
        self._cursor.execute(statement)
        rows, widest = self._cursor.fetchone()
        return int(rows), int(widest)

    def texts(self, statement: str) -> list[str]:
        """Return the one column of a SELECT."""
        self._cursor.execute(statement)
        return [str(row[0]) for row in self._cursor.fetchall()]

    def batches(self, statement: str, widest: int = 0) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a SELECT in batches: small ones if the largest row has many bytes."""
        size = WIDE_BATCH_BYTES if widest >= WIDE_ROW_BYTES else BATCH_BYTES
        self._cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(size)})
        self._cursor.execute(statement)
        yield from self._cursor._results.reader


def source_error(error: BaseException, about: str) -> MxferryError:
    """Return what reading raised as TransientError SOURCE_FAILED, or Refusal SOURCE_REFUSED when it is hopeless."""
    state = str(getattr(error, "sqlstate", None) or "")
    text = " ".join(str(error).split())
    if state.startswith(_VALUES):
        text = _QUOTED.sub('"(not shown)"', text)
    if state.startswith(_HOPELESS):
        return Refusal("SOURCE_REFUSED", about, f"PostgreSQL refused to read the rows: {text}", _remedy(state))
    return TransientError("SOURCE_FAILED", about, f"reading from PostgreSQL failed: {text}", _AWAY)


_AWAY = "Check that the temporary PostgreSQL is up and reachable from the app, then start the migration again."


def _remedy(state: str) -> str:
    if state.startswith("XX"):
        return (
            "A value or a page is damaged: take a new snapshot, or have the source database looked into (pg_amcheck)."
        )
    return "A value does not go through the expression that reads it: look at the masks and remedies of that table."
