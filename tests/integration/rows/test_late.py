"""Deliveries that come late or from elsewhere: after the end, after another run's beginning, from another instance."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pyodbc

from activities import copy, verify
from shared.settings import settings
from shared.sqlserver import bulk, marker
from shared.sqlserver.connection import connection_string
from shared.sqlserver.ledger import claim_statement, loaded_chunks
from shared.sqlserver.ledger_table import OUR_TABLES
from tests.fixtures.runmarker import state_of
from tests.fixtures.runs import new_run
from tests.integration.rows.conftest import opened

# As another app instance does it: a process of its own delivers every job, again and again until all are done.
INSTANCE = """
import json, sys
from activities import copy, verify
from shared.errors import TransientError
jobs = json.load(sys.stdin)
while jobs:
    job = jobs.pop(0)
    try:
        answer = copy.copy_chunks(None, job)
    except TransientError:
        jobs.append(job)
        continue
    assert "refused" not in answer, answer
    if answer["stopped"]:
        jobs.append(job)
"""


def refusals(jobs):
    answers = [copy.copy_chunks(None, job) for job in jobs]
    return {answer["refused"]["code"] if "refused" in answer else answer["rows"] for answer in answers}


def rows_on_target(stand):
    return sum(stand.count(table.name) for table in stand.plan.tables)


def test_a_chunk_that_comes_after_the_schema_was_finished_is_not_loaded(stand):
    stand.create_tables()
    _, jobs = stand.jobs()
    marker.set_finished(stand.target, stand.run.id)
    assert refusals(jobs) == {"RUN_OVER"}
    assert rows_on_target(stand) == 0
    assert loaded_chunks(stand.target, stand.run.id) == []


def test_a_chunk_that_was_loaded_is_told_from_the_ledger_also_after_the_end(stand):
    stand.create_tables()
    _, jobs = stand.jobs()
    before = [opened(copy.copy_chunks(None, job)) for job in jobs]
    rows = rows_on_target(stand)
    marker.set_finished(stand.target, stand.run.id)
    assert [opened(copy.copy_chunks(None, job))["rows"] for job in jobs] == [answer["rows"] for answer in before]
    assert rows_on_target(stand) == rows > 0


def test_a_chunk_that_comes_after_the_clean_up_is_not_loaded_and_leaves_nothing(stand):
    stand.create_tables()
    _, jobs = stand.jobs()
    marker.remove(stand.target, stand.run.id)
    assert refusals(jobs) == {"RUN_OVER"}
    assert rows_on_target(stand) == 0
    names = [row[0] for row in stand.target.execute("SELECT name FROM sys.tables").fetchall()]
    assert not set(names) & set(OUR_TABLES)


def test_a_chunk_of_a_run_whose_target_another_run_has_taken_is_not_loaded(stand):
    stand.create_tables()
    _, jobs = stand.jobs()
    marker.set_created(stand.target, new_run().id)
    assert refusals(jobs) == {"RUN_OVER"}
    assert rows_on_target(stand) == 0


def test_who_ends_a_run_waits_for_the_loads_that_are_under_way(stand):
    stand.create_tables()
    session = bulk.BulkSession(stand.profile)
    session.execute("BEGIN TRANSACTION")
    session.execute(claim_statement(stand.run.id, "shop$order", 0, 1))
    ended = threading.Event()

    def end():
        with pyodbc.connect(connection_string(stand.profile), autocommit=True) as connection:
            marker.set_finished(connection, stand.run.id)
        ended.set()

    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(end)
        assert not ended.wait(1.0)
        session.execute("COMMIT TRANSACTION")
        ending.result(20)
    session.close()
    assert state_of(stand.target, stand.run.id) == "finished"


def test_a_chunk_that_another_delivery_holds_too_long_is_put_off_and_loaded_when_that_one_dies(stand, monkeypatch):
    monkeypatch.setattr(bulk, "LOCK_WAIT_MS", 300)
    stand.create_tables()
    _, jobs = stand.jobs()
    other = bulk.BulkSession(stand.profile)
    other.execute("BEGIN TRANSACTION")
    for table in stand.plan.tables:
        other.execute(claim_statement(stand.run.id, table.name, 0, 1))
    assert [copy.copy_chunks(None, job)["stopped"] for job in jobs] == ["busy"] * len(jobs)
    other.close()
    planned, _ = stand.jobs()
    for job in jobs:
        opened(copy.copy_chunks(None, job))
    copied = stand.finish(planned)
    assert copied.rows == rows_on_target(stand) > 0


def test_two_instances_of_the_app_that_deliver_every_job_at_once_load_every_row_once(many_chunks, stand):
    stand.create_tables()
    planned, jobs = stand.jobs()
    given = json.dumps(jobs).encode()
    instances = [
        subprocess.Popen([sys.executable, "-c", INSTANCE], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    with ThreadPoolExecutor(2) as pool:
        told = [errors.decode() for _, errors in pool.map(lambda one: one.communicate(given, timeout=120), instances)]
    assert [one.returncode for one in instances] == [0, 0], told
    assert planned["chunks"] > 5
    copied = stand.finish(planned)
    assert copied.rows == rows_on_target(stand)
    for table in (table for table in stand.plan.tables if table.content == "copy"):
        assert stand.count(table.name) == table.rows


def test_plans_of_copy_and_verification_that_come_late_move_no_bounds_under_running_jobs(
    many_chunks, stand, monkeypatch
):
    stand.create_tables()
    planned, jobs = stand.jobs()
    compared = opened(verify.plan_verification(None, stand.work))
    monkeypatch.setenv("COPY_CHUNK_BYTES", str(8 * 1024 * 1024))
    monkeypatch.setenv("VERIFY_SLICE_BYTES", str(64 * 1024))
    settings.cache_clear()
    again, _ = stand.jobs()
    assert again == planned
    assert opened(verify.plan_verification(None, stand.work)) == compared
    for job in jobs:
        opened(copy.copy_chunks(None, job))
    assert stand.finish(planned).chunks == planned["chunks"] > 5
