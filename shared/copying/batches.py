"""A batch of the dump's tables into a PostgreSQL: one large table, or several small ones, in one call or several."""

from collections.abc import Sequence

from shared.budget import Budget
from shared.contracts import DumpRef
from shared.postgres.loading import Destination, TableLoaded, load_table
from shared.snapshot.dumpsource import Meter, table_text
from shared.snapshot.restoring import TableData
from shared.snapshot.rowtext import Rewrite
from shared.snapshot.work import BatchDone

SECONDS = 180  # of one call


def load_batch(
    dump: DumpRef, into: Destination, batch: int, tables: Sequence[tuple[TableData, Sequence[Rewrite]]]
) -> BatchDone:
    """Load the tables of a batch, each with its rewrites, until all are in or the time of one call is over.

    Raises what `load_table` raises.
    """
    budget = Budget(SECONDS)
    answer = BatchDone(batch=batch, finished=False)
    worked = False
    for table, rewrites in tables:
        if worked and budget.spent:
            return answer
        meter = Meter()
        loaded = load_table(into, table, table_text(dump, table, meter), rewrites, budget)
        _add(answer, loaded, table.size if loaded.finished else min(meter.bytes, table.size))
        if not loaded.finished:
            return answer
        worked = worked or meter.bytes > 0
    answer.finished = True
    return answer


def _add(answer: BatchDone, loaded: TableLoaded, size: int) -> None:
    answer.rows += loaded.new_rows
    answer.bytes += size * loaded.new_bytes // max(loaded.text_bytes, 1)
    answer.done.tables += loaded.finished
    answer.done.rows += loaded.rows
    answer.done.bytes += size
