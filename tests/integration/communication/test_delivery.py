"""Events are told at least once, with the same id, and no channel is in the way of another."""

import asyncio
import contextlib
import socket
import threading
from datetime import UTC, datetime

import pytest

from api.telling import tell
from shared import rehearsals, runs, settings
from shared.communication import channels
from shared.communication.memory import memory, memory_of
from shared.contracts import Progress
from tests.fixtures.apiserver import EngineDouble
from tests.fixtures.channels import ID, Configure, Receiver, engine_at, recent, run


def test_what_was_not_taken_is_told_again_with_the_same_id(receiver: Receiver, channel: Configure) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    receiver.answers = [500, 429]
    engine = engine_at(Progress(stages=recent("preflight")))
    asyncio.run(tell(engine))
    assert receiver.got == []
    assert not memory(memory_of(ID)).done
    asyncio.run(tell(engine))
    assert [one["id"] for one in receiver.json()] == [f"{ID}:started", f"{ID}:stage-done:preflight"]


def test_a_dead_channel_does_not_keep_the_others_from_being_told(receiver: Receiver, channel: Configure) -> None:
    channel("dead", kind="slack", url="http://127.0.0.1:9/hook")
    channel("team", kind="cloudevents", url=receiver.url)
    asyncio.run(tell(engine_at(Progress(stages=recent("preflight")))))
    assert len(receiver.got) == 2


class Hanging:
    """A web hook that takes connections and never answers."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/hook"
        self.taken = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._open.append(self.socket.accept()[0])
                self.taken += 1


def test_a_channel_that_hangs_is_waited_for_once_and_the_others_hear_everything(
    receiver: Receiver, channel: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "TIMEOUT", 0.5)
    hanging = Hanging()
    channel("aaa", kind="slack", url=hanging.url)
    channel("team", kind="cloudevents", url=receiver.url)
    engine = engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "verified"})
    asyncio.run(tell(engine))
    assert hanging.taken == 1
    assert len(receiver.got) == 18
    assert not memory(memory_of(ID)).done, "what the hanging channel did not take is tried again"
    asyncio.run(tell(engine))
    assert (hanging.taken, len(receiver.got)) == (2, 18)
    hanging.socket.close()


def test_a_run_that_is_over_and_told_is_not_looked_at_again(receiver: Receiver, channel: Configure) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    engine = engine_at(Progress(stages=recent()), "COMPLETED", {"verdict": "verified"})
    assert asyncio.run(tell(engine)) == 1
    assert asyncio.run(tell(engine)) == 0
    kinds = [one["type"].rpartition(".")[2] for one in receiver.json()]
    assert kinds[0] == "started"
    assert sorted(kinds[-2:]) == ["cleaned-up", "verified"]


def test_without_channels_nothing_is_looked_at(api_settings: None) -> None:
    assert asyncio.run(tell(engine_at(Progress(stages=recent())))) == 0


def test_a_cut_over_planned_weeks_ahead_is_told_whatever_ran_since(receiver: Receiver, channel: Configure) -> None:
    channel("team", kind="cloudevents", url=receiver.url, events="started")
    engine = engine_at(Progress(stages=recent("preflight")))
    for number in range(120):
        later = run().model_copy(update={"id": f"20261123t2030{number % 60:02d}-{number:06x}"})
        runs.save(later)
        runs.mark_told(later.id)
    asyncio.run(tell(engine))
    assert [one["id"] for one in receiver.json()] == [f"{ID}:started"]


def test_a_run_without_listeners_is_forgotten_when_it_is_over_and_not_before(
    receiver: Receiver, channel: Configure
) -> None:
    engine = engine_at(Progress(stages=recent("preflight")))
    settings.settings.cache_clear()
    asyncio.run(tell(engine))
    assert runs.untold() == [ID]
    channel("team", kind="cloudevents", url=receiver.url, events="started")
    asyncio.run(tell(engine))
    assert len(receiver.got) == 1, "a channel that was set up later"


def test_a_rehearsal_that_could_not_start_is_told_once(receiver: Receiver, channel: Configure) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    at = datetime.now(UTC).replace(second=0, microsecond=0)
    rehearsals.not_started(rehearsals.NotStarted(at=at, target="rehearsal", why="It is busy."))
    for _ in range(2):
        asyncio.run(tell(EngineDouble()))
    [event] = receiver.json()
    assert (event["type"], event["data"]["text"].split(" (")[0]) == ("dev.mxferry.migration.not-started", "It is busy.")
