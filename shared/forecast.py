"""When will it end? From this run's own rates where a stage runs, else from the last rehearsal, else from the restore.

The end that matters to a migration window is the moment when everything is proved; report and clean-up come after it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from shared.progress import StageView
from shared.request import Window

BEFORE = ("environment", "preflight", "snapshot", "restore", "plan", "inspect", "scale")
DATABASE = ("schema", "copy", "finish", "verify")
FILES = ("empty", "files", "files-verify")
AFTER = ("reconcile", "smoke")
MOVING = (*DATABASE, *FILES)

WITHOUT_REHEARSAL = {"copy": 1.0, "finish": 0.5, "verify": 1.0}
"""Share of the restore's duration that a stage is taken to need when no rehearsal has measured it. Rough on purpose;
the basis says so, and a rehearsal replaces it."""
FILES_WITHOUT_REHEARSAL = {"files": 1.0, "files-verify": 0.5}
"""The same, as a share of the snapshot's duration: both move the files' bytes between containers."""


class Forecast(BaseModel):
    """The expected end of the proof, and what it was reckoned from."""

    ends_at: datetime
    seconds_left: float
    basis: str = Field(description="What it was reckoned from, as words that follow `reckoned from`.")
    late_seconds: float | None = Field(default=None, description="Seconds after the window's end; null if in time.")


def forecast(
    stages: Sequence[StageView], measured: Mapping[str, float], now: datetime, window: Window | None = None
) -> Forecast | None:
    """Return the expected end, or None when nothing is known yet.

    `measured` has the seconds of each stage in the last rehearsal, empty if there was none.
    """
    known = {stage.name: stage for stage in stages}
    basis = "the last rehearsal and the rates of this run"
    if not measured:
        measured = _from_restore(known)
        basis = "the rates of this run; no rehearsal has measured it yet"
    if not measured:
        return None

    def left(names: Sequence[str]) -> float:
        return sum(_left(known.get(name), measured.get(name, 0.0)) for name in names)

    seconds = left(BEFORE) + max(left(DATABASE), left(FILES)) + left(AFTER)
    ends_at = now + timedelta(seconds=seconds)
    late = (ends_at - window.end).total_seconds() if window else 0.0
    return Forecast(
        ends_at=ends_at, seconds_left=round(seconds, 1), basis=basis, late_seconds=round(late, 1) if late > 0 else None
    )


def _left(stage: StageView | None, measured: float) -> float:
    if stage is None:
        return measured
    if stage.state not in ("running", "waiting"):
        return 0.0
    if stage.eta_seconds is not None:
        return stage.eta_seconds
    return max(0.0, measured - stage.seconds)


def _from_restore(known: Mapping[str, StageView]) -> dict[str, float]:
    restore, snapshot = known.get("restore"), known.get("snapshot")
    if restore is None or restore.state != "done":
        return {}
    made = {name: share * restore.seconds for name, share in WITHOUT_REHEARSAL.items()}
    if snapshot is not None:
        made |= {name: share * snapshot.seconds for name, share in FILES_WITHOUT_REHEARSAL.items()}
    return made
