"""How long one activity works before it leaves the rest to the next call of it."""

import time

PAID_BACK = 4
"""New work lasts at least this many times as long as it took to get back to where the last call stopped.

Measured: a table's text is inflated at 300 MB/s (uncompressed dumps) to 2 GB/s, and PostgreSQL takes it at 20 to 190 MB/s.
So a table in many parts costs at most a quarter more than one that is read in one go.
"""


class Budget:
    """Seconds of new work. Getting back to where the last call stopped is not counted, and lengthens the work."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.monotonic()

    def arrived(self) -> None:
        """Say that the place where the last call stopped is reached, and new work begins."""
        now = time.monotonic()
        self._seconds = max(self._seconds, PAID_BACK * (now - self._began))
        self._began = now

    @property
    def spent(self) -> bool:
        """Whether to stop at the next place where that is possible."""
        return time.monotonic() - self._began >= self._seconds
