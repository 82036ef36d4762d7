"""The DDL of a plan, statement by statement, and as one script for the report."""

import re

from shared.databaseplan import DatabasePlan, PlannedColumn, PlannedForeignKey, PlannedIndex, PlannedTable
from shared.errors import Refusal
from shared.sqlserver.connection import quote, table_name
from shared.sqlserver.types import is_string

_COLLATION = re.compile(r"^[A-Za-z0-9_]{1,128}$")


def create_table(table: PlannedTable, collation: str | None = None, *, with_key: bool = False) -> str:
    """Return CREATE TABLE: a heap, or with the primary key inside when `with_key`."""
    lines = [f"    {_column(column, collation)}" for column in table.columns]
    if with_key and table.primary_key is not None:
        lines.append(f"    {_primary_key(table.primary_key)}")
    return f"CREATE TABLE {table_name(table.name)} (\n" + ",\n".join(lines) + "\n)"


def add_primary_key(table: PlannedTable, key: PlannedIndex) -> str:
    """Return ALTER TABLE … ADD CONSTRAINT … PRIMARY KEY CLUSTERED, or NONCLUSTERED if so chosen."""
    return f"ALTER TABLE {table_name(table.name)} ADD {_primary_key(key)}"


def add_index(table: PlannedTable, index: PlannedIndex) -> str:
    """Return the statement that makes a unique constraint or an index."""
    if index.constraint:
        return f"ALTER TABLE {table_name(table.name)} ADD {_key(index, 'UNIQUE')}"
    unique = "UNIQUE " if index.unique else ""
    where = f" WHERE {index.where}" if index.where else ""
    return f"CREATE {unique}INDEX {quote(index.name)} ON {table_name(table.name)} ({_columns(index)}){where}"


def add_foreign_key(table: PlannedTable, key: PlannedForeignKey) -> str:
    """Return ALTER TABLE … WITH CHECK ADD CONSTRAINT … FOREIGN KEY, which checks the rows that are there."""
    columns = ", ".join(quote(column) for column in key.columns)
    referenced = ", ".join(quote(column) for column in key.referenced_columns)
    action = f" ON DELETE {key.on_delete}" if key.on_delete != "NO ACTION" else ""
    return (
        f"ALTER TABLE {table_name(table.name)} WITH CHECK ADD CONSTRAINT {quote(key.name)} FOREIGN KEY ({columns})"
        f" REFERENCES {table_name(key.referenced_table)} ({referenced}){action}"
    )


def script(plan: DatabasePlan, *, keys_first: bool = False) -> str:
    """Return the whole plan as a script that sqlcmd takes; what is left out stands there as a comment."""
    batches = [f"-- Schema of run {plan.run}, as mxferry makes it.", *(f"-- {note}" for note in plan.notes)]
    batches += [create_table(table, plan.collation, with_key=keys_first) + ";" for table in plan.tables]
    for table in plan.tables:
        if table.primary_key is not None and not keys_first:
            batches.append(add_primary_key(table, table.primary_key) + ";")
        for index in table.indexes:
            batches.append(_or_comment(index.omitted, add_index(table, index)))
    for table in plan.tables:
        for key in table.foreign_keys:
            batches.append(_or_comment(key.omitted, add_foreign_key(table, key)))
    batches += [procedure + ";" for procedure in plan.procedures]
    return "\nGO\n".join(batches) + "\nGO\n"


def collate(collation: str) -> str:
    """Return ` COLLATE name`; Refusal SQL_BAD_COLLATION for anything that is not a name."""
    if not _COLLATION.match(collation):
        raise Refusal(
            "SQL_BAD_COLLATION",
            collation[:128],
            "expected the name of a collation, such as Latin1_General_100_CS_AS.",
            "See SELECT name FROM sys.fn_helpcollations() on the target.",
        )
    return f" COLLATE {collation}"


def _or_comment(omitted: str | None, statement: str) -> str:
    if omitted is None:
        return statement + ";"
    return f"-- Left out ({omitted}):\n-- {statement}"


def _column(column: PlannedColumn, collation: str | None) -> str:
    chosen = column.collation or collation
    collated = collate(chosen) if chosen and is_string(column.type) else ""
    return f"{quote(column.name)} {column.type}{collated} {'NULL' if column.nullable else 'NOT NULL'}"


def _primary_key(key: PlannedIndex) -> str:
    return _key(key, f"PRIMARY KEY {'NONCLUSTERED' if key.nonclustered else 'CLUSTERED'}")


def _key(key: PlannedIndex, kind: str) -> str:
    return f"CONSTRAINT {quote(key.name)} {kind} ({_columns(key)})"


def _columns(index: PlannedIndex) -> str:
    return ", ".join(f"{quote(column.name)} {'DESC' if column.descending else 'ASC'}" for column in index.columns)
