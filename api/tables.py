"""`GET /api/migrations/{id}/tables`: the tables of a run with their rows, planned and on the target, while it runs too.

While rows are copied they are counted by SQL Server's own row counts (`sys.dm_db_partition_stats`): no locks, and rows
of chunks under way are in it. A PostgreSQL target is asked for its ledger, which has a table's rows as soon as all of
them are in. The numbers that are proof are those of the report.
"""

import asyncio
import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import pyodbc
from azure.core.exceptions import AzureError
from pydantic import BaseModel, Field

from api import migrations
from api.http import Answer, Call, answer, refused_as, with_etag
from shared import runpaths, runs
from shared.blobs import clients, documents
from shared.contracts import Run
from shared.copying.stage import database_plan
from shared.errors import MxferryError, Refusal
from shared.postgres import targetschema
from shared.postgres.connection import connect
from shared.postgres.targetplan import TargetPlan, name_of
from shared.settings import TargetProfile, settings
from shared.sqlserver import catalogue, connection

FRESH_SECONDS = 5.0
"""Watchers share one count of the target for so long, and one that failed too."""
TIMEOUT = 15


@dataclass(frozen=True)
class Count:
    """Rows by table on a run's target; null where it did not say."""

    run: str
    at: datetime
    rows: dict[str, int] | None

    @property
    def fresh(self) -> bool:
        """Whether it may be shown without asking the target again."""
        return (datetime.now(UTC) - self.at).total_seconds() < FRESH_SECONDS


_counted: dict[str, Count] = {}
_counting: dict[str, threading.Lock] = {}


class TableView(BaseModel):
    """One table: rows to copy (null: known when they are loaded), and rows on the target now (null: not counted)."""

    name: str
    rows: int | None
    rows_target: int | None = None
    bytes: int = 0
    empty: bool = Field(default=False, description="Made on the target, left empty on purpose.")


class TablesView(BaseModel):
    """Answer of `GET /api/migrations/{id}/tables`, the largest table first; empty before the plan is made."""

    tables: list[TableView] = Field(default_factory=list)
    counted_at: datetime | None = None
    final: bool = Field(default=False, description="Numbers of the report, not of a run under way.")


async def show(call: Call) -> Answer:
    """Return the tables of a run."""
    with refused_as(404):
        run = await asyncio.to_thread(runs.load, call.params["id"])
        seen = await migrations.look(call.engine, run.id)
    if seen.verdict is not None:
        return with_etag(call, answer(await asyncio.to_thread(_reported, run.id)))
    written = seen.progress.target_written_at is not None
    return with_etag(call, answer(await asyncio.to_thread(_planned, run, written)))


def _reported(run_id: str) -> TablesView:
    stored = runs.read(runpaths.of_run(run_id, runpaths.REPORT))
    found = json.loads(stored) if stored else {"tables": []}
    tables = [
        TableView(
            name=one["name"],
            rows=one["rows_source"],
            rows_target=one["rows_target"],
            bytes=one["bytes"],
            empty=one["content"] == "empty",
        )
        for one in found["tables"]
    ]
    return TablesView(tables=_sorted(tables), counted_at=found.get("reported_at"), final=True)


def _planned(run: Run, written: bool) -> TablesView:
    if run.request.options.target_mode == "postgres":
        return _restoring(run, written)
    try:
        plan = database_plan(clients.staging(), run.id)
    except Refusal:
        return TablesView()  # not planned yet
    count = _count(run) if written else None
    held = count.rows if count else None
    tables = [
        TableView(
            name=one.name,
            rows=one.rows,
            rows_target=None if held is None else held.get(one.name, 0),
            bytes=one.source_bytes,
            empty=one.content == "empty",
        )
        for one in plan.tables
    ]
    return TablesView(tables=_sorted(tables), counted_at=count.at if count and held is not None else None)


def _restoring(run: Run, written: bool) -> TablesView:
    """The tables that are restored straight into a PostgreSQL target; those that are in have their rows."""
    plan = documents.read(clients.staged(run.id, runpaths.TARGET_PLAN), TargetPlan)
    if plan is None:
        return TablesView()
    count = _count(run) if written else None
    held = count.rows if count else None
    tables = [
        TableView(
            name=name_of(one.data), rows=None, bytes=one.data.size,
            rows_target=None if held is None else held.get(name_of(one.data)),
        )
        for one in plan.tables
    ]  # fmt: skip
    tables += [TableView(name=name_of(one.data), rows=0, empty=True) for one in plan.empty]
    by_size = sorted(tables, key=lambda one: (-one.bytes, one.name))
    return TablesView(tables=by_size, counted_at=count.at if count and held is not None else None)


def _count(run: Run) -> Count | None:
    """Return a count of the target that is fresh; where somebody counts just now, the one before, if there was one."""
    target = run.request.target
    before = _counted.get(target)
    if before is not None and before.run != run.id:
        before = None
    if before is not None and before.fresh:
        return before
    lock = _counting.setdefault(target, threading.Lock())
    if not lock.acquire(blocking=False):
        return before
    try:
        rows = _held(settings().target_profile(target))
        _counted[target] = Count(run.id, datetime.now(UTC), rows)
        return _counted[target]
    finally:
        lock.release()


def _held(profile: TargetProfile) -> dict[str, int] | None:
    """Return the rows by table on the target; None when it cannot say just now."""
    try:
        return _counted_on(profile)
    except (MxferryError, AzureError, psycopg.Error, pyodbc.Error):
        return None


def _counted_on(profile: TargetProfile) -> dict[str, int]:
    if profile.kind == "postgres" and profile.postgres is not None:
        name = "mxferry tables"
        with connect(
            profile.postgres, autocommit=True, application_name=name, connect_timeout=TIMEOUT, statement_timeout=TIMEOUT
        ) as target:
            return targetschema.loaded_by_name(target)
    if profile.sql is None:
        return {}
    with connection.session(profile.sql, timeout=TIMEOUT, login_timeout=TIMEOUT) as server:
        return catalogue.table_rows(server)


def _sorted(tables: list[TableView]) -> list[TableView]:
    return sorted(tables, key=lambda one: (-(one.rows or 0), one.name))
