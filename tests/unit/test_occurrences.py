"""What has happened in a run is derived from what is seen of it, with the same ids whenever one looks."""

from datetime import timedelta

from shared.communication.occurrences import Seen, occurrences
from shared.contracts import Gate, StageState
from shared.forecast import Forecast
from shared.progress import View, stage_view
from tests.fixtures import reports
from tests.fixtures.channels import ID, run


def test_the_same_events_have_the_same_ids_whenever_one_looks() -> None:
    stages = [stage_view(one, reports.START) for one in reports.stages("restore")]
    seen = Seen(run=run(), view=View(stages=stages))
    first, later = (occurrences(seen, reports.START + timedelta(minutes=n)) for n in (0, 5))
    assert first == later
    assert [one.id for one in first] == [
        f"{ID}:started", f"{ID}:stage-done:preflight", f"{ID}:stage-done:snapshot", f"{ID}:stage-done:restore",
    ]  # fmt: skip


def test_a_first_look_before_the_window_is_no_start() -> None:
    early = StageState(name="early-preflight", state="done", started_at=reports.START, ended_at=reports.START)
    stages = [stage_view(early, reports.START)]
    kinds = [one.kind for one in occurrences(Seen(run=run(), view=View(stages=stages)), reports.START)]
    assert "started" not in kinds


def test_gate_lateness_end_and_regressions_are_events() -> None:
    now = reports.START
    gate = Gate(name="write", asked_at=now, answers_by=now)
    late = Forecast(ends_at=now, seconds_left=1, basis="x", late_seconds=600)
    kinds = {one.kind for one in occurrences(Seen(run=run(), view=View(gates=[gate]), forecast=late), now)}
    assert kinds == {"gate-waits", "late"}
    ended = Seen(run=run(), view=View(), verdict="failed", reason="It broke.", regressions=["Slower."])
    assert {(one.kind, one.words) for one in occurrences(ended, now)} == {
        ("failed", "It broke."),
        ("regressed", "Slower."),
    }
