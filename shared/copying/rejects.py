"""Finding the rows that the driver or the server refuses: by halving, in transactions that are rolled back.

Neither the core nor the server names the row. A batch that is refused is halved until single rows are left; a batch
that is taken is not looked at further, so a few bad rows cost a few loads of a shrinking part of one batch. Rows that
are refused only together (equal keys, where the table has its key already) are found by the shortest refused beginning.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import pyarrow as pa

from shared.copying.arrow import ValueOutOfRange
from shared.copying.load import ChunkWork, explained, rows_refused
from shared.copying.model import Chunk, Reject
from shared.copying.reading import CTID
from shared.copying.rows import opened
from shared.copying.source import SOURCE_ERRORS, Source, source_error
from shared.copying.watchdog import Heartbeat
from shared.errors import Refusal
from shared.sqlserver.bulk import CORE_ERRORS, BulkSession
from shared.sqlserver.errors import text_of

SHOWN = 1000  # characters of a value in a reject file
WHOLE = 100  # rows of a chunk whose values are written down; of more of them key and error

Trial = Callable[[pa.RecordBatch], str | None]
"""Loads a batch and rolls it back; returns why it was refused, or None."""


def find_rejects(
    session: BulkSession, source: Source, work: ChunkWork, chunk: Chunk, heartbeat: Heartbeat, limit: int
) -> list[Reject]:
    """Return the refused rows of a chunk, at most `limit`; Refusal LOAD_REFUSED if not one row is to blame."""

    def trial(batch: pa.RecordBatch) -> str | None:
        heartbeat.beat(f"looking for refused rows of {chunk.about}")
        return _try(session, work, chunk, batch)

    try:
        with opened(source, work.table, work.where(chunk), heartbeat, chunk.about) as rows:
            found = list(islice(_rejects(rows.batches(ctid=True), trial, work, chunk), limit))
    except SOURCE_ERRORS as error:
        raise source_error(error, chunk.about) from None
    return found


def _rejects(batches: Iterator[pa.RecordBatch], trial: Trial, work: ChunkWork, chunk: Chunk) -> Iterator[Reject]:
    known = 0
    for batch in batches:
        why = trial(batch.slice(0, 0))
        if why is not None:
            raise Refusal(
                "LOAD_REFUSED",
                chunk.about,
                f"expected the table to take rows, found that it refuses even none: {why}",
                "Compare the table on the target with the DDL script of this run.",
            )
        for index, error in refused_rows(batch, trial):
            reject = _reject(batch.slice(index, 1), error, work, chunk)
            yield reject if known < WHOLE else reject.model_copy(update={"row": {}})
            known += 1


def refused_rows(batch: pa.RecordBatch, trial: Trial, offset: int = 0) -> Iterator[tuple[int, str]]:
    """Yield index and reason of every refused row of a batch: those refused alone, then those refused beside others."""
    why = trial(batch) if batch.num_rows else None
    if why is None:
        return
    if batch.num_rows == 1:
        yield offset, why
        return
    half = batch.num_rows // 2
    bad: set[int] = set()
    for part, start in ((batch.slice(0, half), 0), (batch.slice(half), half)):
        for index, reason in refused_rows(part, trial, start):
            bad.add(index)
            yield offset + index, reason
    good = [index for index in range(batch.num_rows) if index not in bad]
    for index, reason in _refused_together(batch, good, half, trial):
        yield offset + index, reason


def _refused_together(batch: pa.RecordBatch, good: list[int], half: int, trial: Trial) -> Iterator[tuple[int, str]]:
    """Yield the rows of the second half that do not go with the first, both halves being taken by themselves."""

    def tried(rows: list[int]) -> str | None:
        return trial(batch.take(pa.array(rows, pa.int64())))

    taken = sum(index < half for index in good)
    while (why := tried(good)) is not None:
        low, high = taken, len(good)  # that many rows from the front are taken; that many are refused
        while high - low > 1:
            middle = (low + high) // 2
            found = tried(good[:middle])
            low, high, why = (middle, high, why) if found is None else (low, middle, found)
        yield good.pop(high - 1), why
        taken = low


def _try(session: BulkSession, work: ChunkWork, chunk: Chunk, batch: pa.RecordBatch) -> str | None:
    try:
        converted = work.conversion(batch).batch
    except ValueOutOfRange as error:
        return str(error)
    reader = pa.RecordBatchReader.from_batches(work.conversion.schema, iter([converted]))
    try:
        session.execute("BEGIN TRANSACTION")
        session.load(chunk.table, reader, work.conversion.schema.names, table_lock=work.table_lock)
    except CORE_ERRORS as error:
        if not rows_refused(error):
            raise explained(error, chunk.about) from None
        session.rollback()
        return text_of(error)
    session.rollback()
    return None


def _reject(one: pa.RecordBatch, error: str, work: ChunkWork, chunk: Chunk) -> Reject:
    row = {name: _shown(one.column(name)) for name in one.schema.names}
    ctid = str(row.pop(CTID))
    keys = [column.name for column in work.table.primary_key.columns] if work.table.primary_key else []
    return Reject(
        table=chunk.table,
        chunk=chunk.number,
        ctid=ctid,
        key={name: str(row[name]) for name in keys if name in row},
        error=error,
        row=row,
    )


def _shown(cell: pa.Array) -> str | None:
    """Return the one value as text. Timestamps by Arrow: Python's end at the year 9999."""
    if isinstance(cell, pa.ExtensionArray):
        cell = cell.storage
    value = (cell.cast(pa.string()) if pa.types.is_timestamp(cell.type) else cell)[0].as_py()
    if value is None:
        return None
    text = value[: SHOWN // 2].hex() if isinstance(value, bytes) else str(value)
    return text[:SHOWN]
