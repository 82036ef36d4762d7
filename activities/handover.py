"""Target mode `runtime`: the temporary database is settled and handed over, the Mendix runtime copies it, and we watch.

The runtime's password is made here or in the API, and goes to the app or to the person who asks; it is in no input, no
output and no record of a run.
"""

from datetime import UTC, datetime

from pydantic import Field

from activities.boundary import activity
from activities.schema import target_of
from shared import handedout, masking, runs
from shared.apps.app import app_of, configurable_of, settings_for
from shared.apps.protocol import Configurable, State
from shared.blobs import clients
from shared.contracts import Findings, RestoredWork, Run, RunWork
from shared.copying import settling
from shared.copying.stage import database_plan
from shared.databaseplan import PREFIX, DatabasePlan
from shared.errors import Details, Finding, MxferryError, Refusal
from shared.mendix.handover import NAMES, Source
from shared.postgres.connection import database_name
from shared.postgres.readers import drop_reader, make_reader, readers, try_passwords
from shared.request import MigrationRequest
from shared.settings import settings
from shared.sqlserver.runtimetarget import empty_for_runtime, filled
from shared.strict import Strict

GROUPS = 100
"""Most activities of one fan-out."""
ROOM, APP = "*room on the target*", "*settings of the app*"
"""Marks that are no table's: no table has a star in its name."""


class Settling(Strict):
    """Output of `plan_settling`."""

    groups: int
    tables: int


class SettleWork(RestoredWork):
    """Input of `settle_tables`."""

    group: int = Field(ge=0)


class TablesSettled(Strict):
    """Output of `settle_tables`: tables looked at; rows left out, changed, and with rounded timestamps."""

    tables: int
    deleted: int = 0
    changed: int = 0
    rounded: int = 0


class Watched(Strict):
    """Output of `watch_runtime`: what is on the target, what is expected, and what the app does."""

    tables: int
    rows: int
    expected_tables: int
    expected_rows: int
    app: State = "unknown"
    complete: bool = Field(description="Whether everything seems to be there; the comparison is the proof.")


class HandOverWork(RestoredWork):
    """Input of `hand_over_settings`."""

    until: datetime = Field(description="When the login ends by itself.")


class HandedOver(Strict):
    """Output of `hand_over_settings`."""

    app: State


@activity
def plan_settling(work: RestoredWork) -> Settling:
    """Say how many groups of tables are settled in the temporary database."""
    settling.make_marks(settings().postgres, work.restore.database)
    names = settling.to_settle(_plan(work))
    return Settling(groups=min(GROUPS, len(names)), tables=len(names))


@activity
def settle_tables(work: SettleWork) -> TablesSettled:
    """Settle one group of tables; those that an earlier delivery has done are left alone."""
    plan = _plan(work)
    names = settling.to_settle(plan)[work.group :: GROUPS]
    database = work.restore.database
    key = masking.of_database(database, work.run.request)
    found = [settling.settle_table(settings().postgres, database, plan.table(name), key) for name in names]
    done = [one for one in found if one is not None]
    return TablesSettled(
        tables=len(names),
        deleted=sum(one.deleted for one in done),
        changed=sum(one.changed for one in done),
        rounded=sum(one.rounded for one in done),
    )


@activity
def empty_target(work: RestoredWork) -> Findings:
    """Make sure that the target has no tables; once only, since a late delivery must not drop what the runtime has made."""
    drop = work.run.request.target_not_empty == "drop"
    found: list[Finding] = []
    with settling.once(settings().postgres, work.restore.database, ROOM) as first:
        if first:
            found = empty_for_runtime(target_of(work), work.run.id, drop=drop, closed=runs.over_for(work.run))
    return Findings(findings=found)


@activity
def hand_over_settings(work: HandOverWork) -> HandedOver:
    """Make the login and give the settings to the app through its adapter, once; the app is started afterwards."""
    app = _configurable(work)
    server, database = settings().postgres, work.restore.database
    with settling.once(server, database, APP) as first:
        if first:
            login = make_reader(server, database, work.until)
            more = tuple(settings_for(work.run.request.options.purpose).items())
            app.configure(Source(server, database, login.user, login.password, more).settings())
    return HandedOver(app=app.state())


@activity
def watch_runtime(work: RestoredWork) -> Watched:
    """Look how far the runtime is: tables and rows on the target and, where an adapter can tell, whether the app runs."""
    tables = [one for one in _plan(work).tables if not one.name.startswith(PREFIX)]
    there = filled(target_of(work))
    app = app_of(settings().target_profile(work.run.request.target))
    expected = sum(one.rows for one in tables if one.content == "copy")
    return Watched(
        tables=there.tables,
        rows=there.rows,
        expected_tables=len(tables),
        expected_rows=expected,
        app=app.state() if app is not None else "unknown",
        complete=there.tables >= len(tables) and there.rows >= expected,
    )


@activity
def take_settings_back(work: RunWork) -> Findings:
    """Take the settings out of the app through its adapter, or remind people to; say who was given the password."""
    found = [_handed_out(work)] if handedout.load_all(work.run.id) else []
    if work.run.request.options.hand_over == "ask":
        return Findings(findings=[*found, _reminder(work)])
    _configurable(work).unconfigure()
    message = "the adapter has taken the SourceDatabase settings out of the app, which starts again without them."
    return Findings(findings=[*found, Finding.info("SOURCE_SETTINGS_REMOVED", work.run.request.target, message)])


def end_hand_over(run: Run, *, failed: bool) -> list[str]:
    """Drop the login; after a failure also stop the app and take its settings away, where an adapter gave them.

    Returns what was done, as sentences. It belongs to the clean-up, so it may be called twice.
    """
    server, database = settings().postgres, database_name(run.id)
    app = configurable_of(settings().target_profile(run.request.target))
    done: list[str] = []
    if failed and run.request.options.hand_over == "adapter" and app is not None and database in readers(server):
        app.stop()
        app.unconfigure()
        done.append("Stopped the app and took its SourceDatabase settings away.")
    return [*done, *drop_reader(server, database)]


def check_hand_over(request: MigrationRequest) -> list[Finding]:
    """Return what stands in the way of a hand-over, for preflight; makes a login that may do nothing, and drops it."""
    found: list[Finding] = []
    try:
        try_passwords(settings().postgres)
    except MxferryError as error:
        found.append(error.finding())
    if request.options.hand_over == "adapter":
        if configurable_of(settings().target_profile(request.target)) is None:
            found.append(_not_configurable(request.target).finding())
        if not request.stop_target_app:
            message = "expected the adapter to stop the app before its database is emptied, found it not asked to."
            remedy = 'Say `"stop_target_app": true`.'
            found.append(Finding.error("HAND_OVER_NEEDS_STOP", request.target, message, remedy))
    return found


def _plan(work: RunWork) -> DatabasePlan:
    return database_plan(clients.staging(), work.run.id)


def _configurable(work: RunWork) -> Configurable:
    name = work.run.request.target
    app = configurable_of(settings().target_profile(name))
    if app is None:
        raise _not_configurable(name)
    return app


def _not_configurable(target: str) -> Refusal:
    return Refusal(
        "APP_NOT_CONFIGURABLE", target,
        "expected an app adapter that can set runtime settings (kubernetes, mendix-operator, azure), found none.",
        'Set TARGET__<NAME>__APP__..., or say `"hand_over": "ask"` and let people do it.',
    )  # fmt: skip


def _handed_out(work: RunWork) -> Finding:
    times = handedout.load_all(work.run.id)
    message = "a password of the login for the runtime was given out to those named; the login ends with the run."
    said = [f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: {one.who}" for one in times]
    more = Details(count=len(times), examples=said[:10])
    return Finding.info("SOURCE_PASSWORD_HANDED_OUT", database_name(work.run.id), message, **more)


def _reminder(work: RunWork) -> Finding:
    message = f"the app still has its SourceDatabase settings ({', '.join(NAMES)}); the database that they name is dropped now."
    remedy = "Take them out of the app's settings and start it again; then try it."
    return Finding.warning("SOURCE_SETTINGS_TO_REMOVE", work.run.request.target, message, remedy)
