"""Delivers events at least once: what a channel took is remembered, what it did not take is tried again.

The memory is one blob a run, `runs/<id>/told.json`. It is written after sending, so a crash in between sends again
(with the same id); it is never read by the migration.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from shared import runs
from shared.communication.channels import send
from shared.communication.occurrences import Occurrence
from shared.communication.wording import wanted
from shared.errors import TransientError
from shared.settings import Channel

log = logging.getLogger("mxferry.communication")

GIVE_UP = timedelta(hours=24)
"""An event that no attempt of a day delivered is dropped, with a log line."""


class Told(BaseModel):
    """What was told of a run; `done` once the run is over and everything is told."""

    told: dict[str, list[str]] = Field(default_factory=dict, description="Event id → channels that took it.")
    done: bool = False


def memory(run_id: str) -> Told:
    """Return what was told of a run."""
    stored = runs.read(f"runs/{run_id}/told.json")
    return Told.model_validate(json.loads(stored)) if stored else Told()


def deliver(
    run_id: str,
    happened: Sequence[Occurrence],
    channels: Mapping[str, Channel],
    now: datetime,
    *,
    over: bool,
    silent: set[str] | None = None,
) -> Told:
    """Tell each channel what it wants and has not taken yet; one channel's failure does not stop the others.

    A channel that does not answer at all is put into `silent` and not asked again in this round: one that hangs costs
    one time-out, not one an event.
    """
    silent = set() if silent is None else silent
    before = memory(run_id)
    told = before.model_copy(deep=True)
    open_ = 0
    for occurrence in happened:
        for name, channel in channels.items():
            if name in told.told.get(occurrence.id, []) or not wanted(occurrence, channel.audience, channel.events):
                continue
            if name not in silent and _sent(occurrence, name, channel, now, silent):
                told.told.setdefault(occurrence.id, []).append(name)
            else:
                open_ += 1
    told.done = over and open_ == 0
    if told != before:
        runs.write(f"runs/{run_id}/told.json", told.model_dump_json().encode(), "application/json")
    return told


def _sent(occurrence: Occurrence, name: str, channel: Channel, now: datetime, silent: set[str]) -> bool:
    """Whether the event needs no further attempt: it was taken, or given up."""
    if now - occurrence.at > GIVE_UP:
        log.error("channel %s: %s was not delivered within %s; dropped", name, occurrence.id, GIVE_UP)
        return True
    try:
        send(occurrence, channel, now)
    except TransientError as error:
        if error.code == "NO_ANSWER":
            silent.add(name)
        log.warning("channel %s: %s not delivered, tried again in a minute: %s", name, occurrence.id, error)
        return False
    except Exception:
        # Nothing that goes wrong in telling may reach the migration, nor keep the other channels from being told.
        log.exception("channel %s: %s could not be sent", name, occurrence.id)
        return False
    return True
