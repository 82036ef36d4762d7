"""The expected end of a run: by its own rates, by the last rehearsal, by the restore; and against the window."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.contracts import Counts, StageState
from shared.forecast import forecast
from shared.progress import stage_view
from shared.request import Window

NOW = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
MEASURED = {
    "preflight": 5, "snapshot": 100, "restore": 200, "plan": 5, "inspect": 10, "schema": 10, "copy": 300, "finish": 60,
    "verify": 120, "files": 1000, "files-verify": 50, "reconcile": 20, "smoke": 30, "report": 5, "clean-up": 60,
}  # fmt: skip


def stage(name: str, seconds: float, state: str = "done", done: int = 0, total: int = 0):
    started = NOW - timedelta(seconds=seconds)
    made = StageState(
        name=name, state=state, started_at=started, ended_at=None if state == "running" else NOW,
        done=Counts(rows=done), total=Counts(rows=total),
    )  # fmt: skip
    return stage_view(made, NOW)


def test_nothing_is_said_before_anything_is_known():
    assert forecast([stage("preflight", 3, "running")], {}, NOW) is None


def test_before_the_start_the_last_rehearsal_says_it_all_with_the_longer_side_counted():
    found = forecast([], MEASURED, NOW)
    assert found is not None
    assert found.seconds_left == 320 + 1050 + 50
    assert "last rehearsal" in found.basis


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
    found = forecast([stage("snapshot", 40), stage("restore", 100), stage("plan", 1), stage("inspect", 1)], {}, NOW)
    assert found is not None
    assert found.seconds_left == 250
    assert "no rehearsal" in found.basis


@pytest.mark.parametrize(("minutes", "late"), [(30, None), (23, 40.0), (10, 820.0)])
def test_the_window_tells_how_late_it_gets(minutes: int, late: float | None):
    found = forecast([], MEASURED, NOW, Window(end=NOW + timedelta(minutes=minutes)))
    assert found is not None
    assert found.late_seconds == late
