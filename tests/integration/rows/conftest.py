"""A run between the shop in PostgreSQL and the SQL Server stand-in, with settings, staging and plan in place."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pyodbc
import pytest
from azure.storage.blob import ContainerClient

from activities import copy, verify
from shared import runpaths
from shared.contracts import Copied, RestoredWork, RestoreRef, Run, TableRows
from shared.copying.stage import all_rejects, read_lines
from shared.databaseplan import DatabasePlan, PlannedTable
from shared.errors import Finding
from shared.settings import SqlServer, settings
from shared.sqlserver import marker
from shared.sqlserver.connection import connection_string
from shared.sqlserver.ddl import create_table
from shared.sqlserver.ledger_table import CREATE_LEDGER
from tests.fixtures.appsettings import postgres_settings, set_settings, staging_settings, target_settings
from tests.fixtures.runs import new_run
from tests.integration.rows.shop import make_plan, make_tables

Answer = dict[str, Any]


@dataclass
class Stand:
    """One run: a restored database, a target, a plan, and the stages' activities called one after another."""

    run: Run
    database: str
    postgres: psycopg.Connection
    target: pyodbc.Connection
    staging: ContainerClient
    server: Any
    profile: SqlServer
    plan: DatabasePlan

    @property
    def work(self) -> Answer:
        restore = RestoreRef(database=self.database, tables=6, rows=1, bytes=1, server_version=170000)
        return RestoredWork(run=self.run, restore=restore).model_dump(mode="json")

    def option(self, **options: Any) -> None:
        """Change options of the request."""
        request = self.run.request
        changed = request.options.model_copy(update=options)
        self.run = self.run.model_copy(update={"request": request.model_copy(update={"options": changed})})

    def replan(self, change: Callable[[PlannedTable], PlannedTable] = lambda table: table) -> None:
        """Plan again from what the database holds now, and write the plan to staging."""
        plan = make_plan(self.postgres, self.run.id)
        self.plan = plan.model_copy(update={"tables": [change(table) for table in plan.tables]})
        self.staging.upload_blob(
            runpaths.of_run(self.run.id, runpaths.PLAN), self.plan.model_dump_json().encode(), overwrite=True
        )

    def create_tables(self, *, with_keys: bool = False) -> None:
        """Make the target's tables and ledger, as the schema stage does."""
        for table in self.plan.tables:
            self.target.execute(create_table(table, with_key=with_keys))
        self.target.execute(CREATE_LEDGER)
        marker.set_created(self.target, self.run.id)

    def jobs(self) -> tuple[Answer, list[Answer]]:
        """Plan the copy; return the plan and the input of every `copy_chunks`."""
        planned = opened(copy.plan_copy(None, self.work))
        inputs = [
            {**self.work, "blob": group["blob"], "job": number, "table_lock": planned["table_lock"], "log_stats": False}
            for group in planned["groups"]
            for number in range(group["jobs"])
        ]
        return planned, inputs

    def copy(self) -> Copied:
        """Copy everything, job by job."""
        planned, inputs = self.jobs()
        answers = [opened(copy.copy_chunks(None, job)) for job in inputs]
        assert not any(answer["stopped"] for answer in answers)
        return self.finish(planned)

    def finish(self, planned: Answer) -> Copied:
        return Copied.model_validate(opened(copy.finish_copy(None, {**self.work, "chunks": planned["chunks"]})))

    def verify(self) -> tuple[list[Answer], list[Finding], list[TableRows]]:
        """Verify everything; return checks, findings and tables."""
        planned = opened(verify.plan_verification(None, self.work))
        findings: list[Answer] = []
        jobs = 0
        for group in planned["groups"]:
            for number in range(group["jobs"]):
                answer = opened(verify.verify_slices(None, {**self.work, "blob": group["blob"], "job": number}))
                findings += answer["findings"]
                jobs += 1
        done = opened(verify.finish_verification(None, {**self.work, "jobs": jobs, "findings": findings}))
        tables = read_lines(self.staging, done["tables_blob"], TableRows)
        return done["checks"], [Finding.model_validate(one) for one in done["findings"]], tables

    def count(self, table: str) -> int:
        return int(self.target.execute(f"SELECT COUNT_BIG(*) FROM [dbo].[{table}]").fetchval())

    def rejects(self, table: str) -> list[Any]:
        return list(all_rejects(self.staging, self.run.id, table))


def opened(answer: Answer) -> Answer:
    """Return an activity's answer, which must not be a refusal."""
    assert "refused" not in answer, answer
    return answer


@pytest.fixture
def orders() -> int:
    return 2000


@pytest.fixture
def many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 64 KiB; to be named before the stand, which reads its settings."""
    monkeypatch.setenv("COPY_CHUNK_BYTES", str(64 * 1024))


@pytest.fixture
def stand(
    azurite: str,
    container: ContainerClient,
    postgres_server: Any,
    database: str,
    sql_server: Any,
    sql_database: str,
    orders: int,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stand]:
    name = container.container_name
    set_settings(
        monkeypatch,
        staging_settings(azurite, name),
        postgres_settings(postgres_server),
        target_settings("TEST", azurite, name, sql_server, sql_database),
        {"REHEARSAL_SCHEDULE": "0 0 2 * * 6"},
    )
    profile = settings().target_profile("test").sql
    assert profile is not None
    with (
        psycopg.connect(postgres_server.dsn(database), autocommit=True) as postgres,
        pyodbc.connect(connection_string(profile), autocommit=True) as target,
    ):
        make_tables(postgres, orders)
        run = new_run()
        stand = Stand(run, database, postgres, target, container, sql_server, profile, make_plan(postgres, run.id))
        stand.replan()
        yield stand
