"""The sweep of what runs left: quiet about the database part while the temporary server sleeps."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob import ContainerClient

from api.sweep import sweep_leftovers
from local.postgres import PostgresServer
from shared import credentials, leftovers, settings
from shared.postgres.connection import connect, database_name
from tests.fixtures.armdouble import POSTGRES_ID, TOKEN, ArmDouble

RUN, OTHER = "20261128t200000-aaaaaa", "20261128t200100-bbbbbb"


class Identity:
    """A double of the app's identity."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(TOKEN, 4_000_000_000)


class NoEngine:
    """A double of the durable engine that knows no run: all are over."""

    async def get_orchestration_state(self, *_instance: str, **_options: Any) -> None:
        return None


@pytest.fixture
def arm(
    azurite: str, container: ContainerClient, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ArmDouble]:
    """One run has left a blob, another its database."""
    with ArmDouble() as double:
        for name, value in {
            "STAGING__CONNECTION_STRING": azurite,
            "STAGING__CONTAINER": container.container_name,
            "STAGING__REPORTS_CONTAINER": container.container_name,
            "POSTGRES__HOST": "127.0.0.1",
            "POSTGRES__PORT": str(postgres_server.port),
            "POSTGRES__USER": postgres_server.user,
            "POSTGRES__PASSWORD": postgres_server.password,
            "POSTGRES__SSLMODE": "disable",
            "POSTGRES__RESOURCE_ID": POSTGRES_ID,
            "TARGET__A__SQL__SERVER": "sql.example",
            "TARGET__A__SQL__DATABASE": "app",
            "TARGET__A__BLOB__ACCOUNT_URL": "https://files.example",
            "TARGET__A__BLOB__CONTAINER": "files",
            "MANAGEMENT_URL": double.url,
        }.items():
            monkeypatch.setenv(name, value)
        settings.settings.cache_clear()
        credentials.use_credential(Identity())
        container.upload_blob(f"runs/{RUN}/snapshot.tar", b"production data")
        with connect(settings.settings().postgres, autocommit=True) as session:
            session.execute(f'CREATE DATABASE "{database_name(OTHER)}"')  # type: ignore[arg-type]
        yield double
        with connect(settings.settings().postgres, autocommit=True) as session:
            session.execute(f'DROP DATABASE IF EXISTS "{database_name(OTHER)}"')  # type: ignore[arg-type]
        credentials.use_credential(None)
        settings.settings.cache_clear()


def test_while_the_server_sleeps_only_staging_is_swept_and_nothing_is_said_of_databases(
    arm: ArmDouble, container: ContainerClient
) -> None:
    assert arm.state == "Stopped"
    said = asyncio.run(sweep_leftovers(NoEngine()))  # type: ignore[arg-type]
    assert [one.split(": ")[0] for one in said] == [RUN]
    assert "not deleted" not in " ".join(said)
    assert list(container.list_blob_names(name_starts_with="runs/")) == []


def test_when_it_is_awake_the_databases_go_too(arm: ArmDouble) -> None:
    arm.state = "Ready"
    assert OTHER in leftovers.found()
    asyncio.run(sweep_leftovers(NoEngine()))  # type: ignore[arg-type]
    assert OTHER not in leftovers.found()


def test_a_manager_that_does_not_answer_does_not_keep_the_sweep_from_looking(arm: ArmDouble) -> None:
    arm.forbidden = True
    assert OTHER in leftovers.found()


def test_what_is_kept_for_a_while_is_counted_from_the_runs_start(arm: ArmDouble) -> None:
    assert leftovers.kept(RUN, datetime(2026, 11, 28, 21, tzinfo=UTC)) is False  # no record: nothing asks to keep it
