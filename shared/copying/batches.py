"""A batch of the dump's tables into a PostgreSQL: one large table, or several small ones, in one call or several."""

from collections.abc import Sequence

from shared.budget import Budget
from shared.contracts import DumpRef
from shared.postgres.loading import Destination, load_table
from shared.snapshot.dumpsource import Meter, table_text
from shared.snapshot.restoring import TableData
from shared.snapshot.rowtext import Rewrite
from shared.snapshot.work import Loaded

SECONDS = 180  # of one call


def load_batch(
    dump: DumpRef, into: Destination, batch: int, tables: Sequence[tuple[TableData, Sequence[Rewrite]]]
) -> Loaded:
    """Load the tables of a batch, each with its rewrites, until all are in or the time of one call is over.

    Raises what `load_table` raises.
    """
    budget = Budget(SECONDS)
    done = Loaded(batch=batch, finished=False, tables=0, rows=0, bytes=0)
    worked = False
    for table, rewrites in tables:
        if worked and budget.spent:
            return done
        meter = Meter()
        loaded = load_table(into, table, table_text(dump, table, meter), rewrites, budget)
        done.tables += loaded.finished
        done.rows += loaded.rows
        done.bytes += table.size if loaded.finished else min(meter.bytes, table.size)
        if not loaded.finished:
            return done
        worked = worked or meter.bytes > 0
    done.finished = True
    return done
