"""Rows to be carried, measured before they are read: how many, and how much memory they will need."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pyarrow as pa

from shared.copying.memory import BATCHES, WIDE_ROW_BYTES, Lane, give_large_blocks_back, room_for
from shared.copying.reading import select_sql, size_sql
from shared.copying.source import Snapshot, Source
from shared.copying.watchdog import Heartbeat
from shared.databaseplan import PlannedTable


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table in one snapshot. `widest` is the bytes of the largest, as far as unlimited columns go."""

    snapshot: Snapshot
    table: PlannedTable
    where: str
    count: int
    widest: int

    @property
    def wide(self) -> bool:
        """Whether their memory was taken before, and they are carried one after another."""
        return self.widest >= WIDE_ROW_BYTES

    @property
    def lane(self) -> Lane:
        """The lane that their batches take: nothing is read ahead of a wide row that is being sent."""
        return Lane(0) if self.wide else BATCHES

    def batches(self, *, ctid: bool = False) -> Iterator[pa.RecordBatch]:
        """Read them; `ctid` adds their address in front."""
        return self.snapshot.batches(select_sql(self.table, self.where, ctid=ctid), self.widest)


@contextmanager
def opened(source: Source, table: PlannedTable, where: str, heartbeat: Heartbeat, about: str) -> Generator[Rows]:
    """Measure rows, and hold the memory that they need while they are carried; raises TransientError MEMORY_BUSY."""
    give_large_blocks_back()
    with ExitStack() as held:
        with source.snapshot() as snapshot:
            heartbeat.beat(f"measuring {about}")
            count, widest = snapshot.measured(size_sql(table, where))
            held.enter_context(room_for(widest, heartbeat, about))
            rows = Rows(snapshot, table, where, count, widest)
            yield rows
        if rows.wide:
            source.renew()
