"""Loading a chunk around the rows that the driver or the server refuses.

Neither the core nor the server names such a row. So the chunk is loaded batch by batch in one transaction, under its
ledger row like every load, with XACT_ABORT OFF and a savepoint before each batch. A batch that is refused is halved until
single rows are left; what is taken stays. So each row is tried beside all that were taken before it, and the second of
two equal keys is found however far apart they are. Nobody else loads the chunk meanwhile, or writes its rejects.

A row that breaks a constraint ends the statement, not the transaction, as long as XACT_ABORT is OFF
(https://learn.microsoft.com/sql/t-sql/statements/set-xact-abort-transact-sql). An error may end it all the same, so
XACT_STATE() is asked. Then the search goes on in a new transaction, without the rows taken before, and the chunk is loaded
once more without the rows that were found to be refused.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress

import pyarrow as pa

from shared.budget import Budget
from shared.copying.arrow import ValueOutOfRange
from shared.copying.load import ChunkWork, claim, core_error, differ, duplicate_row, rows_refused, settle
from shared.copying.model import Chunk, Loaded, Reject
from shared.copying.reading import CTID
from shared.copying.rows import Rows, open_rows
from shared.copying.source import SOURCE_ERRORS, Source, source_error
from shared.copying.watchdog import Heartbeat
from shared.errors import Refusal
from shared.sqlserver.bulk import CORE_ERRORS, BulkSession
from shared.sqlserver.errors import text_of

SAVEPOINT = "before_batch"
SHOWN = 1000  # characters of a value in a reject file
WHOLE = 100  # rows of a chunk whose values are written down; of any further ones only key and error

Take = Callable[[pa.RecordBatch], str | None]
"""Loads a batch, and keeps it if it is taken; returns why it was refused, or None."""
Keep = Callable[[list[Reject], bool], None]
"""Writes the rejects down, and refuses when they are too many; the flag says that the search was cut short."""


def refused_rows(batch: pa.RecordBatch, take: Take, offset: int = 0) -> Iterator[tuple[int, str]]:
    """Yield index and reason of every row of a batch that is refused, alone or beside those that were taken before."""
    why = take(batch) if batch.num_rows else None
    if why is None:
        return
    if batch.num_rows == 1:
        yield offset, why
        return
    half = batch.num_rows // 2
    yield from refused_rows(batch.slice(0, half), take, offset)
    yield from refused_rows(batch.slice(half), take, offset + half)


class _InLedger(Exception):  # noqa: N818 - an outcome
    """Another delivery has loaded the chunk."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded


class Search:
    """Loads a chunk without the rows that are refused; looks for `limit` of those at most, and for as long as `budget` says.

    Holds the rows that were refused so far, and the transaction with those that were taken. `keep` is called before COMMIT.
    """

    def __init__(
        self,
        session: BulkSession,
        work: ChunkWork,
        chunk: Chunk,
        heartbeat: Heartbeat,
        limit: int,
        budget: Budget,
        keep: Keep,
    ) -> None:
        self.rejects: list[Reject] = []
        self.why = ""
        self._session, self._work, self._chunk, self._heartbeat = session, work, chunk, heartbeat
        self._limit, self._budget, self._keep = limit, budget, keep
        self._taken = Loaded(rows=0, bytes=0)
        self._lost = False  # the server has ended a transaction, and with it what was taken

    def load_chunk(self, source: Source) -> Loaded:
        """Load the chunk, unless the ledger has it.

        Raises what `load.load_chunk` raises, and Refusal LOAD_REFUSED if no row is to blame.
        """
        try:
            self._session.execute("SET XACT_ABORT OFF")
            while True:
                known = len(self.rejects)
                where = self._work.where(self._chunk, [reject.ctid for reject in self.rejects])
                with open_rows(source, self._work.table, where, self._heartbeat, self._chunk.about) as rows:
                    loaded = self._load(rows)
                if loaded is not None:
                    return loaded
                if len(self.rejects) == known:
                    raise duplicate_row(self._chunk, f"rows that are refused only together: {self.why}")
        except SOURCE_ERRORS as error:
            raise source_error(error, self._chunk.about) from None
        except CORE_ERRORS as error:
            raise core_error(error, self._chunk.about) from None
        finally:
            with suppress(*CORE_ERRORS):  # the session is gone, and with it the transaction
                self._session.rollback()
                self._session.execute("SET XACT_ABORT ON")

    def _load(self, rows: Rows) -> Loaded | None:
        """Load what is taken of these rows; None where the server has ended the transaction on the way."""
        known = len(self.rejects)
        try:
            self._begin()
            self._lost = False
            whole = self._look(rows)
            if self.rejects or not whole:
                self._keep(self.rejects, not whole and len(self.rejects) < self._limit)
            if self._lost:
                self._session.rollback()
                return None
            found = self._taken.rows + len(self.rejects) - known
            if found != rows.count:
                raise differ(self._chunk, f"expected {rows.count} rows by count, found {found} read")
            loaded = self._taken.model_copy(update={"rejected": len(self.rejects)})
            self._heartbeat.beat(f"committing {self._chunk.about}")
            settle(self._session, self._work, self._chunk, loaded)
        except _InLedger as there:
            return there.loaded
        return loaded

    def _begin(self) -> None:
        self._taken = Loaded(rows=0, bytes=0)
        self._session.execute("BEGIN TRANSACTION")
        done = claim(self._session, self._work, self._chunk)
        if done is not None:
            raise _InLedger(done)

    def _look(self, rows: Rows) -> bool:
        """Take the rows batch by batch; returns whether that came to its end within its limits."""
        tried = False
        for batch in rows.batches(ctid=True):
            for index, why in refused_rows(batch, self._take):
                if not tried:
                    self._check_table(batch.slice(0, 0))
                    tried = True
                one = _reject(batch.slice(index, 1), why, self._work, self._chunk)
                self.rejects.append(one if len(self.rejects) < WHOLE else one.model_copy(update={"row": {}}))
                if len(self.rejects) >= self._limit or self._budget.spent:
                    return False
            if self._budget.spent:
                return False
        return True

    def _check_table(self, none: pa.RecordBatch) -> None:
        why = self._take(none)
        if why is not None:
            raise Refusal(
                "LOAD_REFUSED",
                self._chunk.about,
                f"expected the table to take rows, found that it refuses even none: {why}",
                "Compare the table on the target with the DDL script of this run.",
            )

    def _take(self, batch: pa.RecordBatch) -> str | None:
        self._heartbeat.beat(f"looking for refused rows of {self._chunk.about}")
        try:
            converted = self._work.conversion(batch)
        except ValueOutOfRange as error:
            return str(error)
        names = self._work.conversion.schema.names
        reader = pa.RecordBatchReader.from_batches(self._work.conversion.schema, iter([converted.batch]))
        self._session.execute(f"SAVE TRANSACTION {SAVEPOINT}")
        try:
            self._session.load(self._chunk.table, reader, names, table_lock=self._work.table_lock)
        except CORE_ERRORS as error:
            if not rows_refused(error):
                raise
            self.why = text_of(error)
            self._undo()
            return self.why
        taken = self._taken
        self._taken = Loaded(
            rows=taken.rows + converted.batch.num_rows,
            bytes=taken.bytes + converted.batch.nbytes,
            rounded=taken.rounded + converted.rounded,
        )
        return None

    def _undo(self) -> None:
        """Go back to before the batch; where the server has ended the transaction, begin another one."""
        if self._session.query("SELECT XACT_STATE()") == [(1,)]:
            self._session.execute(f"ROLLBACK TRANSACTION {SAVEPOINT}")
            return
        self._session.rollback()
        self._lost = True
        self._begin()


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
