"""Where a run waits for people or for the clock: the window opens, the users are out, it will be late, the target may be written.

At none of these has anything been written to the target, so a run that ends there leaves source and target as they were.
The gates of the app (`applications.py`) are asked in the same way.
"""

import contextlib
from datetime import datetime, timedelta
from typing import Any, Literal

from durabletask import task

from orchestrators.calling import Payload, StageRefused, Steps, call, race
from orchestrators.outcome import Outcome
from orchestrators.stages import StageFailed, StageRecord, aside
from shared.contracts import Gate, Run, Said
from shared.errors import Finding

UNTOUCHED = "Source and target are as they were."
LEAST_TIME = timedelta(minutes=5)
"""Least time to decide on a late run, even if the window ends sooner; and by how much an end may move out unreported."""
Place = Literal[
    "before the snapshot",
    "after the snapshot",
    "after the restore",
    "before the approval",
    "before the target is written",
]
LATE_GATES: dict[Place, str] = {
    "before the snapshot": "late-snapshot",
    "after the snapshot": "late-after-snapshot",
    "after the restore": "late-after-restore",
    "before the approval": "late",
    "before the target is written": "late-write",
}
"""The gate at which lateness is decided at each place."""


def window_opens(record: StageRecord, run: Run) -> Steps:
    """Wait for the start of the migration window, if the request names one."""
    yield from _clock(record, "scheduled", "start", run.request.window.start if run.request.window else None)


def snapshot_due(record: StageRecord, run: Run) -> Steps:
    """Wait for the agreed snapshot time, if the request names one."""
    yield from _clock(record, "snapshot-time", "snapshot", run.request.snapshot_at)


def in_time(record: StageRecord, run: Run, outcome: Outcome, place: Place) -> Steps:
    """Look at the clock before the users are sent out, and until the target is written: warn, ask or stop when it will be late.

    A warning or decision holds until the expected end moves out by more than `LEAST_TIME`; then it is said or asked again.
    Each place has a gate of its own, so that a second approval of one never opens the next.
    """
    window = run.request.window
    if window is None:
        return
    stages = [one.model_dump(mode="json") for one in record.progress.stages]
    payload = {"run": run.model_dump(mode="json"), "stages": stages, "now": record.now().isoformat()}
    answer = yield from aside("late", call(record.ctx, "forecast_end", payload))
    if not answer.get("late_seconds"):
        return
    ends_at = datetime.fromisoformat(answer["ends_at"])
    if outcome.told_end is not None and ends_at <= outcome.told_end + LEAST_TIME:
        return
    finding = _late(answer, window.end, "error" if window.when_late == "stop" else "warning")
    if window.when_late == "stop":
        raise StageFailed("late", finding)
    if window.when_late == "ask":
        by = yield from asked(record, "late", LATE_GATES[place], max(window.end, record.now() + LEAST_TIME))
        finding = finding.model_copy(update={"chosen": f"go on, decided by {by}"})
    outcome.told_end = ends_at
    outcome.answered("late", {"findings": [finding.model_dump(mode="json")]})
    yield from record_findings(record, outcome)


def record_findings(record: StageRecord, outcome: Outcome) -> Steps:
    """Keep the findings so far where the API reads them; the report has them whether that succeeds or not."""
    with contextlib.suppress(StageRefused, task.TaskFailedError):
        yield from call(record.ctx, "record_findings", outcome.record_input())


def approval(record: StageRecord, run: Run) -> Steps:
    """Wait for the go before the target is written, if the request asks for it."""
    if run.request.approval:
        deadline = record.now() + timedelta(minutes=run.request.approval_timeout_minutes)
        yield from asked(record, "approval", "write", deadline)


def asked(record: StageRecord, stage: str, name: str, deadline: datetime) -> Steps:
    """Wait at a gate; returns who approved, raises `StageFailed` if nobody did."""
    gate = Gate.model_validate({"name": name, "asked_at": record.now(), "answers_by": deadline})
    opened = record.wait(stage, gate)
    # The event is named by its gate: a second approval of this gate, which waits in the mailbox, never opens the next.
    gate = yield from _decided(record, gate, {"approved": record.ctx.wait_for_external_event(gate.approval)}, "expired")
    if gate.decision == "approved":
        record.close(opened, "done", note=f"approved by {record.progress.gates[-1].who}")
        return gate.who
    finding = _stopped(stage, gate, written=record.progress.target_written_at is not None)
    record.close(opened, "failed", note=finding.code)
    raise StageFailed(stage, finding)


def _clock(record: StageRecord, stage: str, name: str, moment: datetime | None) -> Steps:
    """Wait for a moment, or for an abort."""
    if moment is None or moment <= record.now():
        return
    gate = Gate.model_validate({"name": name, "asked_at": record.now(), "answers_by": moment})
    opened = record.wait(stage, gate)
    gate = yield from _decided(record, gate, {}, "opened")
    if gate.decision == "opened":
        record.close(opened, "done")
        return
    finding = _stopped(stage, gate)
    record.close(opened, "failed", note=finding.code)
    raise StageFailed(stage, finding)


def _decided(
    record: StageRecord, gate: Gate, events: dict[str, task.CancellableTask[Any]], when_time_is_up: str
) -> Steps:
    """Wait for whichever comes first: an event, an abort, or the time; keep and return the gate with its decision."""
    answers = {
        **events,
        "aborted": record.ctx.wait_for_external_event("abort"),
        when_time_is_up: record.ctx.create_timer(gate.answers_by),
    }
    decision = yield from race(answers)
    update = {"decision": decision, "decided_at": record.now()}
    if decision != when_time_is_up:
        said = Said.model_validate(answers[decision].get_result() or {})
        update |= {"decided_by": said.by, "signed_in": said.signed_in, "comment": said.comment}
    gate = gate.model_copy(update=update)
    record.decided(gate)
    return gate


def _stopped(stage: str, gate: Gate, *, written: bool = False) -> Finding:
    state = "The target holds the data, and the app was not started." if written else UNTOUCHED
    if gate.decision == "aborted":
        when = "after the target was written" if written else "before the target was written"
        return Finding(
            code="ABORTED", severity="error", object=stage,
            message=f"aborted by {gate.who} {when}. {gate.comment or ''}".strip(),
            remedy=f"{state} Start a new migration when ready.",
        )  # fmt: skip
    return Finding(
        code="APPROVAL_EXPIRED", severity="error", object=stage,
        message=f"expected an approval by {gate.answers_by.isoformat()}, found none.",
        remedy=f"{state} Start a new migration, and approve it in time.",
    )  # fmt: skip


def _late(answer: Payload, end: datetime, severity: str) -> Finding:
    return Finding.model_validate(
        {
            "code": "WINDOW_TOO_SHORT",
            "severity": severity,
            "object": "window",
            "message": f"expected everything to be verified by {end.isoformat()}, found {_found(answer)}.",
            "remedy": f"{UNTOUCHED} Agree on a longer window, or rehearse to know the duration better."
            if severity == "error"
            else "Tell those who wait, or abort before the target is written.",
        }
    )


def _found(answer: Payload) -> str:
    if not answer["basis"]:
        return f"that the window was over at {answer['ends_at']}, and nothing tells how long the rest takes"
    return f"that it will take until {answer['ends_at']} (reckoned from {answer['basis']})"
