"""What has happened in a run so far, derived from what the API shows of it.

Nothing in the migration emits these events, so nothing in it can be delayed or broken by telling them: whoever looks
later derives the same ones, with the same ids.
"""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, Field

from shared.communication import lateness
from shared.contracts import Run, Verdict
from shared.eventkinds import EventKind
from shared.forecast import UNTIL_THE_WINDOW, Forecast
from shared.progress import StageView, View
from shared.wording import duration, gate_words, moment, stage_words


class Occurrence(BaseModel):
    """One event. The id is the same whenever it is derived, so that a receiver can leave out what it has."""

    id: str
    kind: EventKind
    at: datetime
    run: str
    target: str
    purpose: str
    dry_run: bool = False
    stage: str | None = None
    link: str | None = Field(default=None, description="Where the run is shown.")
    words: str = Field(description="What happened, as a sentence.")
    basis: str = Field(default="", description="What an expectation was reckoned from, for those who can judge it.")
    late_seconds: float | None = Field(default=None, description="How long past the window's end it will probably end.")


class Seen(BaseModel):
    """What is known of a run when one looks."""

    run: Run
    view: View
    verdict: Verdict | None = None
    reason: str = ""
    forecast: Forecast | None = None
    regressions: list[str] = Field(default_factory=list)
    late_told: int = Field(default=lateness.NONE, description="The highest step of lateness that was told already.")
    link: str | None = Field(default=None, description="Where the run is shown, if the app knows its address.")


def occurrences(seen: Seen, now: datetime) -> list[Occurrence]:
    """Return everything that has happened, in order of time."""
    found = [*_beginning(seen), *_users(seen), *_stages(seen), *_gates(seen), *_late(seen, now), *_end(seen, now)]
    return sorted(found, key=lambda one: one.at)


def _make(
    seen: Seen, kind: EventKind, at: datetime, words: str, part: str = "", stage: str | None = None
) -> Occurrence:
    run = seen.run
    return Occurrence(
        id=f"{run.id}:{kind}{':' + part if part else ''}", kind=kind, at=at, run=run.id, target=run.request.target,
        purpose=run.request.options.purpose, dry_run=run.request.options.dry_run, stage=stage, link=seen.link, words=words,
    )  # fmt: skip


def _beginning(seen: Seen) -> Sequence[Occurrence]:
    window = seen.run.request.window
    found = []
    if window and window.start:
        found.append(_make(seen, "scheduled", seen.run.created_at, f"It starts at {moment(window.start)}."))
    begun = [stage for stage in seen.view.stages if stage.name not in UNTIL_THE_WINDOW]
    if begun:
        found.append(_make(seen, "started", begun[0].started_at, "It has started."))
    return found


def _users(seen: Seen) -> Sequence[Occurrence]:
    """Return when the users are out, and when they are back at the source, where this run stops and starts it.

    Where people stop the app they tell the users; its new address they announce too, after the DNS change.
    """
    source = seen.run.request.source
    if source.kind != "mendix-cloud" or not source.stop_app:
        return []
    found = []
    for stage in seen.view.stages:
        if stage.name == "snapshot":
            words = "The source app is stopped for its snapshot: the users are out."
            found.append(_make(seen, "unavailable", stage.started_at, words))
        elif stage.name == "source-start" and stage.ended_at is not None:
            found.append(_source_after(seen, stage, stage.ended_at))
    return found


def _source_after(seen: Seen, stage: StageView, ended: datetime) -> Occurrence:
    """Return what became of the source app that was to be started again."""
    if stage.state == "done":
        return _make(seen, "available", ended, "The source app runs again: the users are back in it.")
    if stage.state == "skipped":  # on purpose, or not ours: see orchestrators.sourceapp
        words = f"The source app was not started: {stage.note}."
    else:
        words = f"The source app was not started again ({stage.note}). The users are out until somebody starts it."
    return _make(seen, "source-down", ended, words)


def _stages(seen: Seen) -> Sequence[Occurrence]:
    found = []
    for stage in seen.view.stages:
        if stage.state != "done" or stage.ended_at is None:
            continue
        words = f"{stage_words(stage.name)}: done in {duration(stage.seconds)}."
        kind: EventKind = "cleaned-up" if stage.name == "clean-up" else "stage-done"
        found.append(_make(seen, kind, stage.ended_at, words, stage.name, stage.name))
    return found


def _gates(seen: Seen) -> Sequence[Occurrence]:
    return [
        _make(
            seen,
            "gate-waits",
            gate.asked_at,
            f"{gate_words(gate)} It waits until {moment(gate.answers_by)}.",
            gate.name,
        )
        for gate in seen.view.gates
        if gate.name not in ("start", "snapshot")
    ]


def _late(seen: Seen, now: datetime) -> Sequence[Occurrence]:
    """Return how late it will be where that is a step worse than what was told already."""
    expected = seen.forecast
    if seen.verdict or expected is None or expected.late_seconds is None:
        return []
    step = lateness.step_of(expected.late_seconds)
    if step <= seen.late_told:
        return []
    it = "It" if seen.late_told == lateness.NONE else "Later than told before: it"
    by = duration(expected.late_seconds)
    words = f"{it} will probably end at {moment(expected.ends_at)}, {by} after the window closes."
    made = _make(seen, "late", now, words, lateness.STEPS[step])
    return [made.model_copy(update={"basis": expected.basis, "late_seconds": expected.late_seconds})]


def _end(seen: Seen, now: datetime) -> Sequence[Occurrence]:
    if seen.verdict is None:
        return []
    ended = max((stage.ended_at for stage in seen.view.stages if stage.ended_at), default=now)
    words = "Every check passed." if seen.verdict == "verified" else seen.reason or f"It ended {seen.verdict}."
    found = [_make(seen, seen.verdict, ended, words)]
    if seen.regressions:
        found.append(_make(seen, "regressed", ended, " ".join(seen.regressions[:10])))
    return found
