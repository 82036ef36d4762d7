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
from azure.storage.blob import BlobServiceClient, ContainerClient
from psycopg import sql

from api.sweep import sweep_leftovers
from local.postgres import PostgresServer
from shared import idling, remains, runs
from shared.postgres import ownership
from shared.postgres.connection import database_name
from tests.fixtures.appsettings import postgres_settings, set_settings, staging_settings, target_settings
from tests.fixtures.armdouble import POSTGRES_ID, ArmDouble
from tests.fixtures.runs import new_run


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
        run = new_run(created_at=datetime.now(UTC) - age, hub=hub, options=options)
        runs.save(run)
        return run.id

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
    return runs.new_id(datetime.now(UTC))


@pytest.fixture
def stand(azurite: str, private_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """An installation with its own containers, on a server that is awake and that others may use as well."""
    mark = secrets.token_hex(4)
    with ArmDouble() as double, BlobServiceClient.from_connection_string(azurite) as service:
        double.state = "Ready"
        set_settings(
            monkeypatch,
            staging_settings(azurite, f"staging-{mark}", f"reports-{mark}"),
            postgres_settings(private_postgres),
            target_settings("TEST", azurite, "files"),
            {"POSTGRES__RESOURCE_ID": POSTGRES_ID, "MANAGEMENT_URL": double.url},
        )
        monkeypatch.setattr(idling, "UP_FOR", timedelta(days=1))  # however long the tests take
        staging, reports = (service.create_container(f"{name}-{mark}") for name in ("staging", "reports"))
        made = Stand(private_postgres, staging, reports, double, monkeypatch)
        yield made
        with made.session() as session:
            for name in made.databases:
                session.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        staging.delete_container()
        reports.delete_container()
