"""The migration, stage by stage: what stops it, what is reported, and that it always ends with a report and a clean-up."""

import threading
from datetime import timedelta

import pytest
from durabletask import task
from pydantic import ValidationError

from orchestrators import calling, sides
from shared.request import Options
from tests.unit.orchestrators.migrationhub import LATE, SNAPSHOT, ended, finding, in_the_cloud, started, window


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


def test_a_load_at_a_size_that_never_grew_goes_on_and_the_run_says_so_before_the_load(hub, doubles):
    small = finding("NOT_SCALED_UP", "warning", remedy="look in the portal")
    doubles.answers["scale_for_load"] = {
        "managed": True,
        "sku": "S3",
        "wanted": "S9",
        "reached": False,
        "findings": [small],
    }
    started(hub)
    summary = ended(hub)
    assert (summary["verdict"], summary["findings"]) == ("verified", 1)
    calls = doubles.calls
    assert calls[calls.index("scale_for_load") + 1] == "record_findings"
    assert calls.index("record_findings") < calls.index("create_schema")
    report = doubles.reports[-1]
    assert [one["code"] for one in report["findings"]] == ["NOT_SCALED_UP"]
    assert report["answers"]["scale"]["wanted"] == "S9"


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


def test_files_alone_make_no_run_verified_whose_rows_nobody_compared(hub, doubles):
    doubles.answers["verify_rows"] = {
        "findings": [],
        "checks": [{"name": "row hash", "outcome": "skipped", "how": "-"}],
    }
    started(hub)
    summary = ended(hub)
    assert summary["verdict"] == "failed"
    assert "rows were not verified" in summary["reason"]


def test_sequences_and_indexes_alone_make_no_run_verified(hub, doubles):
    doubles.answers["verify_rows"] = {
        "findings": [],
        "checks": [
            {"name": "row counts", "outcome": "skipped", "how": "-"},
            {"name": "sequences", "outcome": "passed", "how": "-"},
            {"name": "keys and indexes", "outcome": "passed", "how": "-"},
        ],
    }
    started(hub)
    assert "rows were not verified" in ended(hub)["reason"]


def test_a_request_names_at_least_one_level_of_verification():
    with pytest.raises(ValidationError, match="verify"):
        Options(verify=[])


def test_an_abort_during_the_copy_ends_in_report_and_clean_up(hub, doubles):
    doubles.answers["copy_rows"] = {"refused": finding("ABORTED")}
    doubles.answers["copy_files"] = {"refused": finding("ABORTED")}
    started(hub)
    assert ended(hub)["verdict"] == "aborted"
    assert doubles.calls[-5:] == ["take_stock", "write_report", "clean_up", "close_environment", "write_report"]
    assert doubles.reports[-1]["answers"]["stock"]["holding"] == {"a$b": 3}


def test_an_abort_while_the_target_is_scaled_up_ends_before_anything_is_written(hub, doubles):
    doubles.answers["scale_for_load"] = {"refused": finding("ABORTED")}
    started(hub)
    assert ended(hub)["verdict"] == "aborted"
    assert not {"create_schema", "copy_files", "take_stock"} & set(doubles.calls)
    assert doubles.reports[-1]["target_written_at"] is None


@pytest.mark.parametrize("working", ["reconcile_files", "smoke_tests"])
def test_an_abort_while_the_last_stage_works_ends_aborted(hub, doubles, working):
    """What the boundary does: it refuses the next activity that a run calls, and the last stage has no next one."""
    answer = doubles.answers[working]

    def meanwhile(_payload):
        doubles.answers["heed_abort"] = {"refused": finding("ABORTED")}
        return answer

    doubles.answers[working] = meanwhile
    started(
        hub, smoke={"http": [{"name": "home", "url": "https://app.example.org/"}]} if working == "smoke_tests" else {}
    )
    summary = ended(hub)
    assert (summary["verdict"], summary["reason"][:18]) == ("aborted", "outcome: [ABORTED]")
    assert doubles.calls[-5:] == ["take_stock", "write_report", "clean_up", "close_environment", "write_report"]


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
    started(hub, source=in_the_cloud(), stop_target_app=True, window=window("warn"))
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
    started(hub, window=window("warn"))
    assert ended(hub)["verdict"] == "aborted"
    assert not {"create_schema", "copy_files"} & set(doubles.calls)
    assert doubles.calls[-4:] == ["write_report", "clean_up", "close_environment", "write_report"]


def test_findings_that_cannot_be_recorded_stop_nothing(hub, doubles):
    doubles.answers["forecast_end"] = LATE
    doubles.answers["record_findings"] = {"refused": finding("BLOB")}
    started(hub, window=window("warn"))
    assert ended(hub)["verdict"] == "verified"


def test_a_stage_that_crashes_is_reported_with_its_code(hub, doubles):
    doubles.answers["restore_database"] = RuntimeError("[DUMP_CORRUPT] db.backup: expected a block, found the end.")
    started(hub)
    summary = ended(hub)
    assert summary["verdict"] == "refused"
    assert "DUMP_CORRUPT" in summary["reason"]
