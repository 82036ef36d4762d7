"""The stage `finish`: keys, indexes, foreign keys, the sequence procedure and the database's options."""

from pydantic import Field

from activities.boundary import activity
from activities.schema import target_of
from shared.blobs import clients
from shared.contracts import Findings, RestoredWork
from shared.copying.stage import database_plan
from shared.databaseplan import DatabasePlan, PlannedTable
from shared.settings import settings
from shared.sqlserver import marker
from shared.sqlserver.completion import BUILD_SECONDS, add_foreign_keys, add_keys, add_procedures, set_options
from shared.sqlserver.connection import session
from shared.sqlserver.existing import check_again
from shared.strict import Strict

GROUPS = 150
"""Most activities of one fan-out."""
LARGE_ROWS = 200_000
"""A table of more rows is a group of its own."""


class Finishing(Strict):
    """Output of `plan_finish`."""

    groups: int
    linked: int = Field(description="Groups of tables with foreign keys.")
    tables: int
    window: int


class FinishWork(RestoredWork):
    """Input of `finish_tables` and of `finish_links`."""

    group: int = Field(ge=0)


class Finished(Findings):
    """Output of `finish_tables` and of `finish_links`."""

    tables: int


@activity
def plan_finish(work: RestoredWork) -> Finishing:
    """Cut the tables into groups."""
    plan = database_plan(clients.staging(), work.run.id)
    profile = settings().target_profile(work.run.request.target)
    return Finishing(
        groups=len(finish_groups(plan.tables)),
        linked=len(finish_groups(_linked(plan))),
        tables=len(plan.tables),
        window=profile.max_parallel_chunks,
    )


@activity
def finish_tables(work: FinishWork) -> Finished:
    """Make primary keys, unique constraints and indexes of one group of tables."""
    plan = database_plan(clients.staging(), work.run.id)
    names = finish_groups(plan.tables)[work.group]
    with session(target_of(work), timeout=BUILD_SECONDS) as connection:
        tables = [plan.table(name) for name in names] if plan.mode == "create" else []
        findings = [finding for table in tables for finding in add_keys(connection, table)]
    return Finished(findings=findings, tables=len(names))


@activity
def finish_links(work: FinishWork) -> Finished:
    """Make the foreign keys of one group of tables; every primary key is there by now."""
    plan = database_plan(clients.staging(), work.run.id)
    names = finish_groups(_linked(plan))[work.group]
    with session(target_of(work), timeout=BUILD_SECONDS) as connection:
        complete = check_again if plan.mode == "existing" else add_foreign_keys
        findings = [finding for name in names for finding in complete(connection, plan.table(name))]
    return Finished(findings=findings, tables=len(names))


@activity
def finish_database(work: RestoredWork) -> Findings:
    """Make the sequence procedure, set the database's options, and mark the run's schema as finished."""
    plan = database_plan(clients.staging(), work.run.id)
    with session(target_of(work)) as connection:
        add_procedures(connection, plan)
        findings = set_options(connection)
        marker.set_finished(connection, plan.run)
    return Findings(findings=findings)


def finish_groups(tables: list[PlannedTable]) -> list[list[str]]:
    """Cut tables into at most `GROUPS` groups: large ones alone and first, the others dealt out evenly."""
    large = [[table.name] for table in _by_size(tables) if table.rows > LARGE_ROWS][: GROUPS // 2]
    alone = {names[0] for names in large}
    rest = [table.name for table in _by_size(tables) if table.name not in alone]
    count = min(GROUPS - len(large), -(-len(rest) // 10))
    return large + [rest[number::count] for number in range(count)]


def _by_size(tables: list[PlannedTable]) -> list[PlannedTable]:
    return sorted(tables, key=lambda table: (-table.rows, table.name))


def _linked(plan: DatabasePlan) -> list[PlannedTable]:
    return [table for table in plan.tables if any(key.omitted is None for key in table.foreign_keys)]
