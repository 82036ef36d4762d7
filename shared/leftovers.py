"""What runs left behind in staging and on the temporary PostgreSQL server (databases, logins), and its deletion.

The clean-up of a run deletes its own; this finds what a failed clean-up, a kept run or a purged history left over.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from shared import runs
from shared.azure.arm import ResourceManager
from shared.blobs import cleanup, clients
from shared.contracts import RUN_ID
from shared.errors import MxferryError, Refusal
from shared.installation import installation
from shared.postgres import readers, temporary
from shared.postgres.connection import connect, database_name
from shared.settings import settings

_DATABASE = re.compile(r"^run_(\d{8}t\d{6})_([0-9a-f]{6})$")


def found() -> list[str]:
    """Return the ids of runs that have blobs in staging or a temporary database, oldest first."""
    return sorted({*_in_staging(), *_in_postgres()})


def kept(run_id: str, now: datetime) -> bool:
    """Say whether a run that is over is kept for a while, as its request or its failure asks."""
    try:
        policy = runs.load(run_id).request.options.cleanup
    except Refusal:
        policy = "always"
    if policy == "always":
        return False
    started = datetime.strptime(run_id.split("-")[0], "%Y%m%dt%H%M%S").replace(tzinfo=UTC)
    return now - started < timedelta(days=settings().keep_days)


def delete(run_id: str) -> list[str]:
    """Delete a run's staging blobs and temporary database; returns sentences of what was done, and of what was not.

    The database on a server that is asleep waits until a run wakes the server: `found` names the run again then.
    """
    said: list[str] = []
    staging: Callable[[], list[str]] = lambda: cleanup.delete_staging(run_id)  # noqa: E731 - one of the steps
    database: tuple[Callable[[], list[str]], ...] = (
        lambda: readers.drop_reader(settings().postgres, database_name(run_id)),
        lambda: temporary.drop(settings().postgres, database_name(run_id), installation()),
    )
    for step in (staging, *(() if _asleep() else database)):
        try:
            said.extend(step())
        except MxferryError as error:
            said.append(f"not deleted: {error}")
    return said


def _in_staging() -> Iterator[str]:
    for prefix in clients.staging().walk_blobs(name_starts_with="runs/", delimiter="/"):
        run_id = prefix.name.split("/")[1]
        if RUN_ID.match(run_id):
            yield run_id


def _in_postgres() -> Iterator[str]:
    server = settings().postgres
    if _asleep():
        return
    try:
        with connect(server, server.database, autocommit=True, read_only=True) as session:
            names = session.execute(r"SELECT datname FROM pg_database WHERE datname LIKE 'run\_%'").fetchall()
        logins = readers.readers(server)
    except MxferryError:  # preflight says what is wrong with it
        return
    for name in {*(str(name) for (name,) in names), *logins}:
        parts = _DATABASE.match(name)
        if parts:
            yield f"{parts[1]}-{parts[2]}"


def _asleep() -> bool:
    """Say whether the temporary server is known not to run; a stopped one answers nobody, and is not an error."""
    server_id = settings().postgres.resource_id
    if server_id is None:
        return False
    try:
        with ResourceManager() as manager:
            return manager.postgres_state(server_id) != "Ready"
    except MxferryError:
        return False
