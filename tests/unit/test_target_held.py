"""Who holds a target that a POST asks for, where the durable engine does not know the holder; a double of its client."""

from datetime import UTC, datetime, timedelta

import pytest

from shared import remains, runs
from shared.contracts import Run
from shared.errors import Refusal
from shared.settings import settings
from tests.fixtures.asking import BODY, ask
from tests.fixtures.runs import new_run

TARGET = "demo"


def holding(*, age: timedelta = timedelta(hours=2), hub: str | None = None, recorded: bool = True) -> Run:
    """A run that holds the target, and is not known to the engine."""
    run = new_run(created_at=datetime.now(UTC) - age, hub=hub or settings().taskhub_name)
    if recorded:
        runs.save(run)
    assert runs.take_target(TARGET, run.id) is None
    return run


def test_a_run_that_may_go_on_in_another_task_hub_holds_its_target(engine, monkeypatch):
    holder = holding(hub="mxf0old")
    status, said, _ = ask(engine, "POST", "migrations", BODY)
    assert (status, said["code"]) == (409, "TARGET_BUSY")
    for word in (holder.id, "mxf0old", f"locks/target-{TARGET}.json"):
        assert word in f"{said['detail']} {said['remedy']}"
    assert runs.take_target(TARGET, "probe").run == holder.id
    assert engine.scheduled == []
    remains.close(holder.id, holder.request)  # as its own app does at its end
    monkeypatch.setattr("api.standing.UNKNOWN_FOR", timedelta(seconds=-1))  # it is closed longer than that
    assert ask(engine, "POST", "migrations", BODY)[0] == 202


def test_a_run_that_was_lost_does_not_hold_its_target(engine):
    holding()
    assert ask(engine, "POST", "migrations", BODY)[0] == 202


@pytest.mark.parametrize("recorded", [True, False])
def test_a_run_that_was_asked_for_just_now_holds_its_target_and_one_that_came_no_further_does_not(engine, recorded):
    """Of two POSTs at once the second finds the lock of the first before the engine knows that."""
    holder = holding(age=timedelta(seconds=1), recorded=recorded)
    status, said, _ = ask(engine, "POST", "migrations", BODY)
    assert (status, said["code"]) == (409, "TARGET_BUSY")
    assert holder.id in said["detail"]


def test_a_run_that_came_no_further_than_its_lock_does_not_hold_the_target_for_long(engine):
    holding(age=timedelta(minutes=3), recorded=False)
    assert ask(engine, "POST", "migrations", BODY)[0] == 202


def test_a_start_that_is_repeated_long_after_it_failed_is_not_called_started(engine, monkeypatch):
    headers = {"idempotency-key": "nightly"}

    async def fails(*_args: object, **_more: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(engine, "schedule_new_orchestration", fails)
        assert ask(engine, "POST", "migrations", BODY, headers)[0] == 500
    monkeypatch.setattr("api.standing.UNKNOWN_FOR", timedelta(seconds=-1))
    status, said, _ = ask(engine, "POST", "migrations", BODY, headers)
    assert (status, said["code"]) == (409, "RUN_LOST")
    assert "new key" in said["remedy"]
    assert engine.scheduled == []


def test_a_run_whose_target_was_taken_over_may_not_make_room_there_again(engine):
    given_up, later = new_run(), new_run()
    runs.take_target(given_up.request.target, later.id)
    assert runs.over_for(later)(later.id) is False
    with pytest.raises(Refusal, match="RUN_OVER"):
        runs.over_for(given_up)(given_up.id)
    assert runs.over_for(given_up)(later.id) is False
