"""Delivers events at least once: what has happened is kept before it is told, what a channel took is remembered.

The memory is one blob, `runs/<id>/told.json` for what happens in a run. An event is written there before it is sent, so
that one which nobody could derive any more (it was late, it is in time again) is still delivered; what was taken is
written after sending, so a crash in between sends again, with the same id. The migration never reads it.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from shared import runpaths, runs
from shared.channel import Channel
from shared.communication.channels import send
from shared.communication.notices import wanted
from shared.communication.occurrences import Occurrence
from shared.errors import TransientError

log = logging.getLogger("mxferry.communication")

GIVE_UP = timedelta(hours=24)
"""An event that no attempt of a day delivered is dropped, with a log line."""


class Told(BaseModel):
    """What was told; `done` once it is over and everything is told."""

    told: dict[str, list[str]] = Field(default_factory=dict, description="Event id → channels that took it.")
    pending: list[Occurrence] = Field(default_factory=list, description="What some channel has not taken yet.")
    done: bool = False


def memory_of(run_id: str) -> str:
    """Return the name of the blob in which it is kept what was told of a run."""
    return runpaths.of_run(run_id, runpaths.TOLD)


def memory(blob: str) -> Told:
    """Return what was told."""
    stored = runs.read(blob)
    return Told.model_validate(json.loads(stored)) if stored else Told()


def deliver(
    blob: str,
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
    kept = memory(blob)
    told = kept.model_copy(deep=True)
    told.pending = [one for one in _merged(told.pending, happened) if _untaken(one, channels, told)]
    kept = _save(blob, told, kept)
    for occurrence in told.pending:
        for name in _untaken(occurrence, channels, told):
            if name not in silent and _sent(occurrence, name, channels[name], now, silent):
                told.told.setdefault(occurrence.id, []).append(name)
    told.pending = [one for one in told.pending if _untaken(one, channels, told)]
    told.done = over and not told.pending
    _save(blob, told, kept)
    return told


def _merged(pending: Sequence[Occurrence], happened: Sequence[Occurrence]) -> list[Occurrence]:
    """Return both, in order of time; an event that waits already stays as it was first seen."""
    found = {one.id: one for one in (*happened, *pending)}
    return sorted(found.values(), key=lambda one: one.at)


def _untaken(occurrence: Occurrence, channels: Mapping[str, Channel], told: Told) -> list[str]:
    """Return the channels that want the event and have not taken it."""
    taken = told.told.get(occurrence.id, [])
    return [
        name
        for name, channel in channels.items()
        if name not in taken and wanted(occurrence, channel.audience, channel.events)
    ]


def _save(blob: str, told: Told, before: Told) -> Told:
    """Write the memory if it has changed; return what is kept now."""
    if told != before:
        runs.write(blob, told.model_dump_json().encode(), "application/json")
    return told.model_copy(deep=True)


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
