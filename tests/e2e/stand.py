"""A running stack with a backup in it, and ways to look at source and target that share nothing with the app's code."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import psycopg
import pyodbc
from azure.storage.blob import BlobServiceClient, ContainerClient

from api.migrations import MigrationView
from local.api import Api
from local.appsettings import FILES, PROFILE, REPORTS, STAGING
from local.sample.build import Request
from local.sqlserver.control import Control
from local.stack import BACKUPS, DATABASE, SQL_LOGIN, Stack, Target
from shared.reporting.model import Report
from tests.e2e import comparison
from tests.fixtures.sample import cached_sample
from tests.fixtures.sqlserver import odbc_driver

SAMPLE = Request(rows=5_000, files=120)
PATIENCE = 150
"""Seconds that a run of the sample may take on a machine with other work; a run that hangs fails the test."""


@dataclass
class Stand:
    """A running stack, the backup that lies in it, and a client of its API."""

    stack: Stack
    snapshot: Path
    runs: list[str] = field(default_factory=list)

    @cached_property
    def api(self) -> Api:
        """A client of the API; one, because every new one reads the machine's certificates."""
        return Api(self.stack.url, self.stack.function_key)

    @property
    def from_blob(self) -> dict[str, Any]:
        """The source part of a request: the backup as a blob."""
        return {"kind": "blob", "container": BACKUPS, "blob": self.snapshot.name}

    @property
    def from_cloud(self) -> dict[str, Any]:
        """The source part of a request: the backup from the Mendix Cloud stand-in."""
        return {"kind": "mendix-cloud", "profile": PROFILE, "snapshot": "new"}

    def put(self, name: str, content: bytes) -> dict[str, Any]:
        """Upload a backup of the test's own; the source part of a request for it."""
        self.container(BACKUPS).upload_blob(name, content, overwrite=True)
        return {"kind": "blob", "container": BACKUPS, "blob": name}

    def start(self, *, drop: bool = False, **changes: Any) -> str:
        """Post a migration of the backup; `changes` are fields of the request. Returns the run's id."""
        body: dict[str, Any] = {"source": self.from_blob, "target": PROFILE}
        if drop:
            body |= {"target_not_empty": "drop", "confirm": PROFILE}
        run = self.api.start(body | changes)
        self.runs.append(run)
        return run

    def end(self, run: str) -> MigrationView:
        """Wait until a run is over."""
        return self.wait(run, lambda seen: seen.verdict is not None, every=0.3)

    def wait(self, run: str, until: Any, *, every: float = 0.1) -> MigrationView:
        """Wait until a view of the run fulfils `until`; fails when the run ends or nothing comes of it.

        `every` is the pause between two looks in seconds. Each costs the run some of the machine; what lasts a moment
        only must not be missed between two.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            seen = self.api.show(run)
            if until(seen):
                return seen
            assert seen.verdict is None, f"the run ended before: {seen.verdict}, {seen.reason}"
            self.stack.check()
            time.sleep(every)
        raise AssertionError(f"{run} is still {seen.status} at {seen.stage}: {seen.progress.model_dump_json()}")

    def report(self, run: str) -> Report:
        """The report of a run that is over."""
        return Report.model_validate_json(self.api.report(run, "application/json"))

    def migrate(self, **changes: Any) -> Report:
        """Start a migration, wait for its end, and return its report."""
        run = self.start(**changes)
        self.end(run)
        return self.report(run)

    def container(self, name: str) -> ContainerClient:
        """A container of the stack's storage account."""
        return self.blobs.get_container_client(name)

    @cached_property
    def blobs(self) -> BlobServiceClient:
        """The stack's storage account."""
        return BlobServiceClient.from_connection_string(self.stack.azurite.connection_string)

    @contextmanager
    def target(self) -> Iterator[pyodbc.Connection]:
        """A connection to the target database with the plain ODBC driver."""
        facts = {
            "DRIVER": odbc_driver(), "SERVER": f"127.0.0.1,{self.stack.state.ports['sqlserver']}",
            "DATABASE": DATABASE, "UID": SQL_LOGIN, "PWD": self.stack.state.secrets.sql_login,
            "Encrypt": "yes", "TrustServerCertificate": "yes",
        }  # fmt: skip
        text = ";".join(f"{name}={{{value}}}" for name, value in facts.items())
        connection = pyodbc.connect(text, autocommit=True)
        try:
            yield connection
        finally:
            connection.close()

    @cached_property
    def expected(self) -> str:
        """DSN of a database into which `pg_restore` has restored the backup; made once."""
        server = self.stack.postgres
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE expected")
        comparison.restored(self.snapshot, server.dsn("expected"), server.binaries, self.stack.folder)
        return server.dsn("expected")

    def differences(self) -> list[str]:
        """What differs between backup and target beyond the documented deviations; empty is the aim."""
        with psycopg.connect(self.expected) as source, self.target() as target:
            found = comparison.database_differences(source, target)
        have = comparison.container_files(self.container(FILES))
        return found + comparison.file_differences(comparison.archive_files(self.snapshot), have)

    def temporary_databases(self) -> list[str]:
        """Names of the databases on the temporary PostgreSQL that runs have made."""
        with psycopg.connect(self.stack.postgres.dsn()) as connection:
            rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'run%'").fetchall()
        return [name for (name,) in rows]

    def staged(self, run: str) -> list[str]:
        """Names of what a run has in staging."""
        return list(self.container(STAGING).list_blob_names(name_starts_with=f"runs/{run}/"))

    def target_tables(self) -> list[str]:
        """Names of the target's tables."""
        with self.target() as connection:
            rows = connection.execute("SELECT name FROM sys.tables").fetchall()
        return sorted(name for (name,) in rows)

    def source_calls(self) -> list[str]:
        """What was asked of Mendix Cloud beyond reading: the last part of each such call's path."""
        facts, secrets = self.stack.facts["mendixcloud"], self.stack.state.secrets
        headers = {"Mendix-Username": str(facts["username"]), "Mendix-ApiKey": secrets.mendix_api_key}
        answer = httpx.post(str(facts["deploy_url"]).replace("/api/1", "/control"), json={}, headers=headers)
        return [call.rsplit("/", 1)[-1] for call in answer.json()["calls"] if not call.startswith("GET ")]

    def faults(self) -> Control:
        """The control port of the SQL Server stand-in."""
        return Control(int(str(self.stack.facts["sqlserver"]["control_port"])))

    def written(self, container: str = REPORTS) -> dict[str, bytes]:
        """All blobs of a container."""
        client = self.container(container)
        return {name: bytes(client.download_blob(name).readall()) for name in client.list_blob_names()}


@contextmanager
def stand(*host_options: str, target: Target | None = None) -> Iterator[Stand]:
    """Start a stack with the sample; stop it and delete its folder at the end."""
    snapshot = cached_sample(SAMPLE)
    stack = Stack(f"e2e-{token_hex(4)}", snapshot, target, host_options=host_options)
    try:
        with stack:
            stack.upload(BACKUPS, snapshot)
            yield Stand(stack, snapshot)
    finally:
        shutil.rmtree(stack.folder, ignore_errors=True)
