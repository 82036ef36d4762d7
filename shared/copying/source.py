"""Reading a chunk from PostgreSQL by ADBC: rows as Arrow batches, and their count, in one snapshot."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from shared.copying.arrow import Converted
from shared.copying.watchdog import Heartbeat
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


class Stream:
    """Batches read and converted ahead on a thread, so that reading overlaps writing; bounded in bytes.

    After it was drained `rows`, `bytes` and `rounded` say what went through. `failure` is what reading or converting
    raised: the bulk load reports only that its source failed, in words of its own.
    """

    def __init__(
        self,
        batches: Iterator[pa.RecordBatch],
        convert: Callable[[pa.RecordBatch], Converted],
        heartbeat: Heartbeat,
        ahead: int = BATCH_BYTES,
    ) -> None:
        self.rows = self.bytes = self.rounded = 0
        self.failure: BaseException | None = None
        self._batches, self._convert, self._heartbeat, self._ahead = batches, convert, heartbeat, ahead
        self._ready: deque[Converted] = deque()
        self._held = 0
        self._ended = self._stopped = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="read ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; raises what reading or converting raised."""
        while (converted := self._next()) is not None:
            self.rows += converted.batch.num_rows
            self.bytes += converted.batch.nbytes
            self.rounded += converted.rounded
            batch = converted.batch
            del converted  # a batch may be one row of tens of megabytes
            yield batch
            self._heartbeat.beat("waiting for the source")

    def close(self) -> None:
        """Stop reading and wait for the thread, so that the session can be used again."""
        with self._change:
            self._stopped = True
            self._ready.clear()
            self._change.notify_all()
        self._thread.join()

    def _next(self) -> Converted | None:
        with self._change:
            self._change.wait_for(lambda: self._ready or self._ended)
            if self._ready:
                first = self._ready.popleft()
                self._held -= first.batch.nbytes
                self._change.notify_all()
                self._heartbeat.beat("sending a batch")
                return first
            if self.failure is not None:
                raise self.failure
            self._heartbeat.beat("waiting for the server to take the last rows")
            return None

    def _read(self) -> None:
        try:
            for batch in self._batches:
                converted = self._convert(batch)
                del batch
                with self._change:
                    self._change.wait_for(lambda: self._stopped or self._held < self._ahead)
                    if self._stopped:
                        break
                    self._held += converted.batch.nbytes
                    self._ready.append(converted)
                    self._change.notify_all()
                del converted
        except BaseException as error:  # noqa: BLE001 - handed to the reading side
            self.failure = error
        finally:
            with self._change:
                self._ended = True
                self._change.notify_all()
