"""However old an event is, every channel is asked at least once; what one never takes is given up, and kept as such."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from api.telling import REHEARSALS, tell
from shared import rehearsals, runs, settings
from shared.communication.delivery import GIVE_UP, deliver
from shared.communication.memory import Told, memory, memory_of, messages
from shared.communication.occurrences import Occurrence
from shared.contracts import Progress
from tests.fixtures.apiserver import EngineDouble
from tests.fixtures.channels import COPIED, ID, STARTED, Configure, Receiver, engine_at, event, recent, run
from tests.fixtures.reports import START, verified

MINUTE = timedelta(minutes=1)
NOWHERE = "http://127.0.0.1:9/very-secret-path?sig=abc"


def told_at(now: datetime, *happened: Occurrence, over: bool = False) -> Told:
    """One round of telling."""
    return deliver(memory_of(ID), happened, settings.settings().notify, now, over=over)


def codes(told: Told) -> Mapping[str, str]:
    return {one.event: one.code for one in told.dropped}


def test_what_happened_while_the_timer_stood_still_is_told_however_long_ago_it_was(
    receiver: Receiver, channel: Configure
) -> None:
    channel("team", kind="cloudevents", url=receiver.url, events="started,stage-done,verified")
    days = timedelta(days=3)
    old = [
        one.model_copy(update={"started_at": one.started_at - days, "ended_at": one.ended_at and one.ended_at - days})
        for one in recent("preflight")
    ]
    asyncio.run(tell(engine_at(Progress(stages=old), "COMPLETED", {"verdict": "verified"})))
    assert [one["type"].rpartition(".")[2] for one in receiver.json()] == ["started", "stage-done", "verified"]
    assert "Told late" in receiver.json()[0]["data"]["text"]
    assert memory(memory_of(ID)).done


def test_what_waited_when_the_history_was_purged_is_told_from_the_report_and_telling_ends(
    receiver: Receiver, channel: Configure
) -> None:
    channel("team", kind="cloudevents", url=receiver.url, events="stage-done,verified")
    engine = engine_at(Progress(stages=recent("copy")))
    asyncio.run(tell(engine))
    before = [one["id"] for one in receiver.json()]
    assert COPIED in before
    engine.states.clear()
    runs.write(f"runs/{ID}/report.json", verified().model_dump_json().encode(), "application/json")
    asyncio.run(tell(engine))
    after = [one["id"] for one in receiver.json()][len(before) :]
    assert f"{ID}:verified" in after
    assert f"{ID}:stage-done:verify" in after
    assert not set(before) & set(after), "nothing is told twice"
    assert (memory(memory_of(ID)).done, ID in runs.untold()) == (True, False)


def test_telling_of_a_lost_run_ends_with_the_word_that_it_is_lost(receiver: Receiver, channel: Configure) -> None:
    channel("team", kind="cloudevents", url=receiver.url, events="failed")
    runs.save(run().model_copy(update={"created_at": datetime.now(UTC) - timedelta(hours=2)}))
    asyncio.run(tell(EngineDouble()))
    [event] = receiver.json()
    assert "left no report" in event["data"]["text"]
    assert ID not in runs.untold()


def test_what_happens_in_another_task_hub_is_told_by_the_app_that_has_it(
    receiver: Receiver, channel: Configure
) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    runs.save(run().model_copy(update={"created_at": datetime.now(UTC) - timedelta(hours=2), "hub": "mxf0old"}))
    asyncio.run(tell(EngineDouble()))
    assert (receiver.got, ID in runs.untold()) == ([], True)


def test_a_channel_that_takes_nothing_for_a_day_is_given_up_with_each_event_and_why(
    receiver: Receiver, channel: Configure
) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    receiver.answers = [500, 404, 200]
    assert told_at(START, event(STARTED)).dropped == []
    end = START + GIVE_UP + MINUTE
    told = told_at(end, event(STARTED), over=True)
    assert codes(told) == {STARTED: "NOT_DELIVERED"}
    assert (told.dropped[0].channel, told.dropped[0].since, told.dropped[0].dropped_at) == ("team", START, end)
    assert told.done
    told_at(end + MINUTE, event(STARTED), over=True)
    assert receiver.got == [], "what was given up is not told after all"


def test_the_day_of_attempts_begins_with_the_first_and_not_with_the_event(
    receiver: Receiver, channel: Configure
) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    receiver.answers = [500]
    old = event(STARTED, START - timedelta(days=9))
    assert [one.since for one in told_at(START, old).waiting] == [START]
    told_at(START + timedelta(hours=23), old)
    assert [one["id"] for one in receiver.json()] == [STARTED]


def test_a_channel_that_never_answers_is_asked_for_every_event_before_it_is_given_up(channel: Configure) -> None:
    channel("dead", kind="slack", url=NOWHERE)
    happened = [event(STARTED), event(COPIED, START + MINUTE)]
    waiting = told_at(START + MINUTE, *happened).waiting
    assert [(one.event, one.code) for one in waiting] == [(STARTED, "NO_ANSWER"), (COPIED, "")]
    later = START + GIVE_UP + 2 * MINUTE
    assert codes(told_at(later, *happened)) == {STARTED: "NO_ANSWER"}, "the second was not asked for in this round"
    told = told_at(later + MINUTE, *happened, over=True)
    assert codes(told) == {STARTED: "NO_ANSWER", COPIED: "NO_ANSWER"}
    assert told.done


def test_a_dead_channel_is_asked_for_the_oldest_run_first_so_that_old_ones_come_to_an_end(channel: Configure) -> None:
    channel("dead", kind="slack", url=NOWHERE, events="started")
    engine = engine_at(Progress(stages=recent("preflight")))
    newer = runs.load(ID).model_copy(update={"id": "20261123t203000-000001"})
    runs.save(newer)
    engine.states[newer.id] = engine.states[ID]
    asyncio.run(tell(engine))
    asked = {one: [waits.code for waits in memory(memory_of(one)).waiting] for one in (ID, newer.id)}
    assert asked == {ID: ["NO_ANSWER"], newer.id: [""]}


def test_neither_an_address_nor_an_answer_is_kept_of_what_was_not_taken(channel: Configure) -> None:
    channel("dead", kind="teams", url=NOWHERE)
    told_at(START, event(STARTED))
    told_at(START + GIVE_UP + MINUTE, event(STARTED))
    kept = runs.read(memory_of(ID))
    assert kept is not None
    assert b"NO_ANSWER" in kept
    assert b"very-secret-path" not in kept
    assert b"sig=" not in kept


def test_a_record_of_0_2_is_read_and_what_waits_in_it_is_told(receiver: Receiver, channel: Configure) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    stored = {"told": {STARTED: ["team"]}, "pending": [event(COPIED).model_dump(mode="json")], "done": False}
    for one in stored["pending"]:  # type: ignore[attr-defined]
        assert one.keys() >= {"id", "kind", "at", "run", "target", "purpose", "dry_run", "stage", "link", "words"}
    runs.write(memory_of(ID), json.dumps(stored).encode(), "application/json")
    assert messages(ID) is not None
    assert told_at(START, event(STARTED), over=True).done
    assert [one["id"] for one in receiver.json()] == [COPIED]


def test_a_memory_that_cannot_be_read_hides_nothing_else_of_a_run(api_settings: None) -> None:
    runs.write(memory_of(ID), b'{"told": 7}', "application/json")
    assert messages(ID) is None


def test_what_waited_for_channels_that_are_gone_waits_no_more_when_the_run_is_over(
    channel: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel("dead", kind="slack", url=NOWHERE, events="started")
    engine = engine_at(Progress(stages=recent("preflight")))
    asyncio.run(tell(engine))
    for name in ("KIND", "URL", "EVENTS"):
        monkeypatch.delenv(f"NOTIFY__DEAD__{name}")
    settings.settings.cache_clear()
    runs.close(ID)
    asyncio.run(tell(engine))
    assert memory(memory_of(ID)).waiting == []
    assert runs.untold() == []


def test_a_channel_that_is_set_up_later_does_not_hear_of_a_rehearsal_that_others_have_heard_of(
    receiver: Receiver, channel: Configure
) -> None:
    channel("team", kind="cloudevents", url=receiver.url)
    at = datetime.now(UTC) - timedelta(days=40)
    rehearsals.not_started(rehearsals.NotStarted(at=at, target="rehearsal", why="It is busy."))
    asyncio.run(tell(EngineDouble()))
    channel("second", kind="cloudevents", url=f"{receiver.url}/second")
    asyncio.run(tell(EngineDouble()))
    assert [path for path, _, _ in receiver.got] == ["/"]
    assert memory(REHEARSALS).pending == []
