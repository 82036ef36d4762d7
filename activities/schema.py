"""The stages `plan` and `schema`: what the target will be, and making it."""

import functools
from contextlib import suppress
from typing import Any

import psycopg
from azure.core.exceptions import ResourceExistsError

from activities.boundary import activity
from shared import masking, runpaths, runs
from shared.blobs import clients
from shared.blobs.documents import write_or_read
from shared.contracts import Findings, Planned, RestoredWork, RunWork
from shared.copying.stage import database_plan
from shared.databaseplan import DatabasePlan
from shared.errors import Refusal
from shared.inspection.applyremedies import CODES
from shared.mendix.existingtarget import read_existing
from shared.mendix.planning import plan_database as make_plan
from shared.mendix.remedies import parted, unused
from shared.postgres.connection import connect as connect_postgres
from shared.sessions import IN_USE
from shared.settings import SqlServer, TargetProfile, settings
from shared.sqlserver.completion import options_script
from shared.sqlserver.creation import create
from shared.sqlserver.ddl import script
from shared.sqlserver.existing import empty, emptying


@activity
def plan_database(work: RestoredWork) -> Planned:
    """Plan the target from the temporary database; the plan goes to staging and its DDL to the reports, once.

    It is the base of the plan that the other stages read, which `settle_inspection` writes. A later delivery goes by what
    is there, and so cannot take the remedies out of the plan or out of its DDL.
    """
    options = work.run.request.options
    existing = read_existing(target_of(work)) if options.target_mode == "existing" else None
    planning = make_plan(temporary_database(work), work.run.id, options, existing)
    plan = write_or_read(clients.staged(work.run.id, runpaths.BASE_PLAN), planning.plan)
    with suppress(ResourceExistsError):
        write_ddl(plan, settings().target_profile(work.run.request.target), overwrite=False)
    # `settle_inspection` handles the remedies of the data preflight; a code that nothing here knows is misspelt.
    _, ours = parted(options.remedies, CODES | {IN_USE})
    return Planned(
        findings=[*planning.findings, *unused(planning.findings, ours)],
        tables=len(plan.tables),
        rows=sum(table.rows for table in plan.tables if table.content == "copy"),
        bytes=sum(table.source_bytes for table in plan.tables if table.content == "copy"),
        ddl_blob=runpaths.of_run(work.run.id, runpaths.SCHEMA),
    )


@activity
def create_schema(work: RestoredWork) -> Findings:
    """Make the tables of the plan on the target, or empty those that the runtime made.

    What is there is dropped or emptied only if the request says so, and only once.
    """
    request = work.run.request
    profile = settings().target_profile(request.target)
    plan = database_plan(clients.staging(), work.run.id)
    drop = request.target_not_empty == "drop"
    if plan.mode == "existing":
        return Findings(findings=empty(target_of(work), plan, drop=drop, closed=runs.over_for(work.run)))
    keys_first = profile.load == "keys-first"
    return Findings(
        findings=create(target_of(work), plan, drop=drop, keys_first=keys_first, closed=runs.over_for(work.run))
    )


def temporary_database(work: RestoredWork) -> "functools.partial[psycopg.Connection[Any]]":
    """Return what opens a read-only session on the run's temporary database, with the key of the run's masks."""
    database = work.restore.database
    session = masking.of_database(database, work.run.request)
    return functools.partial(
        connect_postgres, settings().postgres, database, autocommit=True, read_only=True, session=session
    )


def write_ddl(plan: DatabasePlan, profile: TargetProfile, *, overwrite: bool) -> None:
    """Write the plan's DDL to the reports container; ResourceExistsError if it is there and may not be overwritten."""
    if plan.mode == "existing":
        text = options_script() + ";\n".join(["-- What is done to the runtime's own schema", *emptying(plan)]) + ";\n"
    else:
        text = script(plan, keys_first=profile.load == "keys-first")
        if plan.mode == "create":
            text = options_script() + text
        else:
            text = f"-- For comparison: in this target mode the runtime makes its own schema.\n{text}"
    clients.reported(plan.run, runpaths.SCHEMA).upload_blob(text.encode(), overwrite=overwrite)


def target_of(work: RunWork) -> SqlServer:
    """Return the target's SQL Server; Refusal TARGET_KIND when its profile has none."""
    name = work.run.request.target
    sql = settings().target_profile(name).sql
    if sql is None:
        raise Refusal(
            "TARGET_KIND",
            name,
            "expected a SQL Server target, found a profile without one.",
            "Add TARGET__<NAME>__SQL__SERVER and TARGET__<NAME>__SQL__DATABASE to the settings.",
        )
    return sql
