"""At-least-once delivery in, exactly-once rows out: duplicates and faults, on the SQL Server stand-in."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from activities import copy
from shared.errors import TransientError
from shared.sqlserver.ledger import loaded_chunks
from tests.integration.rows.conftest import opened

FAULTS = {
    "the connection is reset in the middle of a load": {"kind": "reset_bulk", "rows": 50},
    "the connection is reset before COMMIT": {"kind": "reset_before_commit"},
    "the connection is reset after COMMIT": {"kind": "reset_after_commit"},
    "the server is too busy for a load": {"kind": "error_bulk", "number": 40501},
    "the load is a deadlock's victim": {"kind": "error_bulk", "number": 1205},
    "COMMIT fails": {"kind": "error_commit", "number": 40197},
    "the ledger's row is refused": {"kind": "error", "number": 40613, "text": "INSERT INTO [dbo].[__mxferry_ledger]"},
    "the login is refused": {"kind": "refuse_login", "number": 40613},
}


def deliver(job, patience=40):
    """Deliver a job until it is done, as the durable engine and copy_group do; returns the answer and the tries."""
    for tries in range(1, patience):
        try:
            answer = opened(copy.copy_chunks(None, job))
        except TransientError:
            continue
        if answer["stopped"] is None:
            return answer, tries
    raise AssertionError(f"job {job['job']} was not done after {patience} deliveries")


def ids_on_both_sides(stand, table="shop$order", column="id"):
    source = [row[0] for row in stand.postgres.execute(f'SELECT "{column}" FROM "{table}" ORDER BY 1').fetchall()]
    target = [
        row[0] for row in stand.target.execute(f"SELECT [{column}] FROM [dbo].[{table}] ORDER BY [{column}]").fetchall()
    ]
    return source, target


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_leaves_no_row_twice_and_none_out(stand, what):
    stand.create_tables()
    planned, jobs = stand.jobs()
    fault = dict(FAULTS[what])
    with stand.server.faults(fault.pop("kind"), **fault):
        done = [deliver(job) for job in jobs]
    assert max(tries for _, tries in done) == 2, "the fault happened, and one more delivery mended it"
    assert stand.finish(planned).rows == 4130
    source, target = ids_on_both_sides(stand)
    assert target == source


def test_a_chunk_delivered_twice_at_once_is_loaded_once(stand):
    stand.create_tables()
    _, jobs = stand.jobs()
    together = threading.Barrier(3)

    def one(job):
        together.wait()
        return deliver(job)

    for job in jobs:
        with ThreadPoolExecutor(3) as pool:
            answers = [answer for answer, _ in pool.map(one, [job] * 3)]
        assert len({answer["rows"] for answer in answers}) == 1
    source, target = ids_on_both_sides(stand)
    assert target == source
    chunks = [(row.table, row.chunk) for row in loaded_chunks(stand.target, stand.run.id)]
    assert len(chunks) == len(set(chunks))


def test_a_source_that_dies_in_the_middle_of_a_chunk_leaves_nothing_and_the_next_delivery_loads_it(stand):
    stand.postgres.execute('ALTER TABLE "shop$order" ADD COLUMN grown text')
    stand.create_tables()
    _, jobs = stand.jobs()
    job = jobs[0]

    def kill():
        return stand.postgres.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()[0]

    with stand.server.faults("latency_bulk", seconds=2), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(deliver, job)
        while not kill():
            pass
        waiting.result()
    source, target = ids_on_both_sides(stand)
    assert target == source


def test_a_stalled_load_is_ended_by_the_watchdog_and_done_by_the_next_delivery(stand, monkeypatch):
    monkeypatch.setenv("COPY_STALL_SECONDS", "1")
    copy.settings.cache_clear()
    stand.create_tables()
    _, jobs = stand.jobs()
    stalled_load = stand.server.faults("stall_bulk", rows=10, seconds=5)
    with stalled_load, pytest.raises(TransientError) as stalled:
        copy.copy_chunks(None, jobs[0])
    assert stalled.value.code == "STALLED"
    monkeypatch.delenv("COPY_STALL_SECONDS")
    copy.settings.cache_clear()
    deliver(jobs[0])
    source, target = ids_on_both_sides(stand)
    assert target == source


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_many_chunks_under_every_fault_with_duplicate_deliveries_arrive_exactly_once(many_chunks, stand, seed):
    chance = random.Random(seed)
    stand.create_tables()
    planned, jobs = stand.jobs()
    work = [*jobs, *chance.choices(jobs, k=len(jobs) // 3)]
    chance.shuffle(work)
    with ExitStack() as faults, ThreadPoolExecutor(4) as pool:
        for fault in FAULTS.values():
            settings = dict(fault)
            faults.enter_context(
                stand.server.faults(settings.pop("kind"), **settings, times=None, probability=0.05, seed=seed)
            )
        done = list(pool.map(deliver, work))
    assert sum(tries - 1 for _, tries in done) > 0, "faults happened"
    stand.finish(planned)
    for table, column in (("shop$order", "id"), ("shop$order_customer", "shop$orderid")):
        source, target = ids_on_both_sides(stand, table, column)
        assert target == source
