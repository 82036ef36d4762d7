"""The source app, which a run may have stopped for its snapshot: started again where the request says so.

It gives the users their app back, so it is the first of the closing stages. It is never done beside a target app that went
live, or users would work in two systems with different data. (The throw-away target of a rehearsal is not live.)
"""

from datetime import timedelta

from durabletask import task

from orchestrators.calling import Payload, StageRefused, Steps, call
from orchestrators.cloud import waiting
from orchestrators.outcome import Outcome
from orchestrators.stages import StageFailed, StageRecord, child_stage
from orchestrators.stagestatus import StageStatus
from shared.contracts import Run
from shared.errors import Finding

PATIENCE = timedelta(minutes=30)
LOOK_EVERY = timedelta(seconds=15)
STAGE = "source-start"
HAND_OVER = "hand-over"
"""The stage of target mode `runtime` in which the target app runs to copy its source."""
NOT_OURS = "this run has not stopped it. See whether it runs: its users were told that it is stopped"
TWO_SYSTEMS = (
    "the target app was started, and two live systems would take two different days' work. Decide which of the two goes on "
    "before anybody starts the other"
)
"""Why the source app is not started: the note of the skipped stage, shown as it stands."""


def start_source(ctx: task.OrchestrationContext, payload: Payload) -> Steps:
    """Start the source app and wait until it runs. Input: `RunWork`; output: `Step`; refuses after half an hour."""
    until = ctx.current_utc_datetime + PATIENCE
    status = StageStatus(ctx, STAGE)
    answer = yield from call(ctx, "start_source_app", payload)
    while answer["state"] != "done":
        if ctx.current_utc_datetime >= until:
            raise StageRefused(_did_not_start(Run.model_validate(payload["run"]), answer["note"]))
        status.show(note=answer["note"])
        wait = min(timedelta(seconds=answer["seconds"] or LOOK_EVERY.total_seconds()), PATIENCE)
        yield ctx.create_timer(ctx.current_utc_datetime + wait)
        answer = yield from call(ctx, "start_source_app", waiting(payload, answer))
    return answer


def after_snapshot(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Start the source app as soon as the snapshot is taken, where the request says `always`."""
    if run.request.start_source_again == "always":
        yield from _started(record, run, outcome)


def at_the_end(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Start the source app where the verdict asks for it, if it was stopped and does not run again yet."""
    policy = run.request.start_source_again
    if policy is None or not _seen(record, "snapshot") or any(one.name == STAGE for one in record.progress.stages):
        return
    if policy == "never" or (policy == "unless-verified" and outcome.verdict == "verified"):
        return
    if (yield from _target_is_live(record, run, outcome)):
        record.skip(STAGE, TWO_SYSTEMS)
        outcome.findings.append(_two_systems(run))
        return
    yield from _started(record, run, outcome)


def handed_over(record: StageRecord) -> bool:
    """Tell whether the target app was started to copy its source: the clean-up stops it, where it has an adapter."""
    return _seen(record, HAND_OVER)


def runs_again(record: StageRecord) -> bool:
    """Tell whether this run has started the source app."""
    return _seen(record, STAGE)


def _started(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """A source app that does not start is an error of its own, whatever becomes of the migration."""
    try:
        answer = yield from child_stage(record, STAGE, "start_source", {"run": run.model_dump(mode="json")})
    except StageFailed as failed:
        outcome.findings.append(failed.finding)
    else:
        outcome.answered(STAGE, answer)
        if answer.get("outcome") == "not-ours":  # 0.1.0 did not say
            record.leave(STAGE, NOT_OURS)
        else:
            record.note(STAGE, answer["note"])


def _target_is_live(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Tell whether the target app is up on what this run has written."""
    if not outcome.target_written or run.request.options.purpose == "rehearsal":
        return False
    if _seen(record, "app-start") or any(
        one.name == "start-app" and one.decision == "approved" for one in record.gates
    ):
        return True
    try:
        answer = yield from call(record.ctx, "look_at_app", {"run": run.model_dump(mode="json")})
    except (StageRefused, task.TaskFailedError):
        # Not started for users by this run; an app that cannot be asked must not keep the users out of the source.
        return handed_over(record)
    return answer["state"] in ("running", "changing") or (answer["manual"] and handed_over(record))


def _seen(record: StageRecord, name: str) -> bool:
    return any(one.name == name and one.state != "skipped" for one in record.progress.stages)


def _did_not_start(run: Run, note: str) -> Finding:
    return Finding(
        code="SOURCE_APP_DID_NOT_START", severity="error", object=_about(run),
        message=f"expected the source app to run within {PATIENCE}, found: {note or 'no answer'}.",
        remedy="Start it in the Mendix portal; nothing in it has changed.",
    )  # fmt: skip


def _two_systems(run: Run) -> Finding:
    return Finding(
        code="SOURCE_APP_NOT_STARTED", severity="error", object=_about(run),
        message="expected the target app to be stopped, found it started on the migrated data: the source app was left "
        "stopped, so that nobody works in two systems.",
        remedy="Decide which one goes on. To go back: stop the target app, decide what of the work done there is kept, "
        "then start the source app in the Mendix portal.",
    )  # fmt: skip


def _about(run: Run) -> str:
    return f"source app of {getattr(run.request.source, 'profile', '?')}"
