"""Loading one chunk, exactly once.

One session, one transaction: the ledger row first, then the rows by bulk load, then the counts, then COMMIT. Whatever
goes wrong before COMMIT leaves nothing; whatever is unclear after it is answered by the ledger at the next delivery.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from shared.copying.arrow import Conversion, ValueOutOfRange
from shared.copying.model import Chunk, Loaded
from shared.copying.reading import range_sql, where_sql, without_sql
from shared.copying.rows import Portion, Rows, open_rows
from shared.copying.source import SOURCE_ERRORS, Source, source_error
from shared.copying.stream import Stream
from shared.copying.watchdog import Heartbeat
from shared.databaseplan import PlannedTable
from shared.errors import MxferryError, Refusal, TransientError
from shared.sqlserver.bulk import CORE_ERRORS, BulkSession
from shared.sqlserver.errors import (
    AWAY,
    DUPLICATE_KEY,
    LOCK_TIMEOUT,
    NO_SUCH_TABLE,
    TOO_GREEDY,
    classified,
    is_full,
    is_transient,
    number_of,
    text_of,
    words_of,
)
from shared.sqlserver.ledger import (
    NOT_TAKING,
    LedgerRow,
    chunk_statement,
    claim_statement,
    ledger_row,
    settle_statement,
)

# Azure SQL's errors for a database or a pool at its limit: fewer sessions at a time help, not only waiting.
# https://learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues#resource-governance-errors
THROTTLED = frozenset({40501, 10928, 10929, 10936, 49918, 49919, 49920})

LESS_AT_A_TIME = "Scale the target up for the migration window, or lower the profile's MAX_PARALLEL_CHUNKS."
SMALLER = (
    "Lower COPY_CHUNK_BYTES, so that a transaction holds less, or scale the target up for the migration window; then start "
    "the migration again."
)
HELD = "Look for another session on the target that holds locks on its tables, and end it."


class RowRefused(Exception):  # noqa: N818 - an outcome, handled by looking for the row
    """The driver or the server refused the rows for a reason that trying again does not mend."""


@dataclass(frozen=True, slots=True)
class ChunkWork:
    """What is needed to load chunks of one table."""

    run: str
    table: PlannedTable
    table_lock: bool
    conversion: Conversion

    def where(self, chunk: Chunk, without: Sequence[str] = ()) -> str:
        """Return the WHERE of a chunk's rows, less the rejected ones."""
        return where_sql(range_sql(chunk), self.table.where, without_sql(without))


def load_chunk(session: BulkSession, source: Source, work: ChunkWork, chunk: Chunk, heartbeat: Heartbeat) -> Loaded:
    """Load a chunk unless the ledger has it.

    Raises `RowRefused` with nothing loaded; TransientError SQL_THROTTLED, SQL_TOO_GREEDY, CHUNK_BUSY (another delivery is loading it),
    MEMORY_BUSY, SQL_TRANSIENT, SOURCE_FAILED, ROWS_DIFFER_IN_FLIGHT; Refusal RUN_OVER, DUPLICATE_ROW and what the server will not mend.
    """
    try:
        with open_rows(source, work.table, work.where(chunk), heartbeat, chunk.about) as rows:
            return _transaction(session, rows, work, chunk, heartbeat)
    except SOURCE_ERRORS as error:
        raise source_error(error, chunk.about) from None
    except CORE_ERRORS as error:
        raise core_error(error, chunk.about) from None


def _transaction(session: BulkSession, rows: Rows, work: ChunkWork, chunk: Chunk, heartbeat: Heartbeat) -> Loaded:
    try:
        heartbeat.beat(f"claiming {chunk.about}")
        session.execute("BEGIN TRANSACTION")
        done = claim(session, work, chunk)
        if done is not None:
            return done
        loaded = _fill(session, rows, work, chunk, heartbeat)
        heartbeat.beat(f"committing {chunk.about}")
        settle(session, work, chunk, loaded)
        return loaded
    except RowRefused:
        session.rollback()
        raise


def claim(session: BulkSession, work: ChunkWork, chunk: Chunk) -> Loaded | None:
    """Write the ledger row; return what the ledger says when the chunk is there already, the transaction rolled back.

    Raises Refusal RUN_OVER when the target does not take rows of this run any more, and has none of this chunk.
    """
    try:
        session.execute(claim_statement(work.run, chunk.table, chunk.number, chunk.rows))
    except CORE_ERRORS as error:
        if number_of(error) not in (*DUPLICATE_KEY, NOT_TAKING, NO_SUCH_TABLE):
            raise
        session.rollback()
        done = _in_ledger(session, work, chunk)
        if done is None:
            raise _run_over(chunk) from None
        return done
    return None


def settle(session: BulkSession, work: ChunkWork, chunk: Chunk, loaded: Loaded) -> None:
    """Note in the ledger what was loaded, and commit."""
    entry = LedgerRow(chunk.table, chunk.number, loaded.rows, loaded.bytes, loaded.rejected, loaded.rounded)
    session.execute(settle_statement(work.run, entry))
    session.execute("COMMIT TRANSACTION")


def _in_ledger(session: BulkSession, work: ChunkWork, chunk: Chunk) -> Loaded | None:
    try:
        rows = session.query(chunk_statement(work.run, chunk.table, chunk.number))
    except CORE_ERRORS as error:
        if number_of(error) != NO_SUCH_TABLE:
            raise
        return None
    if not rows:
        return None
    entry = ledger_row(rows[0])
    return Loaded(rows=entry.rows, bytes=entry.bytes, rejected=entry.rejected, rounded=entry.rounded)


def _run_over(chunk: Chunk) -> Refusal:
    return Refusal(
        "RUN_OVER",
        chunk.about,
        "expected the target to wait for rows of this run, found that its schema is finished, that the run was cleaned "
        "up, or that another run has begun on it; nothing was loaded.",
        "Nothing is to be done if the run has ended. Else somebody else works on the target: start the migration again.",
    )


def _fill(session: BulkSession, rows: Rows, work: ChunkWork, chunk: Chunk, heartbeat: Heartbeat) -> Loaded:
    if rows.count == 0:
        return Loaded(rows=0, bytes=0)
    done = [_send(session, portion, work, chunk, heartbeat) for portion in rows.portions()]
    found = sum(one.rows for one in done)
    if found != rows.count:
        raise differ(chunk, f"expected {rows.count} rows by count, found {found} read and sent")
    return Loaded(rows=found, bytes=sum(one.bytes for one in done), rounded=sum(one.rounded for one in done))


def _send(session: BulkSession, portion: Portion, work: ChunkWork, chunk: Chunk, heartbeat: Heartbeat) -> Loaded:
    stream = Stream(portion.batches, work.conversion, heartbeat, portion.lane)
    try:
        reader = pa.RecordBatchReader.from_batches(work.conversion.schema, iter(stream))
        sent = session.load(chunk.table, reader, work.conversion.schema.names, table_lock=work.table_lock)
    except (*CORE_ERRORS, *SOURCE_ERRORS) as error:
        raise _load_error(error, stream.failure, work, chunk) from None
    finally:
        stream.close()
    if sent != stream.rows:
        raise differ(chunk, f"expected to send {stream.rows} rows, found {sent} sent")
    return Loaded(rows=sent, bytes=stream.bytes, rounded=stream.rounded)


def differ(chunk: Chunk, found: str) -> TransientError:
    """Return the error of rows that are not as many as were counted."""
    remedy = "Look whether something else writes to the temporary database; then start the migration again."
    return TransientError("ROWS_DIFFER_IN_FLIGHT", chunk.about, f"{found}; nothing was committed.", remedy)


def _load_error(error: Exception, failure: BaseException | None, work: ChunkWork, chunk: Chunk) -> Exception:
    """Tell a failing source from a failing target, and a refused row from both."""
    if isinstance(failure, ValueOutOfRange):
        return RowRefused(str(failure))
    if failure is not None:
        return source_error(failure, chunk.about)
    if work.table_lock and number_of(error) in DUPLICATE_KEY:
        return duplicate_row(chunk, f"SQL Server error {number_of(error)}: {text_of(error)}")
    if rows_refused(error):
        return RowRefused(text_of(error))
    return core_error(error, chunk.about)


def duplicate_row(chunk: Chunk, found: str) -> Refusal:
    """Return the refusal of rows that collide, where leaving out a single row of the chunk would not help."""
    return Refusal(
        "DUPLICATE_ROW",
        chunk.about,
        f"expected keys that the table does not hold yet, found: {found}",
        "Either the target's collation takes keys for equal that PostgreSQL tells apart (choose options.collation, or make "
        "them differ in the source app), or the table was not empty, or something else writes to it. Empty it and start "
        "the migration again.",
    )


def rows_refused(error: BaseException) -> bool:
    """Say whether the driver or the server refuses the rows, for a reason that trying again does not mend.

    Errors about the server's resources or health are not about rows, and neither is a lost session.
    """
    return not (is_transient(error) or is_full(error) or lost(error))


def lost(error: BaseException) -> bool:
    """Say whether the core's message speaks of a connection that is gone, for which it has no number."""
    said = words_of(error)
    return number_of(error) is None and any(
        word in said for word in ("io error", "broken pipe", "connection", "end of file", "eof", "reset by peer")
    )


def core_error(error: BaseException, about: str) -> MxferryError:
    """Return what the core raised as our error about a chunk: transient or a refusal, throttling told apart."""
    number = number_of(error)
    said = f"SQL Server error {number}: {text_of(error)}"
    if number in THROTTLED:
        return TransientError("SQL_THROTTLED", about, said, LESS_AT_A_TIME)
    if number in TOO_GREEDY:
        return TransientError("SQL_TOO_GREEDY", about, said, SMALLER)
    if number == LOCK_TIMEOUT:
        return TransientError("CHUNK_BUSY", about, f"another session is loading it: {said}", HELD)
    if lost(error):
        return TransientError("SQL_TRANSIENT", about, f"the session was lost: {text_of(error)}", AWAY)
    return classified(error, about)
