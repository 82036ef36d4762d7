"""Both databases side by side, and the rows of one table that are compared."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
import pyodbc

from shared.copying.model import Chunk
from shared.copying.plan import key_column
from shared.copying.reading import range_sql, table_sql, where_sql, without_sql
from shared.databaseplan import PlannedColumn, PlannedTable
from shared.sqlserver.connection import quote, table_name
from shared.verification.canonical import Canonical, canonical

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Sides:
    """A slice of a table on both sides. `without` are ctids of rejected rows, which the target does not have."""

    postgres: psycopg.Connection
    target: pyodbc.Connection
    table: PlannedTable
    slice: Chunk
    without: tuple[str, ...] = ()

    def source(self, what: str, *predicates: str, tail: str = "") -> list[Row]:
        """Run a SELECT of `what` over the slice in PostgreSQL; `tail` follows the WHERE."""
        return self.run_source(self.source_sql(what, *predicates) + tail)

    def source_sql(self, what: str, *predicates: str) -> str:
        """Return that SELECT."""
        where = where_sql(range_sql(self.slice), self.table.where, without_sql(self.without), *predicates)
        return f"SELECT {what} FROM {table_sql(self.table)}{where}"  # noqa: S608

    def run_source(self, statement: str) -> list[Row]:
        """Run a statement on PostgreSQL; without parameters, so that a % in an expression is a %."""
        return self.postgres.execute(statement.encode()).fetchall()

    def on_target(self, what: str, *predicates: str, parameters: Iterable[object] = ()) -> list[Row]:
        """Run a SELECT of `what` over the slice on the target; `parameters` are those of `predicates`."""
        source, bounds = self.target_from(*predicates)
        return self.run_target(f"SELECT {what} {source}", [*bounds, *parameters])

    def run_target(self, statement: str, parameters: Iterable[object] = ()) -> list[Row]:
        """Run a statement on the target."""
        return [tuple(row) for row in self.target.execute(statement, *parameters).fetchall()]

    def target_from(self, *predicates: str) -> tuple[str, list[object]]:
        """Return FROM and WHERE of the slice on the target, and the values of its bounds."""
        parts: list[str] = []
        bounds: list[object] = []
        if self.slice.by == "key":
            name = quote(self._target_name(self.slice.column))
            for bound, operator in ((self.slice.first, ">="), (self.slice.last, "<")):
                if bound is not None:
                    parts.append(f"{name} {operator} ?")
                    bounds.append(bound)
        parts.extend([f"({self.table.target_where})"] if self.table.target_where else [])
        parts.extend(predicates)
        where = f" WHERE {' AND '.join(parts)}" if parts else ""
        return f"FROM {table_name(self.table.name)}{where}", bounds

    @property
    def fields(self) -> list[Canonical]:
        """The canonical texts of all columns."""
        return [canonical(column) for column in self.table.columns]

    @property
    def key(self) -> list[PlannedColumn]:
        """Columns of the primary key, in its order; empty if there is none."""
        by_name = {column.name: column for column in self.table.columns}
        return [by_name[part.name] for part in self.table.primary_key.columns] if self.table.primary_key else []

    @property
    def number_key(self) -> tuple[str, str] | None:
        """Source and target name of the first key column if it holds whole numbers."""
        source = key_column(self.table)
        return (source, self._target_name(source)) if source else None

    def _target_name(self, source: str | None) -> str:
        return next(column.name for column in self.table.columns if column.source_name == source)
