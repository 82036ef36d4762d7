"""Deliveries that find another one, or somebody else, at work: they wait for a bounded time and are told to try again."""

import io
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import psycopg
import pytest

from local.postgres import PostgresServer
from shared.errors import TransientError
from shared.postgres import locks, postdata, runrole, temporary
from shared.settings import Postgres
from shared.snapshot.dump import read_dump
from tests.fixtures.dumps.reading import FOLDER
from tests.fixtures.postgres import settings_of

DUMP = read_dump(io.BytesIO((FOLDER / "16-none.dump").read_bytes()))
NAMED = "SELECT pg_advisory_lock(%s, hashtext(%s))"


@pytest.fixture
def server(postgres_server: PostgresServer) -> Postgres:
    return settings_of(postgres_server)


@pytest.fixture
def name(server: Postgres) -> Iterator[str]:
    found = f"run_20261128t200000_{secrets.token_hex(3)}"
    yield found
    temporary.drop(server, found, "tests")


def test_a_database_that_another_delivery_makes_is_waited_for(
    postgres_server: PostgresServer, server: Postgres, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "RESTORE", replace(locks.RESTORE, wait="50ms"))
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as other:
        other.execute(NAMED, (locks.RESTORE.number, name))
        with pytest.raises(TransientError) as caught:
            temporary.prepare(server, name, DUMP, "tests")
    assert (caught.value.code, caught.value.about) == ("DATABASE_BUSY", name)
    temporary.prepare(server, name, DUMP, "tests")


def test_a_session_that_others_keep_from_logging_in_is_not_waited_for_for_ever(
    postgres_server: PostgresServer, server: Postgres, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary.prepare(server, name, DUMP, "tests")
    monkeypatch.setattr(locks, "LOGIN", replace(locks.LOGIN, wait="50ms"))
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as administrator:
        administrator.execute(f"ALTER ROLE {runrole.role_name(name)} PASSWORD 'another'")
    with psycopg.connect(postgres_server.dsn(name), autocommit=True) as other:
        other.execute(NAMED, (locks.LOGIN.number, name))
        with pytest.raises(TransientError) as caught:
            runrole.session(server, name, "tests")
    assert (caught.value.code, caught.value.about) == ("DATABASE_BUSY", name)
    runrole.session(server, name, "tests").close()


def test_a_table_that_somebody_holds_is_waited_for_and_its_key_is_made_later(
    postgres_server: PostgresServer, server: Postgres, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary.prepare(server, name, DUMP, "tests")
    (first, *_), *_ = postdata.waves(server, name)
    with psycopg.connect(postgres_server.dsn(name)) as other, monkeypatch.context() as hasty:
        hasty.setattr(locks, "POST_DATA", replace(locks.POST_DATA, wait="50ms"))
        other.execute('LOCK TABLE public."a$empty", public."a$entity", public."a$wide" IN ACCESS SHARE MODE')
        with pytest.raises(TransientError) as caught:
            postdata.make(server, name, first)
        holder = other.info.backend_pid
    assert caught.value.code == "POST_DATA_BUSY"
    assert "for 50ms" in caught.value.message
    assert f"process {holder} (" in caught.value.message
    assert postdata.make(server, name, first) == len(first.ordinals)


INDEX, REFERENCE = 4, 5  # in the dump: an index of a$entity, a foreign key of a$entity_entity to it


@pytest.fixture
def keyless(server: Postgres, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with its primary keys; an index and its foreign keys are still to be made. Locks are hardly waited for."""
    temporary.prepare(server, name, DUMP, "tests")
    postdata.make(server, name, postdata.Group(action="make", ordinals=(0, 1, 2, 3)))
    monkeypatch.setattr(locks, "POST_DATA", replace(locks.POST_DATA, wait="50ms"))
    return name


@pytest.mark.parametrize(
    ("action", "ordinal", "harmless", "blocking"),
    [
        ("make", INDEX, "ROW SHARE", "ROW EXCLUSIVE"),
        ("relate", REFERENCE, "ROW SHARE", "SHARE"),
        ("validate", REFERENCE, "ACCESS SHARE", "EXCLUSIVE"),
    ],
)
def test_who_keeps_a_statement_waiting_is_named_at_the_referenced_table_too_and_nobody_who_does_not(
    postgres_server: PostgresServer,
    server: Postgres,
    keyless: str,
    action: postdata.Action,
    ordinal: int,
    harmless: str,
    blocking: str,
) -> None:
    if action == "validate":
        postdata.make(server, keyless, postdata.Group(action="relate", ordinals=(ordinal,)))
    with ExitStack() as sessions:
        readers = [sessions.enter_context(psycopg.connect(postgres_server.dsn(keyless))) for _ in range(4)]
        for one in readers:
            one.execute(f'LOCK TABLE public."a$entity" IN {harmless} MODE')
        blocker = readers[-1]
        blocker.execute(f'LOCK TABLE public."a$entity" IN {blocking} MODE')
        with pytest.raises(TransientError) as caught:
            postdata.make(server, keyless, postdata.Group(action=action, ordinals=(ordinal,)))
        expected = f": process {blocker.info.backend_pid} ("
    assert caught.value.message.count("process ") == 1
    assert expected in caught.value.message
    assert 'sessions with a lock on "public"."a$entity' in caught.value.message


def test_who_has_the_statements_own_lock_is_named_first_and_then_the_oldest_transactions(
    postgres_server: PostgresServer, server: Postgres, keyless: str
) -> None:
    with ExitStack() as sessions:
        entered = [sessions.enter_context(psycopg.connect(postgres_server.dsn(keyless))) for _ in range(5)]
        *writers, maker = reversed(entered)  # the oldest transaction is of the youngest process
        for one in writers:
            one.execute('LOCK TABLE public."a$entity" IN ROW EXCLUSIVE MODE')
        maker.execute("SELECT pg_advisory_xact_lock(%s, %s)", (locks.POST_DATA.number, INDEX))
        with pytest.raises(TransientError) as caught:
            postdata.make(server, keyless, postdata.Group(action="make", ordinals=(INDEX,)))
        expected = [maker.info.backend_pid, *(one.info.backend_pid for one in writers[:2])]
    assert [int(one) for one in re.findall(r"process (\d+)", caught.value.message)] == expected
