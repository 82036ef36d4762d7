"""The expected end of a run: by its own rates, by the last rehearsal, by the restore; and against the window."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.contracts import Counts, StageState
from shared.forecast import Measured, forecast, load_of, wanted
from shared.progress import stage_view
from shared.request import MigrationRequest, Window
from shared.sizing import Capacity, Load, estimate

NOW = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
STAGES = {
    "preflight": 5, "snapshot": 100, "restore": 200, "plan": 5, "inspect": 10, "schema": 10, "copy": 300, "finish": 60,
    "verify": 120, "files": 1000, "files-verify": 50, "reconcile": 20, "smoke": 30, "report": 5, "clean-up": 60,
}  # fmt: skip
MEASURED = Measured(STAGES, 0, 0, "the last rehearsal (20261101t000000-aaaaaa)")


GB = 1_000_000_000
CAPACITY = Capacity(objective="GP_Gen5_8")


def stage(name: str, seconds: float, state: str = "done", done: int = 0, total: int = 0, **counts: int):
    started = NOW - timedelta(seconds=seconds)
    made = StageState(
        name=name, state=state, started_at=started, ended_at=None if state == "running" else NOW,
        done=Counts(**counts) if counts and state == "done" else Counts(rows=done),
        total=Counts(**counts) if counts else Counts(rows=total),
    )  # fmt: skip
    return stage_view(made, NOW)


def test_nothing_is_said_before_anything_is_known():
    assert forecast([stage("preflight", 3, "running")], None, NOW) is None


def test_before_the_start_the_last_rehearsal_says_it_all_with_the_longer_side_counted():
    found = forecast([], MEASURED, NOW)
    assert found is not None
    assert found.seconds_left == 320 + 1050 + 50
    assert "last rehearsal" in found.basis


APP = {"app-stop": 200, "app-start": 400}


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({}, 0),
        ({"stop_target_app": True}, 200),
        ({"start_target_app": "ask"}, 400),
        ({"smoke": {"sql": [{"name": "users", "table": "system$user"}]}}, 30),
    ],
)
def test_the_app_and_the_smoke_checks_count_where_the_request_asks_for_them(asked: dict[str, Any], seconds: int):
    source = {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}
    request = MigrationRequest.model_validate({"source": source, "target": "demo", **asked})
    measured = Measured(wanted(STAGES | APP, request), 0, 0, "the last rehearsal")
    window = Window(end=NOW + timedelta(seconds=320 + 1050 + 20 + seconds - 1))
    found = forecast([], measured, NOW, window)
    assert found is not None
    assert found.seconds_left == 320 + 1050 + 20 + seconds
    assert found.late_seconds == 1


CLOUD = {"kind": "mendix-cloud", "profile": "acme", "stop_app": True}


@pytest.mark.parametrize(
    ("source", "purpose", "seconds"),
    [
        (CLOUD, "cutover", 0),
        (CLOUD | {"start_app_again": "always"}, "cutover", 90),
        (CLOUD, "rehearsal", 90),
        (CLOUD | {"start_app_again": "unless-verified"}, "rehearsal", 0),
        (CLOUD | {"stop_app": False, "start_app_again": "always"}, "cutover", 0),
    ],
)
def test_a_source_app_that_is_started_in_mid_run_counts_before_it_has_begun(
    source: dict[str, Any], purpose: str, seconds: int
):
    request = MigrationRequest.model_validate({"source": source, "target": "demo", "options": {"purpose": purpose}})
    measured = Measured(wanted(STAGES | {"source-start": 90}, request), 0, 0, "the last rehearsal")
    before = forecast([], measured, NOW)
    behind = forecast([stage("snapshot", 1), stage("source-start", 1), stage("restore", 0, "running")], measured, NOW)
    assert before is not None
    assert behind is not None
    assert before.seconds_left == 320 + 1050 + 20 + seconds
    assert behind.seconds_left == 215 + 1050 + 20


def test_an_app_that_is_still_to_be_started_keeps_the_end_from_being_near():
    done = [stage(name, 1) for name in (*STAGES, "app-stop", "scale") if name not in ("smoke", "report", "clean-up")]
    found = forecast(done, Measured(STAGES | APP, 0, 0, "the last rehearsal"), NOW)
    assert found is not None
    assert found.seconds_left == 400 + 30


def test_a_running_stage_is_reckoned_by_its_own_rate():
    ran = [stage(name, 1) for name in ("preflight", "snapshot", "restore", "plan", "inspect", "schema")]
    copy = stage("copy", 100, "running", done=250, total=1000)
    files = stage("files", 100, "running", done=900, total=1000)
    found = forecast([*ran, copy, files], MEASURED, NOW)
    assert found is not None
    assert found.seconds_left == pytest.approx(300 + 60 + 120 + 50)


def test_a_running_stage_without_a_rate_gets_what_the_rehearsal_left():
    found = forecast([stage("preflight", 2), stage("snapshot", 70, "running")], MEASURED, NOW)
    assert found is not None
    assert found.seconds_left == pytest.approx(30 + 215 + 1050 + 50)


def test_without_a_rehearsal_the_restore_gives_the_measure_and_the_basis_says_so():
    found = forecast([stage("snapshot", 40), stage("restore", 100), stage("plan", 1), stage("inspect", 1)], None, NOW)
    assert found is not None
    assert found.seconds_left == 250
    assert "no rehearsal" in found.basis


@pytest.mark.parametrize(("minutes", "late"), [(30, None), (23, 40.0), (10, 820.0)])
def test_the_window_tells_how_late_it_gets(minutes: int, late: float | None):
    found = forecast([], MEASURED, NOW, Window(end=NOW + timedelta(minutes=minutes)))
    assert found is not None
    assert found.late_seconds == late


def moved() -> list[object]:
    """The stages of a run up to its plan: 33 GB of rows, 60 GB of files."""
    return [
        stage("environment", 90), stage("preflight", 5), stage("snapshot", 40, files=300_000, bytes=60 * GB),
        stage("restore", 100, rows=40_000_000, bytes=31 * GB), stage("plan", 1, rows=40_000_000, bytes=33 * GB),
    ]  # fmt: skip


def test_without_a_rehearsal_the_formula_of_the_sizing_page_is_what_is_left():
    found = forecast(moved(), None, NOW, capacity=CAPACITY)
    load = Load(rows=40_000_000, row_bytes=33 * GB, files=300_000, file_bytes=60 * GB, archive_bytes=0)
    formula = estimate(load, CAPACITY)
    assert found is not None
    assert found.seconds_left == pytest.approx(max(formula.rows + formula.verify, formula.files), abs=0.2)
    assert found.basis == (
        "33.0 GB of rows at 18 MB/s (log rate of GP_Gen5_8), 300,000 files of 60.0 GB; no rehearsal has measured it yet"
    )


def test_a_larger_target_ends_sooner():
    small, large = (
        forecast(moved(), None, NOW, capacity=Capacity(objective=one)) for one in ("GP_Gen5_2", "BC_Gen5_8")
    )
    assert small is not None
    assert large is not None
    assert large.ends_at < small.ends_at


def test_a_rehearsal_is_believed_before_the_formula():
    found = forecast(moved(), MEASURED, NOW, capacity=CAPACITY)
    assert found is not None
    assert "last rehearsal" in found.basis


def test_a_rehearsal_of_another_size_is_taken_in_proportion_and_the_basis_says_so():
    moved_now = load_of({one.name: one for one in moved()})
    assert moved_now is not None
    half = Measured(STAGES, moved_now.row_bytes // 2, moved_now.file_bytes, "the last rehearsal (x)")
    found = forecast(moved(), half, NOW)
    assert found is not None
    assert (found.stages["copy"], found.stages["files"], found.stages["schema"]) == (600, 1000, 10)
    assert "in proportion to 33.0 GB of rows and 60.0 GB of files" in found.basis
    alike = Measured(STAGES, int(moved_now.row_bytes * 0.95), moved_now.file_bytes, "the last rehearsal (x)")
    same = forecast(moved(), alike, NOW)
    assert same is not None
    assert same.stages["copy"] == 300


def test_while_the_archive_comes_its_size_gives_the_measure_and_the_basis_says_what_was_assumed():
    found = forecast([stage("snapshot", 10, "running", bytes=2 * GB)], None, NOW, capacity=CAPACITY)
    assert found is not None
    assert found.basis.startswith("an archive of 2.00 GB, either side taken to be as large until it is unpacked")
    assert {"restore", "copy", "files"} <= set(found.stages)


def test_a_target_without_a_known_limit_is_reckoned_from_what_the_restore_took():
    found = forecast(moved(), None, NOW, capacity=Capacity(objective=""))
    assert found is not None
    assert found.basis == "the rates of this run; no rehearsal has measured it yet"


def test_what_is_left_is_told_by_stage_and_what_is_over_is_not():
    ran = [stage(name, 1) for name in ("environment", "preflight", "snapshot", "restore", "plan", "inspect", "schema")]
    found = forecast([*ran, stage("copy", 100, "running", done=250, total=1000)], MEASURED, NOW)
    assert found is not None
    assert found.stages["copy"] == pytest.approx(300)
    assert found.stages["finish"] == 60
    assert set(found.stages) == {"copy", "finish", "verify", "files", "files-verify", "reconcile", "smoke"}


def test_a_run_that_waits_for_its_window_is_reckoned_from_the_windows_start():
    start = NOW + timedelta(hours=5)
    window = Window(start=start, end=start + timedelta(hours=8))
    found = forecast([stage("scheduled", 10, "waiting")], MEASURED, NOW, window)
    assert found is not None
    assert found.ends_at == start + timedelta(seconds=320 + 1050 + 50)


def test_a_run_that_waits_for_the_snapshot_time_is_reckoned_from_it():
    agreed = NOW + timedelta(hours=2)
    waiting = [stage("environment", 60), stage("preflight", 5), stage("snapshot-time", 10, "waiting")]
    found = forecast(waiting, MEASURED, NOW, snapshot_at=agreed)
    assert found is not None
    assert found.ends_at == agreed + timedelta(seconds=315 + 1050 + 50)
    passed = forecast([*waiting[:2], stage("snapshot", 0, "running")], MEASURED, NOW, snapshot_at=agreed)
    assert passed is not None
    assert passed.ends_at == NOW + timedelta(seconds=315 + 1050 + 50)


def test_a_snapshot_time_that_comes_before_we_are_ready_delays_nothing():
    found = forecast([], MEASURED, NOW, snapshot_at=NOW + timedelta(seconds=1))
    plain = forecast([], MEASURED, NOW)
    assert found == plain


def test_a_stage_of_another_target_mode_counts_by_its_own_rate():
    ran = [stage(name, 1) for name in ("environment", "preflight", "snapshot", "restore", "plan", "inspect")]
    over = [stage(name, 1) for name in ("schema", "copy", "finish", "verify", "files", "files-verify", "reconcile")]
    found = forecast([*ran, *over, stage("transfer", 10, "running", done=100, total=1000)], MEASURED, NOW)
    assert found is not None
    assert found.stages == {"transfer": 90.0, "smoke": 30.0}
