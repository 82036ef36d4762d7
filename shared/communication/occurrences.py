"""What has happened in a run so far, derived from what the API shows of it.

Nothing in the migration emits these events, so nothing in it can be delayed or broken by telling them: whoever looks
later derives the same ones, with the same ids.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from shared.contracts import Run, Verdict
from shared.forecast import Forecast
from shared.progress import View
from shared.reporting.wording import duration, gate_words, moment, stage_words

Kind = Literal[
    "scheduled", "started", "stage-done", "gate-waits", "late", "verified", "failed", "refused", "aborted", "planned",
    "cleaned-up", "regressed", "source-down",
]  # fmt: skip


class Occurrence(BaseModel):
    """One event. The id is the same whenever it is derived, so that a receiver can leave out what it has."""

    id: str
    kind: Kind
    at: datetime
    run: str
    target: str
    purpose: str
    stage: str | None = None
    words: str = Field(description="What happened, as a sentence.")


class Seen(BaseModel):
    """What is known of a run when one looks."""

    run: Run
    view: View
    verdict: Verdict | None = None
    reason: str = ""
    forecast: Forecast | None = None
    regressions: list[str] = Field(default_factory=list)


def occurrences(seen: Seen, now: datetime) -> list[Occurrence]:
    """Return everything that has happened, in order of time."""
    found = [*_beginning(seen), *_stages(seen), *_gates(seen), *_late(seen, now), *_end(seen, now)]
    return sorted(found, key=lambda one: one.at)


def _make(seen: Seen, kind: Kind, at: datetime, words: str, part: str = "", stage: str | None = None) -> Occurrence:
    run = seen.run
    return Occurrence(
        id=f"{run.id}:{kind}{':' + part if part else ''}", kind=kind, at=at, run=run.id, target=run.request.target,
        purpose=run.request.options.purpose, stage=stage, words=words,
    )  # fmt: skip


def _beginning(seen: Seen) -> Sequence[Occurrence]:
    window = seen.run.request.window
    found = []
    if window and window.start:
        found.append(_make(seen, "scheduled", seen.run.created_at, f"It starts at {moment(window.start)}."))
    begun = [stage for stage in seen.view.stages if stage.name != "scheduled"]
    if begun:
        found.append(_make(seen, "started", begun[0].started_at, "It has started."))
    return found


def _stages(seen: Seen) -> Sequence[Occurrence]:
    found = []
    for stage in seen.view.stages:
        if stage.name == "source-start" and stage.state in ("failed", "skipped") and stage.ended_at is not None:
            words = f"The source app was not started again ({stage.note}). The users are out until somebody starts it."
            found.append(_make(seen, "source-down", stage.ended_at, words))
        if stage.state != "done" or stage.ended_at is None:
            continue
        words = f"{stage_words(stage.name)}: done in {duration(stage.seconds)}."
        kind: Kind = "cleaned-up" if stage.name == "clean-up" else "stage-done"
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
    if seen.verdict or seen.forecast is None or seen.forecast.late_seconds is None:
        return []
    words = (
        f"It will probably end at {moment(seen.forecast.ends_at)}, {duration(seen.forecast.late_seconds)} after the "
        f"window closes (reckoned from {seen.forecast.basis})."
    )
    return [_make(seen, "late", now, words)]


def _end(seen: Seen, now: datetime) -> Sequence[Occurrence]:
    if seen.verdict is None:
        return []
    ended = max((stage.ended_at for stage in seen.view.stages if stage.ended_at), default=now)
    words = "Every check passed." if seen.verdict == "verified" else seen.reason or f"It ended {seen.verdict}."
    found = [_make(seen, seen.verdict, ended, words)]
    if seen.regressions:
        found.append(_make(seen, "regressed", ended, " ".join(seen.regressions[:10])))
    return found
