"""People hear that a run will be late, and again when that gets much worse; every audience in its own words."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from api.telling import tell
from shared.communication.memory import memory, memory_of
from shared.contracts import Progress
from shared.forecast import Forecast
from tests.fixtures.apiserver import EngineDouble
from tests.fixtures.channels import ID, Configure, Receiver, engine_at, recent

ENDS = datetime(2026, 11, 29, 4, 0, tzinfo=UTC)


def expected(monkeypatch: pytest.MonkeyPatch, minutes: float | None) -> None:
    """What the run is expected to be late by, from now on; None: it is in time."""
    late = minutes * 60 if minutes is not None else None
    found = Forecast(ends_at=ENDS, seconds_left=7200, basis="the rates of this run", late_seconds=late)
    monkeypatch.setattr("api.migrations.forecast", lambda *_, **__: found)


@pytest.fixture
def engine(receiver: Receiver, channel: Configure) -> EngineDouble:
    """A run with a window, and a channel that hears of lateness alone."""
    channel("team", kind="cloudevents", url=receiver.url, events="late")
    window = {"end": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    return engine_at(Progress(stages=recent("preflight")), window=window)


def test_what_was_late_for_a_minute_is_told_though_it_is_in_time_again(
    receiver: Receiver, engine: EngineDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [500]
    expected(monkeypatch, 10)
    asyncio.run(tell(engine))
    assert receiver.got == []
    expected(monkeypatch, None)
    engine.set(ID, "COMPLETED", custom={"stages": []}, output={"verdict": "verified"})
    asyncio.run(tell(engine))
    [event] = receiver.json()
    assert event["type"] == "dev.mxferry.migration.late"
    assert memory(memory_of(ID)).done


def test_people_hear_again_when_it_gets_much_worse_and_are_not_flooded_by_a_wavering_forecast(
    receiver: Receiver, engine: EngineDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minutes in (5, 9, None, 14, 16, 14, 16, 29, 31, 16, 200, 100, 200, 239):
        expected(monkeypatch, minutes)
        asyncio.run(tell(engine))
    assert [one["id"].removeprefix(f"{ID}:") for one in receiver.json()] == [
        "late",
        "late:15min",
        "late:30min",
        "late:2h",
    ]
    assert [one["data"]["late_seconds"] / 60 for one in receiver.json()] == [5, 16, 31, 200]
    assert receiver.json()[0]["data"]["text"].startswith("It will probably end at 2026-11-29 04:00:00 UTC")
    assert receiver.json()[-1]["data"]["title"] == "Cut-over to demo: it will be late, by 3 h 20 min"
    assert receiver.json()[-1]["data"]["text"].startswith("Later than told before: it will probably end")


def test_a_step_that_a_channel_has_not_taken_is_told_in_its_own_words_before_the_next_one(
    receiver: Receiver, engine: EngineDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [500]
    for minutes in (10, 70):
        expected(monkeypatch, minutes)
        asyncio.run(tell(engine))
    assert [one["data"]["late_seconds"] / 60 for one in receiver.json()] == [10, 70]
    assert [one["id"].removeprefix(f"{ID}:") for one in receiver.json()] == ["late", "late:1h"]


@pytest.mark.parametrize(
    ("audience", "title", "text"),
    [
        ("team", "Cut-over to demo: it will be late, by 22 min 00 s",
         f"It will probably end at 2026-11-29 04:00:00 UTC, 22 min 00 s after the window closes. Reckoned from the rates of this run. (run {ID})"),
        ("management", "Cut-over to demo: it will be late, by 22 min 00 s",
         "It will probably end at 2026-11-29 04:00:00 UTC, 22 min 00 s after the window closes."),
        ("users", "The move takes longer",
         "The move takes longer than announced. It will probably end at 2026-11-29 04:00:00 UTC, 22 min 00 s after the window closes."),
    ],
)  # fmt: skip
def test_every_audience_hears_how_late_it_will_be_in_its_own_words(
    receiver: Receiver, channel: Configure, engine: EngineDouble, monkeypatch: pytest.MonkeyPatch, audience: str, title: str, text: str
) -> None:  # fmt: skip
    channel("team", kind="cloudevents", url=receiver.url, events="late", audience=audience)
    expected(monkeypatch, 22)
    asyncio.run(tell(engine))
    [event] = receiver.json()
    assert (event["data"]["title"], event["data"]["text"]) == (title, text)
