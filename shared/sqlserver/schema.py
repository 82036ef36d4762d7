"""The target's schema as it is: tables with columns and types, keys, indexes and foreign keys."""

from dataclasses import dataclass, field
from typing import Any

import pyodbc

from shared.databaseplan import IndexColumn, PlannedForeignKey, PlannedIndex
from shared.sqlserver.ledger_table import OUR_TABLES

COLUMNS = """\
SELECT t.name AS table_name, c.name AS column_name, y.name AS type_name, c.max_length, c.precision, c.scale,
       c.is_nullable, c.collation_name
FROM sys.columns AS c
JOIN sys.tables AS t ON t.object_id = c.object_id
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
JOIN sys.types AS y ON y.user_type_id = c.user_type_id
WHERE s.name = N'dbo'
ORDER BY t.name, c.column_id"""

INDEXES = """\
SELECT t.name AS table_name, i.name AS index_name, i.is_primary_key, i.is_unique, i.is_unique_constraint,
       i.type_desc, c.name AS column_name, x.is_descending_key
FROM sys.indexes AS i
JOIN sys.tables AS t ON t.object_id = i.object_id
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id
JOIN sys.columns AS c ON c.object_id = x.object_id AND c.column_id = x.column_id
WHERE s.name = N'dbo' AND x.key_ordinal > 0
ORDER BY t.name, i.name, x.key_ordinal"""

FOREIGN_KEYS = """\
SELECT t.name AS table_name, f.name AS key_name, c.name AS column_name, r.name AS referenced_table,
       d.name AS referenced_column, f.delete_referential_action_desc AS action
FROM sys.foreign_keys AS f
JOIN sys.foreign_key_columns AS x ON x.constraint_object_id = f.object_id
JOIN sys.tables AS t ON t.object_id = f.parent_object_id
JOIN sys.schemas AS s ON s.schema_id = t.schema_id
JOIN sys.tables AS r ON r.object_id = f.referenced_object_id
JOIN sys.columns AS c ON c.object_id = x.parent_object_id AND c.column_id = x.parent_column_id
JOIN sys.columns AS d ON d.object_id = x.referenced_object_id AND d.column_id = x.referenced_column_id
WHERE s.name = N'dbo'
ORDER BY t.name, f.name, x.constraint_column_id"""

_SIZED = {"nvarchar": 2, "nchar": 2, "varchar": 1, "char": 1, "varbinary": 1, "binary": 1}
"""Types whose length is in the catalogue in bytes, with the bytes of one unit."""


@dataclass(frozen=True)
class TargetColumn:
    """A column of the target; `type` as our DDL writes it, `collation` that of a string."""

    name: str
    type: str
    nullable: bool
    collation: str | None = None


@dataclass
class TargetTable:
    """A table of the target."""

    name: str
    columns: dict[str, TargetColumn] = field(default_factory=dict)
    primary_key: PlannedIndex | None = None
    indexes: list[PlannedIndex] = field(default_factory=list)
    foreign_keys: list[PlannedForeignKey] = field(default_factory=list)


def read_schema(connection: pyodbc.Connection) -> dict[str, TargetTable]:
    """Read schema dbo, our own tables left out."""
    tables: dict[str, TargetTable] = {}
    for row in connection.execute(COLUMNS).fetchall():
        if row.table_name not in OUR_TABLES:
            table = tables.setdefault(row.table_name, TargetTable(row.table_name))
            column = TargetColumn(row.column_name, declared(row), bool(row.is_nullable), row.collation_name)
            table.columns[column.name] = column
    for rows in _runs(connection.execute(INDEXES).fetchall(), "index_name"):
        if rows[0].table_name in tables:
            _add_index(tables[rows[0].table_name], rows)
    for rows in _runs(connection.execute(FOREIGN_KEYS).fetchall(), "key_name"):
        if rows[0].table_name in tables:
            tables[rows[0].table_name].foreign_keys.append(_foreign_key(rows))
    return tables


def declared(row: Any) -> str:
    """Return a catalogue row's type as DDL writes it: `nvarchar(200)`, `decimal(28,8)`, `datetime2(3)`."""
    name = str(row.type_name)
    if name in _SIZED:
        length = int(row.max_length)
        return f"{name}(max)" if length < 0 else f"{name}({length // _SIZED[name]})"
    if name in ("decimal", "numeric"):
        return f"decimal({row.precision},{row.scale})"
    return f"{name}({row.scale})" if name == "datetime2" else name


def _runs(rows: list[Any], name: str) -> list[list[Any]]:
    """Group neighbouring rows of one table and one key."""
    runs: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        runs.setdefault((row.table_name, getattr(row, name)), []).append(row)
    return list(runs.values())


def _add_index(table: TargetTable, rows: list[Any]) -> None:
    first = rows[0]
    index = PlannedIndex(
        name=first.index_name,
        columns=[IndexColumn(name=row.column_name, descending=bool(row.is_descending_key)) for row in rows],
        unique=bool(first.is_unique),
        constraint=bool(first.is_unique_constraint),
    )
    if first.is_primary_key:
        table.primary_key = index.model_copy(update={"nonclustered": first.type_desc == "NONCLUSTERED"})
    else:
        table.indexes.append(index)


def _foreign_key(rows: list[Any]) -> PlannedForeignKey:
    return PlannedForeignKey(
        name=rows[0].key_name,
        columns=[row.column_name for row in rows],
        referenced_table=rows[0].referenced_table,
        referenced_columns=[row.referenced_column for row in rows],
        on_delete=str(rows[0].action).replace("_", " "),
    )
