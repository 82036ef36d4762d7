"""What is left of a run that is over: for how long it is kept, what has been deleted, what not, and why.

`runs/<id>/closed.json` says that the run does no more work and how many days it is kept; by the storage service's clock
its own age is how long the run is over. `runs/<id>/remains.json` is written by the clean-up and completed by the sweep.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Literal

from azure.core.exceptions import ResourceNotFoundError
from pydantic import BaseModel, Field

from shared import runpaths, runs
from shared.blobs import clients
from shared.contracts import Verdict
from shared.errors import Finding, Refusal
from shared.request import MigrationRequest
from shared.settings import settings

RUN_DAYS = 2
"""Days for a run, from its snapshot to its clean-up; infra/main.bicep makes the rule at least that much longer than `keepDays`."""

Part = Literal["staging", "database", "target", "hand-over"]
"""Staging blobs; temporary database; our marker on the target; what mode `runtime` gave to the app."""


class Closing(BaseModel):
    """A closed run: since when, and for how many days what it left is kept (None: nothing is)."""

    at: datetime
    keep_days: int | None = None

    @property
    def kept_until(self) -> datetime | None:
        """The moment from which it may be deleted; None where nothing is kept."""
        return None if self.keep_days is None else self.at + timedelta(days=self.keep_days)


class Remains(BaseModel):
    """What the clean-up and the sweep have deleted of a run, and what is still there."""

    done: list[str] = Field(default_factory=list, description="What was deleted, as sentences.")
    kept_until: datetime | None = Field(
        default=None, description="Until when staging and the temporary database are kept, as the request says."
    )
    left: dict[Part, str] = Field(default_factory=dict, description="What could not be deleted, and why.")


def close(run_id: str, request: MigrationRequest | None, verdict: Verdict | None = None) -> Closing:
    """Say that the run does no more work, and for how long it is kept. The first one to say so stays.

    `request` is None where no record tells what was asked for: then nothing is kept.
    """
    runs.close(run_id, None if request is None else _keep_days(request, verdict))
    found = closing(run_id)
    return found or Closing(at=datetime.now(UTC))


def close_over(run_id: str) -> Closing:
    """Close a run that is over and never came to its clean-up, because its orchestration was ended from outside."""
    try:
        return close(run_id, runs.load(run_id).request)
    except Refusal:
        return close(run_id, None)


def closing(run_id: str) -> Closing | None:
    """Return since when a run is closed and what it keeps; None while it is not closed."""
    blob = clients.reported(run_id, runpaths.CLOSED)
    try:
        found = blob.download_blob()
    except ResourceNotFoundError:
        return None
    return Closing(at=found.properties.last_modified, keep_days=json.loads(found.readall()).get("keep_days"))


def check_keep(request: MigrationRequest) -> list[Finding]:
    """Return KEPT_TOO_LONG if a rule of the staging account would delete what the request wants to be kept.

    The rule counts from the last change of a blob; two days are for the run, from its snapshot to its clean-up.
    """
    rule, days = settings().retention.staging_days, _keep_days(request, None)
    if rule is None or days is None or days + RUN_DAYS <= rule:
        return []
    return [
        Finding.error(
            "KEPT_TOO_LONG", "options.keep_days",
            f"expected a run to be kept for {max(rule - RUN_DAYS, 0)} days at most, found {days} days: a rule of the staging "
            f"account deletes what is older than {rule} days.",
            "Ask for fewer keep_days, or deploy with a larger stagingExpiryDays.",
        )
    ]  # fmt: skip


def load(run_id: str) -> Remains | None:
    """Return what is known to be left of a run; None before its clean-up."""
    stored = runs.read(_name(run_id))
    return Remains.model_validate_json(stored) if stored else None


def save(run_id: str, remains: Remains) -> None:
    """Keep what is left of a run."""
    runs.write(_name(run_id), remains.model_dump_json().encode(), "application/json")


def _name(run_id: str) -> str:
    return runpaths.of_run(run_id, runpaths.REMAINS)


def _keep_days(request: MigrationRequest, verdict: Verdict | None) -> int | None:
    options = request.options
    if options.cleanup == "always" or (options.cleanup == "on-success" and verdict in ("verified", "planned")):
        return None
    return settings().keep_days if options.keep_days is None else options.keep_days
