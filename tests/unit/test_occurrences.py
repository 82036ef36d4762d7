"""What has happened in a run is derived from what is seen of it, with the same ids whenever one looks."""

from datetime import timedelta

import pytest

from shared.communication import lateness
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


@pytest.mark.parametrize(
    ("minutes", "step"),
    [(0.1, ""), (14.9, ""), (15, "15min"), (29.9, "15min"), (30, "30min"), (60, "1h"), (119, "1h"), (120, "2h"), (1919, "16h"), (1920, "32h"), (99_999, "32h")],
)  # fmt: skip
def test_lateness_has_steps_that_double(minutes: float, step: str) -> None:
    assert lateness.STEPS[lateness.step_of(minutes * 60)] == step


def test_lateness_is_an_event_only_where_it_is_a_step_worse_than_what_was_told() -> None:
    def late(minutes: int, *told: str) -> list[str]:
        expected = Forecast(ends_at=reports.START, seconds_left=1, basis="x", late_seconds=minutes * 60)
        step = lateness.highest_step(ID, {f"{ID}:{one}" for one in told})
        seen = Seen(run=run(), view=View(), forecast=expected, late_told=step)
        first, again = (occurrences(seen, reports.START + timedelta(minutes=n)) for n in (0, 5))
        assert [one.id for one in first] == [one.id for one in again]
        return [one.id.removeprefix(f"{ID}:") for one in first]

    assert late(10) == ["late"]
    assert late(10, "late", "started") == []
    assert late(20, "late") == ["late:15min"]
    assert late(300, "late") == ["late:4h"], "the steps between are not told"
    assert late(20, "late", "late:4h") == [], "it got better"
    assert late(300, "late", "late:15min", "late:later-than-this-version-knows") == ["late:4h"]
