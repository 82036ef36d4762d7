"""An abort that was accepted when the run had its outcome, in the report that is written after it."""

from typing import Any

import pytest

from activities.heeding import heed_abort
from activities.report import write_report
from shared import runs
from shared.contracts import Said
from shared.reporting.model import Report

RUN = {
    "id": "20261128t200000-abc123", "created_at": "2026-11-28T20:00:00Z",
    "request": {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo"},
}  # fmt: skip


def reported(verdict: str, stages: tuple[dict[str, Any], ...] = ()) -> Report:
    work: dict[str, Any] = {
        "run": RUN,
        "verdict": verdict,
        "stages": list(stages),
        "reported_at": "2026-11-28T21:00:00Z",
    }
    for _ in range(2):  # before the clean-up and after it
        answer = write_report(None, work)
        assert "refused" not in answer
    stored = runs.read(f"runs/{RUN['id']}/report.json")
    assert stored is not None
    return Report.model_validate_json(stored)


@pytest.mark.usefixtures("api_settings")
def test_an_abort_that_came_too_late_is_in_the_report_with_who_and_when() -> None:
    runs.ask_to_abort(str(RUN["id"]), Said(by="kim", comment="wrong snapshot"))
    asked = runs.asked_to_abort(str(RUN["id"]))
    assert asked is not None
    [found] = reported("verified").findings
    assert (found.code, found.severity) == ("ABORT_TOO_LATE", "warning")
    assert f"kim (as stated) asked for at {asked.at:%Y-%m-%d %H:%M:%S} UTC" in found.message
    assert found.message.endswith("wrong snapshot")
    assert [one.code for one in runs.findings(str(RUN["id"]))] == ["ABORT_TOO_LATE"]


@pytest.mark.usefixtures("api_settings")
def test_a_run_that_ended_by_its_abort_or_was_never_asked_to_says_nothing_of_lateness() -> None:
    assert reported("verified").findings == []
    assert "refused" not in heed_abort(None, {"run": RUN})
    runs.ask_to_abort(str(RUN["id"]), Said(by="kim"))
    assert heed_abort(None, {"run": RUN})["refused"]["code"] == "ABORTED"
    assert reported("aborted").findings == []


@pytest.mark.usefixtures("api_settings")
@pytest.mark.parametrize(("note", "told"), [("ABORTED", []), ("SOURCE_FAILED", ["ABORT_TOO_LATE"])])
def test_an_abort_that_has_ended_one_side_is_not_said_to_have_stopped_nothing(note: str, told: list[str]) -> None:
    runs.ask_to_abort(str(RUN["id"]), Said(by="kim"))
    moment = "2026-11-28T20:30:00Z"
    stage = {"name": "files", "state": "failed", "note": note, "started_at": moment, "ended_at": moment}
    assert [one.code for one in reported("failed", (stage,)).findings] == told


@pytest.mark.usefixtures("api_settings")
def test_an_abort_that_an_older_version_kept_without_its_time_is_heeded_and_reported() -> None:
    runs.write(f"runs/{RUN['id']}/abort.json", b'{"by": "kim", "comment": "", "signed_in": false}', "application/json")
    assert heed_abort(None, {"run": RUN})["refused"]["code"] == "ABORTED"
    [found] = reported("verified").findings
    assert "kim (as stated) asked for in this run: the run ended verified" in found.message
