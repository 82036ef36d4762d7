"""What names mean inside a query: tables, columns, aliases."""

import json
from dataclasses import dataclass, field

from local.sqlserver.errors import SqlError, invalid_column, invalid_object
from local.sqlserver.sqltypes import (
    BIGINT,
    BIT,
    DATE,
    FLOAT,
    INT,
    MAX,
    SMALLINT,
    SYSNAME,
    TINYINT,
    SqlType,
    datetime2,
    decimal,
    nvarchar,
)
from local.sqlserver.store import Store, literal, quoted, text

SCHEMAS = {"dbo": "dbo", "sys": "sys", "information_schema": "information_schema_views"}

# Columns of catalogue views tell their T-SQL type by their PostgreSQL type or domain.
_VIEW_TYPES = {
    "int8": BIGINT,
    "int4": INT,
    "int2": SMALLINT,
    "bit": BIT,
    "tinyint": TINYINT,
    "sysname": SYSNAME,
    "text": nvarchar(MAX),
    "name": SYSNAME,
    "timestamp": datetime2(6),
    "date": DATE,
    "float8": FLOAT,
    "numeric": decimal(38, 4),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column as a query sees it."""

    name: str
    kind: SqlType
    nullable: bool
    sql: str
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table or catalogue view."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]

    @property
    def sql(self) -> str:
        """Qualified PostgreSQL name."""
        return f"{SCHEMAS[self.schema]}.{quoted(self.name)}"

    def column(self, name: str) -> Column:
        """A column by its name in any case.

        Raises:
            SqlError: 207.
        """
        for column in self.columns:
            if column.name.lower() == name.lower():
                return column
        raise invalid_column(name)


def type_of_comment(comment: str) -> SqlType:
    """The declared type a column's comment holds."""
    told = json.loads(comment)
    length = told.get("length", 0)
    return SqlType(told["type"], length, told["precision"], told["scale"], told.get("collation"))


class Catalogue:
    """Looks tables up in the store; nothing is kept between statements, since other sessions change them."""

    def __init__(self, store: Store, database: str) -> None:
        self._store = store
        self.database = database

    def find(self, schema: str, name: str) -> Table | None:
        """The table or view of that name in any case, or None."""
        schema = schema.lower() or "dbo"
        if schema not in SCHEMAS:
            return None
        rows = self._store.rows(
            "SELECT c.oid, c.relname, a.attname, t.typname, NOT a.attnotnull, col_description(c.oid, a.attnum),"
            " a.atthasdef"
            " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            " LEFT JOIN pg_type AS t ON t.oid = a.atttypid"
            " WHERE n.nspname = $1 AND lower(c.relname) = lower($2) AND c.relkind IN ('r', 'v')"
            " ORDER BY c.relname = $2 DESC, a.attnum",
            [text(SCHEMAS[schema]), text(name)],
        )
        if not rows:
            return None
        columns = []
        for _, _, column, kind, nullable, comment, default in rows:
            if column is None or kind is None:
                continue
            declared = type_of_comment(comment.decode()) if comment else _VIEW_TYPES[kind.decode()]
            columns.append(
                Column(column.decode(), declared, nullable == b"t", quoted(column.decode()), default == b"t")
            )
        return Table(int(rows[0][0] or 0), schema, (rows[0][1] or b"").decode(), tuple(columns))

    def table(self, schema: str, name: str, shown: str = "") -> Table:
        """The table or view.

        Raises:
            SqlError: 208.
        """
        found = self.find(schema, name)
        if found is None:
            raise invalid_object(shown or (f"{schema}.{name}" if schema else name))
        return found

    def object_exists(self, name: str) -> bool:
        """Whether a table, procedure or constraint has this name."""
        return bool(
            self._store.rows(
                "SELECT 1 FROM sys.objects AS o WHERE lower(o.name) = lower($1)"
                " UNION ALL SELECT 1 FROM sys.check_constraints AS c WHERE lower(c.name) = lower($1)",
                [text(name)],
            )
        )

    def indexes(self, table: Table) -> list[tuple[str, str, bool]]:
        """Name, kind (PK, UQ, IX) and whether it is clustered, of every index of a table."""
        rows = self._store.rows(
            "SELECT name, kind, clustered FROM mssql.indexes WHERE object_id = $1::int", [text(table.oid)]
        )
        return [((name or b"").decode(), (kind or b"").decode(), clustered == b"t") for name, kind, clustered in rows]

    def constraint(self, table: Table, name: str) -> str | None:
        """PostgreSQL's name of a foreign key or check constraint."""
        rows = self._store.rows(
            "SELECT conname FROM pg_constraint WHERE conrelid = $1::oid"
            " AND lower(obj_description(oid, 'pg_constraint')::jsonb ->> 'name') = lower($2)",
            [text(table.oid), text(name)],
        )
        return (rows[0][0] or b"").decode() if rows else None

    def foreign_keys(self, table: Table, name: str | None) -> list[str]:
        """PostgreSQL's names of a table's foreign keys: one, or all.

        Raises:
            SqlError: 4917 when there is none of that name.
        """
        rows = self._store.rows(
            "SELECT conname FROM mssql.foreign_keys WHERE parent_object_id = $1::int AND ($2::text IS NULL OR lower(name) = lower($2))",
            [text(table.oid), text(name)],
        )
        if name is not None and not rows:
            raise SqlError(4917, f"Constraint '{name}' does not exist.")
        return [(row[0] or b"").decode() for row in rows]

    def revalidation(self, table: Table, stored: str) -> str:
        """SQL that makes a foreign key look at every row again: it is dropped and made anew, with its comment."""
        rows = self._store.rows(
            "SELECT pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint') FROM pg_constraint"
            " WHERE conrelid = $1::oid AND conname = $2",
            [text(table.oid), text(stored)],
        )
        definition, comment = ((cell or b"").decode() for cell in rows[0])
        place = f"dbo.{quoted(table.name)}"
        return (
            f"ALTER TABLE {place} DROP CONSTRAINT {stored}; ALTER TABLE {place} ADD CONSTRAINT {stored} "
            f"{definition.removesuffix(' NOT VALID')}; COMMENT ON CONSTRAINT {stored} ON {place} IS {literal(comment)}"
        )

    def triggers(self, stored: str) -> list[tuple[str, str]]:
        """Tables and names of the triggers with which PostgreSQL keeps a foreign key."""
        rows = self._store.rows(
            "SELECT g.tgrelid::regclass, g.tgname FROM pg_trigger AS g JOIN pg_constraint AS c ON c.oid = g.tgconstraint"
            " WHERE c.conname = $1",
            [text(stored)],
        )
        return [((on or b"").decode(), quoted((name or b"").decode())) for on, name in rows]

    def key_told(self, stored: str) -> dict[str, object]:
        """What the comment of a foreign key says: its name, the table and column it refers to."""
        rows = self._store.rows(
            "SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = $1", [text(stored)]
        )
        told: dict[str, object] = json.loads(rows[0][0] or b"{}")
        return told

    def default_column(self, table: Table, name: str) -> str | None:
        """The column a default constraint of that name belongs to."""
        rows = self._store.rows(
            "SELECT c.name FROM mssql.columns AS c WHERE c.object_id = $1::int AND lower(told ->> 'default_name') = lower($2)",
            [text(table.oid), text(name)],
        )
        return (rows[0][0] or b"").decode() if rows else None

    def own_checks(self, table: Table, column: str) -> list[str]:
        """Names of the CHECK constraints the stand-in itself put on a column."""
        rows = self._store.rows(
            "SELECT conname FROM pg_constraint AS c JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
            " WHERE c.conrelid = $1::oid AND c.contype = 'c' AND a.attname = $2 AND obj_description(c.oid, 'pg_constraint') IS NULL",
            [text(table.oid), text(column)],
        )
        return [quoted((row[0] or b"").decode()) for row in rows]


@dataclass
class Source:
    """Something after FROM: its alias and its columns by lower-case name."""

    alias: str
    sql_alias: str
    columns: list[Column]


@dataclass
class Scope:
    """Names visible in a query: its own sources, then those of the queries around it."""

    sources: list[Source] = field(default_factory=list)
    parent: "Scope | None" = None
    ctes: dict[str, list[Column]] = field(default_factory=dict)

    def add(self, source: Source) -> None:
        """Makes a source visible.

        Raises:
            SqlError: 1013 when another of the same name is.
        """
        if any(other.alias.lower() == source.alias.lower() for other in self.sources):
            raise SqlError(1013, f'The objects "{source.alias}" in the FROM clause have the same exposed names.')
        self.sources.append(source)

    def cte(self, name: str) -> list[Column] | None:
        """Columns of a common table expression."""
        found = self.ctes.get(name.lower())
        return found if found is not None else self.parent.cte(name) if self.parent else None

    def resolve(self, name: str, qualifier: str = "") -> tuple[str, Column]:
        """PostgreSQL expression and column for a name.

        Raises:
            SqlError: 207 unknown, 209 ambiguous, 4104 unknown qualifier.
        """
        hits = [
            (source, column)
            for source in self.sources
            if not qualifier or source.alias.lower() == qualifier.lower()
            for column in source.columns
            if column.name.lower() == name.lower()
        ]
        if len(hits) > 1:
            raise SqlError(209, f"Ambiguous column name '{name}'.")
        if hits:
            source, column = hits[0]
            return f"{source.sql_alias}.{column.sql}", column
        if self.parent:
            return self.parent.resolve(name, qualifier)
        if qualifier and not any(source.alias.lower() == qualifier.lower() for source in self.sources):
            raise SqlError(4104, f'The multi-part identifier "{qualifier}.{name}" could not be bound.')
        raise invalid_column(name)
