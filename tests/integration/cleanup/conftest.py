"""Runs that have left something in real containers and on a real server, and an engine that knows some of them."""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient, ContainerClient
from psycopg import sql

from api.sweep import sweep_leftovers
from local.postgres import PostgresServer
from shared import credentials, remains, runs, settings
from shared.contracts import Run
from shared.postgres import ownership
from shared.postgres.connection import database_name
from tests.fixtures.armdouble import POSTGRES_ID, TOKEN, ArmDouble


class Identity:
    """A double of the app's identity."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(TOKEN, 4_000_000_000)


@dataclass
class Stand:
    """Runs that have left something: in staging, on the server; and a double of the durable engine that knows some."""

    postgres: PostgresServer
    staging: ContainerClient
    reports: ContainerClient
    arm: ArmDouble
    patch: pytest.MonkeyPatch
    states: dict[str, str] = field(default_factory=dict)
    databases: list[str] = field(default_factory=list)

    async def get_orchestration_state(self, instance: str, **_options: Any) -> Any:
        state = self.states.get(instance)
        return None if state is None else SimpleNamespace(runtime_status=SimpleNamespace(name=state))

    def run(self, *, age: timedelta = timedelta(hours=2), hub: str | None = None, **options: Any) -> str:
        """Record a run of ours; returns its id."""
        run_id = new_id()
        source = {"kind": "blob", "container": "backups", "blob": "b"}
        request = {"source": source, "target": "a", "options": options}
        created = datetime.now(UTC) - age
        runs.save(Run.model_validate({"id": run_id, "request": request, "created_at": created, "hub": hub}))
        return run_id

    def stage(self, run_id: str, name: str = "snapshot.tar") -> str:
        self.staging.upload_blob(f"runs/{run_id}/{name}", b"production data")
        return run_id

    def restore(self, run_id: str, owner: str | None) -> str:
        """Make a run's database, which bears the id of an installation."""
        name = database_name(run_id)
        with self.session() as session:
            session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            if owner is not None:
                ownership.claim(session, name, owner)
        self.databases.append(name)
        return run_id

    def close(self, run_id: str, days_ago: int = 0) -> None:
        """Close the run, as its clean-up does, so many days ago by the storage service's clock."""
        remains.close(run_id, runs.load(run_id).request)
        if days_ago:
            moment = datetime.now(UTC) - timedelta(days=days_ago)
            real = remains.closing

            def earlier(one: str) -> remains.Closing | None:
                found = real(one)
                return found.model_copy(update={"at": moment}) if found and one == run_id else found

            self.patch.setattr(remains, "closing", earlier)

    def sweep(self) -> list[str]:
        return asyncio.run(sweep_leftovers(self))  # type: ignore[arg-type]

    def session(self) -> psycopg.Connection:
        return psycopg.connect(self.postgres.dsn(), autocommit=True)

    def staged(self) -> set[str]:
        return {name.split("/")[1] for name in self.staging.list_blob_names(name_starts_with="runs/")}

    def restored(self) -> set[str]:
        with self.session() as session:
            return set(ownership.owners(session)) & set(self.databases)


def new_id() -> str:
    return f"{datetime.now(UTC):%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"


@pytest.fixture
def stand(azurite: str, private_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """An installation with its own containers, on a server that is awake and that others may use as well."""
    mark = secrets.token_hex(4)
    with ArmDouble() as double, BlobServiceClient.from_connection_string(azurite) as service:
        double.state = "Ready"
        for name, value in {
            "STAGING__CONNECTION_STRING": azurite,
            "STAGING__CONTAINER": f"staging-{mark}",
            "STAGING__REPORTS_CONTAINER": f"reports-{mark}",
            "POSTGRES__HOST": "127.0.0.1",
            "POSTGRES__PORT": str(private_postgres.port),
            "POSTGRES__USER": private_postgres.user,
            "POSTGRES__PASSWORD": private_postgres.password,
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
        staging, reports = (service.create_container(f"{name}-{mark}") for name in ("staging", "reports"))
        made = Stand(private_postgres, staging, reports, double, monkeypatch)
        yield made
        with made.session() as session:
            for name in made.databases:
                session.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        staging.delete_container()
        reports.delete_container()
        credentials.use_credential(None)
        settings.settings.cache_clear()
