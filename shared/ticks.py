"""What people have said of a run's runbook: `runs/<id>/steps/<key>/<n>.json`, one small record each time, never changed.

The last word on a step counts; those before it stay.
"""

from datetime import datetime

from pydantic import Field

from shared import runpaths, runs
from shared.contracts import Signed
from shared.errors import TransientError

MOST_TURNS = 100


class Tick(Signed):
    """What somebody has said of a step: that it is done, or that it is not, after all."""

    step: str = Field(description="The step's key in the runbook.")
    done: bool = Field(default=True, description="False takes back what was said before.")
    at: datetime
    comment: str = ""


def keep(run_id: str, tick: Tick) -> Tick:
    """Keep a word on a step behind those before it, and return what is kept.

    Words that come at the same time are all kept. The same word of the same person once more is the one that is there.
    """
    for _ in range(MOST_TURNS):  # every turn but the last means that somebody else's word was kept
        before = runs.names(runpaths.of_run(run_id, runpaths.words_on(tick.step)))
        last = _read(before[-1]) if before else None
        if last is not None and last.model_copy(update={"at": tick.at}) == tick:
            return last
        name = runpaths.of_run(run_id, runpaths.word_on(tick.step, len(before) + 1))
        if runs.create(name, tick.model_dump(mode="json")):
            return tick
    raise TransientError(
        "STEP_BUSY",
        tick.step,
        f"expected to keep a word on the step, found {MOST_TURNS} others faster.",
        "Say it again.",
    )


def load(run_id: str) -> dict[str, list[Tick]]:
    """Return what people have said so far, by the key of the step, the last word last.

    Earlier versions kept `steps/<number>.json`, by the step's place in a runbook that has other steps by now: not read.
    """
    prefix = runpaths.of_run(run_id, runpaths.STEPS)
    found: dict[str, list[Tick]] = {}
    for name in runs.names(prefix):
        step, word, _ = name.removeprefix(prefix).partition("/")
        tick = _read(name) if word else None
        if tick is not None:
            found.setdefault(step, []).append(tick)
    return found


def _read(name: str) -> Tick | None:
    stored = runs.read(name)
    return Tick.model_validate_json(stored) if stored else None
