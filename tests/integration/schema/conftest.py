"""A run of its own for each test, from a restored sample to a target database on the SQL Server stand-in."""

import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pyodbc
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient
from psycopg import sql

from activities import inspect, schema
from local.postgres import PostgresServer
from shared import runpaths
from shared.contracts import RestoredWork, RestoreRef, Run
from shared.databaseplan import DatabasePlan
from shared.errors import Finding
from shared.inspection.collation import MENDIX_DEFAULT
from shared.settings import SqlServer, settings
from shared.sqlserver.connection import connect
from tests.fixtures import driving
from tests.fixtures.appsettings import postgres_settings, set_settings, staging_settings, target_settings
from tests.fixtures.runs import new_run, with_request
from tests.fixtures.sample import dump_of
from tests.integration.schema.restored import restore, scratch

Answer = dict[str, Any]
WITH_COLLATION = {"collation": MENDIX_DEFAULT}
"""With a collation of its own a run need not ask the target for it."""


@dataclass
class Stand:
    """One run against real servers: `call` an activity, `drive` an orchestrator, look at the target."""

    run: Run
    database: str
    postgres: PostgresServer
    staging: ContainerClient
    reports: ContainerClient
    statuses: list[Answer] = field(default_factory=list)

    @property
    def work(self) -> Answer:
        restored = RestoreRef(database=self.database, tables=1, rows=1, bytes=1, server_version=170000)
        return RestoredWork(run=self.run, restore=restored).model_dump(mode="json")

    def request(self, **changes: Any) -> None:
        """Change the request; options are given as `options={…}` and added to those there are."""
        self.run = with_request(self.run, **changes)

    def call(self, activity: Callable[..., Answer], **more: Any) -> Answer:
        """Call an activity; it must not refuse."""
        answer = activity(None, self.work | more)
        assert "refused" not in answer, answer
        return answer

    def planned(self) -> Answer:
        """Plan the database, and settle the plan without looking at the data; return the answer of planning."""
        answer = self.call(schema.plan_database)
        self.call(inspect.settle_inspection, findings=[])
        return answer

    def refused(self, activity: Callable[..., Answer]) -> Finding:
        """Call an activity that must refuse."""
        return Finding.model_validate(activity(None, self.work)["refused"])

    def drive(self, orchestrator: Callable[..., Any]) -> list[Finding]:
        """Run an orchestrator to its end; return its findings."""
        return [Finding.model_validate(one) for one in self.answer(orchestrator)["findings"]]

    def answer(self, orchestrator: Callable[..., Any]) -> Answer:
        """Run an orchestrator to its end; return its whole answer."""
        answer: Answer = driving.drive(orchestrator, self.work, self.statuses)
        return answer

    def plan(self) -> DatabasePlan:
        """The plan that lies in staging."""
        return DatabasePlan.model_validate_json(
            self.staging.download_blob(runpaths.of_run(self.run.id, runpaths.PLAN)).readall()
        )

    @property
    def target(self) -> SqlServer:
        sql_server = settings().target_profile("test").sql
        assert sql_server is not None
        return sql_server

    def source(self, statement: str) -> None:
        """Change the temporary database."""
        with psycopg.connect(self.postgres.dsn(self.database)) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="session")
def sound_template(postgres_server: PostgresServer, sample_snapshot: Path) -> Iterator[str]:
    """A restored sample that tests copy."""
    with scratch(postgres_server, "sound_template") as name:
        restore(postgres_server, name, dump_of(sample_snapshot))
        yield name


@pytest.fixture(scope="session")
def faulty_template(postgres_server: PostgresServer, sample_with_problems: Path) -> Iterator[str]:
    """The same with problems."""
    with scratch(postgres_server, "faulty_template") as name:
        restore(postgres_server, name, dump_of(sample_with_problems))
        yield name


@pytest.fixture
def restored(postgres_server: PostgresServer, sound_template: str) -> Iterator[str]:
    """A copy of the sound sample, for one test."""
    yield from _copied(postgres_server, sound_template)


@pytest.fixture
def restored_with_problems(postgres_server: PostgresServer, faulty_template: str) -> Iterator[str]:
    """A copy of the sample with problems, for one test."""
    yield from _copied(postgres_server, faulty_template)


def _copied(server: PostgresServer, template: str) -> Iterator[str]:
    name = f"copy_{secrets.token_hex(6)}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        yield name
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def environment(azurite: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The settings of the app, without a target's server; returns what the containers' names end in."""
    mark = secrets.token_hex(4)
    set_settings(
        monkeypatch,
        staging_settings(azurite, f"staging-{mark}", f"reports-{mark}"),
        postgres_settings(postgres_server),
        target_settings("TEST", azurite, f"target-{mark}"),
        {
            "TARGET__TEST__SQL__USER": "nobody",
            "TARGET__TEST__SQL__PASSWORD": "no-word-of-a-test",
            "TARGET__TEST__SQL__ENCRYPT": "no",
            "REHEARSAL_SCHEDULE": "0 0 2 * * 6",
            "MASK_SECRET": "a secret of the tests",
        },
    )
    return mark


@pytest.fixture
def stand(azurite: str, postgres_server: PostgresServer, restored: str, environment: str) -> Iterator[Stand]:
    """A run on the sound sample; the target is not there."""
    with BlobServiceClient.from_connection_string(azurite) as service:
        staging, reports = (service.create_container(f"{name}-{environment}") for name in ("staging", "reports"))
        yield Stand(new_run(options=WITH_COLLATION), restored, postgres_server, staging, reports)
        staging.delete_container()
        reports.delete_container()


@pytest.fixture
def target(
    azurite: str, environment: str, stand: Stand, sql_server: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pyodbc.Connection]:
    """A session on a fresh target database of the stand."""
    files = f"target-{environment}"
    set_settings(monkeypatch, target_settings("TEST", azurite, files, sql_server, sql_server.new_database()))
    connection = connect(stand.target)
    yield connection
    connection.close()


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Call all at the same time; return the answers, or the exceptions."""
    barrier = threading.Barrier(len(calls))
    answers: list[Any] = [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            answers[number] = call()
        except Exception as error:
            answers[number] = error

    threads = [threading.Thread(target=run, args=one) for one in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
