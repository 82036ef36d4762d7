"""Stops the temporary server that runs while nobody needs it: after a deployment, or because Azure has started it again.

Azure starts a server that was stopped for seven days, and a deployment wakes it; no run would come to stop it.
https://learn.microsoft.com/azure/postgresql/configure-maintain/how-to-stop-server
"""

import logging
from datetime import datetime, timedelta

import psycopg
from azure.core.exceptions import AzureError
from pydantic import ValidationError

from shared import events, leftovers, runs
from shared.azure.arm import ResourceManager
from shared.azure.marks import ServerMarks
from shared.blobs import clients
from shared.contracts import Run
from shared.errors import MxferryError
from shared.postgres.connection import QUESTION_SECONDS, connect
from shared.settings import TemporaryPostgres, settings

log = logging.getLogger("mxferry.sweep")

UP_FOR = timedelta(hours=1)
"""Whoever has started the server by hand has this long to begin using it."""


def long_marked() -> list[Run]:
    """Return the runs whose marks are too old to be heeded by themselves: one that is not over waits, and needs the server.

    A mark without a record is of no run of ours.
    """
    server = settings().postgres
    if server.resource_id is None or not server.stop_when_idle:
        return []
    found = []
    for run_id in ServerMarks(clients.reports()).forgotten():
        try:
            found.append(runs.load(run_id))
        except (MxferryError, ValidationError):
            log.warning("the temporary server has a mark of %s, of which there is no record that can be read", run_id)
    return found


def stop_idle_server(now: datetime) -> list[str]:
    """Stop the server if no run needs it, nobody else has databases there, and it has been up for an hour; say so.

    What keeps it from being asked is said in the log, and the next tick tries again.
    """
    server = settings().postgres
    if server.resource_id is None or not server.stop_when_idle:
        return []
    marks = ServerMarks(clients.reports())
    try:
        if marks.others("") or not _idle(server, server.resource_id, now):
            return []
        stopped = _stopped(server.resource_id, marks)
    except MxferryError as error:
        log.warning("the temporary server is not stopped: %s", error)
        return []
    except (AzureError, psycopg.Error) as error:
        log.warning("the temporary server is not stopped: %s", type(error).__name__)
        return []
    return [f"Stopped the temporary server {server.host}, which nobody used."] if stopped else []


def _idle(server: TemporaryPostgres, server_id: str, now: datetime) -> bool:
    with ResourceManager() as manager:
        if manager.postgres_state(server_id) != "Ready":
            return False
    with connect(server, autocommit=True, read_only=True, statement_timeout=QUESTION_SECONDS) as session:
        (since,) = session.execute("SELECT pg_postmaster_start_time()").fetchone() or (now,)
    if now - since < UP_FOR:
        return False
    seen = leftovers.sweep_server(now)
    return not seen.ours and not seen.others


def _stopped(server_id: str, marks: ServerMarks) -> bool:
    """Say that the server is going to be stopped, look once more who needs it, and stop it.

    A run marks its need before it looks at the server: either its mark is seen here, or the run sees ours and waits.
    """
    marks.stopping()
    try:
        if marks.others(""):
            marks.not_stopping()
            return False
        with ResourceManager() as manager:
            manager.stop_postgres(server_id)
    except BaseException:
        marks.not_stopping()
        raise
    events.emit("environment-changed", "", what="postgres-stop")
    return True
