"""The runbook of a run: every step with who, when, how long it took last time, how to check it and how to undo it.

Made from the request, the window and the last rehearsal before the run; during it the same runbook shows what is done,
with real times. Markdown for the wiki, HTML for the screen, both from one model.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from shared import wording
from shared.communication.texts import Message, messages
from shared.contracts import Gate, Run
from shared.errors import Finding
from shared.forecast import AFTER, BEFORE, DATABASE, FILES, PEOPLE, wanted
from shared.progress import View
from shared.reporting.html import environment
from shared.reporting.steps import IN_THE_WINDOW, PHASES, Phase, StepText, WayBack, roll_back
from shared.ticks import Tick

LATE_AT = {
    "late-snapshot": "snapshot", "late-after-snapshot": "snapshot", "late-after-restore": "restore", "late": "plan", "late-write": "scale",
}  # fmt: skip
"""By gate, a stage of the step beside which it is decided to go on though it will be late."""
MARKDOWN = str.maketrans({one: f"\\{one}" for one in "\\`*_[]<>|#~"})


class Step(BaseModel):
    """One step as the runbook shows it; durations are seconds."""

    number: int
    key: str = Field(description="The step's own, wherever it stands.")
    title: str
    who: str
    detail: str
    check: str
    undo: str
    planned_at: datetime | None = None
    measured: float | None = Field(default=None, description="Seconds in the last rehearsal; null if not measured.")
    state: str = "open"
    started_at: datetime | None = None
    seconds: float | None = None
    late: list[Gate] = Field(default_factory=list, description="Decisions beside it to go on though it will be late.")
    point_of_no_return: bool = False
    by_people: bool = Field(default=False, description="Done by people, who say so; no stage of the run does it.")
    said: list[Tick] = Field(
        default_factory=list, description="Who has said that it is done, or is not; the last counts."
    )

    @property
    def word(self) -> Tick | None:
        """What counts of that which people have said."""
        return self.said[-1] if self.said else None

    @property
    def done(self) -> bool:
        """Whether people say that it is done."""
        return self.word is not None and self.word.done


class Part(BaseModel):
    """A phase with its steps."""

    title: str
    steps: list[Step]


class Runbook(BaseModel):
    """Everything the templates show."""

    run: Run
    made_at: datetime
    parts: list[Part]
    roll_back: list[WayBack]
    expected: float | None = Field(description="Seconds from the start to the proof, by the last rehearsal.")
    rehearsed: str | None = Field(description="Id of the rehearsal that the durations come from.")
    written_at: datetime | None
    unknown: bool = Field(default=False, description="Whether nobody here knows how far the run came.")
    findings: list[Finding]
    messages: list[Message]


def runbook(
    run: Run,
    seen: View,
    measured: Mapping[str, float],
    findings: Sequence[Finding],
    now: datetime,
    rehearsed: str | None,
    ticks: Mapping[str, Sequence[Tick]] | None = None,
    *,
    unknown: bool = False,
) -> Runbook:
    """Return the runbook of a run as it stands now.

    `measured` has seconds by stage of the last rehearsal, `ticks` what people have said, by key of the step;
    `unknown` says that nobody here knows how far the run came.
    """
    measured = {name: seconds for name, seconds in wanted(measured, run.request).items() if name not in PEOPLE}
    expected = _expected(measured)
    counter = iter(range(1, 1000))
    parts = [_part(phase, run, seen, measured, counter) for phase in PHASES]
    for step in (step for part in parts for step in part.steps):
        _ticked(step, (ticks or {}).get(step.key, ()))
    return Runbook(
        run=run, made_at=now, parts=parts, roll_back=roll_back(run), expected=expected, rehearsed=rehearsed,
        written_at=seen.target_written_at, unknown=unknown, findings=[one for one in findings if one.severity != "info"],
        messages=messages(run, expected) if run.request.options.purpose == "cutover" else [],
    )  # fmt: skip


def html(book: Runbook) -> str:
    """Return the runbook as a self-contained page, in the report's style."""
    made = environment()
    made.filters |= {"state": words_of_state, "tick": words_of_tick}
    return made.get_template("runbook.html.j2").render(book=book)


def markdown(book: Runbook) -> str:
    """Return the runbook as Markdown; values are escaped, so that a table name cannot become markup."""
    made = environment()
    made.autoescape = False
    made.filters["state"] = words_of_state
    made.filters["md"] = lambda value: " ".join(str(value).split()).translate(MARKDOWN)
    return made.get_template("runbook.md.j2").render(book=book)


def _part(phase: Phase, run: Run, seen: View, measured: Mapping[str, float], counter: object) -> Part:
    clock = _start(run) if phase is IN_THE_WINDOW else None
    steps: list[Step] = []
    for text in phase.steps:
        if text.when is not None and not text.when(run):
            continue
        step = _step(text, run, next(counter), seen, measured)  # type: ignore[call-overload]
        if clock is not None:
            beside = bool(set(text.stages) & set(FILES)) and not text.point_of_no_return
            step.planned_at = (steps[-1].planned_at if beside and steps else None) or clock
            clock += timedelta(seconds=_advance(text, measured))
            if "snapshot-time" in text.stages:
                clock = max(clock, run.request.snapshot_at or clock)
        steps.append(step)
    return Part(title=phase.title, steps=steps)


def _step(text: StepText, run: Run, number: int, seen: View, measured: Mapping[str, float]) -> Step:
    stages = [stage for stage in seen.stages if stage.name in text.stages]
    took = [measured[name] for name in text.stages if name in measured]
    step = Step(
        number=number, key=text.key, title=text.title, who=text.who, detail=text.detail, check=text.check, undo=text.undo,
        measured=sum(took) if took else None, point_of_no_return=text.point_of_no_return,
        late=[gate for gate in seen.gates if LATE_AT.get(gate.name) in text.stages],
        by_people=not text.stages or (text.by_hand is not None and text.by_hand(run)),
    )  # fmt: skip
    if stages:
        states = {stage.state for stage in stages}
        step.state = next((one for one in ("failed", "waiting", "running") if one in states), stages[-1].state)
        step.started_at = min(stage.started_at for stage in stages)
        step.seconds = sum(stage.seconds for stage in stages)
    return step


def _ticked(step: Step, said: Sequence[Tick]) -> None:
    if step.by_people:
        step.said = list(said)
    if step.done:
        step.state = "done"


def _advance(text: StepText, measured: Mapping[str, float]) -> float:
    """Seconds until the next step; files are moved beside the rows, so only the longer side counts."""
    database, files = (sum(measured.get(name, 0.0) for name in side) for side in (DATABASE, FILES))
    if set(text.stages) & set(FILES):
        return max(0.0, files - database)
    return sum(measured.get(name, 0.0) for name in text.stages) or text.minutes * 60.0


def _start(run: Run) -> datetime | None:
    return run.request.window.start or run.created_at if run.request.window else None


def _expected(measured: Mapping[str, float]) -> float | None:
    if not measured:
        return None

    def spent(names: Sequence[str]) -> float:
        return sum(measured.get(name, 0.0) for name in names)

    return spent(BEFORE) + max(spent(DATABASE), spent(FILES)) + spent(AFTER)


def words_of_state(step: Step) -> str:
    """Return a step's state for people: what is done with its real time, what is open with its plan, what was decided."""
    taken_back = [words_of_tick(step.word)] if step.word is not None and not step.done else []
    return "; ".join((_state(step), *taken_back, *map(_decided, step.late)))


def words_of_tick(tick: Tick) -> str:
    """Return what somebody has said of a step, for people."""
    return f"{'done' if tick.done else 'taken back'} {wording.clock(tick.at)} UTC by {tick.who}"


def _state(step: Step) -> str:
    if step.word is not None and step.done:
        return words_of_tick(step.word)
    if step.started_at is not None:
        return f"{step.state} {wording.clock(step.started_at)} UTC, {wording.duration(step.seconds)}"
    return "open"


def _decided(gate: Gate) -> str:
    asked = wording.GATE_WORDS[gate.name]
    if gate.decision is None:
        return f"{asked} Waits until {wording.clock(gate.answers_by)} UTC"
    by = f" by {gate.who}" if gate.who else ""
    return f"{asked} {gate.decision.capitalize()}{by}, {wording.clock(gate.decided_at)} UTC"
