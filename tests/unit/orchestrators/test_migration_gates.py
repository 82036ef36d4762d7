"""Where a migration waits for people or for the clock."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.orchestrators.migrationhub import (
    LATE,
    RUN_ID,
    ended,
    finding,
    in_the_cloud,
    started,
    wait_until_waiting,
    window,
)

EARLY = ({}, {}, {})
"""In time before the snapshot, after it, and after the restore; next is the approval, then the target is written."""


def test_the_target_is_written_only_after_the_approval(hub, doubles):
    started(hub, approval=True)
    wait_until_waiting(hub)
    assert "create_schema" not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, "approve-write", data={"by": "kim", "signed_in": True})
    summary = ended(hub)
    assert summary["verdict"] == "verified"
    gate = doubles.reports[-1]["gates"][0]
    assert (gate["decided_by"], gate["signed_in"]) == ("kim", True)


def test_an_abort_at_the_gate_leaves_the_target_as_it_was(hub, doubles):
    started(hub, approval=True)
    wait_until_waiting(hub)
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "kim", "comment": "not tonight"})
    summary = ended(hub)
    assert summary["verdict"] == "aborted"
    assert not {"create_schema", "copy_files"} & set(doubles.calls)
    assert doubles.reports[-1]["target_written_at"] is None


def test_a_window_that_is_too_short_stops_the_run_before_the_target_is_written(hub, doubles):
    doubles.answers["forecast_end"] = LATE
    started(hub, window=window("stop"))
    summary = ended(hub)
    assert summary["verdict"] == "refused"
    assert "WINDOW_TOO_SHORT" in summary["reason"]
    assert "2026-11-28T23:40:00Z" in summary["reason"]
    assert not {"create_schema", "copy_files", "empty_container"} & set(doubles.calls)
    assert doubles.reports[-1]["target_written_at"] is None


def test_a_window_that_is_too_short_may_only_warn(hub, doubles):
    doubles.answers["forecast_end"] = LATE
    started(hub, window=window("warn"))
    assert ended(hub)["verdict"] == "verified"
    found = [one for one in doubles.reports[-1]["findings"] if one["code"] == "WINDOW_TOO_SHORT"]
    assert [one["severity"] for one in found] == ["warning"]


def test_a_window_that_is_too_short_may_ask_and_go_on(hub, doubles):
    doubles.answers["forecast_end"] = [*EARLY, LATE]
    started(hub, window=window("ask"))
    wait_until_waiting(hub)
    assert "create_schema" not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, "approve-late", data={"by": "kim"})
    assert ended(hub)["verdict"] == "verified"
    [found] = [one for one in doubles.reports[-1]["findings"] if one["code"] == "WINDOW_TOO_SHORT"]
    assert found["chosen"] == "go on, decided by kim (as stated)"


def test_a_no_at_the_question_of_lateness_leaves_the_target_as_it_was(hub, doubles):
    doubles.answers["forecast_end"] = [*EARLY, LATE]
    started(hub, window=window("ask"), approval=True)
    wait_until_waiting(hub)
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "kim"})
    assert ended(hub)["verdict"] == "aborted"
    assert "create_schema" not in doubles.calls


def test_after_the_question_of_lateness_the_approval_is_asked_for_all_the_same(hub, doubles):
    doubles.answers["forecast_end"] = [*EARLY, LATE]
    started(hub, window=window("ask"), approval=True)
    wait_until_waiting(hub)
    hub.raise_orchestration_event(RUN_ID, "approve-late", data={"by": "kim"})
    wait_until_waiting(hub, "approval")
    assert "create_schema" not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "lee"})
    assert ended(hub)["verdict"] == "aborted"


def test_a_second_yes_to_one_gate_never_opens_the_next(hub, doubles):
    doubles.answers["forecast_end"] = [*EARLY, LATE]
    started(hub, window=window("ask"), approval=True)
    wait_until_waiting(hub)
    for who in ("kim", "lee"):
        hub.raise_orchestration_event(RUN_ID, "approve-late", data={"by": who})
    wait_until_waiting(hub, '"approval"')
    hub.raise_orchestration_event(RUN_ID, "abort", data={"by": "kim"})
    assert ended(hub)["verdict"] == "aborted"
    assert "create_schema" not in doubles.calls


def test_the_report_has_every_gate_with_who_when_and_why(hub, doubles):
    doubles.answers["forecast_end"] = [*EARLY, LATE]
    started(hub, window=window("ask"), approval=True)
    wait_until_waiting(hub)
    hub.raise_orchestration_event(RUN_ID, "approve-late", data={"by": "kim", "comment": "x" * 2000})
    wait_until_waiting(hub, '"approval"')
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
    started(hub, source=in_the_cloud(), window=window("stop"))
    summary = ended(hub)
    assert (summary["verdict"], summary["reason"][:24]) == ("refused", "late: [WINDOW_TOO_SHORT]")
    assert not {"take_snapshot", "start_source"} & set(doubles.calls)


def test_an_end_that_was_told_is_told_again_only_when_it_moves_out(hub, doubles):
    doubles.answers["forecast_end"] = [LATE, LATE | {"ends_at": "2026-11-28T23:44:00Z"}, LATER]
    started(hub, window=window("warn"))
    assert ended(hub)["verdict"] == "verified"
    said = [one["message"] for one in doubles.reports[-1]["findings"] if one["code"] == "WINDOW_TOO_SHORT"]
    assert [("23:40:00" in one, "23:50:00" in one) for one in said] == [(True, False), (False, True)]


def test_a_yes_to_one_end_is_no_yes_to_a_later_one_and_each_place_has_its_own_gate(hub, doubles):
    doubles.answers["forecast_end"] = [LATE, LATE, LATE, LATE, LATER]
    started(hub, window=window("ask"))
    wait_until_waiting(hub, '"late-snapshot"')
    assert "take_snapshot" not in doubles.calls
    for who in ("kim", "lee"):
        hub.raise_orchestration_event(RUN_ID, "approve-late-snapshot", data={"by": who})
    wait_until_waiting(hub, '"late-write"')
    assert "create_schema" not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, "approve-late-write", data={"by": "lee"})
    assert ended(hub)["verdict"] == "verified"
    gates = [(one["name"], one["decided_by"]) for one in doubles.reports[-1]["gates"]]
    assert [name for name, _ in gates] == ["late-snapshot", "late-write"]


MIDWAY = [
    ([{}, LATE], "late-after-snapshot", "take_snapshot", "restore_database"),
    ([{}, {}, LATE], "late-after-restore", "restore_database", "plan_database"),
]


@pytest.mark.parametrize(("forecasts", "gate", "done", "not_yet"), MIDWAY)
def test_a_run_that_gets_late_is_stopped_after_the_stage_that_took_so_long(
    hub, doubles, forecasts, gate, done, not_yet
):
    del gate
    doubles.answers["forecast_end"] = [*forecasts]
    started(hub, source=in_the_cloud(), window=window("stop"))
    summary = ended(hub)
    assert (summary["verdict"], summary["reason"][:24]) == ("refused", "late: [WINDOW_TOO_SHORT]")
    assert done in doubles.calls
    assert not {not_yet, "create_schema", "copy_files"} & set(doubles.calls)
    assert doubles.reports[-1]["target_written_at"] is None
    assert "start_source" in doubles.calls, "the users get their app back"


@pytest.mark.parametrize(("forecasts", "gate", "done", "not_yet"), MIDWAY)
def test_a_run_that_gets_late_asks_at_a_gate_of_that_place_and_a_yes_holds_until_it_gets_later(
    hub, doubles, forecasts, gate, done, not_yet
):
    doubles.answers["forecast_end"] = [*forecasts]
    started(hub, window=window("ask"))
    wait_until_waiting(hub, f'"{gate}"')
    assert done in doubles.calls
    assert not_yet not in doubles.calls
    hub.raise_orchestration_event(RUN_ID, f"approve-{gate}", data={"by": "kim"})
    assert ended(hub)["verdict"] == "verified"
    assert [one["name"] for one in doubles.reports[-1]["gates"]] == [gate]


def test_a_run_that_an_older_version_started_looks_at_the_clock_where_that_one_did(hub, doubles):
    """Its history has no other calls: one more in its replay would end it."""
    started(hub, late_midway=False, window=window("warn"))
    assert ended(hub)["verdict"] == "verified"
    calls = [one for one in doubles.calls if one in ("forecast_end", "take_snapshot", "inspect_data", "create_schema")]
    assert calls == ["forecast_end", "take_snapshot", "inspect_data", "forecast_end", "forecast_end", "create_schema"]


def test_a_dry_run_is_never_late(hub, doubles):
    started(hub, window=window("stop"), options={"dry_run": True})
    assert ended(hub)["verdict"] == "planned"
    assert "forecast_end" not in doubles.calls


def test_a_window_that_is_over_is_late_also_where_nothing_tells_how_long_the_rest_takes(hub, doubles):
    doubles.answers["forecast_end"] = {"ends_at": "2026-11-28T23:40:00Z", "late_seconds": 2400.0, "basis": ""}
    started(hub, window=window("stop"))
    assert "found that the window was over at 2026-11-28T23:40:00Z" in ended(hub)["reason"]


def test_time_that_an_approval_takes_is_time_that_the_window_lacks(hub, doubles):
    doubles.answers["forecast_end"] = [*EARLY, {}, LATE]
    started(hub, window=window("stop"), approval=True)
    wait_until_waiting(hub)
    hub.raise_orchestration_event(RUN_ID, "approve-write", data={"by": "kim"})
    summary = ended(hub)
    assert summary["verdict"] == "refused"
    assert "WINDOW_TOO_SHORT" in summary["reason"]
    assert not {"create_schema", "copy_files"} & set(doubles.calls)


def test_the_snapshot_is_taken_at_the_agreed_time_and_not_before(hub, doubles):
    at = datetime.now(UTC) + timedelta(seconds=2)
    started(hub, snapshot_at=at.isoformat())
    wait_until_waiting(hub, "snapshot-time")
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
    wait_until_waiting(hub, '"scheduled"')
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
    wait_until_waiting(hub, '"scheduled"')
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
    started(hub, window=window("stop"))
    assert ended(hub)["verdict"] == "verified"
    assert doubles.reports[-1]["findings"] == []
