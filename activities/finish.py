"""The stage `finish`: keys, indexes, foreign keys, the sequence procedure and the database's options."""

from collections.abc import Callable

import pyodbc
from pydantic import Field

from activities.boundary import activity
from activities.keys import WAITS
from activities.schema import target_of
from shared.blobs import clients
from shared.contracts import Findings, RestoredWork
from shared.copying.stage import database_plan
from shared.databaseplan import DatabasePlan, PlannedTable
from shared.errors import Finding, TransientError
from shared.settings import settings
from shared.sqlserver import marker
from shared.sqlserver.completion import (
    BUILD_SECONDS,
    add_foreign_keys,
    add_keys,
    add_procedures,
    foreign_keys_to_add,
    keys_to_add,
    set_options,
)
from shared.sqlserver.connection import session
from shared.sqlserver.existing import check_again
from shared.sqlserver.locks import LOCKED
from shared.strict import Strict

GROUPS = 150
"""Most activities of one fan-out."""
LARGE_ROWS = 200_000
"""Each key of a table of more rows is a call of its own; the table is a group of its own as long as there are groups."""


class Finishing(Strict):
    """Output of `plan_finish`."""

    groups: int
    linked: int = Field(description="Groups of tables with foreign keys.")
    tables: int
    window: int


class FinishWork(RestoredWork):
    """Input of `finish_tables` and of `finish_links`."""

    group: int = Field(ge=0)
    step: int = Field(default=0, ge=0, description="Which part of the keys, see `_parts`.")
    waits: int = WAITS


class Finished(Findings):
    """Output of `finish_tables` and of `finish_links`: the tables that are done."""

    tables: int
    finished: bool = True
    held: Finding | None = Field(default=None, description="Who keeps the call from going on: it is made again.")


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
    """Make primary keys, unique constraints and indexes of one group of tables; of large tables one a call."""
    plan = database_plan(clients.staging(), work.run.id)
    names = finish_groups(plan.tables)[work.group]
    tables = [plan.table(name) for name in names] if plan.mode == "create" else []
    return _finish(work, names, [(table, keys_to_add(table)) for table in tables], add_keys)


@activity
def finish_links(work: FinishWork) -> Finished:
    """Make the foreign keys of one group of tables, of large tables one a call; every primary key is there by now."""
    plan = database_plan(clients.staging(), work.run.id)
    names = finish_groups(_linked(plan))[work.group]
    tables = [plan.table(name) for name in names]
    if plan.mode == "existing":
        with session(target_of(work), timeout=BUILD_SECONDS) as connection:
            findings = [finding for table in tables for finding in check_again(connection, table)]
        return Finished(findings=findings, tables=len(names))
    return _finish(work, names, [(table, foreign_keys_to_add(table)) for table in tables], add_foreign_keys)


@activity
def finish_database(work: RestoredWork) -> Findings:
    """Make the sequence procedure, set the database's options, and mark the run's schema as finished."""
    plan = database_plan(clients.staging(), work.run.id)
    with session(target_of(work)) as connection:
        add_procedures(connection, plan)
        findings = set_options(connection)
        marker.set_finished(connection, plan.run)
    return Findings(findings=findings)


def _finish[K](
    work: FinishWork,
    names: list[str],
    keyed: list[tuple[PlannedTable, list[K]]],
    add: Callable[[pyodbc.Connection, PlannedTable, list[K]], list[Finding]],
) -> Finished:
    """Make that part of a group's keys whose turn it is: one of a large table may last as long as an activity.

    The server may go on with the statement of an activity that died: what it holds for longer than a call waits is the
    answer.
    """
    parts = _parts(keyed)
    try:
        with session(target_of(work), timeout=BUILD_SECONDS) as connection:
            findings = [finding for table, keys in parts[work.step] for finding in add(connection, table, keys)]
    except TransientError as error:
        if error.code != LOCKED:
            raise
        return Finished(findings=[], tables=0, finished=False, held=error.finding())
    finished = work.step + 1 == len(parts)
    return Finished(findings=findings, tables=len(names) if finished else 0, finished=finished)


def _parts[K](keyed: list[tuple[PlannedTable, list[K]]]) -> list[list[tuple[PlannedTable, list[K]]]]:
    """Cut a group's keys into what one call makes: each key of a large table by itself, those of the others together."""
    large = [[(table, [key])] for table, keys in keyed if table.rows > LARGE_ROWS for key in keys]
    others = [(table, keys) for table, keys in keyed if table.rows <= LARGE_ROWS]
    return [*large, others] if others or not large else large


def finish_groups(tables: list[PlannedTable]) -> list[list[str]]:
    """Cut tables into at most `GROUPS` groups: large ones alone and first, up to half of them, the others dealt out evenly."""
    large = [[table.name] for table in _by_size(tables) if table.rows > LARGE_ROWS][: GROUPS // 2]
    alone = {names[0] for names in large}
    rest = [table.name for table in _by_size(tables) if table.name not in alone]
    count = min(GROUPS - len(large), -(-len(rest) // 10))
    return large + [rest[number::count] for number in range(count)]


def _by_size(tables: list[PlannedTable]) -> list[PlannedTable]:
    return sorted(tables, key=lambda table: (-table.rows, table.name))


def _linked(plan: DatabasePlan) -> list[PlannedTable]:
    return [table for table in plan.tables if any(key.omitted is None for key in table.foreign_keys)]
