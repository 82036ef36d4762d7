"""Delivers events at least once: what has happened is kept before it is told, what a channel took is remembered.

An event is written to the memory before it is sent, so that one which nobody could derive any more (it was late, it is in
time again) is still delivered; what was taken is written after sending, so a crash in between sends again, with the same
id. However old an event is, every channel that wants it is asked at least once. The migration never waits for any of it.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from shared import runs
from shared.channel import Channel
from shared.communication.channels import send
from shared.communication.memory import Told, Untaken, memory
from shared.communication.notices import wanted
from shared.communication.occurrences import Occurrence
from shared.errors import MxferryError

log = logging.getLogger("mxferry.communication")

GIVE_UP = timedelta(hours=24)
"""How long a channel is asked to take an event, from when it was first to be told; a failure after that is the last."""


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
    events = {one.id: one for one in (*happened, *told.pending)}  # one that waits already stays as it was first seen
    _remember(told, events, _untaken(sorted(events.values(), key=lambda one: one.at), channels, told, now))
    kept = _save(blob, told, kept)
    still = []
    for waits in told.waiting:
        if waits.channel in silent:
            still.append(waits)
        elif _sent(events[waits.event], waits, channels[waits.channel], now, silent):
            told.told.setdefault(waits.event, []).append(waits.channel)
        elif now - waits.since > GIVE_UP:
            log.error("channel %s: %s was not taken within %s; given up", waits.channel, waits.event, GIVE_UP)
            told.dropped.append(waits.model_copy(update={"dropped_at": now}))
        else:
            still.append(waits)
    _remember(told, events, still)
    told.done = over and not told.pending
    _save(blob, told, kept)
    return told


def _untaken(events: Iterable[Occurrence], channels: Mapping[str, Channel], told: Told, now: datetime) -> list[Untaken]:
    """Return which channel has still to be told what, the longest waiting first; events come in order of time.

    So a channel that never answers, and is asked for one event a round, is given up with the oldest first.
    """
    before = {(one.event, one.channel): one for one in told.waiting}
    ended = {(event, name) for event, taken in told.told.items() for name in taken}
    ended |= {(one.event, one.channel) for one in told.dropped}
    found = [
        before.get((one.id, name)) or Untaken(event=one.id, kind=one.kind, channel=name, since=now)
        for one in events
        for name, channel in channels.items()
        if (one.id, name) not in ended and wanted(one, channel.audience, channel.events)
    ]
    return sorted(found, key=lambda one: one.since)


def _remember(told: Told, events: Mapping[str, Occurrence], waiting: list[Untaken]) -> None:
    """Keep what waits, and the events that it waits for."""
    told.waiting = waiting
    told.pending = sorted((events[one] for one in {waits.event for waits in waiting}), key=lambda one: (one.at, one.id))


def _save(blob: str, told: Told, before: Told) -> Told:
    """Write the memory if it has changed; return what is kept now."""
    if told != before:
        runs.write(blob, told.model_dump_json().encode(), "application/json")
    return told.model_copy(deep=True)


def _sent(occurrence: Occurrence, waits: Untaken, channel: Channel, now: datetime, silent: set[str]) -> bool:
    """Whether the channel took the event; `waits` gets the code of what went wrong."""
    try:
        send(occurrence, channel, now)
    except MxferryError as error:
        waits.code = error.code
        if error.code == "NO_ANSWER":
            silent.add(waits.channel)
        log.warning("channel %s: %s not delivered: %s", waits.channel, waits.event, error)
        return False
    except Exception:
        # Nothing that goes wrong in telling may reach the migration, nor keep the other channels from being told.
        waits.code = "UNEXPECTED"
        log.exception("channel %s: %s could not be sent", waits.channel, waits.event)
        return False
    return True
