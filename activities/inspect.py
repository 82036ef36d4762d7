"""The stage `inspect`: the data preflight on the temporary database, in groups of tables."""

from contextlib import closing

from pydantic import Field

from activities.boundary import activity
from activities.schema import target_of, temporary_database, write_ddl
from shared import runpaths
from shared.blobs import clients
from shared.blobs.documents import read, read_version, replace
from shared.contracts import Findings, RestoredWork, RunWork
from shared.databaseplan import DatabasePlan
from shared.errors import Finding, MxferryError, Refusal
from shared.inspection.applyremedies import CODES, apply_remedies, keys_left_out
from shared.inspection.collation import MENDIX_DEFAULT
from shared.inspection.inspect import groups, inspect
from shared.inspection.look import Look
from shared.mendix.metadata import read_metadata
from shared.mendix.planning import with_row_counts
from shared.mendix.remedies import parted, unused
from shared.settings import settings
from shared.sqlserver import catalogue
from shared.sqlserver.connection import session


class Inspection(Findings):
    """Output of `plan_inspection`: how many groups of tables there are, and which collation they are judged by."""

    groups: int
    tables: int
    rows: int
    collation: str
    window: int = Field(description="Groups to inspect at the same time.")


class GroupWork(RestoredWork):
    """Input of `inspect_group`."""

    group: int = Field(ge=0)
    collation: str


class GroupInspected(Findings):
    """Output of `inspect_group`: what was found, and how much was looked at."""

    tables: int
    rows: int


class InspectedWork(RestoredWork):
    """Input of `settle_inspection`: everything that was found."""

    findings: list[Finding]


WINDOW = 4
LOGIN_SECONDS = 10


@activity
def plan_inspection(work: RestoredWork) -> Inspection:
    """Cut the tables into groups, and find out the collation that the target's strings will have."""
    plan = _base_plan(work)
    filled = [table for table in plan.tables if table.content == "copy"]
    collation, findings = _collation(work)
    return Inspection(
        findings=findings,
        groups=len(groups(plan)),
        tables=len(filled),
        rows=sum(table.rows for table in filled),
        collation=collation,
        window=WINDOW,
    )


@activity
def inspect_group(work: GroupWork) -> GroupInspected:
    """Check one group of tables; reads only."""
    plan = _base_plan(work)
    names = groups(plan)[work.group]
    with closing(temporary_database(work)()) as connection:
        metadata = read_metadata(connection)
        look = Look.at(connection, plan, work.run.request.options, work.collation)
        findings = inspect(look, names, metadata)
    rows = sum(plan.table(name).rows for name in names)
    return GroupInspected(findings=findings, tables=len(names), rows=rows)


@activity
def settle_inspection(work: InspectedWork) -> Findings:
    """Apply the chosen remedies to the plan, which every stage reads from here on.

    It begins from the plan as first made and writes it once: a late delivery must not undo what `adopt_schema` has changed.
    What stands in its place and is still the plan as first made, a run of 0.1 has put there: remedies go into it.
    """
    plan = _base_plan(work)
    with closing(temporary_database(work)()) as connection:
        metadata = read_metadata(connection)
    settled = apply_remedies(plan, work.findings, metadata)
    fewer = [table.name for table in settled.tables if table.where != plan.table(table.name).where]
    settled = with_row_counts(temporary_database(work), settled, fewer)
    write_ddl(settled, settings().target_profile(work.run.request.target), overwrite=True)
    blob = clients.staged(work.run.id, runpaths.PLAN)
    there, version = read_version(blob, DatabasePlan)
    if there is None or there == plan:
        replace(blob, settled, version)
    ours, _ = parted(work.run.request.options.remedies, CODES)
    return Findings(findings=[*work.findings, *keys_left_out(plan, settled), *unused(work.findings, ours)])


def _base_plan(work: RunWork) -> DatabasePlan:
    blob = clients.staged(work.run.id, runpaths.BASE_PLAN)
    plan = read(blob, DatabasePlan)
    if plan is None:
        raise Refusal(
            "PLAN_MISSING",
            blob.blob_name,
            "expected the database plan in the staging container, found none.",
            "Start the migration again, and keep the staging container's runs/ folder while it runs.",
        )
    return plan


def _collation(work: RunWork) -> tuple[str, list[Finding]]:
    """Return the collation that new strings get. A dry run whose target cannot be asked takes Mendix' default, and says so."""
    request = work.run.request
    if request.options.collation is not None:
        return request.options.collation, []
    try:
        with session(target_of(work), login_timeout=LOGIN_SECONDS) as connection:
            return catalogue.database_state(connection).collation, []
    except MxferryError as error:
        if not request.options.dry_run:
            raise
        finding = Finding(
            code="COLLATION_ASSUMED", severity="warning", object=request.target,
            message=f"expected to ask the target for its collation, found: {error.message} Unique keys are judged by "
            f"{MENDIX_DEFAULT}, which Mendix recommends.",
            remedy="Say options.collation, or do the dry run again when the target can be reached.",
        )  # fmt: skip
        return MENDIX_DEFAULT, [finding]
