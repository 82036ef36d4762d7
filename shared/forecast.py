"""When will it end? From this run's own rates where a stage runs; from the last rehearsal, else from the sizes, before.

The end that matters to a migration window is the moment when everything is proved; report and clean-up come after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from shared import sizing
from shared.progress import StageView
from shared.request import MigrationRequest, Window
from shared.wording import size

FIRST = ("environment", "preflight")
BEFORE = (*FIRST, "snapshot", "source-start", "restore", "plan", "inspect", "prepare", "app-stop", "scale")
DATABASE = ("schema", "copy", "finish", "room", "hand-over", "adopt", "verify", "take-back")
FILES = ("empty", "files", "files-verify")
AFTER = ("reconcile", "app-start", "smoke")
MOVING = (*DATABASE, *FILES)
PEOPLE = ("scheduled", "snapshot-time", "approval", "late", "start-gate")
"""Stages that wait for people or for the clock: nobody knows how long they take."""
UNTIL_THE_WINDOW = ("early-preflight", "scheduled")
"""Stages of a run that was started long before its window: nothing of the migration has begun."""
GATE_STAGES = {
    "start": "scheduled", "late-snapshot": "late", "snapshot": "snapshot-time", "late-after-snapshot": "late", "late-after-restore": "late", "late": "late", "late-write": "late", "write": "approval", "stop-app": "app-stop",
    "start-app": "start-gate",
}  # fmt: skip
"""Which stage waits at which gate, and does nothing else meanwhile."""
OF_ROWS = ("restore", "inspect", "copy", "finish", "hand-over", "verify")
OF_FILES = ("files", "files-verify")
"""Stages that take longer the more rows, or bytes of files, there are; `snapshot` grows with both."""
LIKE = 0.1
"""Loads that differ by less than this share are taken as equal."""

WITHOUT_REHEARSAL = {"copy": 1.0, "finish": 0.5, "verify": 1.0}
"""Share of the restore's duration that a stage is taken to need when no rehearsal has measured it and no limit of the
target is known. Rough on purpose; the basis says so, and a rehearsal replaces it."""
FILES_WITHOUT_REHEARSAL = {"files": 1.0, "files-verify": 0.5}
"""The same, as a share of the snapshot's duration: both move the files' bytes between containers."""


class Forecast(BaseModel):
    """The expected end of the proof, and what it was reckoned from."""

    ends_at: datetime
    seconds_left: float
    basis: str = Field(description="What it was reckoned from, as words that follow `reckoned from`.")
    late_seconds: float | None = Field(default=None, description="Seconds after the window's end; null if in time.")
    stages: dict[str, float] = Field(
        default_factory=dict, description="Expected seconds left of each stage that runs or is still to come."
    )


@dataclass(frozen=True)
class Measured:
    """Seconds by stage of a run that has ended, and how many bytes of rows and of files it moved; 0 where not known."""

    stages: Mapping[str, float]
    row_bytes: int
    file_bytes: int
    what: str

    def scaled(self, load: sizing.Load | None) -> "Measured":
        """Return what a run of that load will need: what grows with the data in proportion to it."""
        if load is None or load.archive_bytes:  # not known before the archive is unpacked
            return self
        rows, files = _ratio(load.row_bytes, self.row_bytes), _ratio(load.file_bytes, self.file_bytes)
        both = _ratio(load.row_bytes + load.file_bytes, self.row_bytes + self.file_bytes)
        factors = dict.fromkeys(OF_ROWS, rows) | dict.fromkeys(OF_FILES, files) | {"snapshot": both}
        if all(abs(factor - 1) < LIKE for factor in (rows, files)):
            return self
        stages = {name: seconds * factors.get(name, 1.0) for name, seconds in self.stages.items()}
        what = f"{self.what}, in proportion to {size(load.row_bytes)} of rows and {size(load.file_bytes)} of files"
        return Measured(stages, load.row_bytes, load.file_bytes, what)


@dataclass(frozen=True)
class Expected:
    """Seconds that the stages are taken to need, and where the numbers are from."""

    seconds: Mapping[str, float]
    basis: str


def forecast(
    stages: Sequence[StageView],
    measured: Measured | None,
    now: datetime,
    window: Window | None = None,
    *,
    snapshot_at: datetime | None = None,
    capacity: sizing.Capacity | None = None,
) -> Forecast | None:
    """Return the expected end, or None when nothing is known yet.

    `measured` is the last rehearsal like this run, None if there was none; `snapshot_at` is the agreed
    time before which no snapshot is taken; `capacity` is what preflight found the load to be moved with.
    """
    known = {stage.name: stage for stage in stages}
    expected = _expected(known, measured, capacity)
    if expected is None:
        return None
    passed = _passed(known)
    left = {
        name: 0.0 if name in passed else _seconds_left(known.get(name), expected.seconds.get(name, 0.0))
        for name in _all(known)
    }

    def together(names: Sequence[str]) -> float:
        return sum(left.get(name, 0.0) for name in names)

    # Stages in none of the lists are those of another target mode; they run in the place of the database's stages.
    others = [name for name in left if name not in (*BEFORE, *MOVING, *AFTER)]
    rest = together(BEFORE) - together(FIRST) + max(together(DATABASE) + together(others), together(FILES))
    ends_at = _snapshot_begins(known, now, together(FIRST), window, snapshot_at) + timedelta(
        seconds=rest + together(AFTER)
    )
    late = (ends_at - window.end).total_seconds() if window else 0.0
    return Forecast(
        ends_at=ends_at, seconds_left=round((ends_at - now).total_seconds(), 1), basis=expected.basis,
        late_seconds=round(late, 1) if late > 0 else None,
        stages={name: round(seconds, 1) for name, seconds in left.items() if seconds > 0},
    )  # fmt: skip


def wanted(stages: Mapping[str, float], request: MigrationRequest) -> dict[str, float]:
    """Return the seconds of those stages of another run that this request asks for too: the apps and the smoke checks.

    A source app that is started at the end, after the proof, does not count.
    """
    asked = {
        "source-start": request.start_source_again == "always", "app-stop": request.stop_target_app,
        "app-start": request.start_target_app != "no", "smoke": request.smoke.wanted,
    }  # fmt: skip
    return {name: seconds for name, seconds in stages.items() if asked.get(name, True)}


def load_of(known: Mapping[str, StageView]) -> sizing.Load | None:
    """Return what is to be moved as far as the stages tell: after the restore exactly, while the archive comes by its size."""
    snapshot, restore = known.get("snapshot"), known.get("restore")
    if snapshot is None:
        return None
    if snapshot.state != "done":
        archive = snapshot.total.bytes
        return sizing.unopened(archive) if archive else None
    rows = known.get("plan") or restore
    if rows is None or not rows.total.bytes:
        return None
    return sizing.Load(
        rows=rows.total.rows, row_bytes=rows.total.bytes, files=snapshot.done.files, file_bytes=snapshot.done.bytes,
        archive_bytes=0,
    )  # fmt: skip


def _expected(
    known: Mapping[str, StageView], measured: Measured | None, capacity: sizing.Capacity | None
) -> Expected | None:
    load = load_of(known)
    if measured is not None:
        like = measured.scaled(load)
        return Expected(like.stages, f"{like.what} and the rates of this run")
    restored = _from_restore(known)
    # Without a known limit of the target, what this machine has just done says more than the formula.
    if load is not None and capacity is not None and (sizing.log_rate(capacity.objective) is not None or not restored):
        return Expected(sizing.stages(load, capacity), sizing.basis(load, capacity))
    if restored:
        return Expected(restored, "the rates of this run; no rehearsal has measured it yet")
    return None


def _ratio(now: int, then: int) -> float:
    return now / then if now and then else 1.0


def _passed(known: Mapping[str, StageView]) -> set[str]:
    """Return the stages that were left out: a later one has begun. Not every target mode restores and inspects."""
    begun = [place for place, name in enumerate(BEFORE) if name in known]
    return {name for name in BEFORE[: max(begun, default=0)] if name not in known}


def _all(known: Mapping[str, StageView]) -> list[str]:
    listed = (*BEFORE, *MOVING, *AFTER)
    return [*listed, *(name for name in known if name not in (*listed, *PEOPLE))]


def _snapshot_begins(
    known: Mapping[str, StageView], now: datetime, first: float, window: Window | None, snapshot_at: datetime | None
) -> datetime:
    """Return when the stages after preflight go on: after the window's start and the agreed snapshot time."""
    scheduled = known.get("scheduled")
    begins = now
    if scheduled is not None and scheduled.state == "waiting" and window is not None and window.start is not None:
        begins = max(now, window.start)
    begins += timedelta(seconds=first)
    if snapshot_at is not None and "snapshot" not in known:
        begins = max(begins, snapshot_at)
    return begins


def _seconds_left(stage: StageView | None, measured: float) -> float:
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
