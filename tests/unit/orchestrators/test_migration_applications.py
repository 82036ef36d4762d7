"""The source app and the target app around a migration."""

from datetime import timedelta

import pytest

from orchestrators import applications
from shared.contracts import Run, StageState
from shared.reporting.applications import sentences
from tests.unit.orchestrators.migrationhub import (
    LATE,
    RUN_ID,
    app_of,
    ended,
    finding,
    in_the_cloud,
    names_of,
    started,
    wait_until_waiting,
    window,
)

PAGE = {"http": [{"name": "home", "url": "https://app.example.org/"}]}


def test_the_app_is_stopped_before_the_target_is_written_and_started_when_all_is_verified(hub, doubles):
    doubles.answers["command_app"] = app_of("running", "stopped", "stopped", "running")
    started(hub, stop_target_app=True, start_target_app="yes", smoke=PAGE)
    summary = ended(hub)
    names = [name for name, _ in names_of(summary)]
    assert names.index("app-stop") < names.index("scale")
    assert names.index("reconcile") < names.index("app-start") < names.index("smoke")
    assert doubles.calls.count("command_app") == 4


def test_an_app_without_an_adapter_is_stopped_and_started_by_people(hub, doubles):
    started(hub, stop_target_app=True, start_target_app="yes", smoke=PAGE)
    wait_until_waiting(hub, "stop-app")
    assert "create_schema" not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, "approve-stop-app", data={"by": "kim"})
    wait_until_waiting(hub, "start-app")
    assert "smoke_tests" not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, "approve-start-app", data={"by": "lee"})
    assert ended(hub)["verdict"] == "verified"
    assert "smoke_tests" in doubles.calls


OTHERS = {"findings": [finding("TARGET_IN_USE", count=3, choices=["accept"])]}


@pytest.fixture
def quick(monkeypatch):
    """Looks at the app and at the database come at once, and patience is short."""
    monkeypatch.setattr(applications, "LOOK_EVERY", timedelta(milliseconds=50))
    monkeypatch.setattr(applications, "SESSIONS_LEAVE", timedelta(milliseconds=200))


@pytest.mark.usefixtures("quick")
def test_every_look_at_an_app_that_stops_is_a_call_of_its_own(hub, doubles):
    states, looks = ["running", "running", "changing", "changing", "stopped"], []

    def commanded(payload):
        looks.append((payload["command"], payload["look"]))
        return app_of(states[min(len(looks), len(states)) - 1])[0]

    doubles.answers["command_app"] = commanded
    started(hub, stop_target_app=True)
    assert ended(hub)["verdict"] == "verified"
    assert looks == [("look", 0), ("stop", 0), ("look", 1), ("look", 2), ("look", 3)]


@pytest.mark.usefixtures("quick")
def test_the_target_is_written_only_when_nobody_else_is_on_its_database(hub, doubles):
    doubles.answers["look_for_sessions"] = [OTHERS, OTHERS, {"findings": []}]
    started(hub)
    summary = ended(hub)
    assert summary["verdict"] == "verified"
    names = names_of(summary)
    assert names.index(("sessions", "done")) < names.index(("scale", "done"))
    assert doubles.calls.count("look_for_sessions") == 3


@pytest.mark.usefixtures("quick")
def test_sessions_that_stay_refuse_the_run_before_the_target_is_written_and_the_app_runs_again(hub, doubles):
    doubles.answers["look_for_sessions"] = OTHERS
    doubles.answers["command_app"] = app_of("running", "stopped")
    started(hub, stop_target_app=True)
    summary = ended(hub)
    assert (summary["verdict"], summary["reason"][:25]) == ("refused", "sessions: [TARGET_IN_USE]")
    assert "The target was not written." in summary["reason"]
    assert not {"scale_for_load", "create_schema", "copy_files", "empty_container"} & set(doubles.calls)
    assert ("app-restart", "done") in names_of(summary)


def test_sessions_that_the_request_accepts_keep_nobody_waiting(hub, doubles):
    doubles.answers["look_for_sessions"] = {"findings": [finding("TARGET_IN_USE", "warning", chosen="accept")]}
    started(hub)
    summary = ended(hub)
    assert summary["verdict"] == "verified"
    assert "sessions" not in [name for name, _ in names_of(summary)]
    assert [one["code"] for one in doubles.reports[-1]["findings"]] == ["TARGET_IN_USE"]


def test_a_rehearsal_drops_its_target_whoever_is_on_it(hub, doubles):
    doubles.answers["look_for_sessions"] = OTHERS
    started(hub, options={"purpose": "rehearsal"})
    assert ended(hub)["verdict"] == "verified"


@pytest.mark.usefixtures("quick")
def test_a_target_app_that_was_stopped_for_nothing_runs_again(hub, doubles):
    doubles.answers["command_app"] = app_of("running", "stopped")
    doubles.answers["forecast_end"] = [{}, {}, {}, {}, LATE]
    doubles.answers["leave_app"] = app_of("changing")[0]
    doubles.answers["look_at_app"] = app_of("changing", "running")
    started(hub, stop_target_app=True, window=window("stop"))
    summary = ended(hub)
    assert summary["verdict"] == "refused"
    names = names_of(summary)
    assert names.index(("app-stop", "done")) < names.index(("app-restart", "done")) < names.index(("report", "done"))
    assert doubles.reports[-1]["target_written_at"] is None


def test_a_target_app_that_does_not_start_again_is_a_warning_and_the_run_is_cleaned_up(hub, doubles):
    doubles.answers["command_app"] = app_of("running", "stopped")
    doubles.answers["scale_for_load"] = {"refused": finding("ARM_REFUSED")}
    doubles.answers["leave_app"] = {"refused": finding("APP_REFUSED")}
    started(hub, stop_target_app=True)
    assert ended(hub)["verdict"] == "refused"
    found = {one["code"]: one["severity"] for one in doubles.reports[-1]["findings"]}
    assert found == {"ARM_REFUSED": "error", "APP_REFUSED": "warning"}
    assert "clean_up" in doubles.calls


def test_a_target_app_that_was_stopped_before_stays_stopped(hub, doubles):
    doubles.answers["command_app"] = app_of("stopped")
    doubles.answers["scale_for_load"] = {"refused": finding("ARM_REFUSED")}
    started(hub, stop_target_app=True)
    assert ended(hub)["verdict"] == "refused"
    assert "leave_app" not in doubles.calls


def test_an_app_that_people_stopped_for_nothing_is_said_to_be_stopped(hub, doubles):
    doubles.answers["scale_for_load"] = {"refused": finding("ARM_REFUSED")}
    started(hub, stop_target_app=True)
    wait_until_waiting(hub, "stop-app")
    hub.raise_orchestration_event(RUN_ID, "approve-stop-app", data={"by": "kim"})
    assert ended(hub)["verdict"] == "refused"
    assert "TARGET_APP_STOPPED" in [one["code"] for one in doubles.reports[-1]["findings"]]
    assert "leave_app" not in doubles.calls


def test_an_app_that_people_were_asked_to_stop_and_may_have_stopped_is_said_too(hub, doubles):
    started(hub, stop_target_app=True)
    wait_until_waiting(hub, "stop-app")
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "kim"})
    assert ended(hub)["verdict"] == "aborted"
    [found] = [one for one in doubles.reports[-1]["findings"] if one["code"] == "TARGET_APP_STOPPED"]
    assert found["message"].endswith("found that people were asked to stop it, and nobody said whether they did.")
    assert found["remedy"].startswith("See whether it runs")


def test_nobody_starts_the_app_again_on_a_target_that_was_written(hub, doubles):
    doubles.answers["command_app"] = app_of("running", "stopped")
    doubles.answers["copy_rows"] = {"refused": finding("ROW_REFUSED")}
    started(hub, stop_target_app=True)
    assert ended(hub)["verdict"] == "failed"
    assert "leave_app" not in doubles.calls


@pytest.mark.parametrize(("purpose", "left"), [("rehearsal", True), ("cutover", False)])
def test_the_app_that_a_rehearsal_started_does_not_stay_up_on_its_data(hub, doubles, purpose, left):
    doubles.answers["command_app"] = app_of("stopped", "running")
    doubles.answers["leave_app"] = app_of("stopped")[0]
    started(hub, start_target_app="yes", options={"purpose": purpose})
    summary = ended(hub)
    assert summary["verdict"] == "verified"
    assert (("app-end", "done") in names_of(summary)) == left
    assert doubles.calls.count("leave_app") == left


@pytest.mark.usefixtures("quick")
def test_an_app_is_waited_for_as_long_as_its_profile_says(hub, doubles):
    doubles.answers["command_app"] = [
        {"state": one, "manual": False, "patience_seconds": 1} for one in ("running", "changing")
    ]
    started(hub, stop_target_app=True)
    summary = ended(hub)
    assert "[APP_DID_NOT_FOLLOW]" in summary["reason"]
    assert "within 0:00:01, found it changing" in summary["reason"]


def test_nobody_starts_an_app_on_data_that_is_not_verified(hub, doubles):
    doubles.answers["verify_rows"] = {
        "checks": [{"name": "rows", "outcome": "failed", "how": "counted"}],
        "findings": [],
    }
    doubles.answers["command_app"] = app_of("stopped", "running")
    started(hub, start_target_app="yes", smoke=PAGE)
    summary = ended(hub)
    assert summary["verdict"] == "failed"
    assert ("app-start", "skipped") in names_of(summary)
    assert not {"command_app", "smoke_tests"} & set(doubles.calls)


def test_a_no_at_the_start_gate_ends_aborted_and_says_that_the_data_is_there(hub, doubles):
    started(hub, start_target_app="ask", smoke=PAGE)
    wait_until_waiting(hub, "start-app")
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "kim"})
    summary = ended(hub)
    assert summary["verdict"] == "aborted"
    assert "after the target was written" in summary["reason"]
    [found] = [one for one in doubles.reports[-1]["findings"] if one["code"] == "ABORTED"]
    assert "The target holds the data" in found["remedy"]


def test_smoke_checks_are_tried_again_while_the_app_starts(hub, doubles):
    failed, passed = (
        {"findings": [], "checks": [{"name": "smoke: home", "outcome": one, "how": "GET"}]}
        for one in ("failed", "passed")
    )
    doubles.answers["smoke_tests"] = [failed, passed]
    started(hub, smoke=PAGE | {"retry_seconds": 2})
    assert ended(hub)["verdict"] == "verified"
    assert doubles.calls.count("smoke_tests") == 2


def test_where_the_app_refused_the_sign_in_the_looks_go_on_for_the_other_checks_only(hub, doubles):
    def answer(home):
        invoice = {"name": "smoke: invoice", "outcome": "failed", "how": "GET", "detail": "refused"}
        page = {"name": "smoke: home", "outcome": home, "how": "GET"}
        return {"findings": [], "checks": [page, invoice], "sign_in_refused": True}

    doubles.answers["smoke_tests"] = [answer("failed"), answer("passed")]
    [home] = PAGE["http"]
    invoice = {"name": "invoice", "url": home["url"], "signed_in": True}
    started(hub, smoke={"http": [home, invoice], "retry_seconds": 600})
    assert ended(hub)["verdict"] == "failed"
    assert doubles.calls.count("smoke_tests") == 2


def test_without_a_retry_a_failed_smoke_check_fails_the_run_at_once(hub, doubles):
    doubles.answers["smoke_tests"] = {
        "findings": [],
        "checks": [{"name": "smoke: home", "outcome": "failed", "how": "GET"}],
    }
    started(hub, smoke=PAGE)
    assert ended(hub)["verdict"] == "failed"
    assert doubles.calls.count("smoke_tests") == 1


def test_a_run_that_does_not_end_verified_starts_the_source_app_again_before_anything_else(hub, doubles):
    doubles.answers["copy_rows"] = {"refused": finding("ROW_REFUSED")}
    started(hub, source=in_the_cloud())
    summary = ended(hub)
    assert summary["verdict"] == "failed"
    assert ("source-start", "done") in names_of(summary)
    assert doubles.calls.index("start_source") < doubles.calls.index("take_stock")
    assert doubles.reports[-1]["answers"]["source-start"]["note"] == "the source app runs again"


def test_a_start_that_an_older_version_answered_without_its_outcome_is_read_as_started(hub, doubles):
    doubles.answers["start_source"] = {"state": "done", "seconds": 0, "note": "the source app runs again"}
    started(hub, source=in_the_cloud(start_app_again="always"))
    summary = ended(hub)
    assert (summary["verdict"], ("source-start", "done") in names_of(summary)) == ("verified", True)


def test_a_source_app_that_this_run_has_not_stopped_is_left_and_does_not_keep_the_target_app_stopped(hub, doubles):
    doubles.answers["start_source"] = {"state": "done", "seconds": 0, "note": "", "outcome": "not-ours"}
    doubles.answers["command_app"] = app_of("stopped", "running")
    started(hub, source=in_the_cloud(start_app_again="always"), start_target_app="yes")
    summary = ended(hub)
    assert ("app-start", "done") in names_of(summary)
    assert [one for one in names_of(summary) if one[0] == "source-start"] == [("source-start", "skipped")]
    run, stages = Run.model_validate(doubles.reports[-1]["run"]), summary["stages"]
    said = sentences(run, [StageState.model_validate(one) for one in stages], doubles.reports[-1]["answers"])
    assert said[0] == "Source app: not stopped by this run, which left it as it was."


def test_an_abort_starts_the_source_app_again(hub, doubles):
    started(hub, source=in_the_cloud(), approval=True)
    wait_until_waiting(hub)
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "kim"})
    assert ended(hub)["verdict"] == "aborted"
    assert "start_source" in doubles.calls


def test_after_a_verified_cut_over_the_source_app_stays_stopped(hub, doubles):
    started(hub, source=in_the_cloud())
    assert ended(hub)["verdict"] == "verified"
    assert "start_source" not in doubles.calls


def test_never_means_never(hub, doubles):
    doubles.answers["copy_rows"] = {"refused": finding("ROW_REFUSED")}
    started(hub, source=in_the_cloud(start_app_again="never"))
    assert ended(hub)["verdict"] == "failed"
    assert "start_source" not in doubles.calls


def test_a_run_that_ends_before_it_stopped_the_source_app_does_not_start_it(hub, doubles):
    doubles.answers["preflight"] = {"findings": [finding("NO_RIGHTS")]}
    started(hub, source=in_the_cloud())
    assert ended(hub)["verdict"] == "refused"
    assert "start_source" not in doubles.calls


def test_a_rehearsal_starts_the_source_app_as_soon_as_the_snapshot_is_taken(hub, doubles):
    started(hub, source=in_the_cloud(), options={"purpose": "rehearsal"})
    summary = ended(hub)
    assert summary["verdict"] == "verified"
    names = [name for name, _ in names_of(summary)]
    assert names.index("snapshot") < names.index("source-start") < names.index("restore")
    assert doubles.calls.count("start_source") == 1


def test_the_source_app_is_never_started_beside_a_target_app_that_went_live(hub, doubles):
    doubles.answers["command_app"] = app_of("stopped", "running", "running")
    doubles.answers["smoke_tests"] = {
        "findings": [], "checks": [{"name": "smoke: home", "outcome": "failed", "how": "GET"}],
    }  # fmt: skip
    started(hub, source=in_the_cloud(), start_target_app="yes", smoke=PAGE | {"retry_seconds": 0})
    summary = ended(hub)
    assert summary["verdict"] == "failed"
    assert ("source-start", "skipped") in names_of(summary)
    assert "start_source" not in doubles.calls
    [found] = [one for one in doubles.reports[-1]["findings"] if one["code"] == "SOURCE_APP_NOT_STARTED"]
    assert (found["severity"], "stop the target app" in found["remedy"]) == ("error", True)


def test_a_target_app_that_somebody_else_started_keeps_the_source_app_stopped_too(hub, doubles):
    doubles.answers["copy_rows"] = {"refused": finding("ROW_REFUSED")}
    doubles.answers["look_at_app"] = {"state": "running", "manual": False, "patience_seconds": 900}
    started(hub, source=in_the_cloud())
    assert ("source-start", "skipped") in names_of(ended(hub))
    assert "start_source" not in doubles.calls


def test_a_source_app_that_was_started_again_keeps_the_target_app_stopped(hub, doubles):
    started(hub, source=in_the_cloud(start_app_again="always"), start_target_app="yes", smoke=PAGE)
    summary = ended(hub)
    assert ("app-start", "skipped") in names_of(summary)
    assert "command_app" not in doubles.calls
    assert "APP_NOT_STARTED" in [one["code"] for one in doubles.reports[-1]["findings"]]


def test_a_source_app_that_does_not_start_is_an_error_that_the_report_has(hub, doubles):
    doubles.answers["copy_rows"] = {"refused": finding("ROW_REFUSED")}
    doubles.answers["start_source"] = {"refused": finding("MENDIX_START_FAILED", remedy="Start it in the portal.")}
    started(hub, source=in_the_cloud())
    summary = ended(hub)
    assert "ROW_REFUSED" in summary["reason"]
    assert ("source-start", "failed") in names_of(summary)
    [found] = [one for one in doubles.reports[-1]["findings"] if one["code"] == "MENDIX_START_FAILED"]
    assert (found["severity"], found["remedy"]) == ("error", "Start it in the portal.")
    assert doubles.calls[-1] == "write_report"
