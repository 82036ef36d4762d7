"""When will this run end? Asked before and after the snapshot, after the restore, and again before the target is written."""

from datetime import datetime

from pydantic import Field

from activities.boundary import activity
from shared import capacity, rehearsals
from shared.contracts import RunWork, StageState
from shared.forecast import forecast
from shared.progress import stage_view
from shared.strict import Strict


class ForecastWork(RunWork):
    """Input of `forecast_end`: the stages so far, and the orchestration's time."""

    stages: list[StageState]
    now: datetime


class Forecasted(Strict):
    """Output: the expected end; everything null when nothing is known."""

    ends_at: datetime | None = None
    late_seconds: float | None = Field(default=None, description="Seconds after the window's end; null if in time.")
    basis: str = Field(default="", description="What it was reckoned from; empty: the clock alone.")


@activity
def forecast_end(work: ForecastWork) -> Forecasted:
    """Reckon the end of the run from its own stages, the last rehearsal, or the sizes."""
    stages = [stage_view(stage, work.now) for stage in work.stages]
    found = forecast(
        stages, rehearsals.measured(work.run), work.now, work.run.request.window,
        snapshot_at=work.run.request.snapshot_at, capacity=capacity.remembered(work.run.id),
    )  # fmt: skip
    if found is None:
        return _by_the_clock(work)
    return Forecasted(ends_at=found.ends_at, late_seconds=found.late_seconds, basis=found.basis)


def _by_the_clock(work: ForecastWork) -> Forecasted:
    """Judge by the window alone, where nothing tells how long the rest takes: late if it is over."""
    window = work.run.request.window
    late = (work.now - window.end).total_seconds() if window else 0.0
    return Forecasted(ends_at=work.now, late_seconds=round(late, 1)) if late > 0 else Forecasted()
