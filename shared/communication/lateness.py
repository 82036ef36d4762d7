"""Steps of lateness: people hear that a run will be late, and again when that gets much worse, not with every minute."""

from bisect import bisect_right
from collections.abc import Container

STEPS = ("", "15min", "30min", "1h", "2h", "4h", "8h", "16h", "32h")
"""The last part of the event's id (`<run>:late:2h`) by step: from so much past the window's end on; any lateness is the first."""
SECONDS = [900 * 2**number for number in range(len(STEPS) - 1)]
NONE = -1


def step_of(late_seconds: float) -> int:
    """Return how bad a lateness is: 0 below a quarter of an hour, then one more with each doubling."""
    return bisect_right(SECONDS, late_seconds)


def highest_step(run: str, events: Container[str]) -> int:
    """Return the highest step of which one of a run's events, by their ids, tells; NONE where none tells of lateness."""
    ids = (f"{run}:late{':' if name else ''}{name}" for name in STEPS)
    return max((step for step, event in enumerate(ids) if event in events), default=NONE)
