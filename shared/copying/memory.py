"""How much memory the loads of one process hold together, whatever runs at the same time.

Azure Functions runs several activities in one process, so a bound for one load bounds nothing. There are two lanes.
Batches of ordinary rows share `BATCHES`: bytes that are being read ahead or sent. A load with wide rows (a value of
20 MB is one message of PostgreSQL's protocol, one cell of Arrow, one row of the bulk load) takes what it will need from
`WIDE_ROWS` before it begins, and gives it back at its end; while it waits it holds no transaction and no lock. The
lanes do not wait for each other, so small tables go on while large values are carried one after another.
"""

import ctypes
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

from shared.copying.watchdog import Heartbeat
from shared.errors import TransientError

MIB = 1024 * 1024
BATCH_BYTES = 4 * MIB
"""Batches are about this large; a row larger than it is a batch of its own."""
WIDE_ROW_BYTES = BATCH_BYTES
"""A row from this size on is wide."""
WIDE_BATCH_BYTES = MIB
"""Batch size for the rows between wide ones: a batch ends with the row that goes beyond this."""
BATCHES_BYTES = 64 * MIB
WIDE_ROWS_BYTES = 160 * MIB
"""A row of 2 x 20 MB fits. One that needs more goes alone: a row cannot be split."""
LARGE_BLOCK_BYTES = 4 * MIB
WAIT_SECONDS = 600.0


class Lane:
    """A weighted semaphore: who asks first is served first, and what is larger than the lane is served alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._queue: deque[object] = deque()
        self._change = threading.Condition()

    def take(self, size: int, given_up: Callable[[], bool]) -> bool:
        """Wait until `size` bytes are within the limit, or nothing else is held; false when `given_up` says so."""
        ticket = object()
        with self._change:
            self._queue.append(ticket)
            try:
                while self._queue[0] is not ticket or (self._held and self._held + size > self._limit):
                    if given_up():
                        return False
                    self._change.wait(0.2)
                self._held += size
            finally:
                self._queue.remove(ticket)
                self._change.notify_all()
        return True

    def give_back(self, size: int) -> None:
        """Return bytes (a negative number takes more, without waiting)."""
        with self._change:
            self._held -= size
            self._change.notify_all()


BATCHES = Lane(BATCHES_BYTES)
WIDE_ROWS = Lane(WIDE_ROWS_BYTES)


@contextmanager
def room_for(
    widest: int, heartbeat: Heartbeat, about: str, seconds: float = WAIT_SECONDS, lane: Lane = WIDE_ROWS
) -> Generator[None]:
    """Hold the memory that a load needs whose largest row has `widest` bytes; nothing for ordinary rows.

    Raises TransientError MEMORY_BUSY after `seconds` of waiting for other loads of this process.
    """
    if widest < WIDE_ROW_BYTES:
        yield
        return
    size = needed(widest)
    until = time.monotonic() + seconds

    def given_up() -> bool:
        heartbeat.beat(f"waiting for memory for {about}")  # waiting is no stall
        return time.monotonic() > until

    if not lane.take(size, given_up):
        raise TransientError(
            "MEMORY_BUSY",
            about,
            f"expected {size // MIB} MiB to become free within {seconds:.0f} s, found other large rows being loaded.",
            "Lower the profile's MAX_PARALLEL_CHUNKS, so that fewer of them are loaded at the same time.",
        )
    try:
        yield
    finally:
        lane.give_back(size)


def needed(widest: int) -> int:
    """Return the bytes that a load holds while a row of `widest` bytes goes through it.

    libpq's receive buffer doubles until the row fits (https://www.postgresql.org/docs/current/libpq-copy.html). While the
    row is read, its message and the Arrow batch are the row's size each; while it is sent, the batch and what the core
    makes of it (text in UTF-16). Some is left for the rows between.
    """
    return (1 << widest.bit_length()) + 2 * widest + 2 * WIDE_BATCH_BYTES


@functools.cache
def give_large_blocks_back() -> None:
    """Have glibc take large blocks from the system one by one, and give each back when it is freed.

    By default it raises its own threshold with the first freed block of 20 MB, and from then on keeps such blocks in
    its arenas, one arena a thread: measured, 450 MiB with four workers instead of 305. Other C libraries have no
    mallopt. https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


_M_MMAP_THRESHOLD = -3  # malloc.h
