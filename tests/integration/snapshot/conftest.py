"""A run of its own for each test: settings that point at Azurite and PostgreSQL, containers, and a way to call activities."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.postgres import PostgresServer
from orchestrators.calling import StageRefused
from shared.contracts import Run
from shared.postgres.connection import database_name
from shared.settings import settings
from tests.fixtures.driving import drive
from tests.fixtures.mendixcloud import Cloud

Start = Callable[..., "Stand"]


@dataclass
class Stand:
    """One run against real servers."""

    run: Run
    service: BlobServiceClient
    source: ContainerClient
    staging: ContainerClient
    reports: ContainerClient
    target: ContainerClient
    statuses: list[dict[str, Any]] = field(default_factory=list)

    @property
    def work(self) -> dict[str, Any]:
        return {"run": self.run.model_dump(mode="json")}

    def give(self, archive: Path | bytes, name: str = "snapshot.tar.gz") -> None:
        """Put the archive where the run's request says it is."""
        data = archive if isinstance(archive, bytes) else archive.read_bytes()
        self.source.upload_blob(name, data, overwrite=True)

    def drive(self, orchestrator: Callable[..., Any], payload: dict[str, Any]) -> dict[str, Any]:
        """Run an orchestrator to its end, with every activity called in this process."""
        return drive(orchestrator, payload, self.statuses)

    def refusal(self, orchestrator: Callable[..., Any], payload: dict[str, Any]) -> tuple[str, str, str]:
        """Run an orchestrator that must be refused; return code, object and message."""
        with pytest.raises(StageRefused) as caught:
            self.drive(orchestrator, payload)
        finding = caught.value.finding
        return finding.code, finding.object, finding.message


def new_run(source: dict[str, Any], **options: Any) -> Run:
    now = datetime.now(UTC)
    return Run.model_validate(
        {
            "id": f"{now:%Y%m%dt%H%M%S}-{secrets.token_hex(3)}",
            "created_at": now.isoformat(),
            "request": {"source": source, "target": "test", "options": options},
        }
    )


@pytest.fixture
def stand(azurite: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    mark = secrets.token_hex(4)
    values = {
        "STAGING__CONNECTION_STRING": azurite,
        "STAGING__CONTAINER": f"staging-{mark}",
        "STAGING__REPORTS_CONTAINER": f"reports-{mark}",
        "POSTGRES__HOST": postgres_server.host,
        "POSTGRES__PORT": str(postgres_server.port),
        "POSTGRES__USER": postgres_server.user,
        "POSTGRES__PASSWORD": postgres_server.password,
        "POSTGRES__SSLMODE": "disable",
        "TARGET__TEST__KIND": "sqlserver",
        "TARGET__TEST__SQL__SERVER": "nowhere",
        "TARGET__TEST__SQL__DATABASE": "none",
        "TARGET__TEST__BLOB__CONNECTION_STRING": azurite,
        "TARGET__TEST__BLOB__CONTAINER": f"target-{mark}",
        "ALLOW_HTTP_SOURCES": "true",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    with BlobServiceClient.from_connection_string(azurite) as service:
        containers = [service.create_container(f"{name}-{mark}") for name in ("source", "staging", "reports", "target")]
        run = new_run({"kind": "blob", "container": f"source-{mark}", "blob": "snapshot.tar.gz"})
        yield Stand(run, service, *containers)
        for container in containers:
            container.delete_container()
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {database_name(run.id)} WITH (FORCE)")
    settings.cache_clear()


@pytest.fixture
def in_the_cloud(stand: Stand, mendix_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Start:
    take_as_source(monkeypatch, mendix_cloud)
    _start_app(mendix_cloud)

    def start(**source: Any) -> Stand:
        return replace(stand, run=new_run({"kind": "mendix-cloud", "profile": "live", **source}))

    return start


def take_as_source(monkeypatch: pytest.MonkeyPatch, cloud: Cloud) -> None:
    """Make the profile `live` that of this stand-in."""
    values = {
        "PROJECT_ID": cloud.project_id,
        "ENVIRONMENT_ID": cloud.environment_id,
        "USERNAME": cloud.username,
        "API_KEY": cloud.api_key,
        "APP_ID": cloud.app_id,
        "BACKUPS_URL": cloud.backups_url,
        "DEPLOY_URL": cloud.deploy_url,
        "PLATFORM_URL": cloud.deploy_url.replace("/api/1", "/api/v4"),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"SOURCE__LIVE__MENDIX_CLOUD__{name}", value)
    settings.cache_clear()


def _start_app(cloud: Cloud) -> None:
    """Start the app again that an earlier test has stopped."""
    environment = f"{cloud.deploy_url}/apps/{cloud.app_id}/environments/Production"
    if httpx.get(environment, headers=cloud.headers).json()["Status"] == "Running":
        return
    job = httpx.post(f"{environment}/start", json={"AutoSyncDb": True}, headers=cloud.headers).json()["JobId"]
    while httpx.get(f"{environment}/start/{job}", headers=cloud.headers).json()["Status"] != "Started":
        time.sleep(0.1)
