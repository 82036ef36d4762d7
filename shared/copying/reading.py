"""How a planned table is read from PostgreSQL: the one place where its SELECT is made.

Copy and verification both read through these expressions, so a masked column, a sequence's value or a left-out row is
the same thing to both of them.
"""

from collections.abc import Sequence

from psycopg import sql

from shared.copying.model import Chunk
from shared.databaseplan import PlannedColumn, PlannedTable
from shared.sqlserver.columntype import parse

SCHEMA = "public"
_TEXT = ("text", "character varying")


def identifier(name: str) -> str:
    """Return a name quoted for PostgreSQL."""
    return sql.Identifier(name).as_string()


def table_sql(table: PlannedTable) -> str:
    """Return the source table, quoted; it has no alias, so expressions may name it."""
    return f"{identifier(SCHEMA)}.{identifier(table.source_name)}"


def value_sql(column: PlannedColumn) -> str:
    """Return the PostgreSQL expression whose value goes into the column, of a type that its target type can take."""
    base = f"({column.expression})" if column.expression else identifier(column.source_name)
    kind = parse(column.type)
    if kind.textual and (column.expression or not column.source_type.startswith(_TEXT)):
        return f"{base}::text"
    if kind.kind == "decimal" and not column.source_type.startswith("numeric"):
        return f"{base}::numeric"
    if kind.kind in ("datetime2", "date") and column.source_type == "timestamp with time zone":
        return f"({base} AT TIME ZONE 'UTC')"
    return base


def range_sql(chunk: Chunk) -> str | None:
    """Return the predicate of a chunk's range, or None for a whole table."""
    if chunk.by == "whole":
        return None
    if chunk.by == "ctid":
        low, high = (f"'({page},0)'::tid" if page is not None else None for page in (chunk.first, chunk.last))
        name = "ctid"
    else:
        low, high = (str(bound) if bound is not None else None for bound in (chunk.first, chunk.last))
        name = identifier(chunk.column or "id")
    parts = ([f"{name} >= {low}"] if low is not None else []) + ([f"{name} < {high}"] if high is not None else [])
    return " AND ".join(parts) or None


def without_sql(ctids: Sequence[str]) -> str | None:
    """Return the predicate that leaves out the rows of these ctids, such as `(12,3)`; None if there are none."""
    if not ctids:
        return None
    listed = ",".join(f'"{ctid}"' for ctid in ctids)
    return f"ctid <> ALL ('{{{listed}}}'::tid[])"


def where_sql(*predicates: str | None) -> str:
    """Return ` WHERE …` of those predicates that there are, or nothing."""
    given = [f"({predicate})" for predicate in predicates if predicate]
    return f" WHERE {' AND '.join(given)}" if given else ""


def select_sql(table: PlannedTable, where: str, *, ctid: bool = False) -> str:
    """Return the SELECT of all planned columns under their target names; `ctid` adds the row's address in front."""
    columns = [f"{value_sql(column)} AS {identifier(column.name)}" for column in table.columns]
    if ctid:
        columns.insert(0, f"ctid::text AS {identifier(CTID)}")
    return f"SELECT {', '.join(columns)} FROM {table_sql(table)}{where}"  # noqa: S608


def size_sql(table: PlannedTable, where: str) -> str:
    """Return the SELECT of the number of rows and of the bytes of the largest."""
    return f"SELECT count(*), {largest_sql(table)} FROM {table_sql(table)}{where}"  # noqa: S608 - names are quoted


def largest_sql(table: PlannedTable) -> str:
    """Return the aggregate of the bytes of the largest row."""
    return f"coalesce(max({row_bytes_sql(table)}), 0)"


def row_bytes_sql(table: PlannedTable) -> str:
    """Return the bytes of a row, as far as unlimited columns make it large.

    octet_length of a value that was moved to TOAST looks at its header only, so no large value is fetched.
    """
    unlimited = [value_sql(column) for column in table.columns if parse(column.type).unlimited]
    return " + ".join(f"coalesce(octet_length({value})::bigint, 0)" for value in unlimited) or "0"


def and_sql(where: str, predicate: str) -> str:
    """Add a predicate to what `where_sql` returned, which may be nothing."""
    return f"{where} AND ({predicate})" if where else f" WHERE ({predicate})"


CTID = "mxferry ctid"
"""Name of the added address column; no Mendix column has a blank in its name."""
