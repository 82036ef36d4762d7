"""Wakes what sleeps between runs and puts it to sleep again: the temporary PostgreSQL server, the size of the target.

Each activity brings its resource one step nearer to the wanted state and says whether it is reached; the orchestrator
calls it again until it is. So a repeated delivery, a crash or another run in between does no harm. Without resource ids
in the settings the activities do nothing and answer `reached` at once.
"""

import logging
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from activities.boundary import activity, closing_activity
from shared import events, idling, leftovers, runs
from shared.azure.arm import ResourceManager
from shared.azure.marks import ServerMarks, SizeMark
from shared.blobs import clients
from shared.contracts import RunWork
from shared.errors import Finding, MxferryError, TransientError
from shared.settings import SqlServer, TemporaryPostgres, settings
from shared.strict import Strict

log = logging.getLogger("mxferry.environment")


class ServerState(Strict):
    """The state of the temporary PostgreSQL server."""

    managed: bool
    state: str = ""
    reached: bool
    needed_by: list[str] = Field(default_factory=list)
    findings: list[Finding] = Field(default_factory=list)


NOT_USED = ServerState(managed=False, reached=True)


class StartWork(RunWork):
    """Input of `start_postgres`."""

    mark: bool = True


class ScaleWork(RunWork):
    """Input of `scale_sql`."""

    to: Literal["load", "before"]


class Scaled(Strict):
    """The state of the target database's size."""

    managed: bool
    sku: str = ""
    wanted: str = ""
    reached: bool


@activity
def start_postgres(work: StartWork) -> ServerState:
    """Start the server if it is stopped; `reached` when it is ready. Marks that this run needs it."""
    return _start(work.run.id if work.mark else None) if _uses_server(work) else NOT_USED


@closing_activity
def restart_postgres(work: RunWork) -> ServerState:
    """Start the server again for runs that came while this run was stopping it; works after an abort too."""
    return _start(None) if _uses_server(work) else NOT_USED


@closing_activity
def stop_postgres(work: RunWork) -> ServerState:
    """Stop the server unless another run needs it; `needed_by` names runs that came while it was being stopped.

    It is swept first: what closed runs left on it would otherwise stay until somebody starts it again. A server on which
    another installation has databases, or that cannot be asked, is left running.
    """
    server = settings().postgres
    if server.resource_id is None or not _uses_server(work):
        return NOT_USED
    marks = ServerMarks(clients.reports())
    marks.take_away(work.run.id)
    others = marks.others(work.run.id) or _long_waiting(work.run.id)
    if others or not server.stop_when_idle:
        return ServerState(managed=True, state="kept running", reached=True)
    with ResourceManager() as manager:
        state = manager.postgres_state(server.resource_id)
        if state == "Ready":
            needed, found = _in_the_way(server, work.run.id)
            if needed or found:
                return ServerState(managed=True, state="kept running", reached=True, findings=found)
            manager.stop_postgres(server.resource_id)
            state = "Stopping"
            events.emit("environment-changed", work.run.id, what="postgres-stop")
    # A run puts its mark before it reads the state. So whoever read Ready before we stopped the server is marked by now.
    return ServerState(managed=True, state=state, reached=True, needed_by=marks.others(work.run.id))


@closing_activity
def scale_sql(work: ScaleWork) -> Scaled:
    """Scale the target database to its size for the load, or back to the size it had before any run scaled it up.

    Scaling back works after an abort too. Scaling up is refused then, and also once the clean-up has begun: nobody would
    scale it back.
    """
    if work.to == "load":
        runs.stop_if_closed(work.run.id)
        runs.stop_if_aborted(work.run.id)
    sql = settings().target_profile(work.run.request.target).sql
    if sql is None or sql.resource_id is None or sql.scale_up_to is None:
        return Scaled(managed=False, reached=True)
    return _scale(sql, sql.resource_id, work)


def _long_waiting(run: str) -> list[str]:
    """Return the other runs with an old mark that have not said that they are over; the sweep asks the engine later."""
    return [one.id for one in idling.long_marked() if one.id != run and not runs.closed(one.id)]


def _uses_server(work: RunWork) -> bool:
    """Whether the run restores to the temporary server; for a PostgreSQL target the dump goes straight to the target."""
    return work.run.request.options.target_mode != "postgres"


def _start(run: str | None) -> ServerState:
    server_id = settings().postgres.resource_id
    if server_id is None:
        return NOT_USED
    marks = ServerMarks(clients.reports())
    if run is not None:
        marks.put(run)
    with ResourceManager() as manager:
        state = manager.postgres_state(server_id)
        if state == "Ready" and marks.is_stopping():
            state = "Stopping"
        if state == "Stopped":
            manager.start_postgres(server_id)
            marks.not_stopping()
            state = "Starting"
            events.emit("environment-changed", run or "", what="postgres-start")
    return ServerState(managed=True, state=state, reached=state == "Ready")


def _in_the_way(server: TemporaryPostgres, run: str) -> tuple[bool, list[Finding]]:
    """Sweep the server; return whether another run of ours needs it although it has no mark, and what else forbids a stop."""
    try:
        seen = leftovers.sweep_server(datetime.now(UTC))
    except MxferryError as error:
        return False, [_kept_running(server, f"it cannot be asked: {error.message}")]
    needed = any(one.run.id != run for one in seen.ours)
    return needed, [_kept_running(server, f"databases of others: {', '.join(seen.others[:10])}")] if seen.others else []


def _kept_running(server: TemporaryPostgres, found: str) -> Finding:
    return Finding(
        code="POSTGRES_KEPT_RUNNING", severity="warning", object=server.host,
        message=f"expected the temporary server to be used by nobody else before it is stopped, found {found}",
        remedy="If nobody needs it: drop what is left on it, and az postgres flexible-server stop. Where several "
        "installations share it, say POSTGRES__STOP_WHEN_IDLE=false in each.",
    )  # fmt: skip


def _scale(sql: SqlServer, database_id: str, work: ScaleWork) -> Scaled:
    mark = SizeMark(clients.reports(), database_id)
    with ResourceManager() as manager:
        size = manager.database_size(database_id)
        if work.to == "load":
            wanted = sql.scale_up_to or size.sku
            if size.sku != wanted and not size.changing:
                mark.put(size.sku, work.run.id)
        else:
            wanted = mark.read() or size.sku
        reached = size.sku == wanted and not size.changing
        if reached and work.to == "before":
            mark.forget()
        if not reached and not size.changing:
            _ask(manager, database_id, wanted)
            events.emit("environment-changed", work.run.id, what="sql-scale", before=size.sku, wanted=wanted)
    return Scaled(managed=True, sku=size.sku, wanted=wanted, reached=reached)


def _ask(manager: ResourceManager, database_id: str, sku: str) -> None:
    """Ask for a size; while another change is under way the next call asks again."""
    try:
        manager.scale_database(database_id, sku)
    except TransientError as error:
        if error.code != "ARM_BUSY":
            raise
        log.info("%s is busy, asking again later", error.about)
