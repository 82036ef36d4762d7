"""Advisory locks on PostgreSQL: what is held, who is told what, and when it is given back."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from local.postgres import PostgresServer
from shared.errors import TransientError
from shared.postgres import locks
from shared.postgres.locks import Lock, held, hold

HELD = "SELECT classid::bigint, objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND pid = %s"
NAME = "SELECT hashtext('run_a')::oid::bigint"
DEATH = "SELECT pg_terminate_backend(%s)"


@pytest.fixture
def ours(postgres_server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with closing(psycopg.connect(postgres_server.dsn(), autocommit=True)) as connection:
        yield connection


@pytest.fixture
def other(postgres_server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with closing(psycopg.connect(postgres_server.dsn(), autocommit=True)) as connection:
        yield connection


@pytest.mark.parametrize(
    ("lock", "number", "wait", "code", "found"),
    [
        (locks.RESTORE, 0x6D786665, "150s", "DATABASE_BUSY", "another delivery at work for 150s"),
        (locks.SCHEMA, 0x6D786665, "150s", "SCHEMA_BUSY", "another delivery at work for 150s"),
        (locks.TABLE, 0x6D786665, "150s", "TABLE_BUSY", "another delivery loading it for 150s"),
        (locks.POST_DATA, 0x6D786666, "150s", "POST_DATA_BUSY", "another session at this table for 150s"),
        (locks.LOGIN, 0x6D78666F, "60s", "DATABASE_BUSY", "others logging in for 60s"),
        (locks.READER, 0x6D786672, "30s", "DATABASE_BUSY", "somebody else asking"),
        (locks.SETTLING, 0x6D786673, "150s", "DATABASE_BUSY", "another delivery"),
    ],
)
def test_versions_that_share_a_server_hold_the_same_numbers(
    ours: psycopg.Connection[Any],
    other: psycopg.Connection[Any],
    lock: Lock,
    number: int,
    wait: str,
    code: str,
    found: str,
) -> None:
    name = (other.execute(NAME).fetchone() or (0,))[0]
    with ours.transaction():
        hold(ours, lock, 7, "a")
        hold(ours, lock, "run_a", "a")
        assert set(other.execute(HELD, (ours.info.backend_pid,))) == {(number, 7), (number, name)}
    error = lock.busy("a")
    assert (lock.wait, error.code, error.about) == (wait, code, "a")
    assert error.message == f"expected to be alone, found {found}."


def test_a_lock_of_a_transaction_is_waited_for_and_given_back_at_its_end(
    ours: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    impatient = replace(locks.TABLE, wait="50ms")
    with ours.transaction():
        hold(ours, locks.TABLE, 7, "table")
        with pytest.raises(TransientError, match=r"TABLE_BUSY.*loading it for 50ms"), other.transaction():
            hold(other, impatient, 7, "table")
        with other.transaction():
            hold(other, impatient, 8, "table")
    with other.transaction():
        hold(other, impatient, 7, "table")
    assert other.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_a_lock_of_a_session_is_held_over_its_transactions_and_given_back_after_an_error(
    ours: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    impatient = replace(locks.RESTORE, wait="50ms")
    with pytest.raises(psycopg.errors.UndefinedTable), held(ours, locks.RESTORE, "run_a", "run_a"):
        ours.execute("SELECT 1")
        with pytest.raises(TransientError, match="DATABASE_BUSY"), held(other, impatient, "run_a", "run_a"):
            pass
        ours.execute("SELECT FROM not_there")
    with held(other, impatient, "run_a", "run_a"):
        pass


def test_a_session_that_ends_gives_its_lock_back_and_its_own_error_is_told(
    ours: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    with pytest.raises(psycopg.errors.AdminShutdown), held(ours, locks.RESTORE, "run_a", "run_a"):
        other.execute(DEATH, (ours.info.backend_pid,))
        ours.execute("SELECT 1")
    with held(other, locks.RESTORE, "run_a", "run_a"):
        pass


def test_one_session_may_take_the_same_lock_any_number_of_times(ours: psycopg.Connection[Any]) -> None:
    for _ in range(10):
        with ours.transaction():
            hold(ours, locks.TABLE, 7, "table")
