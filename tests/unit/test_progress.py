"""What a person sees of a run: stages flattened, numbers summed, ETA."""

from datetime import UTC, datetime, timedelta

from shared.contracts import Counts, Progress, StageProgress, StageState
from shared.progress import percent, view

START = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)


def status(**more):
    return {"stages": [StageState(started_at=START, **more).model_dump(mode="json")]}


def test_a_finished_stage_shows_its_duration_and_no_eta():
    seen = view(status(name="restore", state="done", ended_at=START + timedelta(seconds=90)), lambda _: None, START)
    assert [(one.name, one.seconds, one.eta_seconds) for one in seen.stages] == [("restore", 90.0, None)]


def test_a_running_stage_takes_its_numbers_from_its_child_and_the_child_s_children():
    children = {
        "r:copy": StageProgress(
            stage="copy", done=Counts(rows=100, bytes=1000), total=Counts(rows=400, bytes=4000), children=["r:copy:1"]
        ).model_dump(mode="json"),
        "r:copy:1": StageProgress(stage="copy", done=Counts(rows=100, bytes=1000)).model_dump(mode="json"),
    }
    seen = view(status(name="copy", instance="r:copy"), children.get, START + timedelta(seconds=10))
    [copy] = seen.stages
    assert (copy.done.rows, copy.done.bytes, copy.total.rows) == (200, 2000, 400)
    assert copy.eta_seconds == 10.0


def test_the_stages_of_a_side_stand_in_the_place_of_the_side():
    side = Progress(stages=[StageState(name="schema", started_at=START), StageState(name="copy", started_at=START)])
    seen = view(status(name="database", instance="r:database"), {"r:database": side.model_dump(mode="json")}.get, START)
    assert [one.name for one in seen.stages] == ["schema", "copy"]
    assert seen.stage == "copy"


def test_a_child_that_has_not_started_leaves_the_stage_as_it_is():
    seen = view(status(name="copy", instance="r:copy"), lambda _: None, START)
    assert [one.name for one in seen.stages] == ["copy"]


def test_percent_goes_by_bytes_then_rows_then_files():
    assert percent(Counts(rows=9, bytes=1), Counts(rows=10, bytes=4)) == 0.25
    assert percent(Counts(files=3), Counts(files=4)) == 0.75
    assert percent(Counts(), Counts()) is None


def test_no_eta_is_said_while_next_to_nothing_is_done():
    child = StageProgress(stage="copy", done=Counts(bytes=1), total=Counts(bytes=1000)).model_dump(mode="json")
    [copy] = view(status(name="copy", instance="r:copy"), {"r:copy": child}.get, START + timedelta(seconds=60)).stages
    assert copy.eta_seconds is None
