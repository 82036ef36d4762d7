"""What is remembered of telling: which channel took which event, what still waits for which, and what was given up.

One blob, `runs/<id>/told.json` for what happens in a run. No attempt of the migration waits for it or needs it: the page,
the command line and the report show what it says.
"""

import json
import logging
from datetime import datetime

from pydantic import BaseModel, Field, ValidationError

from shared import runpaths, runs
from shared.communication.occurrences import Occurrence
from shared.eventkinds import EventKind
from shared.wording import moment, plural

log = logging.getLogger("mxferry.communication")


class Untaken(BaseModel):
    """An event that a channel has not taken."""

    event: str = Field(description="The event's id.")
    kind: EventKind
    channel: str
    since: datetime = Field(description="When it was first to be told there.")
    code: str = Field(
        default="",
        description="Why the last attempt failed: its code, nothing of the answer; empty before the first attempt.",
    )
    dropped_at: datetime | None = Field(default=None, description="When it was given up; null while it is tried.")

    @property
    def name(self) -> str:
        """The event within its run: `stage-done:copy`."""
        return self.event.partition(":")[2] or self.event


class Told(BaseModel):
    """What was told; `done` once it is over and nothing waits. 0.2.0 kept neither `waiting` nor `dropped`."""

    told: dict[str, list[str]] = Field(default_factory=dict, description="Event id → channels that took it.")
    pending: list[Occurrence] = Field(default_factory=list, description="What some channel has not taken yet.")
    waiting: list[Untaken] = Field(default_factory=list, description="Which channel has not taken what of it.")
    dropped: list[Untaken] = Field(default_factory=list, description="What a channel has not taken within its time.")
    done: bool = False

    def events(self) -> set[str]:
        """Return the ids of all events that were told, wait, or were given up."""
        return {*self.told, *(one.id for one in self.pending), *(one.event for one in self.dropped)}


class ChannelMessages(BaseModel):
    """What one channel was told of a run, and what not."""

    channel: str = Field(description="Its name in the settings, `NOTIFY__<NAME>__…`.")
    taken: int = Field(description="Messages that it took.")
    waiting: list[Untaken] = Field(default_factory=list, description="Messages that are tried again every minute.")
    dropped: list[Untaken] = Field(default_factory=list, description="Messages that were given up.")


class Messages(BaseModel):
    """What the channels were told of a run, as far as it is known now."""

    channels: list[ChannelMessages]
    done: bool = Field(description="Whether nothing more will be told: the run is over, and no message waits.")


def memory_of(run_id: str) -> str:
    """Return the name of the blob in which it is kept what was told of a run."""
    return runpaths.of_run(run_id, runpaths.TOLD)


def memory(blob: str) -> Told:
    """Return what was told."""
    stored = runs.read(blob)
    return Told.model_validate(json.loads(stored)) if stored else Told()


def messages(run_id: str) -> Messages | None:
    """Return what a run's channels were told; None where there is nothing to tell, or nobody listens.

    A memory that this version cannot read is no reason to show nothing of the run.
    """
    try:
        told = memory(memory_of(run_id))
    except (ValidationError, json.JSONDecodeError):
        log.exception("%s: what was told of it cannot be read", run_id)
        return None
    untaken = (*told.waiting, *told.dropped)
    names = {name for taken in told.told.values() for name in taken} | {one.channel for one in untaken}
    return Messages(channels=[_channel(told, name) for name in sorted(names)], done=told.done) if names else None


def _channel(told: Told, name: str) -> ChannelMessages:
    return ChannelMessages(
        channel=name, taken=sum(name in taken for taken in told.told.values()),
        waiting=[one for one in told.waiting if one.channel == name],
        dropped=[one for one in told.dropped if one.channel == name],
    )  # fmt: skip


def sentences(found: Messages) -> list[str]:
    """Return a line a channel, for the report and the terminal."""
    return [f"`{one.channel}`: {'; '.join(_parts(one))}." for one in found.channels]


def _parts(one: ChannelMessages) -> list[str]:
    parts = [f"took {plural(one.taken, 'message')}"]
    if one.waiting:
        since = moment(min(waits.since for waits in one.waiting))
        parts.append(f"{plural(len(one.waiting), 'message')} tried again since {since}: {_named(one.waiting)}")
    if one.dropped:
        parts.append(f"{plural(len(one.dropped), 'message')} given up: {_named(one.dropped)}")
    return parts


def _named(untaken: list[Untaken]) -> str:
    codes = sorted({one.code for one in untaken if one.code})
    return ", ".join(one.name for one in untaken) + (f" ({', '.join(codes)})" if codes else "")
