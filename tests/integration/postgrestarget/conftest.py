"""A run of its own for each test: a dump in staging, and a PostgreSQL target database that an ordinary role owns.

The settings name a temporary PostgreSQL where nobody listens: target mode `postgres` must do without it.
"""

import io
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient
from psycopg import sql

from activities import postgresverify
from local.postgres import PostgresServer, bin_folder
from orchestrators.postgrestarget import finish_postgres, load_postgres, plan_postgres, verify_postgres
from shared import budget
from shared.contracts import DumpRef, Run, SnapshotRef
from shared.errors import Finding
from shared.settings import settings
from shared.snapshot import dumpdata
from shared.snapshot.dump import read_dump
from shared.verification import restored
from tests.fixtures import driving
from tests.fixtures.appsettings import NO_POSTGRES, postgres_settings, set_settings, staging_settings
from tests.fixtures.runs import new_run, with_request
from tests.integration.postgrestarget.shop import METADATA, TABLES

BY_NAME = driving.ACTIVITIES
Answer = dict[str, Any]


@dataclass
class Stand:
    """One run against real servers: `call` an activity, `drive` a stage, look at the target."""

    run: Run
    snapshot: SnapshotRef
    dsn: str
    role: str
    staging: ContainerClient
    reports: ContainerClient
    files: ContainerClient
    statuses: list[Answer] = field(default_factory=list)

    @property
    def work(self) -> Answer:
        return {"run": self.run.model_dump(mode="json"), "snapshot": self.snapshot.model_dump(mode="json")}

    @property
    def run_work(self) -> Answer:
        return {"run": self.run.model_dump(mode="json")}

    def request(self, **changes: Any) -> None:
        """Change the request; options are given as `options={…}` and added to those there are."""
        self.run = with_request(self.run, **changes)

    def give(self, dump: bytes) -> None:
        """Put a dump into staging, as the snapshot stage does."""
        head = read_dump(io.BytesIO(dump), with_entries=False)
        name = f"runs/{self.run.id}/snapshot.dump"
        self.staging.upload_blob(name, dump, overwrite=True)
        ref = DumpRef(
            blob=name, offset=0, size=len(dump), format=".".join(map(str, head.version)), compression=head.compression,
            server_version=head.server_version, dump_version=head.dump_version,
        )  # fmt: skip
        self.snapshot = SnapshotRef(kind="database", archive_blob=name, archive_bytes=len(dump), dump=ref)

    def call(self, activity: str, **more: Any) -> Answer:
        """Call an activity; it must not refuse."""
        answer = BY_NAME[activity](None, self.work | more)
        assert "refused" not in answer, answer
        return answer

    def refused(self, activity: str, **more: Any) -> Finding:
        """Call an activity that must refuse."""
        return Finding.model_validate(BY_NAME[activity](None, self.work | more)["refused"])

    def drive(self, orchestrator: Callable[..., Any]) -> Answer:
        """Run an orchestrator to its end; return its answer."""
        answer: Answer = driving.drive(orchestrator, self.work, self.statuses)
        return answer

    def findings(self, answer: Answer) -> dict[str, Finding]:
        """Return an answer's findings by code."""
        return {one["code"]: Finding.model_validate(one) for one in answer["findings"]}

    def restore(self) -> Answer:
        """Do every stage up to the proof; return what the load answered."""
        self.drive(plan_postgres)
        self.call("create_postgres_schema")
        loaded = self.drive(load_postgres)
        self.drive(finish_postgres)
        return loaded

    def verify(self) -> Answer:
        """Do the proof."""
        return self.drive(verify_postgres)

    def execute(self, statement: str) -> None:
        """Do something on the target, as its app's role."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the target something."""
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(statement.encode()).fetchall()


def dump(server: PostgresServer, database: str, folder: Path) -> bytes:
    """Return the dump of a database as Mendix Cloud makes it."""
    path = folder / "dump"
    command = [str(bin_folder() / "pg_dump"), "-O", "-x", "-Fc", "-d", server.dsn(database), "-f", str(path)]
    subprocess.run(command, check=True)
    return path.read_bytes()


@contextmanager
def fresh_database(server: PostgresServer, *, role: str = "", options: str = "") -> Iterator[str]:
    """A new database, owned by a role of that name if one is given; both are dropped afterwards."""
    name = f"target_{secrets.token_hex(5)}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        if role:
            make = sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'app'").format(sql.Identifier(role))
            connection.execute(make)
        owner = sql.SQL(" OWNER {}").format(sql.Identifier(role)) if role else sql.SQL("")
        connection.execute(sql.SQL("CREATE DATABASE {}{} ").format(sql.Identifier(name), owner) + sql.SQL(options))
        try:
            yield name
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            if role:
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.fixture(scope="session")
def shop_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The source: a Mendix database with values that are hard to carry."""
    with fresh_database(postgres_server) as name:
        with psycopg.connect(postgres_server.dsn(name)) as connection:
            connection.execute(METADATA.encode())
            connection.execute(TABLES.encode())
        yield name


@pytest.fixture(scope="session")
def shop_dump(postgres_server: PostgresServer, shop_database: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Its dump."""
    return dump(postgres_server, shop_database, tmp_path_factory.mktemp("dump"))


@pytest.fixture
def stand(azurite: str, postgres_server: PostgresServer, shop_dump: bytes) -> Iterator[Stand]:
    """A run with the shop's dump in staging and an empty target."""
    with made_stand(azurite, postgres_server) as made:
        made.give(shop_dump)
        yield made


@pytest.fixture
def in_the_smallest_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call ends as soon as it may: after a page of the target's table, and a few rows of the dump's."""
    monkeypatch.setattr(budget, "PAID_BACK", 0)
    monkeypatch.setattr(postgresverify, "SECONDS", 0)
    monkeypatch.setattr(restored, "RANGE_BYTES", 200_000)
    monkeypatch.setattr(restored, "BLOCK_BYTES", 10_000)
    monkeypatch.setattr(dumpdata, "TEXT_PIECE", 60_000)


@contextmanager
def made_stand(azurite: str, postgres_server: PostgresServer) -> Iterator[Stand]:
    """A run, its settings and its target."""
    mark = secrets.token_hex(4)
    role = f"app_{mark}"
    with fresh_database(postgres_server, role=role) as database, pytest.MonkeyPatch.context() as patch:
        as_its_app = replace(postgres_server, user=role, password="app")
        set_settings(
            patch,
            staging_settings(azurite, f"staging-{mark}", f"reports-{mark}"),
            NO_POSTGRES,
            postgres_settings(as_its_app, "TARGET__TEST__POSTGRES"),
            {
                "MASK_SECRET": "a secret of the tests",
                "TARGET__TEST__KIND": "postgres",
                "TARGET__TEST__POSTGRES__DATABASE": database,
                "TARGET__TEST__BLOB__CONNECTION_STRING": azurite,
                "TARGET__TEST__BLOB__CONTAINER": f"target-{mark}",
            },
        )
        dsn = as_its_app.dsn(database)
        with BlobServiceClient.from_connection_string(azurite) as service:
            containers = [service.create_container(f"{name}-{mark}") for name in ("staging", "reports", "target")]
            run = new_run({"kind": "url"}, options={"target_mode": "postgres"})
            yield Stand(run, SnapshotRef.model_construct(), dsn, role, *containers)
            for container in containers:
                container.delete_container()
    settings.cache_clear()
