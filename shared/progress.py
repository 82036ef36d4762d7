"""What a person sees of a running migration: stages with numbers, rates and an ETA.

Orchestrations publish small custom statuses: `Progress` (stages) and `StageProgress` (live numbers of one stage, with
the ids of its children). This module flattens them into one list of stages.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from shared.contracts import Counts, Gate, Progress, StageProgress, StageState

WORTH_SAYING = 0.03
"""Share that must be done before an ETA is said: below it start-up costs outweigh the rate."""

Look = Callable[[str], dict[str, Any] | None]
"""Gives the custom status of an orchestration instance, or None when it has none (yet)."""


class StageView(BaseModel):
    """A stage as the API shows it; times in UTC, durations in seconds."""

    name: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    seconds: float
    done: Counts
    total: Counts
    eta_seconds: float | None = Field(description="Seconds until the stage ends at the present rate; null if unknown.")
    note: str = ""


class View(BaseModel):
    """All stages of a run, in the order in which they started."""

    stages: list[StageView] = Field(default_factory=list)
    gate: Gate | None = Field(default=None, description="Where it waits, or waited last.")
    gates: list[Gate] = Field(default_factory=list, description="All gates it came to, in order.")
    gate_instance: str | None = Field(
        default=None, description="The orchestration that holds the gate, where it is not the migration itself."
    )
    target_written_at: datetime | None = None

    @property
    def stage(self) -> str | None:
        """The stage a person would name: the one that waits or fails, else the last one running."""
        for state in ("waiting", "failed", "running"):
            found = [one.name for one in self.stages if one.state == state]
            if found:
                return found[-1]
        return self.stages[-1].name if self.stages else None


def view(status: dict[str, Any] | None, look: Look, now: datetime) -> View:
    """Flatten the custom status of `migrate`; `look` is asked only for instances that are still running."""
    if not status:
        return View()
    progress = Progress.model_validate(status)
    held: list[tuple[Gate, str | None]] = [(gate, None) for gate in progress.gates]
    stages = [stage_view(stage, now) for stage in _flatten(progress.stages, look, held)]
    held.sort(key=lambda one: one[0].asked_at)
    # The gate that a person can answer comes first; else the last one, with its decision.
    gate, instance = next((one for one in held if one[0].decision is None), held[-1] if held else (None, None))
    return View(
        stages=stages, gate=gate, gate_instance=instance, gates=[one for one, _ in held],
        target_written_at=progress.target_written_at,
    )  # fmt: skip


def percent(done: Counts, total: Counts) -> float | None:
    """Share done, 0 to 1, by the best measure there is: bytes, else rows, files, tables; None without a total."""
    for name in ("bytes", "rows", "files", "tables"):
        whole = getattr(total, name)
        if whole:
            return float(min(1.0, getattr(done, name) / whole))
    return None


def _flatten(stages: Iterable[StageState], look: Look, held: list[tuple[Gate, str | None]]) -> list[StageState]:
    """Put the stages of running sides in the place of the stage that stands for them; their gates go to `held`."""
    flat: list[StageState] = []
    for stage in stages:
        child = look(stage.instance) if stage.instance and stage.state == "running" else None
        if child and "stages" in child:
            side = Progress.model_validate(child)
            held.extend((gate, stage.instance) for gate in side.gates)
            flat.extend(_flatten(side.stages, look, held))
        elif child:
            flat.append(_overlaid(stage, StageProgress.model_validate(child), look))
        else:
            flat.append(stage)
    return flat


def _overlaid(stage: StageState, live: StageProgress, look: Look) -> StageState:
    children = [StageProgress.model_validate(status) for child in live.children if (status := look(child))]
    done = sum((child.done for child in children), live.done)
    return stage.model_copy(update={"done": done, "total": live.total, "note": live.note or stage.note})


def stage_view(stage: StageState, now: datetime) -> StageView:
    """Return a stage with its duration and, while it runs, its ETA."""
    seconds = max(0.0, ((stage.ended_at or now) - stage.started_at).total_seconds())
    total = stage.done if stage.state == "done" and stage.total == Counts() else stage.total
    share = percent(stage.done, total)
    known = stage.state == "running" and share is not None and share >= WORTH_SAYING and seconds > 1
    eta = seconds * (1 - share) / share if known and share else None
    return StageView(
        name=stage.name, state=stage.state, started_at=stage.started_at, ended_at=stage.ended_at,
        seconds=round(seconds, 3), done=stage.done, total=total,
        eta_seconds=None if eta is None else round(eta, 1), note=stage.note,
    )  # fmt: skip
