"""The custom status of a stage. The orchestration context is a double: it keeps the statuses it is given."""

from datetime import datetime
from typing import Any

from orchestrators.stagestatus import StageStatus
from shared.contracts import Counts, StageProgress


class ContextDouble:
    """A double of the orchestration context."""

    current_utc_datetime = datetime(2026, 11, 28, 20, 0)

    def __init__(self) -> None:
        self.published: list[StageProgress] = []

    def set_custom_status(self, status: Any) -> None:
        self.published.append(StageProgress.model_validate(status))


def test_a_stage_is_shown_as_soon_as_it_begins_and_what_does_not_change_stays() -> None:
    context = ContextDouble()
    status = StageStatus(context, "copy", note="four at a time", total=Counts(rows=10, bytes=100))  # type: ignore[arg-type]
    status.add(Counts(rows=3, bytes=30))
    status.show(children=["run:copy:0"])
    status.add(Counts(rows=4, tables=1))
    status.show(note="done", children=[])
    begun, *_, last = context.published
    assert (begun.done, begun.started_at) == (Counts(), context.current_utc_datetime)
    assert [one.done.rows for one in context.published] == [0, 3, 3, 7, 7]
    assert [one.children for one in context.published[2:]] == [["run:copy:0"], ["run:copy:0"], []]
    assert last == begun.model_copy(update={"done": Counts(rows=7, bytes=30, tables=1), "note": "done"})


def test_counts_that_are_added_stay_as_they_were() -> None:
    one, more = Counts(rows=1, files=2), Counts(rows=10, tables=3)
    assert one + more == Counts(rows=11, files=2, tables=3)
    assert (one, more) == (Counts(rows=1, files=2), Counts(rows=10, tables=3))
