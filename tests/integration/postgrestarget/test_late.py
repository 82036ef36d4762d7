"""Deliveries that come too late to a PostgreSQL target: after the clean-up, or when another run has made its tables."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from activities.cleanup import clean_up
from orchestrators.postgrestarget import load_postgres, plan_postgres
from shared import runs
from shared.copying import batches
from shared.postgres import fence, locks, postdata
from shared.snapshot import dumpsource
from tests.integration.postgrestarget.conftest import BY_NAME, Answer, Stand

LATER = "20990101t000000-abcdef"
NUMBER = 'SELECT last_value FROM "shop$order_number_mxseq"'
CUSTOMERS = 'SELECT count(*) FROM "shop$customer"'


def as_run(stand: Stand, run: str) -> Answer:
    """Make the stand another run with the same dump, which may drop what is there; return the work of the one before."""
    before = stand.work
    runs.close(stand.run.id)
    stand.run = stand.run.model_copy(update={"id": run})
    stand.give(stand.staging.download_blob(stand.snapshot.dump.blob).readall())
    stand.request(target_not_empty="drop", confirm="test")
    return before


def late(activity: str, work: Answer, **more: Any) -> str:
    """Deliver an activity of a run that is over; return the code that it refuses with."""
    refused: str = BY_NAME[activity](None, work | more)["refused"]["code"]
    return refused


@pytest.fixture
def key(stand: Stand) -> Answer:
    """The first group of keys."""
    return postdata.Group(action="make", ordinals=(0, 1)).model_dump(mode="json")


def test_a_run_that_was_given_up_writes_nothing_into_the_tables_of_the_next_one(stand: Stand, key: Answer) -> None:
    stand.drive(plan_postgres)
    stand.call("create_postgres_schema")
    stand.drive(load_postgres)
    old = as_run(stand, LATER)
    stand.restore()
    runs_are_open(stand, old["run"]["id"])
    stand.execute("SELECT nextval('\"shop$order_number_mxseq\"')")
    before = stand.rows(NUMBER)
    for batch in range(BY_NAME["postgres_batches"](None, stand.run_work)["batches"]):
        assert late("load_postgres_tables", old, batch=batch) == "RUN_OVER"
    assert late("plan_postgres_keys", old) == "RUN_OVER"
    assert late("make_postgres_keys", {"run": old["run"]}, group=key) == "RUN_OVER"
    assert stand.rows(CUSTOMERS) == [(3_000,)]
    assert stand.rows(NUMBER) == before
    assert {one["outcome"] for one in stand.verify()["checks"][:2]} == {"passed"}


def test_a_run_that_was_given_up_does_not_drop_what_the_next_one_has_finished(stand: Stand) -> None:
    stand.drive(plan_postgres)
    old = as_run(stand, LATER)
    runs_are_open(stand, old["run"]["id"])
    runs.take_target("test", LATER)
    stand.restore()
    clean_up(None, stand.run_work | {"restore": None, "verdict": "verified", "target_written": True})
    old["run"]["request"] |= {"target_not_empty": "drop", "confirm": "test"}
    assert late("create_postgres_schema", old) == "RUN_OVER"
    assert stand.rows(CUSTOMERS) == [(3_000,)]


def test_a_load_under_way_ends_before_another_run_makes_its_tables_and_goes_no_further(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.drive(plan_postgres)
    stand.call("create_postgres_schema")
    read, loads, goes_on = dumpsource.table_text, threading.Event(), threading.Event()

    def frozen(*given: Any) -> Iterator[bytes]:
        loads.set()
        goes_on.wait(60)
        yield from read(*given)

    monkeypatch.setattr(batches, "table_text", frozen)
    monkeypatch.setattr(batches, "SECONDS", 0)
    with ThreadPoolExecutor(2) as pool:
        load = pool.submit(BY_NAME["load_postgres_tables"], None, stand.work | {"batch": 0})
        assert loads.wait(60)
        old = as_run(stand, LATER)
        stand.drive(plan_postgres)
        made = pool.submit(stand.call, "create_postgres_schema")
        _until(lambda: stand.rows("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])
        goes_on.set()
        assert load.result()["rows"] > 0
        made.result()
    runs_are_open(stand, old["run"]["id"])
    assert late("load_postgres_tables", old, batch=0) == "RUN_OVER"
    assert stand.rows(CUSTOMERS) == [(0,)]
    stand.drive(load_postgres)
    assert stand.rows(CUSTOMERS) == [(3_000,)]


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to that within a minute")


def test_sequences_that_an_app_has_drawn_from_are_not_set_back(stand: Stand) -> None:
    stand.restore()
    stand.execute("SELECT nextval('\"shop$order_number_mxseq\"')")
    stand.call("plan_postgres_keys")
    assert stand.rows(NUMBER) == [(4712,)]
    clean_up(None, stand.run_work | {"restore": None, "verdict": "verified", "target_written": True})
    runs_are_open(stand, stand.run.id)
    assert late("plan_postgres_keys", stand.work) == "RUN_OVER"
    assert stand.rows(NUMBER) == [(4712,)]


def runs_are_open(stand: Stand, run: str) -> None:
    """Take the mark of the clean-up away: a delivery may have looked for it before it froze."""
    stand.reports.delete_blob(f"runs/{run}/closed.json")


def test_a_finished_target_is_not_dropped_by_a_worker_that_froze_before_its_session(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.request(target_not_empty="drop", confirm="test")
    stand.restore()
    hold = locks.hold

    def cleaned_up_meanwhile(*given: Any) -> None:
        monkeypatch.setattr(locks, "hold", hold)
        clean_up(None, stand.run_work | {"restore": None, "verdict": "verified", "target_written": True})
        hold(*given)

    monkeypatch.setattr(locks, "hold", cleaned_up_meanwhile)
    runs.stop_if_closed(stand.run.id)
    assert stand.refused("create_postgres_schema").code == "RUN_OVER"
    assert stand.rows(CUSTOMERS) == [(3_000,)]


def test_the_clean_up_waits_for_what_writes_and_says_so_when_it_does_not_end(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.restore()
    monkeypatch.setattr(locks, "SCHEMA", replace(locks.SCHEMA, wait="50ms"))

    with psycopg.connect(stand.dsn) as connection:
        fence.hold(connection, stand.run.id)
        work = stand.run_work | {"restore": None, "verdict": "verified", "target_written": True}
        (finding,) = clean_up(None, work)["findings"]
        assert finding["code"] == "NOT_CLEANED_UP"
        assert "a delivery that writes to the target" in finding["message"]
    assert clean_up(None, work)["findings"] == []
    assert stand.rows("SELECT to_regnamespace('mxferry')") == [(None,)]
