"""What the API says of runs that the durable engine does not know; a double of the durable client, a real Azurite."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from api import standing
from api.telling import tell
from shared import remains, runpaths, runs
from shared.contracts import Run
from shared.settings import settings
from tests.fixtures import reports
from tests.fixtures.asking import BODY, answered, ask
from tests.fixtures.runs import new_run


def recorded(*, age: timedelta = timedelta(hours=2), hub: str | None = None) -> Run:
    """A run that has a record, and is not known to the engine."""
    run = new_run(created_at=datetime.now(UTC) - age, hub=hub)
    runs.save(run)
    return run


def left(run: Run, *, whole: bool = True, close: bool = True) -> None:
    """Leave the report of the sample, as it is written before the clean-up or after it, and the mark that it is closed."""
    made = reports.verified()
    last = made.stages[-1].model_copy(update={"name": "stand-down"})
    update = {"id": run.id, "reason": "All is well.", "stages": [*made.stages, *([last] if whole else [])]}
    text = made.model_copy(update=update).model_dump_json()
    runs.write(runpaths.of_run(run.id, runpaths.REPORT), text.encode(), "application/json")
    if close:
        remains.close(run.id, run.request)


def of_list(engine, run):
    return next(one for one in ask(engine, "GET", "migrations")[1]["items"] if one["id"] == run.id)


def test_a_run_whose_history_was_purged_is_shown_as_its_report_says(engine):
    run = recorded()
    left(run)
    seen = ask(engine, "GET", f"migrations/{run.id}")[1]
    made = reports.verified()
    assert (seen["status"], seen["verdict"], seen["reason"]) == ("verified", "verified", "All is well.")
    shown = [(one["name"], one["state"], one["seconds"], one["done"]["rows"]) for one in seen["progress"]["stages"]]
    assert shown[:-1] == [(one.name, one.state, one.seconds, one.rows) for one in made.stages]
    assert datetime.fromisoformat(seen["progress"]["target_written_at"]) == made.target_written_at
    assert (seen["forecast"], of_list(engine, run)["status"]) == (None, "verified")


def test_the_list_reads_the_report_of_a_purged_run_once(engine):
    run = recorded()
    left(run)
    before = standing._read.cache_info().misses
    for _ in range(3):
        of_list(engine, run)
    assert standing._read.cache_info().misses == before + 1


@pytest.mark.parametrize("what", ["abort", "approve"])
def test_nobody_aborts_or_approves_a_run_that_has_ended_though_the_engine_has_forgotten_it(engine, what):
    run = recorded()
    left(run)
    status, said, _ = ask(engine, "POST", f"migrations/{run.id}/{what}", {"by": "kim"})
    assert (status, said["code"]) == (409, "ALREADY_OVER")
    assert "it has ended: verified" in said["detail"]
    assert said["remedy"]
    assert (engine.events, runs.asked_to_abort(run.id)) == ([], None)


def test_a_run_that_was_reserved_a_moment_ago_waits_for_the_engine(engine):
    run = recorded(age=timedelta(seconds=5))
    assert ask(engine, "GET", f"migrations/{run.id}")[1]["status"] == of_list(engine, run)["status"] == "pending"
    assert ask(engine, "POST", f"migrations/{run.id}/abort", {"by": "kim"})[0] == 202, "heeded as soon as it begins"


def test_a_run_that_left_neither_history_nor_report_is_lost_and_says_what_to_do(engine):
    run = recorded()
    seen = ask(engine, "GET", f"migrations/{run.id}")[1]
    assert (seen["status"], seen["verdict"], of_list(engine, run)["status"]) == ("lost", "failed", "lost")
    assert "See whether the target was written" in seen["reason"]
    assert ask(engine, "POST", f"migrations/{run.id}/abort", {"by": "kim"})[1]["code"] == "ALREADY_OVER"
    book = answered(engine, "GET", f"migrations/{run.id}/runbook").body.decode()
    assert "not known here whether it was passed" in book


def test_a_run_that_the_sweep_has_closed_is_lost_and_one_whose_report_cannot_be_read_too(engine):
    swept, broken = recorded(age=timedelta(minutes=1)), recorded()
    remains.close(swept.id, swept.request)
    runs.write(runpaths.of_run(broken.id, runpaths.REPORT), b'{"verdict": 7}', "application/json")
    assert [of_list(engine, one)["status"] for one in (swept, broken)] == ["lost", "lost"]


def test_of_a_run_that_died_between_report_and_clean_up_the_stages_that_had_ended_are_shown(engine):
    run = recorded()
    made = reports.failed().model_copy(update={"id": run.id})
    running = made.stages[-1].model_copy(update={"name": "report", "state": "running", "ended_at": None})
    made = made.model_copy(update={"stages": [*made.stages, running]})
    runs.write(runpaths.of_run(run.id, runpaths.REPORT), made.model_dump_json().encode(), "application/json")
    seen = ask(engine, "GET", f"migrations/{run.id}")[1]
    assert seen["status"] == "failed"
    assert "report" not in [one["name"] for one in seen["progress"]["stages"]]


def test_a_run_of_another_task_hub_is_not_called_ended_before_it_is_closed(engine):
    run = recorded(hub="mxf0old")
    left(run, close=False)
    seen = ask(engine, "GET", f"migrations/{run.id}")[1]
    assert (seen["status"], seen["verdict"], seen["forecast"]) == ("elsewhere", None, None)
    assert "another task hub, mxf0old" in seen["reason"]
    item = of_list(engine, run)
    assert (item["status"], item["hub"]) == ("elsewhere", "mxf0old")
    for what in ("abort", "approve"):
        status, said, _ = ask(engine, "POST", f"migrations/{run.id}/{what}", {"by": "kim"})
        assert (status, said["code"]) == (409, "IN_ANOTHER_HUB")
        assert "mxf0old" in said["detail"]
    assert (engine.events, runs.asked_to_abort(run.id)) == ([], None)


def test_a_run_of_another_task_hub_is_over_when_it_is_closed_and_has_done_its_closing_steps(engine, monkeypatch):
    done, closing = recorded(hub="mxf0old"), recorded(hub="mxf0old")
    left(done)
    left(closing, whole=False)
    assert [of_list(engine, one)["status"] for one in (done, closing)] == ["verified", "elsewhere"]
    monkeypatch.setattr(standing, "UNKNOWN_FOR", timedelta(seconds=-1))  # it is closed longer than that
    assert of_list(engine, closing)["status"] == "verified"


def test_a_request_that_is_repeated_starts_no_run_anew_whose_history_was_purged(engine):
    headers = {"idempotency-key": "click-1"}
    run_id = ask(engine, "POST", "migrations", BODY, headers)[1]["id"]
    left(runs.load(run_id))
    engine.states.clear()
    status, body, _ = ask(engine, "POST", "migrations", BODY, headers)
    assert (status, body["id"], len(engine.scheduled)) == (202, run_id, 1)


def test_telling_of_runs_ends_that_the_engine_has_forgotten_and_goes_on_for_those_of_another_hub(engine):
    """Nobody listens here; tests/integration/communication has channels."""
    purged, lost, young, other = recorded(), recorded(), recorded(age=timedelta(seconds=5)), recorded(hub="mxf0old")
    left(purged, close=False)
    asyncio.run(tell(engine))
    assert settings().notify == {}
    assert set(runs.untold()) & {one.id for one in (purged, lost, young, other)} == {young.id, other.id}


def test_the_list_says_in_openapi_which_statuses_there_are(engine):
    text = json.dumps(ask(engine, "GET", "openapi.json")[1])
    assert "lost, where neither the engine nor a report knows how it ended" in text
