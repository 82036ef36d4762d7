"""A run of its own for each test: settings that point at Azurite and PostgreSQL, containers, and a way to call activities."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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
from shared.sources.url import stow_source_url
from tests.fixtures.appsettings import postgres_settings, set_settings, staging_settings, target_settings
from tests.fixtures.driving import drive
from tests.fixtures.mendixcloud import Cloud
from tests.fixtures.runs import new_run
from tests.integration.snapshot.archive_server import ArchiveServer

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


@pytest.fixture
def stand(azurite: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    mark = secrets.token_hex(4)
    set_settings(
        monkeypatch,
        staging_settings(azurite, f"staging-{mark}", f"reports-{mark}"),
        postgres_settings(postgres_server),
        target_settings("TEST", azurite, f"target-{mark}"),
        {"ALLOW_HTTP_SOURCES": "true"},
    )
    with BlobServiceClient.from_connection_string(azurite) as service:
        containers = [service.create_container(f"{name}-{mark}") for name in ("source", "staging", "reports", "target")]
        run = new_run({"kind": "blob", "container": f"source-{mark}", "blob": "snapshot.tar.gz"})
        yield Stand(run, service, *containers)
        for container in containers:
            container.delete_container()
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {database_name(run.id)} WITH (FORCE)")


@pytest.fixture
def by_url(stand: Stand, server: ArchiveServer) -> Stand:
    """A run whose source is the archive behind the signed URL of the module's `server`."""
    run = new_run({"kind": "url"})
    stow_source_url(run.id, server.signed)
    return replace(stand, run=run)


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
    set_settings(monkeypatch, {f"SOURCE__LIVE__MENDIX_CLOUD__{name}": value for name, value in values.items()})


def _start_app(cloud: Cloud) -> None:
    """Start the app again that an earlier test has stopped."""
    environment = f"{cloud.deploy_url}/apps/{cloud.app_id}/environments/Production"
    if httpx.get(environment, headers=cloud.headers).json()["Status"] == "Running":
        return
    job = httpx.post(f"{environment}/start", json={"AutoSyncDb": True}, headers=cloud.headers).json()["JobId"]
    while httpx.get(f"{environment}/start/{job}", headers=cloud.headers).json()["Status"] != "Started":
        time.sleep(0.1)
