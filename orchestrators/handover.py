"""Target mode `runtime`: the temporary database is made ready, and the Mendix runtime copies it while we watch.

The wait is a gate of the side that fills the database (`started`): people give the app its settings, start it, and say
when it has started. Where the app's adapter does that, the wait ends when the app runs and everything is there. The
files are copied meanwhile.
"""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from durabletask import task

from orchestrators.calling import Payload, StageRefused, Steps, call, fan_out
from orchestrators.restore import whole_database
from orchestrators.stages import StageFailed, StageRecord, finding_of
from orchestrators.stagestatus import StageStatus
from shared.contracts import Counts, Gate, Run, Said, StageState
from shared.errors import Finding

STAGE = "hand-over"
GATE = "started"
AT_ONCE = 4  # tables settled at the same time; a small Flexible Server has 2 to 4 cores
EARLY = "Approved before everything was there: wait until it is, or approve once more to go on all the same."
SOONEST, LATEST = timedelta(seconds=5), timedelta(minutes=5)
LOOKS = 25
"""A look after each 25th of the time that has gone by: some 170 looks in a day, so that the history stays short."""


def prepare_source(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Stage `prepare`: values are settled, then keys and indexes are made. Input: `RestoredWork`; output: `Findings`."""
    planned = yield from call(ctx, "plan_settling", payload)
    status = StageStatus(ctx, "prepare", total=Counts(tables=planned["tables"]), note="values")
    totals = {"deleted": 0, "changed": 0, "rounded": 0}

    def settled(answer: Payload) -> None:
        for name in totals:
            totals[name] += answer[name]
        status.add(Counts(tables=answer["tables"]))

    works = [payload | {"group": number} for number in range(planned["groups"])]
    yield from fan_out(ctx, "settle_tables", works, AT_ONCE, settled)
    status.show(note="keys and indexes")
    yield from whole_database(ctx, payload, status)
    return {"tables": planned["tables"], "findings": [one.model_dump(mode="json") for one in _settled(totals)]}


def handed_over(record: StageRecord, run: Run, work: Payload) -> Steps:
    """Stage `hand-over`: hand over, and wait until the runtime has copied and started. `StageFailed` if it does not."""
    deadline = record.now() + timedelta(minutes=run.request.approval_timeout_minutes)
    try:
        if run.request.options.hand_over == "adapter":
            return (yield from _by_adapter(record, run, work, deadline))
        return (yield from _by_people(record, work, deadline))
    except StageRefused as refused:
        raise _failed(record, refused.finding) from None
    except task.TaskFailedError as failed:
        raise _failed(record, finding_of(STAGE, failed)) from None


def _by_adapter(record: StageRecord, run: Run, work: Payload, deadline: datetime) -> Steps:
    """The adapter sets the settings and starts the app; done when it runs and nothing more comes."""
    watch = _Watch(record, record.open(STAGE))
    yield from call(record.ctx, "hand_over_settings", work | {"until": deadline.isoformat()})
    yield from call(record.ctx, "command_app", {"run": run.model_dump(mode="json"), "command": "start"})
    before: Payload = {}
    while record.now() < deadline:
        seen = yield from watch.look(work)
        if seen["app"] == "running" and seen["complete"] and seen == before:
            return watch.close("the app runs")
        before = seen
        yield record.ctx.create_timer(min(deadline, record.now() + watch.pause()))
    raise _failed(record, _too_late(deadline, watch))


def _by_people(record: StageRecord, work: Payload, deadline: datetime) -> Steps:
    """Wait at the gate, and meanwhile look how far the runtime has come."""
    gate = Gate(name=GATE, asked_at=record.now(), answers_by=deadline)
    watch = _Watch(record, record.wait(STAGE, gate))
    aborted = record.ctx.wait_for_external_event("abort")
    said = record.ctx.wait_for_external_event(gate.approval)
    insisted = False
    while True:
        yield from watch.look(work)
        looking = record.ctx.create_timer(min(deadline, record.now() + watch.pause()))
        yield task.when_any([said, aborted, looking])
        if aborted.is_complete:
            looking.cancel()
            raise _failed(record, _decided(record, gate, "aborted", aborted))
        if said.is_complete:
            looking.cancel()
            yield from watch.look(work)
            if watch.complete or insisted:
                decided = _decided(record, gate, "approved", said)
                return watch.close(decided.message)
            # Approved before everything is there: comparing now would fail a run of hours. A second approval is accepted.
            insisted = True
            gate = gate.model_copy(update={"comment": EARLY})
            record.decided(gate)  # the gate stays open and is asked again
            said = record.ctx.wait_for_external_event(gate.approval)
            record.publish()
        elif record.now() >= deadline:
            record.decided(gate.model_copy(update={"decision": "expired", "decided_at": record.now()}))
            raise _failed(record, _too_late(deadline, watch))


class _Watch:
    """What was seen of the runtime's work, shown as the numbers of the stage."""

    def __init__(self, record: StageRecord, opened: StageState) -> None:
        self.record = record
        self.opened = opened
        self.seen: Payload = {}
        self.first: tuple[datetime, int] | None = None
        self.looks = itertools.count()

    @property
    def complete(self) -> bool:
        """Whether all tables and rows seem to be there."""
        return bool(self.seen.get("complete"))

    def look(self, work: Payload) -> Steps:
        """Look, publish what is seen, and return it."""
        seen: Payload = yield from call(self.record.ctx, "watch_runtime", work | {"look": next(self.looks)})
        self.seen = seen
        if seen["rows"] and self.first is None:
            self.first = (self.record.now(), seen["rows"])
        self._show(
            {
                "done": Counts(tables=seen["tables"], rows=seen["rows"]),
                "total": Counts(tables=seen["expected_tables"], rows=seen["expected_rows"]),
                "note": " ".join(part for part in (self.words(), self._expected()) if part),
            }
        )
        return seen

    def words(self) -> str:
        """Return how far the runtime is, as a sentence."""
        if not self.seen or not self.seen["tables"]:
            return "The runtime has made no table yet."
        seen = self.seen
        return (
            f"{seen['tables']:,} of {seen['expected_tables']:,} tables, "
            f"{seen['rows']:,} of {seen['expected_rows']:,} rows are on the target."
        )

    def pause(self) -> timedelta:
        """Return how long to wait until the next look."""
        return min(LATEST, max(SOONEST, (self.record.now() - self.opened.started_at) / LOOKS))

    def close(self, how: str) -> Payload:
        """End the stage, and return what was seen last."""
        self.record.close(self.opened, "done", self.seen, note=f"{how}; {self.words()}")
        return {"tables": self.seen["tables"], "rows": self.seen["rows"]}

    def _expected(self) -> str:
        """Return when the rows will be there, at the rate since the first ones were seen."""
        if self.first is None or self.complete:
            return ""
        at, rows = self.first
        seconds, come = (self.record.now() - at).total_seconds(), self.seen["rows"] - rows
        if seconds < SOONEST.total_seconds() or come <= 0:
            return ""
        left = timedelta(seconds=seconds * (self.seen["expected_rows"] - self.seen["rows"]) / come)
        return f"At this rate until {self.record.now() + left:%H:%M} UTC."

    def _show(self, update: dict[str, Any]) -> None:
        stages = self.record.progress.stages
        shown = self.opened.model_copy(update=update)
        stages[next(at for at, one in enumerate(stages) if one is self.opened)] = shown
        self.opened = shown
        self.record.publish()


def _decided(record: StageRecord, gate: Gate, decision: str, event: task.CancellableTask[Any]) -> Finding:
    """Keep the decision; return it as a finding, with which an abort ends the stage."""
    said = Said.model_validate(event.get_result() or {})
    update = {
        "decision": decision,
        "decided_by": said.by,
        "signed_in": said.signed_in,
        "decided_at": record.now(),
        "comment": said.comment,
    }
    record.decided(gate.model_copy(update=update))
    if decision == "approved":
        return Finding(code="STARTED", severity="info", object=STAGE, message=f"approved by {said.who}")
    return Finding(
        code="ABORTED", severity="error", object=STAGE,
        message=f"aborted by {said.who} while the runtime had the source to copy. {said.comment}".strip(),
        remedy="Stop the app and take its SourceDatabase settings away: the login ends now, and the target is incomplete.",
    )  # fmt: skip


def _failed(record: StageRecord, finding: Finding) -> StageFailed:
    opened = next(one for one in record.progress.stages if one.name == STAGE)
    record.close(opened, "failed", note=finding.code)
    return StageFailed(STAGE, finding)


def _too_late(deadline: datetime, watch: _Watch) -> Finding:
    return Finding(
        code="RUNTIME_NOT_STARTED", severity="error", object=STAGE,
        message=f"expected the app to have copied the source and started by {deadline.isoformat()}, found no word of it. "
        f"{watch.words()}",
        remedy="Stop the app, read its log, take the settings away; then start again with an empty target and a longer "
        "approval_timeout_minutes.",
    )  # fmt: skip


def _settled(totals: dict[str, int]) -> list[Finding]:
    """Return what was done to the temporary database, for the report."""
    words: dict[str, tuple[str, Callable[[int], str]]] = {
        "deleted": ("SOURCE_ROWS_LEFT_OUT", lambda n: f"{n:,} rows that are not carried over were taken out of it."),
        "changed": ("SOURCE_VALUES_CHANGED", lambda n: f"{n:,} rows got the values that remedies or masks ask for."),
        "rounded": ("TIMESTAMPS_ROUNDED", lambda n: f"{n:,} rows had timestamps finer than the milliseconds that "
                    "datetime2(3) keeps; they were rounded half up."),
    }  # fmt: skip
    return [
        Finding(
            code=words[name][0], severity="info", object="temporary database", count=count,
            message=words[name][1](count) + " The snapshot is as it was.",
        )
        for name, count in totals.items()
        if count
    ]  # fmt: skip
