"""One thread that calls back at given times."""

import heapq
import itertools
import logging
import threading
from collections.abc import Callable

from local.engine.events import now

log = logging.getLogger("mxferry.engine")

LONGEST_SLEEP = 30.0  # seconds; the wall clock may be set meanwhile


class Alarms:
    """A heap of (time, callback), run by one daemon thread."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="engine-alarms", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; what has not rung is dropped."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    def at(self, when: int, ring: Callable[[], None]) -> None:
        """Call `ring` at a time in microseconds since 1970, at once if that is past."""
        with self._wake:
            heapq.heappush(self._heap, (when, next(self._order), ring))
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._stopping and not (self._heap and self._heap[0][0] <= now()):
                    pause = (self._heap[0][0] - now()) / 1_000_000 if self._heap else LONGEST_SLEEP
                    self._wake.wait(min(max(pause, 0.0), LONGEST_SLEEP))
                if self._stopping:
                    return
                ring = heapq.heappop(self._heap)[2]
            try:
                ring()
            except Exception:  # one alarm must not silence the others
                log.exception("an alarm failed")
