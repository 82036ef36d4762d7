"""The target app around the migration: stopped before its database is written, started when everything is verified.

Waiting is done here, with durable timers; the activities only look and ask. At the end the app is left as it should be: one
that was stopped for a target that was not written runs again, and a rehearsal's app does not stay up on its data.
"""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

from orchestrators.calling import Payload, StageRefused, Steps, call
from orchestrators.gates import asked
from orchestrators.outcome import Outcome
from orchestrators.sourceapp import runs_again
from orchestrators.stages import StageFailed, StageRecord, aside, stage
from shared.contracts import Run
from shared.errors import Finding
from shared.request import DocumentCheck, HttpCheck

LOOK_EVERY = timedelta(seconds=10)
MOST_LOOKS = 90
"""Looks at an app while it stops or starts: with more patience they come less often, so the history stays short."""
SESSIONS_LEAVE = timedelta(minutes=2)
"""Time for the sessions of a stopped app to end; a server notices a broken connection within seconds."""
RETRY_SMOKE = timedelta(seconds=15)


def app_stopped(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Stop the target app and wait until it has stopped; where people do it, ask them and wait for their answer."""
    if not run.request.stop_target_app:
        return
    seen = yield from aside("app-stop", _commanded(record, run, "look"))
    if seen["manual"]:
        outcome.app_stopped_by = "perhaps people"  # people may do it without answering
        yield from asked(record, "app-stop", "stop-app", _deadline(record, run))
        outcome.app_stopped_by = "people"
        return
    if seen["state"] != "stopped":
        outcome.app_stopped_by = "this run"
    yield from stage(record, "app-stop", _commanded_until(record, run, "stop", "stopped"))


def target_free(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Make sure that nobody else is on the target database when it is written; give sessions a little time to leave.

    It is a stage only where somebody is there, and not done in a rehearsal: its throw-away target is dropped unasked.
    """
    if run.request.options.purpose == "rehearsal":
        return
    found = yield from aside("sessions", _sessions(record, run))
    if _open(found):
        found = yield from stage(record, "sessions", _until_free(record, run, found))
    outcome.answered("sessions", found)


def app_started(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Start the target app, after a go if the request wants one; returns whether smoke tests make sense."""
    wanted = run.request.start_target_app
    if wanted == "no":
        return True
    if outcome.troubles():
        record.skip("app-start", "not everything is verified")
        return False
    if runs_again(record) and run.request.options.purpose == "cutover":
        record.skip("app-start", "the source app was started again")
        outcome.findings.append(_source_is_live())
        return False
    manual = (yield from aside("app-start", _commanded(record, run, "look")))["manual"]
    if wanted == "ask" or manual:
        try:
            yield from asked(record, "start-gate", "start-app", _deadline(record, run))
        except StageFailed as failed:
            if failed.finding.code == "ABORTED":
                raise
            outcome.findings.append(_not_started(failed.finding))
            return False
    if not manual:
        yield from stage(record, "app-start", _commanded_until(record, run, "start", "running"))
    return True


def app_left(record: StageRecord, run: Run, outcome: Outcome) -> Steps:
    """Leave the target app as it should be at the end of the run; if that fails, a warning says so."""
    if outcome.app_stopped_by and not outcome.target_written:
        if outcome.app_stopped_by != "this run":
            outcome.findings.append(_still_stopped(run, sure=outcome.app_stopped_by == "people"))
            return
        name, command, wanted = "app-restart", "start", "running"
    elif run.request.options.purpose == "rehearsal" and _started_here(record, run):
        name, command, wanted = "app-end", "stop", "stopped"
    else:
        return
    work = {"run": run.model_dump(mode="json")}
    asking = call(record.ctx, "leave_app", work | {"command": command})
    try:
        yield from stage(
            record, name, _until(record, run, asking, lambda _: call(record.ctx, "look_at_app", work), wanted)
        )
    except StageFailed as failed:
        outcome.findings.append(failed.finding.model_copy(update={"severity": "warning"}))


def smoke_tested(record: StageRecord, run: Run) -> Steps:
    """Do the smoke checks; again while one fails, for as long as the request gives the app to start.

    Where the app refused the sign-in, no look is for the sake of a check that needs it: nobody is signed in again.
    """
    work = {"run": run.model_dump(mode="json")}
    until = record.now() + timedelta(seconds=run.request.smoke_patience_seconds)
    looks = itertools.count()
    answer = yield from call(record.ctx, "smoke_tests", work | {"look": next(looks)})
    while record.now() < until and _may_pass(run, answer):
        yield record.ctx.create_timer(min(until, record.now() + RETRY_SMOKE))
        answer = yield from call(record.ctx, "smoke_tests", work | {"look": next(looks)})
    return answer


def _may_pass(run: Run, answer: Payload) -> bool:
    """Tell whether a check has failed that may pass at another look."""
    failed = {one["name"] for one in answer["checks"] if one["outcome"] == "failed"}
    if answer.get("sign_in_refused"):
        checks: list[HttpCheck | DocumentCheck] = [*run.request.smoke.http, *run.request.smoke.documents]
        failed -= {f"smoke: {one.name}" for one in checks if one.signed_in}
    return bool(failed)


def _commanded(record: StageRecord, run: Run, command: str, look: int = 0) -> Steps:
    work = {"run": run.model_dump(mode="json"), "command": command, "look": look}
    return (yield from call(record.ctx, "command_app", work))


def _commanded_until(record: StageRecord, run: Run, command: str, wanted: str) -> Steps:
    asking = _commanded(record, run, command)
    return (yield from _until(record, run, asking, lambda look: _commanded(record, run, "look", look), wanted))


def _until(record: StageRecord, run: Run, asking: Steps, look: Callable[[int], Steps], wanted: str) -> Steps:
    """Ask once, look until the app does what was asked; `StageRefused` when it does not within its patience."""
    answer: Payload = yield from asking
    patience = timedelta(seconds=answer["patience_seconds"])
    until = record.now() + patience
    looks = itertools.count(1)
    while answer["state"] != wanted:
        if record.now() >= until:
            raise StageRefused(_did_not_follow(run, wanted, answer["state"], patience))
        yield record.ctx.create_timer(min(until, record.now() + max(LOOK_EVERY, patience / MOST_LOOKS)))
        answer = yield from look(next(looks))
    return answer


def _started_here(record: StageRecord, run: Run) -> bool:
    """Tell whether this run has asked an adapter to start the app, for its users or to copy its source."""
    begun = {one.name for one in record.progress.stages if one.state != "skipped"}
    return "app-start" in begun or ("hand-over" in begun and run.request.options.hand_over == "adapter")


def _sessions(record: StageRecord, run: Run) -> Steps:
    return (yield from call(record.ctx, "look_for_sessions", {"run": run.model_dump(mode="json")}))


def _open(found: Payload) -> list[Finding]:
    """Return the sessions that the request does not accept."""
    return [one for one in map(Finding.model_validate, found["findings"]) if one.chosen is None]


def _until_free(record: StageRecord, run: Run, found: Payload) -> Steps:
    """Look until nobody else is there; `StageRefused` TARGET_IN_USE when somebody stays."""
    until = record.now() + SESSIONS_LEAVE
    while others := _open(found):
        if record.now() >= until:
            message = f"{others[0].message} The run waited {SESSIONS_LEAVE} for them to go. The target was not written."
            raise StageRefused(others[0].model_copy(update={"message": message}))
        yield record.ctx.create_timer(min(until, record.now() + LOOK_EVERY))
        found = yield from _sessions(record, run)
    return found


def _deadline(record: StageRecord, run: Run) -> datetime:
    return record.now() + timedelta(minutes=run.request.approval_timeout_minutes)


def _source_is_live() -> Finding:
    return Finding(
        code="APP_NOT_STARTED", severity="warning", object="target app",
        message="expected the source app to stay stopped, found it started again by this run: the target app was left "
        "stopped, so that nobody works in two systems.",
        remedy='For a cut-over ask for "start_app_again": "unless-verified".',
    )  # fmt: skip


def _not_started(expired: Finding) -> Finding:
    return Finding(
        code="APP_NOT_STARTED", severity="warning", object="target app", message=expired.message,
        remedy="The data is on the target. Start the app by hand when ready, and try it.",
    )  # fmt: skip


def _still_stopped(run: Run, *, sure: bool) -> Finding:
    found = "have stopped it for this run" if sure else "were asked to stop it, and nobody said whether they did"
    return Finding.warning(
        "TARGET_APP_STOPPED", run.request.target,
        f"expected the target app to run as before, since the target was not written, found that people {found}.",
        "See whether it runs, and start it by hand if it should; the data on the target is as it was.",
    )  # fmt: skip


def _did_not_follow(run: Run, wanted: str, state: str, patience: timedelta) -> Finding:
    return Finding(
        code="APP_DID_NOT_FOLLOW", severity="error", object=run.request.target,
        message=f"expected the target app to be {wanted} within {patience}, found it {state}.",
        remedy="Look at the app's own log; stop or start it by hand, then start a new migration. An app that needs longer: "
        "TARGET__<NAME>__APP__PATIENCE_MINUTES.",
    )  # fmt: skip
