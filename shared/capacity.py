"""What a run moves its load with, as preflight found it: kept beside the run's record, read by the forecast.

Service objective and compute tier are asked once, by preflight; whoever asks for a forecast must not wake a database.
"""

import functools
import logging

import pyodbc

from shared import runpaths, runs
from shared.azure.arm import ResourceManager
from shared.contracts import Run
from shared.errors import Finding, MxferryError
from shared.settings import SqlServer, TargetProfile, settings
from shared.sizing import Capacity, log_rate, row_rate
from shared.sqlserver.connection import session

log = logging.getLogger("mxferry.capacity")

OBJECTIVE = "SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'ServiceObjective') AS nvarchar(128))"
"""Such as GP_Gen5_8; NULL outside Azure SQL.
https://learn.microsoft.com/sql/t-sql/functions/databasepropertyex-transact-sql"""


LOGIN_SECONDS = 5
"""The checks of the target, with more patience, come before and have woken a database that pauses."""


def find_out(run: Run) -> list[Finding]:
    """Find out what the run moves its load with, keep it for the forecast, and say what bounds the load.

    What cannot be found out is taken to have no limit; the checks of the target say why it cannot.
    """
    profile = settings().target_profile(run.request.target)
    capacity = Capacity(
        objective=_objective(profile.sql) if profile.sql else "",
        parallel_chunks=profile.max_parallel_chunks,
        parallel_files=profile.max_parallel_files,
        load=profile.load,
        burstable=_burstable(),
    )
    runs.write(_name(run.id), capacity.model_dump_json().encode(), "application/json")
    _stored.cache_clear()
    return [_pace(profile, run.request.target, capacity)] if log_rate(capacity.objective) is not None else []


def remembered(run_id: str) -> Capacity | None:
    """Return what preflight found, or None if it has not looked (yet)."""
    try:
        return _stored(run_id)
    except LookupError:
        return None


@functools.lru_cache(maxsize=64)
def _stored(run_id: str) -> Capacity:
    stored = runs.read(_name(run_id))
    if stored is None:
        raise LookupError(run_id)  # which lru_cache does not keep
    return Capacity.model_validate_json(stored)


def _name(run_id: str) -> str:
    return runpaths.of_run(run_id, runpaths.CAPACITY)


def _objective(sql: SqlServer) -> str:
    """The size that the load will meet: the one that the run scales to, else the present one."""
    if sql.resource_id is not None and sql.scale_up_to is not None:
        return sql.scale_up_to
    try:
        with session(sql, timeout=60, login_timeout=LOGIN_SECONDS) as connection:
            return objective(connection)
    except MxferryError as error:
        log.warning("the service objective of the target is not known: %s", error)
        return ""


def objective(connection: pyodbc.Connection) -> str:
    """Return the database's service objective; empty outside Azure SQL."""
    return str(connection.execute(OBJECTIVE).fetchval() or "")


def _burstable() -> bool:
    server = settings().postgres.resource_id
    if server is None:
        return False
    try:
        with ResourceManager() as manager:
            return manager.postgres_tier(server) == "Burstable"
    except MxferryError as error:
        log.warning("the tier of the temporary server is not known: %s", error)
        return False


def _pace(profile: TargetProfile, target: str, capacity: Capacity) -> Finding:
    rate, bound_by = row_rate(capacity)
    scaled = " for the load" if profile.sql and profile.sql.scale_up_to == capacity.objective else ""
    return Finding(
        code="TARGET_PACE", severity="info", object=target,
        message=f"{capacity.objective}{scaled} may write {log_rate(capacity.objective):g} MB/s to its log; rows will go at about "
        f"{rate:.0f} MB/s with {capacity.parallel_chunks} chunks at a time ({capacity.load}), bound by the {bound_by}.",
        remedy="docs/sizing.md says what a larger size brings.",
    )  # fmt: skip
