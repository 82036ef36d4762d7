"""The migration orchestrator, driven by durabletask's own worker and in-memory back end.

The activities and stage orchestrators here are doubles that answer what the test says; the real ones have tests of
their own. The back end is durabletask's test double of an engine.
"""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from durabletask import task
from durabletask.client import TaskHubGrpcClient
from durabletask.testing import create_test_backend
from durabletask.worker import TaskHubGrpcWorker

from orchestrators import applications, calling, sides
from orchestrators.calling import answering
from orchestrators.migration import migrate
from orchestrators.sides import migrate_database, migrate_files
from shared.contracts import Run
from shared.request import MigrationRequest

RUN_ID = "20261128t200000-abc123"
SNAPSHOT = {"kind": "full", "archive_blob": "a", "archive_bytes": 1, "files": 2, "file_bytes": 20,
            "dump": {"blob": "t", "offset": 0, "size": 1, "format": "1.14", "compression": "gzip",
                     "server_version": "15.1", "dump_version": "15.1"}}  # fmt: skip
PASSED = {"checks": [{"name": "rows", "outcome": "passed", "how": "counted"}], "findings": []}


def finding(code="BAD", severity="error", **more):
    return {"code": code, "severity": severity, "object": "x", "message": "expected a, found b.", **more}


class Doubles:
    """Answers of activities and stage orchestrators by name, and what was called in which order."""

    def __init__(self):
        self.calls = []
        self.reports = []
        self.answers = {
            "open_environment": {}, "scale_for_load": {}, "close_environment": {},
            "preflight": {"findings": []}, "record_findings": {"blob": "b"},
            "take_snapshot": SNAPSHOT,
            "restore_database": {"database": "run_x", "tables": 1, "rows": 5, "bytes": 50, "server_version": 150000},
            "plan_database": {"findings": [], "tables": 1, "rows": 5, "bytes": 50, "ddl_blob": "d"},
            "inspect_data": {"findings": []}, "forecast_end": {}, "command_app": {"state": "unknown", "manual": True, "patience_seconds": 0},
            "look_for_sessions": {"findings": []}, "create_schema": {"findings": []},
            "copy_rows": {"tables": 1, "chunks": 1, "rows": 5, "bytes": 50, "tables_blob": "t"},
            "finish_schema": {"findings": []}, "verify_rows": PASSED,
            "empty_container": {"files": 3, "more": False},
            "copy_files": {"files": 2, "bytes": 20}, "verify_files": PASSED, "end_other_side": {"blob": "b"},
            "reconcile_files": {"findings": []}, "smoke_tests": {"findings": [], "checks": []},
            "start_source": {"state": "done", "seconds": 0, "note": "the source app runs again", "snapshot": None, "archive": None},
            "look_at_app": {"state": "stopped", "manual": False, "patience_seconds": 900},
            "leave_app": {"state": "running", "manual": False, "patience_seconds": 900},
            "take_stock": {"tables": 1, "rows": 3, "holding": {"a$b": 3}, "files": 1, "bytes": 9}, "write_report": {"blob": "r"}, "clean_up": {"done": ["staging deleted"], "findings": []},
        }  # fmt: skip

    def answer(self, name, payload):
        self.calls.append(name)
        if name == "write_report":
            self.reports.append(payload)
        found = self.answers[name]
        if isinstance(found, list):  # one answer after the other; the last one stays
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, Exception):
            raise found
        return found(payload) if callable(found) else found


STAGES = ("open_environment", "scale_for_load", "close_environment",
          "take_snapshot", "restore_database", "inspect_data", "copy_rows", "finish_schema", "verify_rows",
          "copy_files", "verify_files", "start_source")  # fmt: skip


def named(name, function):
    function.__name__ = name
    return function


@pytest.fixture
def doubles():
    return Doubles()


@pytest.fixture
def hub(doubles):
    backend = create_test_backend(port=_free_port())
    address = f"localhost:{backend._port}"
    with TaskHubGrpcWorker(host_address=address) as worker:
        worker.add_orchestrator(migrate)
        worker.add_orchestrator(answering(migrate_database))
        worker.add_orchestrator(answering(migrate_files))
        for name in doubles.answers:
            if name in STAGES:
                worker.add_activity(named(f"do_{name}", lambda _c, p, name=name: doubles.answer(name, p)))
                worker.add_orchestrator(answering(named(name, _stage(f"do_{name}"))))
            else:
                worker.add_activity(named(name, lambda _c, p, name=name: doubles.answer(name, p)))
        worker.start()
        client = TaskHubGrpcClient(host_address=address)
        yield client
        client.close()
    backend.stop()


def _stage(activity):
    def orchestrate(ctx, payload):
        return (yield ctx.call_activity(activity, input=payload))

    return orchestrate


def _free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(hub, **more):
    request = MigrationRequest.model_validate(
        {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo", **more}
    )
    run = Run(id=RUN_ID, request=request, created_at=datetime(2026, 11, 28, 20, 0, tzinfo=UTC))
    hub.schedule_new_orchestration("migrate", input=run.model_dump(mode="json"), instance_id=RUN_ID)


def ended(hub):
    state = hub.wait_for_orchestration_completion(RUN_ID, timeout=60)
    assert state.runtime_status.name == "COMPLETED", state.failure_details
    return state.get_output()


def test_a_run_without_trouble_ends_verified_with_every_stage_done(hub, doubles):
    started(hub)
    summary = ended(hub)
    assert summary["verdict"] == "verified", summary
    names = [(one["name"], one["state"]) for one in summary["stages"]]
    assert names == [
        ("environment", "done"), ("preflight", "done"), ("snapshot", "done"), ("restore", "done"), ("plan", "done"), ("inspect", "done"),
        ("scale", "done"), ("schema", "done"), ("copy", "done"), ("finish", "done"), ("verify", "done"),
        ("files", "done"), ("files-verify", "done"), ("reconcile", "done"), ("smoke", "skipped"),
        ("report", "done"), ("clean-up", "done"), ("stand-down", "done"),
    ]  # fmt: skip
    assert doubles.calls[-1] == "write_report"
    assert doubles.reports[-1]["answers"]["clean-up"]["done"] == ["staging deleted"]


def test_findings_of_preflight_stop_the_run_before_the_snapshot_is_taken(hub, doubles):
    doubles.answers["preflight"] = {"findings": [finding("TARGET_NOT_EMPTY"), finding("NO_RIGHTS")]}
    started(hub)
    summary = ended(hub)
    assert summary["verdict"] == "refused"
    assert summary["findings"] == 2
    assert "take_snapshot" not in doubles.calls
    assert doubles.calls[-4:] == ["write_report", "clean_up", "close_environment", "write_report"]


@pytest.mark.parametrize("inspected", [[], [finding("UNIQUE_NULLS")]])
def test_errors_of_the_plan_stop_the_run_when_the_data_was_inspected_too(hub, doubles, inspected):
    doubles.answers["plan_database"] = doubles.answers["plan_database"] | {"findings": [finding("UNKNOWN_TYPE")]}
    doubles.answers["inspect_data"] = {"findings": inspected}
    started(hub)
    summary = ended(hub)
    assert (summary["verdict"], summary["findings"]) == ("refused", 1 + len(inspected))
    states = {one["name"]: one["state"] for one in summary["stages"]}
    assert (states["plan"], states["inspect"]) == ("failed", "failed" if inspected else "done")
    assert "create_schema" not in doubles.calls


def test_a_finding_whose_remedy_was_chosen_does_not_stop_the_run(hub, doubles):
    doubles.answers["inspect_data"] = {"findings": [finding("UNIQUE_NULLS", chosen="filtered-index")]}
    started(hub)
    assert ended(hub)["verdict"] == "verified"


def test_a_dry_run_never_writes_the_target(hub, doubles):
    started(hub, options={"dry_run": True})
    assert ended(hub)["verdict"] == "planned"
    assert not {"create_schema", "copy_rows", "copy_files"} & set(doubles.calls)
    assert doubles.reports[-1]["target_written_at"] is None


def test_the_container_is_emptied_before_files_come_only_when_the_request_says_drop(hub, doubles):
    started(hub, target_not_empty="drop", confirm="demo")
    assert ended(hub)["verdict"] == "verified"
    assert doubles.calls.index("empty_container") < doubles.calls.index("copy_files")


def test_a_container_that_does_not_get_empty_ends_the_run_and_not_the_history(hub, doubles, monkeypatch):
    monkeypatch.setattr(sides, "CALLS", 3)
    doubles.answers["empty_container"] = {"files": 50_000, "more": True}
    started(hub, target_not_empty="drop", confirm="demo")
    summary = ended(hub)
    assert summary["verdict"] == "failed"
    assert "CONTAINER_TOO_FULL" in summary["reason"]
    assert "150,000 files" in summary["reason"]
    assert doubles.calls.count("empty_container") == 3
    assert "copy_files" not in doubles.calls


def test_a_snapshot_of_another_model_version_is_refused(hub, doubles):
    doubles.answers["take_snapshot"] = SNAPSHOT | {"metadata": {"modelVersion": "1.0.0.39"}}
    started(hub, expected_model_version="1.0.0.40")
    summary = ended(hub)
    assert summary["verdict"] == "refused"
    assert "expected a snapshot of model version 1.0.0.40, found 1.0.0.39" in summary["reason"]
    assert "restore_database" not in doubles.calls


def test_names_that_the_archive_should_not_hold_are_a_warning_of_the_report(hub, doubles):
    doubles.answers["take_snapshot"] = SNAPSHOT | {
        "ignored_count": 3,
        "ignored": ["a", "b", "c"],
        "ignored_blob": "list",
    }
    started(hub)
    assert ended(hub)["verdict"] == "verified"
    [found] = doubles.reports[-1]["findings"]
    assert (found["code"], found["severity"], found["examples"]) == (
        "ARCHIVE_NAMES_IGNORED",
        "warning",
        ["a", "b", "c"],
    )
    assert "list in the reports container" in found["remedy"]


def test_nothing_is_emptied_unasked(hub, doubles):
    started(hub)
    ended(hub)
    assert "empty_container" not in doubles.calls


def test_a_refusal_deep_in_a_stage_keeps_its_remedy(hub, doubles):
    doubles.answers["copy_rows"] = {"refused": finding("ROW_REFUSED", remedy="Widen the column.")}
    doubles.answers["take_snapshot"] = SNAPSHOT
    started(hub)
    summary = ended(hub)
    assert summary["verdict"] == "failed"
    assert [one["remedy"] for one in doubles.reports[-1]["findings"]] == ["Widen the column."]
    assert "copy_files" in doubles.calls, "the other side ends before the report is written"
    assert "reconcile_files" not in doubles.calls


@pytest.mark.parametrize("stage", ["finish_schema", "verify_files"])
def test_what_was_moved_before_a_side_failed_is_in_the_report(hub, doubles, stage):
    doubles.answers[stage] = {"refused": finding("NO_RIGHT")}
    started(hub)
    assert ended(hub)["verdict"] == "failed"
    answers = doubles.reports[-1]["answers"]
    assert answers["copy"] == doubles.answers["copy_rows"]
    assert answers["files"] == doubles.answers["copy_files"]


def test_the_checks_that_were_done_before_a_side_failed_are_in_the_report(hub, doubles):
    doubles.answers["finish_schema"] = {"refused": finding("NO_RIGHT")}
    started(hub)
    ended(hub)
    assert [one["name"] for one in doubles.reports[-1]["checks"]] == ["rows"], "of the files"


@pytest.mark.parametrize(("fails", "goes_on"), [("copy_rows", "copy_files"), ("copy_files", "copy_rows")])
def test_when_one_side_fails_the_other_one_is_told_and_not_waited_for(hub, doubles, fails, goes_on):
    told = threading.Event()
    doubles.answers[fails] = {"refused": finding("NO_RIGHT")}
    doubles.answers["end_other_side"] = lambda payload: told.set() or {"blob": payload["code"]}
    doubles.answers[goes_on] = lambda _: {"refused": finding("OTHER_SIDE_FAILED")} if told.wait(30) else {}
    started(hub, source=in_the_cloud())
    summary = ended(hub)
    assert (summary["verdict"], "NO_RIGHT" in summary["reason"]) == ("failed", True)
    assert [one["code"] for one in doubles.reports[-1]["findings"]] == ["NO_RIGHT"]
    notes = {one["name"]: one["note"] for one in summary["stages"] if one["state"] == "failed"}
    assert notes == {"copy" if fails == "copy_rows" else "files": "NO_RIGHT",
                     "files" if fails == "copy_rows" else "copy": "OTHER_SIDE_FAILED"}  # fmt: skip


def test_two_sides_that_fail_each_for_its_own_reason_are_both_in_the_report(hub, doubles):
    doubles.answers["copy_rows"] = {"refused": finding("ROW_REFUSED")}
    doubles.answers["copy_files"] = {"refused": finding("BLOB_REFUSED")}
    started(hub)
    assert ended(hub)["verdict"] == "failed"
    assert {one["code"] for one in doubles.reports[-1]["findings"]} == {"ROW_REFUSED", "BLOB_REFUSED"}


def test_a_failed_check_makes_the_verdict_failed(hub, doubles):
    doubles.answers["verify_rows"] = {
        "findings": [], "checks": [{"name": "row hash", "outcome": "failed", "how": "hashed", "detail": "2 rows differ"}]
    }  # fmt: skip
    started(hub)
    summary = ended(hub)
    assert summary["verdict"] == "failed"
    assert "2 rows differ" in summary["reason"]


def test_without_any_check_nothing_is_called_verified(hub, doubles):
    doubles.answers["verify_rows"] = doubles.answers["verify_files"] = {"findings": [], "checks": []}
    started(hub)
    assert ended(hub)["verdict"] == "failed"


def test_the_target_is_written_only_after_the_approval(hub, doubles):
    started(hub, approval=True)
    _wait_until_waiting(hub)
    assert "create_schema" not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, "approve-write", data={"by": "kim", "signed_in": True})
    summary = ended(hub)
    assert summary["verdict"] == "verified"
    gate = doubles.reports[-1]["gates"][0]
    assert (gate["decided_by"], gate["signed_in"]) == ("kim", True)


def test_an_abort_at_the_gate_leaves_the_target_as_it_was(hub, doubles):
    started(hub, approval=True)
    _wait_until_waiting(hub)
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "kim", "comment": "not tonight"})
    summary = ended(hub)
    assert summary["verdict"] == "aborted"
    assert not {"create_schema", "copy_files"} & set(doubles.calls)
    assert doubles.reports[-1]["target_written_at"] is None


LATE = {"ends_at": "2026-11-28T23:40:00Z", "late_seconds": 2400.0, "basis": "the last rehearsal"}


def _window(policy):
    return {"end": "2099-11-28T23:00:00Z", "when_late": policy}


def test_a_window_that_is_too_short_stops_the_run_before_the_target_is_written(hub, doubles):
    doubles.answers["forecast_end"] = LATE
    started(hub, window=_window("stop"))
    summary = ended(hub)
    assert summary["verdict"] == "refused"
    assert "WINDOW_TOO_SHORT" in summary["reason"]
    assert "2026-11-28T23:40:00Z" in summary["reason"]
    assert not {"create_schema", "copy_files", "empty_container"} & set(doubles.calls)
    assert doubles.reports[-1]["target_written_at"] is None


def test_a_window_that_is_too_short_may_only_warn(hub, doubles):
    doubles.answers["forecast_end"] = LATE
    started(hub, window=_window("warn"))
    assert ended(hub)["verdict"] == "verified"
    found = [one for one in doubles.reports[-1]["findings"] if one["code"] == "WINDOW_TOO_SHORT"]
    assert [one["severity"] for one in found] == ["warning"]


def test_a_window_that_is_too_short_may_ask_and_go_on(hub, doubles):
    doubles.answers["forecast_end"] = [{}, LATE]
    started(hub, window=_window("ask"))
    _wait_until_waiting(hub)
    assert "create_schema" not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, "approve-late", data={"by": "kim"})
    assert ended(hub)["verdict"] == "verified"
    [found] = [one for one in doubles.reports[-1]["findings"] if one["code"] == "WINDOW_TOO_SHORT"]
    assert found["chosen"] == "go on, decided by kim (as stated)"


def test_a_no_at_the_question_of_lateness_leaves_the_target_as_it_was(hub, doubles):
    doubles.answers["forecast_end"] = [{}, LATE]
    started(hub, window=_window("ask"), approval=True)
    _wait_until_waiting(hub)
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "kim"})
    assert ended(hub)["verdict"] == "aborted"
    assert "create_schema" not in doubles.calls


def test_after_the_question_of_lateness_the_approval_is_asked_for_all_the_same(hub, doubles):
    doubles.answers["forecast_end"] = [{}, LATE]
    started(hub, window=_window("ask"), approval=True)
    _wait_until_waiting(hub)
    hub.raise_orchestration_event(RUN_ID, "approve-late", data={"by": "kim"})
    _wait_until_waiting(hub, "approval")
    assert "create_schema" not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "lee"})
    assert ended(hub)["verdict"] == "aborted"


def test_a_second_yes_to_one_gate_never_opens_the_next(hub, doubles):
    doubles.answers["forecast_end"] = [{}, LATE]
    started(hub, window=_window("ask"), approval=True)
    _wait_until_waiting(hub)
    for who in ("kim", "lee"):
        hub.raise_orchestration_event(RUN_ID, "approve-late", data={"by": who})
    _wait_until_waiting(hub, '"approval"')
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "kim"})
    assert ended(hub)["verdict"] == "aborted"
    assert "create_schema" not in doubles.calls


def test_the_report_has_every_gate_with_who_when_and_why(hub, doubles):
    doubles.answers["forecast_end"] = [{}, LATE]
    started(hub, window=_window("ask"), approval=True)
    _wait_until_waiting(hub)
    hub.raise_orchestration_event(RUN_ID, "approve-late", data={"by": "kim", "comment": "x" * 2000})
    _wait_until_waiting(hub, '"approval"')
    hub.raise_orchestration_event(RUN_ID, "approve-write", data={"by": "lee", "comment": "Go."})
    assert ended(hub)["verdict"] == "verified"
    gates = doubles.reports[-1]["gates"]
    assert [(one["name"], one["decision"], one["decided_by"]) for one in gates] == [
        ("late", "approved", "kim"), ("write", "approved", "lee"),
    ]  # fmt: skip
    assert gates[0]["comment"] == "x" * 2000
    assert gates[0]["asked_at"] <= gates[0]["decided_at"] <= gates[1]["asked_at"]
    state = hub.get_orchestration_state(RUN_ID)
    assert len(state.serialized_custom_status.encode("utf-16-le")) < 16 * 1024


LATER = LATE | {"ends_at": "2026-11-28T23:50:00Z", "late_seconds": 3000.0}


def test_a_run_that_will_be_late_is_stopped_while_the_users_are_still_at_work(hub, doubles):
    doubles.answers["forecast_end"] = LATE
    started(hub, source=in_the_cloud(), window=_window("stop"))
    summary = ended(hub)
    assert (summary["verdict"], summary["reason"][:24]) == ("refused", "late: [WINDOW_TOO_SHORT]")
    assert not {"take_snapshot", "start_source"} & set(doubles.calls)


def test_an_end_that_was_told_is_told_again_only_when_it_moves_out(hub, doubles):
    doubles.answers["forecast_end"] = [LATE, LATE | {"ends_at": "2026-11-28T23:44:00Z"}, LATER]
    started(hub, window=_window("warn"))
    assert ended(hub)["verdict"] == "verified"
    said = [one["message"] for one in doubles.reports[-1]["findings"] if one["code"] == "WINDOW_TOO_SHORT"]
    assert [("23:40:00" in one, "23:50:00" in one) for one in said] == [(True, False), (False, True)]


def test_a_yes_to_one_end_is_no_yes_to_a_later_one_and_each_place_has_its_own_gate(hub, doubles):
    doubles.answers["forecast_end"] = [LATE, LATE, LATER]
    started(hub, window=_window("ask"))
    _wait_until_waiting(hub, '"late-snapshot"')
    assert "take_snapshot" not in doubles.calls
    for who in ("kim", "lee"):
        hub.raise_orchestration_event(RUN_ID, "approve-late-snapshot", data={"by": who})
    _wait_until_waiting(hub, '"late-write"')
    assert "create_schema" not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, "approve-late-write", data={"by": "lee"})
    assert ended(hub)["verdict"] == "verified"
    gates = [(one["name"], one["decided_by"]) for one in doubles.reports[-1]["gates"]]
    assert [name for name, _ in gates] == ["late-snapshot", "late-write"]


def test_a_window_that_is_over_is_late_also_where_nothing_tells_how_long_the_rest_takes(hub, doubles):
    doubles.answers["forecast_end"] = {"ends_at": "2026-11-28T23:40:00Z", "late_seconds": 2400.0, "basis": ""}
    started(hub, window=_window("stop"))
    assert "found that the window was over at 2026-11-28T23:40:00Z" in ended(hub)["reason"]


def test_time_that_an_approval_takes_is_time_that_the_window_lacks(hub, doubles):
    doubles.answers["forecast_end"] = [{}, {}, LATE]
    started(hub, window=_window("stop"), approval=True)
    _wait_until_waiting(hub)
    hub.raise_orchestration_event(RUN_ID, "approve-write", data={"by": "kim"})
    summary = ended(hub)
    assert summary["verdict"] == "refused"
    assert "WINDOW_TOO_SHORT" in summary["reason"]
    assert not {"create_schema", "copy_files"} & set(doubles.calls)


def test_the_snapshot_is_taken_at_the_agreed_time_and_not_before(hub, doubles):
    at = datetime.now(UTC) + timedelta(seconds=2)
    started(hub, snapshot_at=at.isoformat())
    _wait_until_waiting(hub, "snapshot-time")
    assert "preflight" in doubles.calls
    assert "take_snapshot" not in doubles.calls
    assert ended(hub)["verdict"] == "verified"
    [gate] = doubles.reports[-1]["gates"]
    assert (gate["name"], gate["decision"]) == ("snapshot", "opened")
    assert datetime.fromisoformat(gate["decided_at"]) >= at


def _opening(seconds):
    return {"start": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(), "end": "2099-11-28T23:00:00Z"}


def test_a_run_that_waits_for_its_window_says_at_once_what_is_wrong_and_looks_again_when_it_opens(hub, doubles):
    mended = threading.Event()
    doubles.answers["preflight"] = [
        {"findings": [finding("TARGET_NOT_EMPTY")]},
        {"findings": [finding("B", "warning")]},
    ]
    doubles.answers["record_findings"] = lambda payload: mended.set() or {"blob": payload["findings"][0]["code"]}
    started(hub, window=_opening(3))
    _wait_until_waiting(hub, '"scheduled"')
    assert mended.is_set()
    assert doubles.calls == ["preflight", "record_findings"], "nothing is woken, and nothing is stopped"
    assert (
        "errors that stop the run unless they are mended: 1"
        in hub.get_orchestration_state(RUN_ID).serialized_custom_status
    )
    assert ended(hub)["verdict"] == "verified"
    assert doubles.calls.count("preflight") == 2
    assert [one["code"] for one in doubles.reports[-1]["findings"]] == ["B"]


def test_a_first_look_that_fails_keeps_no_run_from_its_window(hub, doubles):
    doubles.answers["preflight"] = [{"refused": finding("SETTINGS_INVALID")}, {"findings": []}]
    started(hub, window=_opening(2))
    assert ended(hub)["verdict"] == "verified"


def test_a_run_aborted_while_it_waits_for_its_window_has_opened_nothing(hub, doubles):
    doubles.answers["clean_up"] = lambda payload: {"done": [f"opened: {payload['opened']}"], "findings": []}
    started(hub, window=_opening(600))
    _wait_until_waiting(hub, '"scheduled"')
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "kim"})
    assert ended(hub)["verdict"] == "aborted"
    assert "open_environment" not in doubles.calls
    assert doubles.reports[-1]["answers"]["clean-up"]["done"] == ["opened: False"]


def test_a_run_that_was_awake_says_so_to_the_clean_up(hub, doubles):
    doubles.answers["clean_up"] = lambda payload: {"done": [f"opened: {payload['opened']}"], "findings": []}
    started(hub)
    ended(hub)
    assert doubles.reports[-1]["answers"]["clean-up"]["done"] == ["opened: True"]


def test_in_time_nothing_is_said(hub, doubles):
    doubles.answers["forecast_end"] = {"ends_at": "2026-11-28T22:40:00Z", "late_seconds": None, "basis": "x"}
    started(hub, window=_window("stop"))
    assert ended(hub)["verdict"] == "verified"
    assert doubles.reports[-1]["findings"] == []


PAGE = {"http": [{"name": "home", "url": "https://app.example.org/"}]}


def _app(*states):
    return [{"state": one, "manual": False, "patience_seconds": 900} for one in states]


def _names(summary):
    return [(one["name"], one["state"]) for one in summary["stages"]]


def test_the_app_is_stopped_before_the_target_is_written_and_started_when_all_is_verified(hub, doubles):
    doubles.answers["command_app"] = _app("running", "stopped", "stopped", "running")
    started(hub, stop_target_app=True, start_target_app="yes", smoke=PAGE)
    summary = ended(hub)
    names = [name for name, _ in _names(summary)]
    assert names.index("app-stop") < names.index("scale")
    assert names.index("reconcile") < names.index("app-start") < names.index("smoke")
    assert doubles.calls.count("command_app") == 4


def test_an_app_without_an_adapter_is_stopped_and_started_by_people(hub, doubles):
    started(hub, stop_target_app=True, start_target_app="yes", smoke=PAGE)
    _wait_until_waiting(hub, "stop-app")
    assert "create_schema" not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, "approve-stop-app", data={"by": "kim"})
    _wait_until_waiting(hub, "start-app")
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
def test_the_target_is_written_only_when_nobody_else_is_on_its_database(hub, doubles):
    doubles.answers["look_for_sessions"] = [OTHERS, OTHERS, {"findings": []}]
    started(hub)
    summary = ended(hub)
    assert summary["verdict"] == "verified"
    names = _names(summary)
    assert names.index(("sessions", "done")) < names.index(("scale", "done"))
    assert doubles.calls.count("look_for_sessions") == 3


@pytest.mark.usefixtures("quick")
def test_sessions_that_stay_refuse_the_run_before_the_target_is_written_and_the_app_runs_again(hub, doubles):
    doubles.answers["look_for_sessions"] = OTHERS
    doubles.answers["command_app"] = _app("running", "stopped")
    started(hub, stop_target_app=True)
    summary = ended(hub)
    assert (summary["verdict"], summary["reason"][:25]) == ("refused", "sessions: [TARGET_IN_USE]")
    assert "The target was not written." in summary["reason"]
    assert not {"scale_for_load", "create_schema", "copy_files", "empty_container"} & set(doubles.calls)
    assert ("app-restart", "done") in _names(summary)


def test_sessions_that_the_request_accepts_keep_nobody_waiting(hub, doubles):
    doubles.answers["look_for_sessions"] = {"findings": [finding("TARGET_IN_USE", "warning", chosen="accept")]}
    started(hub)
    summary = ended(hub)
    assert summary["verdict"] == "verified"
    assert "sessions" not in [name for name, _ in _names(summary)]
    assert [one["code"] for one in doubles.reports[-1]["findings"]] == ["TARGET_IN_USE"]


def test_a_rehearsal_drops_its_target_whoever_is_on_it(hub, doubles):
    doubles.answers["look_for_sessions"] = OTHERS
    started(hub, options={"purpose": "rehearsal"})
    assert ended(hub)["verdict"] == "verified"


@pytest.mark.usefixtures("quick")
def test_a_target_app_that_was_stopped_for_nothing_runs_again(hub, doubles):
    doubles.answers["command_app"] = _app("running", "stopped")
    doubles.answers["forecast_end"] = [{}, {}, LATE]
    doubles.answers["leave_app"] = _app("changing")[0]
    doubles.answers["look_at_app"] = _app("changing", "running")
    started(hub, stop_target_app=True, window=_window("stop"))
    summary = ended(hub)
    assert summary["verdict"] == "refused"
    names = _names(summary)
    assert names.index(("app-stop", "done")) < names.index(("app-restart", "done")) < names.index(("report", "done"))
    assert doubles.reports[-1]["target_written_at"] is None


def test_a_target_app_that_does_not_start_again_is_a_warning_and_the_run_is_cleaned_up(hub, doubles):
    doubles.answers["command_app"] = _app("running", "stopped")
    doubles.answers["scale_for_load"] = {"refused": finding("ARM_REFUSED")}
    doubles.answers["leave_app"] = {"refused": finding("APP_REFUSED")}
    started(hub, stop_target_app=True)
    assert ended(hub)["verdict"] == "refused"
    found = {one["code"]: one["severity"] for one in doubles.reports[-1]["findings"]}
    assert found == {"ARM_REFUSED": "error", "APP_REFUSED": "warning"}
    assert "clean_up" in doubles.calls


def test_a_target_app_that_was_stopped_before_stays_stopped(hub, doubles):
    doubles.answers["command_app"] = _app("stopped")
    doubles.answers["scale_for_load"] = {"refused": finding("ARM_REFUSED")}
    started(hub, stop_target_app=True)
    assert ended(hub)["verdict"] == "refused"
    assert "leave_app" not in doubles.calls


def test_an_app_that_people_stopped_for_nothing_is_said_to_be_stopped(hub, doubles):
    doubles.answers["scale_for_load"] = {"refused": finding("ARM_REFUSED")}
    started(hub, stop_target_app=True)
    _wait_until_waiting(hub, "stop-app")
    hub.raise_orchestration_event(RUN_ID, "approve-stop-app", data={"by": "kim"})
    assert ended(hub)["verdict"] == "refused"
    assert "TARGET_APP_STOPPED" in [one["code"] for one in doubles.reports[-1]["findings"]]
    assert "leave_app" not in doubles.calls


def test_nobody_starts_the_app_again_on_a_target_that_was_written(hub, doubles):
    doubles.answers["command_app"] = _app("running", "stopped")
    doubles.answers["copy_rows"] = {"refused": finding("ROW_REFUSED")}
    started(hub, stop_target_app=True)
    assert ended(hub)["verdict"] == "failed"
    assert "leave_app" not in doubles.calls


@pytest.mark.parametrize(("purpose", "left"), [("rehearsal", True), ("cutover", False)])
def test_the_app_that_a_rehearsal_started_does_not_stay_up_on_its_data(hub, doubles, purpose, left):
    doubles.answers["command_app"] = _app("stopped", "running")
    doubles.answers["leave_app"] = _app("stopped")[0]
    started(hub, start_target_app="yes", options={"purpose": purpose})
    summary = ended(hub)
    assert summary["verdict"] == "verified"
    assert (("app-end", "done") in _names(summary)) == left
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
    doubles.answers["command_app"] = _app("stopped", "running")
    started(hub, start_target_app="yes", smoke=PAGE)
    summary = ended(hub)
    assert summary["verdict"] == "failed"
    assert ("app-start", "skipped") in _names(summary)
    assert not {"command_app", "smoke_tests"} & set(doubles.calls)


def test_a_no_at_the_start_gate_ends_aborted_and_says_that_the_data_is_there(hub, doubles):
    started(hub, start_target_app="ask", smoke=PAGE)
    _wait_until_waiting(hub, "start-app")
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


def test_without_a_retry_a_failed_smoke_check_fails_the_run_at_once(hub, doubles):
    doubles.answers["smoke_tests"] = {
        "findings": [],
        "checks": [{"name": "smoke: home", "outcome": "failed", "how": "GET"}],
    }
    started(hub, smoke=PAGE)
    assert ended(hub)["verdict"] == "failed"
    assert doubles.calls.count("smoke_tests") == 1


def in_the_cloud(**more):
    return {"kind": "mendix-cloud", "profile": "live", "stop_app": True, **more}


def test_a_run_that_does_not_end_verified_starts_the_source_app_again_before_anything_else(hub, doubles):
    doubles.answers["copy_rows"] = {"refused": finding("ROW_REFUSED")}
    started(hub, source=in_the_cloud())
    summary = ended(hub)
    assert summary["verdict"] == "failed"
    assert ("source-start", "done") in _names(summary)
    assert doubles.calls.index("start_source") < doubles.calls.index("take_stock")
    assert doubles.reports[-1]["answers"]["source-start"]["note"] == "the source app runs again"


def test_an_abort_starts_the_source_app_again(hub, doubles):
    started(hub, source=in_the_cloud(), approval=True)
    _wait_until_waiting(hub)
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
    names = [name for name, _ in _names(summary)]
    assert names.index("snapshot") < names.index("source-start") < names.index("restore")
    assert doubles.calls.count("start_source") == 1


def test_the_source_app_is_never_started_beside_a_target_app_that_went_live(hub, doubles):
    doubles.answers["command_app"] = _app("stopped", "running", "running")
    doubles.answers["smoke_tests"] = {
        "findings": [], "checks": [{"name": "smoke: home", "outcome": "failed", "how": "GET"}],
    }  # fmt: skip
    started(hub, source=in_the_cloud(), start_target_app="yes", smoke=PAGE | {"retry_seconds": 0})
    summary = ended(hub)
    assert summary["verdict"] == "failed"
    assert ("source-start", "skipped") in _names(summary)
    assert "start_source" not in doubles.calls
    [found] = [one for one in doubles.reports[-1]["findings"] if one["code"] == "SOURCE_APP_NOT_STARTED"]
    assert (found["severity"], "stop the target app" in found["remedy"]) == ("error", True)


def test_a_target_app_that_somebody_else_started_keeps_the_source_app_stopped_too(hub, doubles):
    doubles.answers["copy_rows"] = {"refused": finding("ROW_REFUSED")}
    doubles.answers["look_at_app"] = {"state": "running", "manual": False, "patience_seconds": 900}
    started(hub, source=in_the_cloud())
    assert ("source-start", "skipped") in _names(ended(hub))
    assert "start_source" not in doubles.calls


def test_a_source_app_that_was_started_again_keeps_the_target_app_stopped(hub, doubles):
    started(hub, source=in_the_cloud(start_app_again="always"), start_target_app="yes", smoke=PAGE)
    summary = ended(hub)
    assert ("app-start", "skipped") in _names(summary)
    assert "command_app" not in doubles.calls
    assert "APP_NOT_STARTED" in [one["code"] for one in doubles.reports[-1]["findings"]]


def test_a_source_app_that_does_not_start_is_an_error_that_the_report_has(hub, doubles):
    doubles.answers["copy_rows"] = {"refused": finding("ROW_REFUSED")}
    doubles.answers["start_source"] = {"refused": finding("MENDIX_START_FAILED", remedy="Start it in the portal.")}
    started(hub, source=in_the_cloud())
    summary = ended(hub)
    assert "ROW_REFUSED" in summary["reason"]
    assert ("source-start", "failed") in _names(summary)
    [found] = [one for one in doubles.reports[-1]["findings"] if one["code"] == "MENDIX_START_FAILED"]
    assert (found["severity"], found["remedy"]) == ("error", "Start it in the portal.")
    assert doubles.calls[-1] == "write_report"


def test_an_abort_during_the_copy_ends_in_report_and_clean_up(hub, doubles):
    doubles.answers["copy_rows"] = {"refused": finding("ABORTED")}
    doubles.answers["copy_files"] = {"refused": finding("ABORTED")}
    started(hub)
    assert ended(hub)["verdict"] == "aborted"
    assert doubles.calls[-5:] == ["take_stock", "write_report", "clean_up", "close_environment", "write_report"]
    assert doubles.reports[-1]["answers"]["stock"]["holding"] == {"a$b": 3}


def test_stock_is_taken_only_of_a_target_that_was_written_and_not_verified(hub, doubles):
    doubles.answers["inspect_data"] = {"findings": [finding()]}
    started(hub)
    assert ended(hub)["verdict"] == "refused"
    assert "take_stock" not in doubles.calls


ONCE = task.RetryPolicy(first_retry_interval=timedelta(milliseconds=1), max_number_of_attempts=1)


@pytest.mark.parametrize("activity", ["command_app", "forecast_end"])
@pytest.mark.parametrize("trouble", [{"refused": finding("APP_REFUSED")}, RuntimeError("[APP_REFUSED] x: no answer.")])
def test_trouble_between_the_stages_ends_in_report_and_clean_up_too(hub, doubles, monkeypatch, activity, trouble):
    monkeypatch.setattr(calling, "RETRY", ONCE)
    doubles.answers[activity] = [{}, trouble] if activity == "forecast_end" else trouble
    started(hub, source=in_the_cloud(), stop_target_app=True, window=_window("warn"))
    summary = ended(hub)
    assert summary["verdict"] == "refused"
    assert "[APP_REFUSED] x: " in summary["reason"]
    assert "start_source" in doubles.calls, "the users get their source app back"
    assert doubles.calls[-4:] == ["write_report", "clean_up", "close_environment", "write_report"]
    assert [one["code"] for one in doubles.reports[-1]["findings"]] == ["APP_REFUSED"]


def test_an_app_that_cannot_be_looked_at_before_its_start_ends_in_report_and_clean_up(hub, doubles):
    doubles.answers["command_app"] = {"refused": finding("APP_REFUSED")}
    started(hub, source=in_the_cloud(), start_target_app="yes")
    summary = ended(hub)
    assert (summary["verdict"], summary["reason"][:24]) == ("failed", "app-start: [APP_REFUSED]")
    assert "start_source" in doubles.calls
    assert doubles.calls[-1] == "write_report"


def test_an_abort_that_lands_between_two_stages_ends_aborted(hub, doubles):
    doubles.answers["forecast_end"] = [{}, {"refused": finding("ABORTED")}]
    started(hub, window=_window("warn"))
    assert ended(hub)["verdict"] == "aborted"
    assert not {"create_schema", "copy_files"} & set(doubles.calls)
    assert doubles.calls[-4:] == ["write_report", "clean_up", "close_environment", "write_report"]


def test_findings_that_cannot_be_recorded_stop_nothing(hub, doubles):
    doubles.answers["forecast_end"] = LATE
    doubles.answers["record_findings"] = {"refused": finding("BLOB")}
    started(hub, window=_window("warn"))
    assert ended(hub)["verdict"] == "verified"


def test_a_stage_that_crashes_is_reported_with_its_code(hub, doubles):
    doubles.answers["restore_database"] = RuntimeError("[DUMP_CORRUPT] db.backup: expected a block, found the end.")
    started(hub)
    summary = ended(hub)
    assert summary["verdict"] == "refused"
    assert "DUMP_CORRUPT" in summary["reason"]


def _wait_until_waiting(hub, stage=""):
    import time

    for _ in range(300):
        state = hub.get_orchestration_state(RUN_ID)
        if (
            state
            and state.serialized_custom_status
            and '"waiting"' in state.serialized_custom_status
            and stage in state.serialized_custom_status
        ):
            return
        time.sleep(0.05)
    raise AssertionError("the run never waited")
