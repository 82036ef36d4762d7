"""Before and after: empties a target container that may be dropped, and deletes what a run left in staging."""

from collections.abc import Callable

from activities import handover
from activities.boundary import activity, closing_activity
from activities.report import RecordWork
from shared import events, runs
from shared.blobs import cleanup, clients, emptying
from shared.contracts import Findings, RunWork
from shared.errors import Finding, MxferryError
from shared.installation import installation
from shared.postgres import targetschema, temporary
from shared.postgres.connection import database_name
from shared.settings import settings
from shared.sqlserver import marker
from shared.sqlserver.connection import session
from shared.strict import Strict


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
    """Delete the run's staging blobs, its temporary database and its tables on the target, as the policy says."""
    runs.close(work.run.id)
    kept = _kept(work)
    done = [kept] if kept else []
    findings: list[Finding] = []
    for step in (_hand_over,) if kept else (_hand_over, _staging, _database, _target):
        try:
            done.extend(step(work))
        except MxferryError as error:
            findings.append(_left_over(step, error))
    if kept:
        events.emit("staging-kept", work.run.id)
    elif not findings:
        events.emit("staging-cleaned", work.run.id)
    return Cleaned(done=done, findings=findings)


def _kept(work: RecordWork) -> str | None:
    """Return what is kept, as a sentence; None where nothing is."""
    policy = work.run.request.options.cleanup
    if policy == "always" or (policy == "on-success" and work.verdict in ("verified", "planned")):
        return None
    straight = work.run.request.options.target_mode == "postgres"
    database = "schema mxferry on the target" if straight else f"database {database_name(work.run.id)}"
    return f"Kept, as the request says ({policy}): staging runs/{work.run.id}/, {database}."


def _hand_over(work: RecordWork) -> list[str]:
    """End what target mode `runtime` gave to the app: also where everything else is kept."""
    if work.run.request.options.target_mode != "runtime":
        return []
    return handover.ended(work.run, failed=work.verdict != "verified")


def _staging(work: RecordWork) -> list[str]:
    return cleanup.delete_staging(work.run.id)


def _database(work: RecordWork) -> list[str]:
    if work.run.request.options.target_mode == "postgres":
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


def _left_over(step: Callable[[RecordWork], list[str]], error: MxferryError) -> Finding:
    return Finding(
        code="NOT_CLEANED_UP", severity="warning", object=step.__name__.strip("_"),
        message=f"expected to delete what the run left, found: {error.message}",
        remedy="The sweep timer tries staging and the temporary database again every hour; see docs/operations.md.",
    )  # fmt: skip
