"""Reading ahead, so that reading overlaps writing, within bounds: of one load, and of the process's lane for batches."""

import threading
from collections import deque
from collections.abc import Callable, Iterator

import pyarrow as pa

from shared.copying.arrow import Converted
from shared.copying.memory import BATCH_BYTES, BATCHES, Lane
from shared.copying.watchdog import Heartbeat

AHEAD_BYTES = 2 * BATCH_BYTES
"""Bytes that one load holds, the batch being sent included: one is read while another is sent, unless they are large."""


class Stream:
    """Batches read and converted ahead on a thread of its own.

    After it was drained `rows`, `bytes` and `rounded` say what went through. `failure` is what reading or converting
    raised: the bulk load reports only that its source failed, in words of its own.
    """

    def __init__(
        self,
        batches: Iterator[pa.RecordBatch],
        convert: Callable[[pa.RecordBatch], Converted],
        heartbeat: Heartbeat,
        lane: Lane = BATCHES,
    ) -> None:
        self.rows = self.bytes = self.rounded = 0
        self.failure: BaseException | None = None
        self._batches, self._convert, self._heartbeat, self._lane = batches, convert, heartbeat, lane
        self._ready: deque[Converted] = deque()
        self._held = 0  # bytes of this load: ready, and being sent
        self._ended = self._stopped = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="read ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; raises what reading or converting raised."""
        while (converted := self._next()) is not None:
            batch, size = converted.batch, converted.batch.nbytes
            self.rows += batch.num_rows
            self.bytes += size
            self.rounded += converted.rounded
            del converted  # a batch may be one row of tens of megabytes
            yield batch
            del batch
            self._heartbeat.beat("waiting for the source")
            self._sent(size)

    def close(self) -> None:
        """Stop reading and wait for the thread, so that the session can be used again."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        self._thread.join()
        self._ready.clear()
        self._lane.give_back(self._held)
        self._held = 0

    def _next(self) -> Converted | None:
        with self._change:
            self._change.wait_for(lambda: self._ready or self._ended)
            if self._ready:
                self._heartbeat.beat("sending a batch")
                return self._ready.popleft()
        if self.failure is not None:
            raise self.failure
        self._heartbeat.beat("waiting for the server to take the last rows")
        return None

    def _sent(self, size: int) -> None:
        with self._change:
            self._held -= size
            self._change.notify_all()
        self._lane.give_back(size)

    def _read(self) -> None:
        expected = BATCH_BYTES
        try:
            while self._may_read(expected):
                batch = next(self._batches, None)
                if batch is None:
                    self._lane.give_back(expected)
                    break
                converted = self._convert(batch)
                del batch
                size = converted.batch.nbytes
                self._lane.give_back(expected - size)
                expected = size
                with self._change:
                    self._held += size
                    self._ready.append(converted)
                    self._change.notify_all()
                del converted
        except BaseException as error:  # noqa: BLE001 - handed to the sending side
            self.failure = error
            self._lane.give_back(expected)
        finally:
            with self._change:
                self._ended = True
                self._change.notify_all()

    def _may_read(self, expected: int) -> bool:
        """Wait for room, of this load and of the process; false when the load was given up."""
        with self._change:
            self._change.wait_for(lambda: self._stopped or self._held < AHEAD_BYTES)
        return not self._stopped and self._lane.take(expected, lambda: self._stopped)
