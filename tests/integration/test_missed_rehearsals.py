"""Rehearsals that the timer could not start: kept, shown, told once; and those that it may have started after all."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.core.exceptions import ServiceRequestError

from api.rehearsals import start_rehearsal
from api.telling import tell
from shared import rehearsals, runs, settings
from shared.communication import delivery
from shared.communication.occurrences import Occurrence
from shared.errors import TransientError
from tests.fixtures.apiserver import ApiServer, EngineDouble
from tests.fixtures.rehearsing import SOURCE, post, rehearsal


def test_a_rehearsal_that_the_timer_could_not_start_stands_before_the_cut_over(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsals.remember(rehearsal(1))
    monkeypatch.setenv("REHEARSAL__ENABLED", "true")
    monkeypatch.setenv("REHEARSAL__REQUEST", json.dumps({"source": SOURCE, "target": "rehearsal"}))
    settings.settings.cache_clear()
    holder = post(api, {"source": SOURCE, "target": "rehearsal"}).json()["id"]
    asyncio.run(start_rehearsal(api.engine, past_due=False))
    [found] = httpx.get(f"{api.url}/api/rehearsals", headers={"x-functions-key": api.key}).json()["targets"]
    assert found["ready"] is False
    assert "could not start" in found["open"][0]
    assert holder in found["open"][0]
    rehearsals.remember(rehearsal(-0.01))
    [found] = httpx.get(f"{api.url}/api/rehearsals", headers={"x-functions-key": api.key}).json()["targets"]
    assert (found["ready"], found["open"]) == (True, []), "the next one has started and ended"


def test_settings_that_are_no_request_are_told_like_a_rehearsal_that_did_not_start(
    api_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REHEARSAL__ENABLED", "true")
    monkeypatch.setenv("REHEARSAL__REQUEST", '{"target": "rehearsal"}')
    settings.settings.cache_clear()
    asyncio.run(start_rehearsal(EngineDouble(), past_due=False))
    [missed] = rehearsals.missed()
    assert (missed.code, missed.target) == ("INVALID_REQUEST", None)
    assert "REHEARSAL__REQUEST" in missed.why
    assert "source" in missed.why


class RefusingEngine(EngineDouble):
    """A durable client whose engine is down, or that cannot read what storage holds."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def get_orchestration_state(self, instance_id: str, *, fetch_payloads: bool = True) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConnectionError("engine at user:hunter22@10.0.0.4"), "INTERNAL_ERROR", "ConnectionError"),
        (ServiceRequestError("https://a.blob/?sig=hunter22"), "AZURE_UNREACHABLE", "ServiceRequestError"),
        (TransientError("ARM_BUSY", "engine", "found it busy.", "Wait."), "ARM_BUSY", "found it busy."),
    ],
)
def test_a_rehearsal_that_an_error_kept_from_starting_is_kept_as_missed_and_told_once(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, words: str
) -> None:
    sent: list[Occurrence] = []
    monkeypatch.setattr(delivery, "send", lambda occurrence, *_: sent.append(occurrence))
    for name, value in {
        "REHEARSAL__ENABLED": "true",
        "REHEARSAL__REQUEST": json.dumps({"source": SOURCE, "target": "rehearsal"}),
        "NOTIFY__TEAM__KIND": "slack",
        "NOTIFY__TEAM__URL": "https://hooks.example.org/x",
    }.items():
        monkeypatch.setenv(name, value)
    settings.settings.cache_clear()
    for _ in range(2):
        asyncio.run(start_rehearsal(RefusingEngine(error), past_due=False))
    found = httpx.get(f"{api.url}/api/rehearsals", headers={"x-functions-key": api.key}).json()
    assert {(one["code"], one["target"]) for one in found["missed"]} == {(code, "rehearsal")}
    assert "hunter22" not in json.dumps(found)
    assert (words in found["missed"][0]["why"], bool(found["missed"][0]["remedy"])) == (True, True)
    [target] = found["targets"]
    assert (target["ready"], "could not start" in " ".join(target["open"])) == (False, True)
    for _ in range(2):
        asyncio.run(tell(EngineDouble()))
    told = [one for one in sent if one.kind == "not-started"]
    assert len(told) == len({one.id for one in told}) == 1
    assert words in told[0].words


class CutOffEngine(EngineDouble):
    """A durable client whose answer to a start is lost, with the run `taken` or not, and that may be gone after it."""

    def __init__(self, *, taken: bool, gone: bool = False) -> None:
        super().__init__()
        self.taken, self.gone, self.cut = taken, gone, False

    async def schedule_new_orchestration(self, orchestrator: str, *, input: Any, instance_id: str) -> str:  # noqa: A002
        self.cut = True
        if self.taken:
            await super().schedule_new_orchestration(orchestrator, input=input, instance_id=instance_id)
        raise TimeoutError

    async def get_orchestration_state(self, instance_id: str, *, fetch_payloads: bool = True) -> Any:
        if self.gone and self.cut:
            raise ConnectionError
        return await super().get_orchestration_state(instance_id, fetch_payloads=fetch_payloads)


@pytest.fixture
def scheduled(api_settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings with which the timer starts a rehearsal."""
    monkeypatch.setenv("REHEARSAL__ENABLED", "true")
    monkeypatch.setenv("REHEARSAL__REQUEST", json.dumps({"source": SOURCE, "target": "rehearsal"}))
    settings.settings.cache_clear()


def test_a_rehearsal_that_the_engine_took_before_an_error_is_not_missed(scheduled: None) -> None:
    engine = CutOffEngine(taken=True)
    asyncio.run(start_rehearsal(engine, past_due=False))
    assert rehearsals.missed() == []
    assert runs.untold() == [run_id for _, run_id, _ in engine.scheduled], "its own events are told"


def test_a_rehearsal_that_the_engine_did_not_take_is_told_as_not_started_only(scheduled: None) -> None:
    asyncio.run(start_rehearsal(CutOffEngine(taken=False), past_due=False))
    [missed] = rehearsals.missed()
    assert (missed.code, "may have started" in (missed.remedy or "")) == ("INTERNAL_ERROR", False)
    assert runs.untold() == [], "else it is told as failed an hour later"


@pytest.mark.parametrize("taken", [True, False])
def test_a_rehearsal_of_which_the_engine_cannot_be_asked_may_have_started(scheduled: None, taken: bool) -> None:
    asyncio.run(start_rehearsal(CutOffEngine(taken=taken, gone=True), past_due=False))
    [missed] = rehearsals.missed()
    [run_id] = runs.untold()
    assert f"It may have started: look at GET /api/migrations/{run_id}" in (missed.remedy or "")


def test_a_missed_rehearsal_that_storage_does_not_keep_fails_the_timers_function(
    scheduled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> None:
        raise ServiceRequestError("no answer")

    monkeypatch.setattr(runs, "create", silent)
    monkeypatch.setattr(runs, "write", silent)
    with pytest.raises(ServiceRequestError):
        asyncio.run(start_rehearsal(EngineDouble(), past_due=False))


def test_each_target_shows_the_newest_rehearsal_that_was_missed_on_it(api: ApiServer) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for minutes, target in enumerate(("newer", "older", "older")):
        why = f"{target} {minutes}."
        rehearsals.not_started(rehearsals.NotStarted(at=now - timedelta(minutes=minutes), target=target, why=why))
    found = httpx.get(f"{api.url}/api/rehearsals", headers={"x-functions-key": api.key}).json()["targets"]
    said = {one["target"]: " ".join(one["open"]) for one in found}
    assert set(said) == {"newer", "older"}
    assert ("newer 0." in said["newer"], "older 1." in said["older"]) == (True, True)
    rehearsals.not_started(rehearsals.NotStarted(at=now + timedelta(minutes=1), target=None, why="No request."))
    found = httpx.get(f"{api.url}/api/rehearsals", headers={"x-functions-key": api.key}).json()["targets"]
    assert ["No request." in " ".join(one["open"]) for one in found] == [True, True]


def test_missed_rehearsals_are_kept_one_by_one_and_each_is_told(
    api_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The minute in which nothing is told may have had more than one tick of the schedule behind it."""
    sent: list[Occurrence] = []
    monkeypatch.setattr(delivery, "send", lambda occurrence, *_: sent.append(occurrence))
    monkeypatch.setenv("NOTIFY__TEAM__KIND", "slack")
    monkeypatch.setenv("NOTIFY__TEAM__URL", "https://hooks.example.org/x")
    settings.settings.cache_clear()
    first = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=3)
    at = [first + timedelta(days=day) for day in range(3)]
    rehearsals.not_started(rehearsals.NotStarted(at=at[0], target="rehearsal", why="It is busy."))
    asyncio.run(tell(EngineDouble()))
    for one in at[1:]:
        rehearsals.not_started(rehearsals.NotStarted(at=one, target="rehearsal", why="It is busy."))
    asyncio.run(tell(EngineDouble()))
    assert [one.at for one in sent] == at
    assert [one.at for one in rehearsals.missed()] == at[::-1]
