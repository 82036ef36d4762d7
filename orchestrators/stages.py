"""The record of a run's stages, kept by the orchestrator in its custom status.

Every stage is opened and closed through `stage`, so that progress, timing and failure are recorded in one place. Time
comes from the orchestration's own clock, which replays the same.
"""

import json
from datetime import UTC, datetime
from typing import Any

from durabletask import task

from orchestrators.calling import Payload, StageRefused, Steps, call_sub
from shared.contracts import Counts, Gate, Progress, StageState
from shared.errors import REMEDY, Finding

EXHAUSTED = (
    "It was tried again for some twelve minutes. Mend what the message names, then start a new run; the logs of this run "
    "have the details."
)
SHOWN = 48
"""Characters of a name or a comment in the custom status, as JSON writes them."""
ALLOWED = 16 * 1024 // 2
"""Characters of the custom status, whose JSON is ASCII: Azure allows 16 KB of UTF-16."""


class StageFailed(Exception):  # noqa: N818 - an outcome of the stage
    """A stage ended without success; `finding` says why and what to do."""

    def __init__(self, stage: str, finding: Finding, *, listed: bool = False) -> None:
        self.stage = stage
        self.finding = finding
        self.listed = listed  # the finding is among the stage's own findings already
        super().__init__(f"{stage}: [{finding.code}] {finding.object}: {finding.message}")


class StageRecord:
    """Stages of one orchestration, published as its custom status after every change."""

    def __init__(self, ctx: task.OrchestrationContext, instance: str) -> None:
        self.ctx = ctx
        self.instance = instance
        self.progress = Progress()
        self.gates: list[Gate] = []

    def now(self) -> datetime:
        """The orchestration's clock, in UTC."""
        moment = self.ctx.current_utc_datetime
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def publish(self) -> None:
        """Set the custom status; where it gets too large, without comments and the notes of stages that are done."""
        status = self.progress.model_dump(mode="json", exclude_defaults=True)
        if len(json.dumps(status)) > ALLOWED:
            for gate in status.get("gates", []):
                if "decision" in gate:
                    gate.pop("comment", None)
            for stage in status["stages"]:
                if stage.get("state") == "done":
                    stage.pop("note", None)
        self.ctx.set_custom_status(status)

    def open(self, name: str, *, child: bool = False) -> StageState:
        """Start a stage; `child` says that a sub-orchestration of that name has the live numbers."""
        instance = f"{self.instance}:{name}" if child else None
        stage = StageState(name=name, started_at=self.now(), instance=instance)
        self.progress.stages.append(stage)
        self.publish()
        return stage

    def close(self, stage: StageState, state: str, result: Payload | None = None, note: str = "") -> None:
        """End a stage, with what it did."""
        # Nobody asks a child that has ended, and its id would take room in the custom status.
        update: dict[str, Any] = {"state": state, "ended_at": self.now(), "note": note or stage.note, "instance": None}
        if result is not None:
            # Of a stage that is done the total is what is done: `progress.stage_view` says it, the status has no room for both.
            update |= {"done": counts_of(result), "total": Counts()}
        closed = stage.model_copy(update=update)
        self.progress.stages = [closed if one is stage else one for one in self.progress.stages]
        self.publish()

    def wait(self, name: str, gate: Gate) -> StageState:
        """Open a stage that waits for a decision."""
        now = self.now()
        stage = StageState(name=name, started_at=now, state="waiting")
        self.progress.stages.append(stage)
        self.gates.append(gate)
        self.progress.gates.append(_short(gate))
        self.publish()
        return stage

    def decided(self, gate: Gate) -> None:
        """Keep the decision of the latest gate."""
        self.gates[-1] = gate
        self.progress.gates[-1] = _short(gate)

    def fail(self, name: str, note: str) -> None:
        """Mark a stage that has ended as failed: it did its work, and found errors."""
        self._amend(name, state="failed", note=note)

    def crashed(self, stage: StageState, failed: task.TaskFailedError) -> StageFailed:
        """Close a stage whose orchestration failed, and return the failure."""
        finding = finding_of(stage.name, failed)
        self.close(stage, "failed", note=finding.code)
        return StageFailed(stage.name, finding)

    def splice(self, stage: StageState, answer: Payload) -> None:
        """Put the stages of a side in the place of the stage that stood for it, and its gates among ours."""
        stages = [StageState.model_validate(one) for one in answer["stages"]]
        at = self.progress.stages.index(stage)
        self.progress.stages[at : at + 1] = stages
        for gate in (Gate.model_validate(one) for one in answer["gates"]):
            self.gates.append(gate)
            self.progress.gates.append(_short(gate))
        self.publish()

    def note(self, name: str, words: str) -> None:
        """Set the note of a stage that has ended."""
        self._amend(name, note=words)

    def leave(self, name: str, why: str) -> None:
        """Mark a stage that has ended as skipped: it looked, and there was nothing for it to do."""
        self._amend(name, state="skipped", note=why)

    def skip(self, name: str, why: str) -> None:
        """Record a stage that is not done in this run."""
        now = self.now()
        self.progress.stages.append(StageState(name=name, state="skipped", started_at=now, ended_at=now, note=why))
        self.publish()

    def _amend(self, name: str, **update: str) -> None:
        """Change fields of a stage."""
        stages = self.progress.stages
        self.progress.stages = [one.model_copy(update=update) if one.name == name else one for one in stages]
        self.publish()


def _short(gate: Gate) -> Gate:
    """Return a gate as the custom status holds it; the report has names and comments whole."""
    return gate.model_copy(update={"decided_by": _cut(gate.decided_by), "comment": _cut(gate.comment)})


def _cut(text: str | None) -> str | None:
    """Return at most `SHOWN` characters of JSON, where a letter that is not ASCII takes six."""
    if text is None or len(json.dumps(text)) - 2 <= SHOWN:
        return text
    kept = text[:SHOWN]
    while len(json.dumps(f"{kept}…")) - 2 > SHOWN:
        kept = kept[:-1]
    return f"{kept}…"


def counts_of(result: Payload) -> Counts:
    """What a stage's answer says was done: its rows, bytes, files and tables, where it has them."""
    found = {name: result[name] for name in Counts.model_fields if isinstance(result.get(name), int)}
    if "file_bytes" in result:
        found["bytes"] = result["file_bytes"]
    return Counts(**found)


def stage(record: StageRecord, name: str, steps: Steps) -> Steps:
    """Do the steps of one stage; a refusal or a failure closes it and is raised as `StageFailed`."""
    opened = record.open(name)
    return (yield from _watched(record, opened, steps))


def child_stage(record: StageRecord, name: str, orchestrator: str, payload: Payload) -> Steps:
    """Do a stage as a sub-orchestration `<instance>:<name>`, whose custom status has the live numbers."""
    opened = record.open(name, child=True)
    return (yield from _watched(record, opened, call_sub(record.ctx, orchestrator, payload, opened.instance or "")))


def aside(name: str, steps: Steps) -> Steps:
    """Do steps that are no stage of their own; a refusal or a failure is raised as `StageFailed` of that name."""
    try:
        return (yield from steps)
    except (StageRefused, task.TaskFailedError) as error:
        raise failure_of(name, error) from None


def _watched(record: StageRecord, opened: StageState, steps: Steps) -> Steps:
    try:
        result = yield from aside(opened.name, steps)
    except StageFailed as failed:
        record.close(opened, "failed", note=failed.finding.code)
        raise
    record.close(opened, "done", result)
    return result


def failure_of(name: str, error: StageRefused | task.TaskFailedError) -> StageFailed:
    """Return what ends a run when an activity refuses, or fails for good, in the stage of that name."""
    return StageFailed(name, error.finding if isinstance(error, StageRefused) else finding_of(name, error))


def finding_of(stage_name: str, failed: task.TaskFailedError) -> Finding:
    """Turn the failure of a task into a finding; our own errors carry `[CODE] about: message What to do: remedy`."""
    # The Functions worker puts its traceback behind the text.
    text = (failed.details.message or str(failed)).partition("\nStack:")[0].strip()
    start = text.find("[")
    end = text.find("] ", start)
    code = text[start + 1 : end] if 0 <= start < end else ""
    if code and code.replace("_", "").isalnum() and code.isupper():
        about, _, said = text[end + 2 :].partition(": ")
        message, _, remedy = said.partition(REMEDY)
        return Finding(code=code, severity="error", object=about, message=message, remedy=remedy or EXHAUSTED)
    return Finding(code="STAGE_FAILED", severity="error", object=stage_name, message=text, remedy=EXHAUSTED)
