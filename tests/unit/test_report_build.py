"""How a report is built: checks that the run did not come to, what it was asked for, how long it took without the waits."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts import Gate, Run, StageState
from shared.reporting.build import Known, build
from shared.reporting.html import page
from shared.reporting.model import Report
from shared.request import MigrationRequest
from tests.fixtures import reports

SMOKE = {"http": [{"name": "home", "url": "https://app.example.org/"}], "runtime": True}


def report(
    stages: list[StageState],
    answers: dict[str, dict[str, Any]] | None = None,
    gates: Sequence[Gate] = (),
    **request: Any,
) -> Report:
    """The report of a run that came so far."""
    wanted = {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo"} | request
    run = Run(id=reports.verified().id, request=MigrationRequest.model_validate(wanted), created_at=reports.START)
    known = Known(
        run=run, verdict="refused", reason="preflight: [X] y: z", stages=stages, gates=list(gates), target_written_at=None,
        snapshot=None, restore=None, answers=answers or {}, checks=[], findings=[], reported_at=reports.START, tables=[],
    )  # fmt: skip
    return build(known)


def test_waiting_is_no_part_of_how_long_a_run_took() -> None:
    asked, hours = reports.START - timedelta(hours=9), timedelta(hours=9)
    scheduled = StageState(name="scheduled", state="done", started_at=asked, ended_at=reports.START)
    gates = [
        Gate(name="start", asked_at=asked, answers_by=reports.START, decision="opened", decided_at=reports.START),
        *reports.verified().gates,
    ]
    found = report([scheduled, *reports.stages()], gates=gates)
    assert (found.seconds, found.waited_seconds) == (171.0 - 24.0, hours.total_seconds() + 24.0)
    assert "2 min 27 s</dd><dd>17 stages; 9 h 00 min of waiting not counted" in page(found)


def not_done(found: Report) -> dict[str, str]:
    assert {one.outcome for one in found.checks} <= {"skipped"}
    assert all(one.how for one in found.checks)
    return {one.name: one.detail for one in found.checks}


def test_a_refused_run_lists_every_check_that_it_did_not_come_to() -> None:
    found = report(reports.stages("preflight", "failed"), smoke=SMOKE)
    assert not_done(found) == dict.fromkeys(
        [
            "row counts", "column aggregates", "row hash", "snapshot archive: whole",
            "files: one blob of the right size each", "files: MD5", "smoke: home", "smoke: runtime",
        ],
        "The run ended before it.",
    )  # fmt: skip
    text = page(found)
    assert "Every check that the run knows of was done" not in text
    assert "None were done: the app on the target was not tried" in text
    assert text.index("Not checked") < text.index("files: MD5")


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("postgres", {"row counts", "row contents", "sequences", "keys and indexes"}),
        ("runtime", {"row counts", "row hash", "object ids", "AutoNumbers", "what a started app changes"}),
    ],
)
def test_each_target_mode_has_checks_of_its_own(mode: str, names: set[str]) -> None:
    found = report(reports.stages("preflight", "failed"), options={"target_mode": mode})
    assert not_done(found).keys() >= names


def test_what_was_answered_is_not_said_to_be_missing_and_a_stage_that_broke_or_was_left_out_says_so() -> None:
    skipped = StageState(name="smoke", state="skipped", started_at=reports.START, note="the app was not started")
    stages = [*reports.stages("verify", "failed"), skipped]
    found = not_done(report(stages, {"files-verify": {}}, smoke=SMOKE))
    assert found["row hash"] == "The stage “Verify rows” did not come to its end."
    assert found["smoke: home"] == "Left out: the app was not started."
    assert not [name for name in found if name.startswith("files")]


def test_the_report_says_what_was_asked_for() -> None:
    options = {
        "purpose": "rehearsal", "verify": ["counts", "sample"], "max_rejects": 1500, "remedies": {"UNIQUE_NULLS": "filtered-index"},
        "masks": [{"table": "crm$customer", "column": "email", "how": "email"}],
    }  # fmt: skip
    found = report(reports.stages(), options=options, target_not_empty="drop", confirm="demo")
    text = page(found)
    for name, words in {
        "Levels of verification": "counts, sample", "Rows that the target may refuse": "up to 1,500", "Remedies": "UNIQUE_NULLS: filtered-index",
        "Masked columns": "crm$customer.email (email)", "If the target holds something": "it is dropped, as was confirmed",
    }.items():  # fmt: skip
        assert found.asked[name] == words
        assert f"<dt>{name}</dt><dd>{words}</dd>" in text
