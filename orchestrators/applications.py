"""The target app around the migration: stopped before its database is written, started when everything is verified.

Waiting is done here, with durable timers; the activity only looks and asks.
"""

from datetime import datetime, timedelta

from orchestrators.calling import Payload, StageRefused, Steps, call
from orchestrators.gates import asked
from orchestrators.outcome import Outcome
from orchestrators.sourceapp import runs_again
from orchestrators.stages import Book, StageFailed, aside, stage
from shared.contracts import Run
from shared.errors import Finding

LOOK_EVERY = timedelta(seconds=10)
PATIENCE = 90  # looks: a quarter of an hour, for a runtime that synchronises a large model
RETRY_SMOKE = timedelta(seconds=15)


def app_stopped(book: Book, run: Run) -> Steps:
    """Stop the target app and wait until it is; where people do it, ask them to and wait for their word."""
    if not run.request.stop_target_app:
        return
    if (yield from aside("app-stop", _commanded(book, run, "look")))["manual"]:
        yield from asked(book, "app-stop", "stop-app", _deadline(book, run))
    else:
        yield from stage(book, "app-stop", _until(book, run, "stop", "stopped"))


def app_started(book: Book, run: Run, outcome: Outcome) -> Steps:
    """Start the target app, after a go if the request wants one; returns whether smoke tests make sense."""
    wanted = run.request.start_target_app
    if wanted == "no":
        return True
    if outcome.troubles():
        book.skip("app-start", "not everything is verified")
        return False
    if runs_again(book) and run.request.options.purpose == "cutover":
        book.skip("app-start", "the source app was started again")
        outcome.findings.append(_source_is_live())
        return False
    manual = (yield from aside("app-start", _commanded(book, run, "look")))["manual"]
    if wanted == "ask" or manual:
        try:
            yield from asked(book, "start-gate", "start-app", _deadline(book, run))
        except StageFailed as failed:
            if failed.finding.code == "ABORTED":
                raise
            outcome.findings.append(_not_started(failed.finding))
            return False
    if not manual:
        yield from stage(book, "app-start", _until(book, run, "start", "running"))
    return True


def smoke_tested(book: Book, run: Run) -> Steps:
    """Do the smoke checks; again while one fails, for as long as the request gives the app to start."""
    work = {"run": run.model_dump(mode="json")}
    until = book.now() + timedelta(seconds=run.request.smoke.retry_seconds)
    answer = yield from call(book.ctx, "smoke_tests", work)
    while book.now() < until and any(one["outcome"] == "failed" for one in answer["checks"]):
        yield book.ctx.create_timer(min(until, book.now() + RETRY_SMOKE))
        answer = yield from call(book.ctx, "smoke_tests", work)
    return answer


def _commanded(book: Book, run: Run, command: str) -> Steps:
    return (yield from call(book.ctx, "command_app", {"run": run.model_dump(mode="json"), "command": command}))


def _until(book: Book, run: Run, command: str, wanted: str) -> Steps:
    """Ask once, look until the app does what was asked; `StageRefused` when it never does."""
    answer: Payload = yield from _commanded(book, run, command)
    for _ in range(PATIENCE):
        if answer["state"] == wanted:
            return answer
        yield book.ctx.create_timer(book.now() + LOOK_EVERY)
        answer = yield from _commanded(book, run, "look")
    raise StageRefused(_did_not_follow(run, wanted, answer["state"]))


def _deadline(book: Book, run: Run) -> datetime:
    return book.now() + timedelta(minutes=run.request.approval_timeout_minutes)


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


def _did_not_follow(run: Run, wanted: str, state: str) -> Finding:
    return Finding(
        code="APP_DID_NOT_FOLLOW", severity="error", object=run.request.target,
        message=f"expected the target app to be {wanted} within {LOOK_EVERY * PATIENCE}, found it {state}.",
        remedy="Look at the app's own log; stop or start it by hand, then start a new migration.",
    )  # fmt: skip
