"""Before and after: empties a target container that may be dropped, and deletes what a run left in staging."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from activities import handover
from activities.boundary import activity, closing_activity
from activities.report import RecordWork
from shared import events, remains
from shared.blobs import cleanup, clients, emptying
from shared.contracts import Findings, RunWork
from shared.errors import Finding, MxferryError
from shared.installation import installation
from shared.postgres import targetschema, temporary
from shared.postgres.connection import database_name
from shared.redaction import redact
from shared.remains import Part, Remains
from shared.settings import settings
from shared.sqlserver import marker
from shared.sqlserver.connection import session
from shared.sqlserver.ledger_table import OUR_TABLES
from shared.strict import Strict

log = logging.getLogger("mxferry.cleanup")
AGAIN: Mapping[Part, str] = {
    "staging": "The sweep tries again every hour; by hand: delete runs/{run}/ in the staging container.",
    "database": "It is tried again at the end of every run, and every hour while the temporary server is awake; by hand: drop it.",
    "target": "The next run on this target replaces it; by hand: drop "
    + ", ".join(OUR_TABLES)
    + " (on PostgreSQL: schema mxferry).",
    "hand-over": "See to it that the app is stopped and has no SourceDatabase settings; the sweep drops the login within the hour.",
}
"""What happens to a part that could not be deleted: when it is tried again, and how to delete it by hand."""


class Emptied(Strict):
    """Output of `empty_container`."""

    files: int
    more: bool


class Cleaned(Findings):
    """Output of `clean_up`: what was done, as sentences; what could not be done, as findings."""

    done: list[str]


@activity
def empty_container(work: RunWork) -> Emptied:
    """Delete a batch of the blobs that lay in the target container before this run; only when the request says drop."""
    request = work.run.request
    if request.target_not_empty != "drop":
        return Emptied(files=0, more=False)
    before = emptying.cut_off(clients.reports(), work.run.id)
    container = clients.target(settings().target_profile(request.target))
    deleted, more = emptying.empty(container, request.options.blob_prefix, before)
    return Emptied(files=deleted, more=more)


@closing_activity
def clean_up(work: RecordWork) -> Cleaned:
    """Delete the run's staging blobs, its temporary database and its tables on the target, as the policy says.

    The run is closed first, with a note of what is kept and for how long. If a step fails, the others are done all the
    same. A second delivery, even at the same time, finds nothing left to delete.
    """
    run = work.run
    until = remains.close(run.id, run.request, work.verdict).kept_until
    done: list[str] = []
    failed: dict[Part, Finding] = {}
    steps: dict[Part, Callable[[RecordWork], list[str]]] = {"hand-over": _hand_over}
    if until is None:
        steps |= {"staging": _staging, "database": _database, "target": _target}
    for part, step in steps.items():
        try:
            done.extend(step(work))
        except Exception as error:
            log.warning("%s: %s is not cleaned up", run.id, part, exc_info=not isinstance(error, MxferryError))
            failed[part] = _left_over(run.id, part, error)
    _remember(run.id, done, until, failed)
    if until is not None:
        events.emit("staging-kept", run.id)
    elif not failed:
        events.emit("staging-cleaned", run.id)
    return Cleaned(
        done=done if until is None else [_retention_sentence(work, until), *done], findings=list(failed.values())
    )


def _remember(run_id: str, done: list[str], until: datetime | None, failed: Mapping[Part, Finding]) -> None:
    """Record what is left, where the API reads it; the sweep updates the record."""
    known = remains.load(run_id) or Remains()
    left = {part: f"Not deleted: {finding.message}" for part, finding in failed.items()}
    remains.save(run_id, Remains(done=list(dict.fromkeys([*known.done, *done])), kept_until=until, left=left))


def _retention_sentence(work: RecordWork, until: datetime) -> str:
    options = work.run.request.options
    straight = options.target_mode == "postgres"
    database = "schema mxferry on the target" if straight else f"database {database_name(work.run.id)}"
    when = f"{until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"Kept until {when}, as the request says ({options.cleanup}): staging runs/{work.run.id}/, {database}."


def _hand_over(work: RecordWork) -> list[str]:
    """Withdraw what target mode `runtime` gave to the app, even where everything else is kept."""
    if work.run.request.options.target_mode != "runtime" or not work.opened:
        return []
    return handover.end_hand_over(work.run, failed=work.verdict != "verified")


def _staging(work: RecordWork) -> list[str]:
    return cleanup.delete_staging(work.run.id)


def _database(work: RecordWork) -> list[str]:
    if work.run.request.options.target_mode == "postgres" or not work.opened:
        return []  # the temporary server was not used, and may be asleep
    return temporary.drop(settings().postgres, database_name(work.run.id), installation())


def _target(work: RecordWork) -> list[str]:
    profile = settings().target_profile(work.run.request.target)
    if not work.target_written:
        return []
    if profile.kind == "postgres" and profile.postgres is not None:
        return targetschema.clear(profile.postgres, work.run.id)
    if profile.sql is None:
        return []
    with session(profile.sql) as connection:
        marker.remove(connection, work.run.id)
    return ["Removed the run's marker and ledger from the target database."]


def _left_over(run_id: str, part: Part, error: Exception) -> Finding:
    found = error.message if isinstance(error, MxferryError) else f"{type(error).__name__}: {error}"
    return Finding(
        code="NOT_CLEANED_UP", severity="warning", object=error.about if isinstance(error, MxferryError) else part,
        message=redact(f"expected to delete what the run left, found: {found}"),
        remedy=AGAIN[part].format(run=run_id),
    )  # fmt: skip
