"""Aggregates per column, computed by both engines over the same rows, and compared as text.

They say in which column a difference lies, and catch what a hash of joined fields could in theory miss.
"""

from dataclasses import dataclass

from shared.copying.reading import value_sql
from shared.databaseplan import PlannedColumn, PlannedTable
from shared.sqlserver.columntype import ColumnType, parse
from shared.sqlserver.connection import quote
from shared.verification.canonical import UTF8, postgres_moment, postgres_rounded


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One number about one column: `what` in words, and its expression of type text in each engine."""

    column: str
    what: str
    postgres: str
    tsql: str


@dataclass(frozen=True, slots=True)
class Difference:
    """An aggregate that differs; None is what SQL says about no rows."""

    column: str
    what: str
    source: str | None
    target: str | None


def aggregates(table: PlannedTable) -> list[Aggregate]:
    """Return every aggregate of a table; the first is its number of rows."""
    found = [Aggregate("", "rows", "count(*)::text", "CONVERT(varchar(20), COUNT_BIG(*))")]
    for column in table.columns:
        found.extend(_of_column(column))
    return found


def compare(wanted: list[Aggregate], source: tuple[object, ...], target: tuple[object, ...]) -> list[Difference]:
    """Return the aggregates whose texts differ."""
    return [
        Difference(one.column, one.what, _text(left), _text(right))
        for one, left, right in zip(wanted, source, target, strict=True)
        if _text(left) != _text(right)
    ]


def rounded_count(table: PlannedTable) -> str | None:
    """Return the PostgreSQL aggregate that counts timestamps which lose digits; None if there is no such column."""
    parts = []
    for column in table.columns:
        kind = parse(column.type)
        if kind.kind == "datetime2" and kind.scale < 6:
            # Microseconds of the second; NULL of infinity, which loses nothing.
            beyond = f"extract(microseconds FROM {value_sql(column)})::bigint % {10 ** (6 - kind.scale)}"
            parts.append(f"count(*) FILTER (WHERE {beyond} <> 0)")
    return " + ".join(parts) or None


def _of_column(column: PlannedColumn) -> list[Aggregate]:
    kind, value, name = parse(column.type), value_sql(column), quote(column.name)
    found = [
        Aggregate(
            column.name, "values", f"count({value})::text", f"CONVERT(varchar(20), COUNT_BIG({name}))"
        )
    ]  # fmt: skip
    for what, postgres, tsql in _measures(kind, value, name):
        found.append(Aggregate(column.name, what, postgres, tsql))
    return found


def _measures(kind: ColumnType, value: str, name: str) -> list[tuple[str, str, str]]:
    if kind.integral:
        return [
            ("smallest", f"min({value})::text", f"CONVERT(varchar(20), MIN({name}))"),
            ("largest", f"max({value})::text", f"CONVERT(varchar(20), MAX({name}))"),
            ("sum", f"sum({value}::numeric)::text", f"CONVERT(varchar(50), SUM(CAST({name} AS decimal(38, 0))))"),
        ]
    if kind.kind == "bit":
        return [("true", f"sum({value}::int)::text", f"CONVERT(varchar(20), SUM(CAST({name} AS bigint)))")]
    if kind.kind == "decimal":
        return [
            ("smallest", f"round(min({value}), {kind.scale})::text", f"CONVERT(varchar(50), MIN({name}))"),
            ("largest", f"round(max({value}), {kind.scale})::text", f"CONVERT(varchar(50), MAX({name}))"),
            ("sum", f"sum(round({value}, {kind.scale}))::text", f"CONVERT(varchar(50), SUM({name}))"),
        ]
    if kind.kind in ("datetime2", "date"):
        return _moments(kind, value, name)
    if kind.kind == "varbinary":
        return [("octets", f"sum(octet_length({value}))::text", _sum(f"DATALENGTH({name})"))]
    if kind.textual:
        octets = f"DATALENGTH(CAST({name} COLLATE {UTF8} AS varchar(max)))"
        return [("octets", f"sum(octet_length({value}))::text", _sum(octets))]
    return []


def _moments(kind: ColumnType, value: str, name: str) -> list[tuple[str, str, str]]:
    width = 10 if kind.kind == "date" else 27
    found = [
        ("earliest", postgres_moment(f"min({value})", kind), f"CONVERT(varchar({width}), MIN({name}), 121)"),
        ("latest", postgres_moment(f"max({value})", kind), f"CONVERT(varchar({width}), MAX({name}), 121)"),
    ]
    if kind.kind == "datetime2" and kind.scale == 3:
        rounded = postgres_rounded(value, 3)
        epoch = "CAST('1970-01-01' AS datetime2(3))"
        found.append(
            (
                "sum of milliseconds since 1970",
                f"round(sum(extract(epoch FROM {rounded})::numeric * 1000))::text",
                f"CONVERT(varchar(50), SUM(CAST(DATEDIFF_BIG(millisecond, {epoch}, {name}) AS decimal(38, 0))))",
            )
        )
    return found


def _sum(expression: str) -> str:
    return f"CONVERT(varchar(50), SUM(CAST({expression} AS bigint)))"


def _text(value: object) -> str | None:
    return None if value is None else str(value)
