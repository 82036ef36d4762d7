"""Rows to be carried, measured before they are read: how many, and how much memory they will need."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from shared.copying.memory import BATCHES, WIDE_ROW_BYTES, Lane, give_large_blocks_back, room_for
from shared.copying.reading import and_sql, row_bytes_sql, select_sql, size_sql, table_sql
from shared.copying.source import Snapshot, Source
from shared.copying.watchdog import Heartbeat
from shared.databaseplan import PlannedTable


@dataclass(frozen=True, slots=True)
class Portion:
    """Batches that are sent by one bulk load, and the lane that they take."""

    batches: Iterator[pa.RecordBatch]
    lane: Lane


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
        """Whether some are so wide that their memory was reserved beforehand; those are carried one after another."""
        return self.widest >= WIDE_ROW_BYTES

    def batches(self, *, ctid: bool = False) -> Iterator[pa.RecordBatch]:
        """Read them all; `ctid` adds their address in front."""
        return chain.from_iterable(portion.batches for portion in self.portions(ctid=ctid))

    def portions(self, *, ctid: bool = False) -> Iterator[Portion]:
        """Cut them into bulk loads: the ordinary rows together, each wide row alone, by a statement of its own.

        The reading driver fetches one more row before it hands out a batch, and the writing driver keeps a batch until it
        has the next. With wide rows in one load, up to three would be in memory at a time.
        """
        if not self.wide:
            yield Portion(self._read(self.where, ctid), BATCHES)
            return
        size = row_bytes_sql(self.table)
        wide = and_sql(self.where, f"{size} >= {WIDE_ROW_BYTES}")
        addresses = self.snapshot.texts(f"SELECT ctid::text FROM {table_sql(self.table)}{wide}")  # noqa: S608
        if len(addresses) < self.count:
            yield Portion(self._read(and_sql(self.where, f"{size} < {WIDE_ROW_BYTES}"), ctid), BATCHES)
        for address in addresses:
            yield Portion(self._read(and_sql(self.where, f"ctid = '{address}'::tid"), ctid), Lane(0))

    def _read(self, where: str, ctid: bool) -> Iterator[pa.RecordBatch]:
        return self.snapshot.batches(select_sql(self.table, where, ctid=ctid), self.widest)


@contextmanager
def open_rows(source: Source, table: PlannedTable, where: str, heartbeat: Heartbeat, about: str) -> Generator[Rows]:
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
