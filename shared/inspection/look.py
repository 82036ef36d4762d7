"""A look at one planned table: its rows as the copy will read them, and findings with masked examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from shared.copying.reading import identifier, select_sql, where_sql
from shared.databaseplan import DatabasePlan, PlannedColumn, PlannedTable
from shared.errors import Finding, Severity
from shared.inspection.collation import Collation
from shared.request import Options

EXAMPLES = 10

# lower() follows the database's locale, which may know ASCII only; these know Unicode, the first that exists is taken:
# the builtin provider of PostgreSQL 17, ICU, glibc.
LOWER = """\
SELECT collname FROM pg_collation
WHERE collname IN ('pg_c_utf8', 'und-x-icu', 'C.utf8', 'en_US.utf8') AND collencoding IN (-1, 6)
ORDER BY array_position(ARRAY['pg_c_utf8', 'und-x-icu', 'C.utf8', 'en_US.utf8'], collname::text)
LIMIT 1"""


@dataclass(frozen=True)
class Look:
    """What every check needs. `collation` is that of the target's strings, unless a column has its own."""

    connection: psycopg.Connection[Any]
    plan: DatabasePlan
    options: Options
    collation: Collation
    lower: str = "default"

    @classmethod
    def at(cls, connection: psycopg.Connection[Any], plan: DatabasePlan, options: Options, collation: str) -> "Look":
        """Prepare a look; asks PostgreSQL which of its collations knows all of Unicode."""
        row = connection.execute(LOWER).fetchone()
        return cls(connection, plan, options, Collation.of(collation), str(row[0]) if row else "default")

    def rows_of(self, table: PlannedTable) -> str:
        """Return the table's rows as the copy reads them, as a FROM item: target names, expressions, predicate."""
        return f"({select_sql(table, where_sql(table.where))}) AS source"

    def collation_of(self, column: PlannedColumn) -> Collation:
        """Return the collation that the column will have on the target."""
        return Collation.of(column.collation) if column.collation else self.collation

    def one(self, statement: str) -> tuple[Any, ...]:
        """Return the one row of a statement."""
        row = self.connection.execute(statement.encode()).fetchone()
        return row if row is not None else ()

    def all(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        return self.connection.execute(statement.encode()).fetchall()

    def examples(self, table: PlannedTable, shown: str, where: str) -> list[str]:
        """Return up to ten rows: their key, and the text of `shown` if the request asks for values."""
        key = [identifier(column.name) for column in table.primary_key.columns] if table.primary_key else []
        keys = ", ".join(f"{name}::text" for name in key) or "'?'"
        rows = self.all(
            f"SELECT concat_ws(', ', {keys}), {shown}::text FROM {self.rows_of(table)} WHERE {where} LIMIT {EXAMPLES}"  # noqa: S608
        )
        names = ", ".join(column.name for column in table.primary_key.columns) if table.primary_key else "row"
        return [f"{names} {key}: {self.value(value)}" for key, value in rows]

    def value(self, value: object) -> str:
        """Return a value for an example: itself if the request says so, else only its form."""
        if value is None:
            return "NULL"
        text = str(value)
        if self.options.show_values:
            return repr(text if len(text) <= 80 else f"{text[:77]}...")
        return f"(not shown, {len(text)} characters)"


@dataclass(frozen=True)
class Problem:
    """The fixed part of a kind of finding: its words, and the remedies it offers."""

    code: str
    severity: Severity
    remedy: str = ""
    choices: Sequence[str] = ()

    def found(self, about: str, message: str, count: int | None = None, examples: Sequence[str] = ()) -> Finding:
        """Return the finding."""
        return Finding(
            code=self.code,
            severity=self.severity,
            object=about,
            message=message,
            remedy=self.remedy,
            count=count,
            examples=list(examples)[:EXAMPLES],
            choices=list(self.choices),
        )
