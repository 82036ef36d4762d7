"""Makes the plan of the target database from the restored temporary database."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from shared.databaseplan import DatabasePlan
from shared.errors import Finding
from shared.mendix.autonumbers import auto_number_findings
from shared.mendix.catalogue import read_database
from shared.mendix.conversion import Conversion, convert
from shared.mendix.existing import Existing, fit
from shared.mendix.metadata import read_metadata
from shared.mendix.remedies import decide, offered
from shared.mendix.sequences import read_auto_numbers
from shared.request import Options

COUNTING = 4
"""Connections that count rows at the same time."""

OF_NEW_SCHEMA = ("CASCADE_PATHS", "INDEX_UNLIMITED", "NO_PRIMARY_KEY", "NAME_TOO_LONG")
"""Findings about a schema that we make; a runtime's own has its own keys."""

Connect = Callable[[], psycopg.Connection[Any]]


@dataclass(frozen=True)
class Planning:
    """A plan, and what was found while it was made."""

    plan: DatabasePlan
    findings: list[Finding]


def plan_database(connect: Connect, run: str, options: Options, existing: Existing | None = None) -> Planning:
    """Read the temporary database and plan the target. The plan holds no remedies that depend on the data.

    With `existing` the plan is fitted to a schema that the runtime has made on the target.
    """
    with closing(connect()) as connection:
        database = read_database(connection)
        metadata = read_metadata(connection)
        numbers = read_auto_numbers(connection, database, metadata)
    conversion = Conversion(database, metadata, options, run, numbers)
    plan = with_row_counts(connect, convert(conversion))
    if options.target_mode == "runtime":
        plan = plan.model_copy(update={"mode": "runtime"})
        ours = (one for one in conversion.findings if one.code not in OF_NEW_SCHEMA)
        conversion.findings = [offered(one, plan.mode) for one in ours]
    if existing is not None:
        plan, differences = fit(plan, metadata, existing)
        conversion.findings = [one for one in conversion.findings if one.code not in OF_NEW_SCHEMA] + differences
    conversion.findings.extend(auto_number_findings(numbers, database, metadata))
    return Planning(plan, decide(conversion.findings, options.remedies))


def with_row_counts(connect: Connect, plan: DatabasePlan, names: Collection[str] | None = None) -> DatabasePlan:
    """Return the plan with the rows of each table, or of those named, counted in PostgreSQL."""
    statements = {
        table.name: sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(table.source_name))
        + sql.SQL(f" WHERE {table.where}" if table.where else "")
        for table in plan.tables
        if names is None or table.name in names
    }
    if not statements:
        return plan
    parts = [list(statements.items())[part::COUNTING] for part in range(COUNTING)]

    def count(part: list[tuple[str, sql.Composed]]) -> dict[str, int]:
        with closing(connect()) as connection:
            return {name: _number(connection, statement) for name, statement in part}

    with ThreadPoolExecutor(COUNTING) as pool:
        counts = {
            name: rows for part in pool.map(count, [part for part in parts if part]) for name, rows in part.items()
        }
    tables = [table.model_copy(update={"rows": counts.get(table.name, table.rows)}) for table in plan.tables]
    return plan.model_copy(update={"tables": tables})


def _number(connection: psycopg.Connection[Any], statement: sql.Composed) -> int:
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0
