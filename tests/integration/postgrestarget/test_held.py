"""Keys of a PostgreSQL target at which another session is: waited for over many calls, and at last given up."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from orchestrators import calling
from orchestrators.postgrestarget import finish_postgres, load_postgres, plan_postgres
from shared.postgres import locks
from tests.fixtures import driving
from tests.integration.postgrestarget.conftest import Stand

PATIENT = locks.POST_DATA
KEYS = "SELECT count(*) FROM pg_constraint WHERE contype = 'p' AND conrelid = 'public.\"shop$customer\"'::regclass"


@pytest.fixture
def other(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """Another session, which holds a table whose rows are there."""
    stand.drive(plan_postgres)
    stand.call("create_postgres_schema")
    stand.drive(load_postgres)
    monkeypatch.setattr(locks, "POST_DATA", replace(locks.POST_DATA, wait="10ms"))
    with psycopg.connect(stand.dsn, application_name="somebody else") as other:
        other.execute('LOCK TABLE public."shop$customer" IN ACCESS SHARE MODE')
        yield other


def test_a_table_that_another_session_holds_is_waited_for_beyond_what_is_tried_again(
    stand: Stand, other: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver, held = driving.ACTIVITIES["make_postgres_keys"], []

    def delivered(context: object, payload: Any) -> Any:
        answer = deliver(context, payload)
        if answer["held"]:
            held.append(payload.get("waits", 0))
            if len(held) == 20:
                other.rollback()
                monkeypatch.setattr(locks, "POST_DATA", PATIENT)  # a busy machine needs its time, too
        return answer

    monkeypatch.setitem(driving.ACTIVITIES, "make_postgres_keys", delivered)
    stand.drive(finish_postgres)
    assert held == list(range(20))
    notes = [one["note"] for one in stand.statuses]
    waiting = [note for note in notes if f"process {other.info.backend_pid} (somebody else, as " in note]
    assert "waits for a lock, call 20 of 50: another session at this table" in waiting[-1]
    assert waiting[-1].startswith("keys and indexes, wave 1 of ")
    assert "waits" not in notes[-1]
    assert stand.rows(KEYS) == [(1,)]


def test_a_table_that_is_never_free_ends_the_stage_with_who_holds_it(
    stand: Stand, other: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "MOST_WAITS", 3)
    with pytest.raises(calling.StageRefused) as caught:
        stand.drive(finish_postgres)
    finding = caught.value.finding
    assert finding.code == "POST_DATA_BUSY"
    assert f"process {other.info.backend_pid} (somebody else, as " in finding.message
    assert "in 3 calls" in finding.message
    assert "pg_terminate_backend" in finding.remedy
