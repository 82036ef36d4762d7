"""Lays the stages of a run out on a time axis; positions are percent of the axis, so that the picture scales."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.forecast import UNTIL_THE_WINDOW
from shared.reporting.model import StageReport
from shared.wording import duration, stage_words, utc

STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
MAX_TICKS = 6
LEAST_WIDTH = 0.35
"""Percent; a stage of no length is still seen."""


@dataclass(frozen=True)
class Bar:
    """One stage."""

    name: str
    words: str
    state: str
    left: float
    width: float
    seconds: float
    share: str


@dataclass(frozen=True)
class Tick:
    """One mark of the axis: seconds since the start, in words."""

    left: float
    words: str


@dataclass(frozen=True)
class Timeline:
    """The picture: bars in order, ticks, and where the target was first written (percent), if it was.

    `waited` says that it leaves out the wait for the window: of hours or days, beside which nothing else would be seen.
    """

    bars: list[Bar]
    ticks: list[Tick]
    written: float | None
    waited: bool = False


def timeline(stages: Sequence[StageReport], reported_at: datetime, written_at: datetime | None = None) -> Timeline:
    """Return the layout; a stage that has not ended reaches to `reported_at`."""
    if not stages:
        return Timeline([], [], None)
    waited = [stage for stage in stages if stage.name in UNTIL_THE_WINDOW]
    stages = [stage for stage in stages if stage not in waited] or waited
    start = min(utc(stage.started_at) for stage in stages)
    end = max(utc(stage.ended_at or reported_at) for stage in stages)
    span = max((end - start).total_seconds(), 0.001)

    def place(when: datetime) -> float:
        return round(min(100.0, max(0.0, (utc(when) - start).total_seconds() / span * 100)), 3)

    bars = [_bar(stage, place(stage.started_at), place(stage.ended_at or reported_at)) for stage in stages]
    written = place(written_at) if written_at and start <= utc(written_at) <= end + timedelta(seconds=1) else None
    return Timeline(bars, _ticks(span), written, waited=bool(waited) and stages is not waited)


def _bar(stage: StageReport, left: float, right: float) -> Bar:
    width = max(LEAST_WIDTH, right - left)
    return Bar(
        name=stage.name, words=stage_words(stage.name), state=stage.state, left=min(left, 100 - width),
        width=round(width, 3), seconds=stage.seconds,
        share="skipped" if stage.state == "skipped" else duration(stage.seconds),
    )  # fmt: skip


def _ticks(span: float) -> list[Tick]:
    step = next((one for one in STEPS if span / one <= MAX_TICKS), 86400 * -(-span // (86400 * MAX_TICKS)))
    return [Tick(round(n * step / span * 100, 3), _axis_words(n * step)) for n in range(int(span / step) + 1)]


def _axis_words(seconds: float) -> str:
    if seconds == 0:
        return "0"
    if seconds < 60:
        return f"{seconds:g} s"
    if seconds < 3600:
        return f"{seconds / 60:g} min"
    return f"{seconds / 3600:g} h"
