"""Whose a temporary database is: two installations on one server never touch each other's."""

import secrets
import threading
from collections.abc import Iterator

import psycopg
import pytest
from azure.storage.blob import BlobServiceClient
from psycopg import sql

from local.postgres import PostgresServer
from shared.errors import Refusal
from shared.installation import installation
from shared.postgres import ownership, temporary
from shared.settings import Postgres
from tests.fixtures.appsettings import NO_POSTGRES, set_settings, staging_settings, target_settings
from tests.fixtures.postgres import settings_of


@pytest.fixture
def server(postgres_server: PostgresServer) -> Postgres:
    return settings_of(postgres_server)


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """A run's database that installation `theirs` made."""
    name = f"run_20261128t200000_{secrets.token_hex(3)}"
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        ownership.claim(connection, name, "theirs")
        yield name
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def owners(server: PostgresServer) -> dict[str, str | None]:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        return ownership.owners(connection)


def test_a_database_that_another_installation_made_is_not_dropped(
    server: Postgres, postgres_server: PostgresServer, database: str
) -> None:
    with pytest.raises(Refusal, match="installation theirs made") as refused:
        temporary.drop(server, database, "ours")
    assert refused.value.code == "NOT_OURS"
    assert owners(postgres_server)[database] == "theirs"
    assert temporary.drop(server, database, "theirs") == [f"Dropped the temporary database {database}."]


def test_two_clean_ups_at_once_drop_a_database_and_neither_fails(
    server: Postgres, postgres_server: PostgresServer, database: str
) -> None:
    barrier = threading.Barrier(4)
    said: list[list[str] | Exception] = []

    def drop() -> None:
        barrier.wait()
        try:
            said.append(temporary.drop(server, database, "theirs"))
        except Exception as error:
            said.append(error)

    threads = [threading.Thread(target=drop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one for one in said if isinstance(one, Exception)] == []
    assert database not in owners(postgres_server)


def test_an_installation_keeps_its_id_and_another_has_another(azurite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    with BlobServiceClient.from_connection_string(azurite, api_version="2026-06-06") as service:
        for container in (service.create_container(f"reports-{secrets.token_hex(4)}") for _ in range(2)):
            staging = staging_settings(azurite, container.container_name)
            set_settings(monkeypatch, staging, NO_POSTGRES, target_settings("TEST", azurite, "files"))
            ids.append({installation() for _ in range(3)})
            container.delete_container()
    assert [len(one) for one in ids] == [1, 1]
    assert ids[0] != ids[1]
