"""An abort in the middle of the load, and the approval gate over HTTP: what the report says of the target is so."""

from datetime import UTC, datetime

import httpx

from tests.e2e.stand import Stand
from tests.e2e.truth import held, tells_the_truth


def test_a_run_aborted_while_rows_are_loaded_says_what_the_target_holds(running: Stand) -> None:
    before = held(running)
    run = running.start(drop=True)
    running.wait(run, lambda seen: any(one.name == "copy" and one.state == "running" for one in seen.stages))
    running.api.decide(run, "abort", "Ada")
    running.end(run)
    report = running.report(run)
    assert report.verdict == "aborted", report.reason
    assert report.target_written_at is not None
    tells_the_truth(running, report, before)
    page = running.api.report(run, "text/html").decode()
    assert "Do not start the app on it." in page


def test_after_it_an_approved_run_ends_verified_and_names_who_approved(running: Stand) -> None:
    before = held(running)
    run = running.start(drop=True, approval=True)
    seen = running.wait(run, lambda one: one.status == "waiting")
    assert seen.progress.gate is not None
    assert (seen.progress.gate.name, seen.progress.gate.decision) == ("write", None)
    assert held(running) == before
    running.api.decide(run, "approve", "Ada Fischer", "go")
    running.end(run)
    report = running.report(run)
    assert report.verdict == "verified", report.reason
    assert running.differences() == []
    [gate] = report.gates
    assert (gate.decision, gate.decided_by, gate.comment) == ("approved", "Ada Fischer", "go")
    again = httpx.post(
        f"{running.stack.url}/api/migrations/{run}/approve", json={"by": "Ada"},
        headers={"x-functions-key": running.stack.function_key},
    )  # fmt: skip
    assert (again.status_code, again.json()["code"]) == (409, "ALREADY_OVER")


def test_a_run_that_nobody_approves_expires_and_leaves_the_target(running: Stand) -> None:
    before = held(running)
    run = running.start(drop=True, approval=True, approval_timeout_minutes=1)
    seen = running.wait(run, lambda one: one.status == "waiting")
    assert seen.progress.gate is not None
    assert 0 < (seen.progress.gate.answers_by - datetime.now(UTC)).total_seconds() <= 60
    running.end(run)
    report = running.report(run)
    assert report.verdict == "refused"
    assert report.reason.startswith("approval: [APPROVAL_EXPIRED] approval: expected an approval by ")
    assert [gate.decision for gate in report.gates] == ["expired"]
    tells_the_truth(running, report, before)


def test_a_run_aborted_at_the_gate_leaves_the_target(running: Stand) -> None:
    before = held(running)
    run = running.start(drop=True, approval=True)
    running.wait(run, lambda one: one.status == "waiting")
    running.api.decide(run, "abort", "Ada", "not tonight")
    running.end(run)
    report = running.report(run)
    assert report.verdict == "aborted"
    assert "aborted by Ada (as stated) before the target was written. not tonight" in report.reason
    assert report.target_written_at is None
    tells_the_truth(running, report, before)
