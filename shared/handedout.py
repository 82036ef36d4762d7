"""Who was given the password of a run's runtime login, and when; never the password itself."""

from datetime import datetime

from pydantic import BaseModel

from shared import runs

FOLDER = "runs/{run}/handed-out/"


class HandedOut(BaseModel):
    """One time that a password was given out."""

    by: str
    at: datetime


def record(run_id: str, by: str, at: datetime) -> None:
    """Keep that a password is about to be given out."""
    name = f"{FOLDER.format(run=run_id)}{at:%Y%m%dt%H%M%S%f}.json"
    runs.write(name, HandedOut(by=by, at=at).model_dump_json().encode(), "application/json")


def recorded(run_id: str) -> list[HandedOut]:
    """Return every time, the first one first."""
    stored = [runs.read(name) for name in sorted(runs.names(FOLDER.format(run=run_id)))]
    return [HandedOut.model_validate_json(one) for one in stored if one]
