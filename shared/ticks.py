"""What people have done of a run's runbook: one small record a step, `runs/<id>/steps/<number>.json`."""

from datetime import datetime

from shared import runpaths, runs
from shared.contracts import Signed


class Tick(Signed):
    """A step that somebody says is done."""

    step: int
    at: datetime
    comment: str = ""


def keep(run_id: str, tick: Tick) -> Tick:
    """Keep that a step is done, and return what is kept: the first word stays."""
    runs.create(_name(run_id, tick.step), tick.model_dump(mode="json"))
    stored = runs.read(_name(run_id, tick.step))
    return Tick.model_validate_json(stored) if stored else tick


def load(run_id: str) -> dict[int, Tick]:
    """Return what people have done so far, by the number of the step."""
    stored = [runs.read(name) for name in runs.names(runpaths.of_run(run_id, runpaths.STEPS))]
    ticks = [Tick.model_validate_json(one) for one in stored if one]
    return {one.step: one for one in ticks}


def _name(run_id: str, step: int) -> str:
    return runpaths.of_run(run_id, runpaths.step(step))
