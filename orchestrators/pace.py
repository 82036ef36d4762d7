"""How many jobs run at a time: more while that brings more bytes a second, fewer when the target has had enough.

Pure arithmetic on what activities answered and on the orchestration's clock, so that a replay decides the same.
"""

from datetime import datetime

GROWTH = 1.05  # a step up must bring 5 % more, or it is taken back
HOLD = 5  # rounds without a step after one was taken back, after throttling, and after a step down for the log
LOG_FULL = 95.0  # percent of the log rate limit: from it on sessions wait for each other (LOG_RATE_GOVERNOR)


class Pace:
    """A window of jobs, between 1 and `limit`; a round is as many finished jobs as the window is wide, at least three."""

    def __init__(self, limit: int, window: int, now: datetime) -> None:
        self.limit = max(1, limit)
        self.window = min(max(1, window), self.limit)
        self._since = now
        self._jobs = self._bytes = 0
        self._last_rate: float | None = None
        self._stepped = False
        self._hold = 0

    def finished(self, now: datetime, size: int, log_write_percent: float | None = None) -> None:
        """Count a finished job of `size` bytes; at the end of a round, decide."""
        self._jobs += 1
        self._bytes += size
        seconds = (now - self._since).total_seconds()
        if self._jobs < max(3, self.window) or seconds <= 0:
            return
        self._decide(self._bytes / seconds, log_write_percent)
        self._since, self._jobs, self._bytes = now, 0, 0

    def throttled(self, now: datetime) -> None:
        """Halve the window: the target refused work for want of resources."""
        self.window = max(1, self.window // 2)
        self._hold, self._stepped, self._last_rate = HOLD, False, None
        self._since, self._jobs, self._bytes = now, 0, 0

    def _decide(self, rate: float, log_write_percent: float | None) -> None:
        if self._stepped and self._last_rate is not None and rate < self._last_rate * GROWTH:
            self.window -= 1
            self._hold, self._stepped = HOLD, False
        elif self._hold > 0:
            self._hold -= 1
            self._stepped = False
        elif log_write_percent is not None and log_write_percent >= LOG_FULL:
            # At the log's limit one job fewer writes as much and waits less; after `HOLD` rounds it is measured again.
            self.window = max(1, self.window - 1)
            self._hold, self._stepped = HOLD, False
        elif self.window < self.limit:
            self.window += 1
            self._stepped = True
        else:
            self._stepped = False
        self._last_rate = rate
