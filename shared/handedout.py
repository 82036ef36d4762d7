"""Who was given the password of a run's runtime login, and when; never the password itself."""

from datetime import datetime

from shared import runpaths, runs
from shared.contracts import Signed


class HandedOut(Signed):
    """One time that a password was given out; `by` is who was given it."""

    at: datetime


def record(run_id: str, given: HandedOut) -> None:
    """Keep that a password is about to be given out."""
    name = f"{runpaths.of_run(run_id, runpaths.HANDED_OUT)}{given.at:%Y%m%dt%H%M%S%f}.json"
    runs.write(name, given.model_dump_json().encode(), "application/json")


def load_all(run_id: str) -> list[HandedOut]:
    """Return every time, the first one first."""
    stored = [runs.read(name) for name in sorted(runs.names(runpaths.of_run(run_id, runpaths.HANDED_OUT)))]
    return [HandedOut.model_validate_json(one) for one in stored if one]
