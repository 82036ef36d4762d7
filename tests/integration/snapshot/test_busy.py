"""Deliveries that find another one, or somebody else, at work: they wait for a bounded time and are told to try again."""

import io
import secrets
from collections.abc import Iterator
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
    monkeypatch.setattr(locks, "POST_DATA", replace(locks.POST_DATA, wait="50ms"))
    (first, *_), *_ = postdata.waves(server, name)
    with psycopg.connect(postgres_server.dsn(name)) as other:
        other.execute('LOCK TABLE public."a$empty", public."a$entity", public."a$wide" IN ACCESS SHARE MODE')
        with pytest.raises(TransientError) as caught:
            postdata.make(server, name, first)
        holder = other.info.backend_pid
    assert caught.value.code == "POST_DATA_BUSY"
    assert "for 50ms" in caught.value.message
    assert f"process {holder} (" in caught.value.message
    assert postdata.make(server, name, first) == len(first.ordinals)
