"""What runs left behind in staging and on the temporary PostgreSQL server (databases, logins, roles), and its deletion.

The clean-up of a run deletes its own; this finds what a failed clean-up, a kept run or a purged history left over. Only
what is known to be ours is touched: a database that another installation made, or a run that has no record in our reports
container, is said in the log and left alone.
"""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared import events, remains, runpaths, runs
from shared.azure.arm import ResourceManager
from shared.blobs import cleanup, clients
from shared.contracts import RUN_ID, Run
from shared.errors import MxferryError, Refusal
from shared.installation import installation
from shared.postgres import ownership, readers, runrole, temporary
from shared.postgres.connection import QUESTION_SECONDS, connect, database_name
from shared.redaction import redact
from shared.remains import Part, Remains
from shared.settings import settings

log = logging.getLogger("mxferry.sweep")

RUNS_PER_TICK = 20
"""Runs cleaned, and runs that could not be, by one tick of the timer, so that a tick stays within minutes."""
_DATABASE = re.compile(r"^run_(\d{8}t\d{6})_([0-9a-f]{6})$")


@dataclass(frozen=True)
class Leftover:
    """A run of ours that has something left: staging blobs, its temporary database, that database's role, or a login for it."""

    run: Run
    staging: bool = False
    database: bool = False
    login: bool = False


@dataclass(frozen=True)
class Server:
    """What runs have on the temporary server: ours, and what is not known to be ours, as people read it."""

    ours: list[Leftover] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def find_leftovers() -> list[Leftover]:
    """Return the runs of ours that have blobs in staging or something on the temporary server, oldest first.

    A server that is asleep, or does not answer, is left out; preflight says what is wrong with it.
    """
    by_id = {one.run.id: one for one in _on_server_or_none()}
    for run_id in _in_staging():
        run = by_id[run_id].run if run_id in by_id else _record(run_id)
        if run is None:
            log.warning("runs/%s/ in staging is left alone: there is no record of that run here", run_id)
        else:
            by_id[run_id] = replace(by_id.get(run_id, Leftover(run)), staging=True)
    return [by_id[run_id] for run_id in sorted(by_id)]


def on_server() -> Server:
    """Return what runs have on the temporary server, which is awake. Raises what `connect` raises."""
    server, we = settings().postgres, installation()
    with connect(
        server, server.database, autocommit=True, read_only=True, statement_timeout=QUESTION_SECONDS
    ) as session:
        owners = ownership.owners(session)
        roles = set(runrole.databases_with_role(session))
    logins = set(readers.readers(server))
    server_has = Server()
    for name in sorted({*owners, *logins, *roles}):
        parts = _DATABASE.match(name)
        run = _record(f"{parts[1]}-{parts[2]}") if parts else None
        owner = owners.get(name)
        if run is not None and owner in (None, we):
            server_has.ours.append(Leftover(run, database=name in {*owners, *roles}, login=name in logins))
        elif name in owners and owner != we:
            server_has.others.append(f"{name} of {f'installation {owner}' if owner else 'an unknown installation'}")
        else:
            log.warning("%s on the temporary server is left alone: there is no record of its run here", name)
    return server_has


def sweep(left: Leftover, now: datetime) -> Remains:
    """Delete what a run that is over has left, unless it is kept; return what was done, and what could not be.

    A run that has not closed itself is closed first: nothing of it may go on. A login goes also where everything else is
    kept. Raises nothing: one run must not stand in the way of the others.
    """
    try:
        return _swept(left, now)
    except Exception as error:
        log.exception("the sweep of %s failed", left.run.id)
        return Remains(left={"staging": f"{type(error).__name__}, see the log"})


def sweep_server(now: datetime) -> Server:
    """Delete what closed runs left on the temporary server, which is awake and may be stopped next.

    Returns what others have there, and the runs of ours that are not closed: they may need it, however long they have
    been waiting. Raises what `connect` raises.
    """
    seen = on_server()
    closed = [one for one in seen.ours if runs.closed(one.run.id)]
    for left in closed[:RUNS_PER_TICK]:
        sweep(left, now)
    return Server([one for one in seen.ours if one not in closed], seen.others)


def failed_before(left: Leftover) -> bool:
    """Say whether something of the run could not be deleted before; the sweep comes to those last."""
    try:
        known = remains.load(left.run.id)
    except ValueError:
        return True
    return known is not None and bool({"staging", "database"} & set(known.left))


def _swept(left: Leftover, now: datetime) -> Remains:
    until = (remains.closing(left.run.id) or remains.close_over(left.run.id)).kept_until
    if until is not None and now < until:
        left = replace(left, staging=False, database=False)
    else:
        until = None
    swept = Remains(kept_until=until)
    for part, step in _steps(left):
        try:
            swept.done.extend(step())
        except Exception as error:
            ours = isinstance(error, MxferryError)
            words = redact(str(error)) if ours else type(error).__name__
            log.warning("%s: %s not deleted: %s", left.run.id, part, words, exc_info=not ours)
            swept.left[part] = f"Not deleted: {words}"
    if swept.done or swept.left:
        _keep(left, swept, now)
    return swept


def _steps(left: Leftover) -> Iterator[tuple[Part, Callable[[], list[str]]]]:
    server, database = settings().postgres, database_name(left.run.id)
    if left.staging:
        yield "staging", lambda: cleanup.delete_staging(left.run.id)
    if left.login:
        yield "database", lambda: readers.drop_reader(server, database)
    if left.database:
        yield "database", lambda: temporary.drop(server, database, installation())


def _keep(left: Leftover, swept: Remains, now: datetime) -> None:
    """Complete what is known to be left of the run; say that nothing is, where it is so."""
    known = remains.load(left.run.id) or Remains()
    done = [f"{now:%Y-%m-%d %H:%M} UTC, by the sweep: {one}" for one in swept.done]
    tried = {"staging": left.staging, "database": left.database}
    still = {part: words for part, words in known.left.items() if not tried.get(part)} | swept.left
    remains.save(left.run.id, Remains(done=[*known.done, *done], kept_until=swept.kept_until, left=still))
    if swept.kept_until is None and not {"staging", "database"} & set(still):
        events.emit("staging-cleaned", left.run.id)


def _in_staging() -> Iterator[str]:
    for prefix in clients.staging().walk_blobs(
        name_starts_with=runpaths.RUNS, delimiter="/", include=["uncommittedblobs"]
    ):
        run_id = prefix.name.split("/")[1]
        if RUN_ID.match(run_id):
            yield run_id


def _on_server_or_none() -> list[Leftover]:
    if _asleep():
        return []
    try:
        seen = on_server()
    except MxferryError as error:
        log.warning("the temporary server is not swept: %s", error)
        return []
    for one in seen.others:
        log.warning("left alone on the temporary server: %s", one)
    return seen.ours


def _record(run_id: str) -> Run | None:
    try:
        return runs.load(run_id)
    except Refusal:
        return None
    except ValueError:
        log.warning("the record of %s cannot be read: what it left is left alone", run_id)
        return None


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
