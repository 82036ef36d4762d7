"""Single values that the target's column cannot hold: too long, out of range, not a number."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from shared.copying.reading import identifier
from shared.databaseplan import PlannedColumn, PlannedTable
from shared.errors import Finding
from shared.inspection.look import Look, Problem
from shared.sqlserver.columntype import parse

TOO_LONG = Problem(
    "TOO_LONG_UTF16",
    "error",
    "SQL Server counts UTF-16 units, PostgreSQL code points. Choose `widen` (the column becomes nvarchar(max), and its "
    "unique constraints and indexes are left out: SQL Server makes none on such a column), `truncate` (values are cut to fit), or shorten the values and take a new snapshot.",
    ("widen", "truncate"),
)
TOO_LONG_FOR_KEY = replace(
    TOO_LONG,
    remedy="SQL Server counts UTF-16 units, PostgreSQL code points. Choose `truncate` (values are cut to fit), or shorten "
    "the values and take a new snapshot.",
    choices=("truncate",),
)
DATE = Problem(
    "DATE_OUT_OF_RANGE",
    "error",
    "datetime2 holds the years 0001 to 9999. Choose `null`, or `clamp` (the nearest date it holds), "
    "or correct the values and take a new snapshot.",
    ("null", "clamp"),
)
NOT_FINITE = Problem(
    "NUMERIC_NOT_FINITE",
    "error",
    "SQL Server has no NaN, no infinity and no denormal numbers. Choose `null` or `zero`, "
    "or correct the values and take a new snapshot.",
    ("null", "zero"),
)
OVERFLOW = Problem(
    "NUMERIC_OVERFLOW",
    "error",
    "Choose `null`, or correct the values and take a new snapshot.",
    ("null",),
)
SCALE = Problem(
    "NUMERIC_SCALE",
    "error",
    "Choose `round` (half away from zero), or correct the values and take a new snapshot.",
    ("round",),
)

FIRST_DATE, LAST_DATE = "0001-01-01 00:00:00", "9999-12-31 23:59:59.999"
LAST_DAY = "9999-12-31"
# 9999-12-31 23:59:59.9995 and later round up to a year that datetime2 does not have.
TOO_LATE = "9999-12-31 23:59:59.9995"
SMALLEST = {"float": "2.2250738585072014e-308", "real": "1.17549435e-38"}
# Characters outside the basic plane take two UTF-16 units; in UTF-8 they are those of four bytes.
UNITS = "(char_length({0}) + char_length(regexp_replace({0}, '[^\\U00010000-\\U0010FFFF]', '', 'g')))"


@dataclass(frozen=True)
class ValueCheck:
    """A predicate that is true for values the target cannot hold, and what to say about them."""

    problem: Problem
    column: PlannedColumn
    predicate: str
    message: str


def value_findings(look: Look, table: PlannedTable) -> Iterator[Finding]:
    """Find values that do not fit; one scan of the table counts them all."""
    primary = {column.name for column in table.primary_key.columns} if table.primary_key else set()
    checks = [check for column in table.columns for check in checks_of(column, in_key=column.name in primary)]
    if not checks:
        return
    counts = ", ".join(f"count(*) FILTER (WHERE {check.predicate})" for check in checks)
    for check, count in zip(checks, look.one(f"SELECT {counts} FROM {look.rows_of(table)}"), strict=True):  # noqa: S608
        if count:
            name = identifier(check.column.name)
            examples = look.examples(table, name, check.predicate)
            found = check.problem.found(f"{table.name}.{check.column.name}", check.message, int(count), examples)
            choices = [one for one in found.choices if one != "null" or check.column.nullable]
            yield found.model_copy(update={"choices": choices})


def checks_of(column: PlannedColumn, *, in_key: bool = False) -> Iterator[ValueCheck]:
    """Yield the checks that a column's target type asks for; a column of the primary key cannot become unlimited."""
    name, target = identifier(column.name), parse(column.type)
    if target.kind == "nvarchar" and target.size is not None:
        yield ValueCheck(
            TOO_LONG_FOR_KEY if in_key else TOO_LONG,
            column,
            too_long(name, target.size),
            f"expected at most {target.size} UTF-16 units, found longer values.",
        )
    elif target.kind in ("datetime2", "date"):
        message = "expected dates from the year 0001 to 9999, found dates outside or infinite."
        yield ValueCheck(DATE, column, out_of_range(name, target.kind), message)
    elif target.kind in SMALLEST:
        message = "expected numbers that SQL Server's float holds, found NaN, infinities or denormal numbers."
        yield ValueCheck(NOT_FINITE, column, not_finite_float(name, target.kind), message)
    elif target.kind == "decimal":
        yield from _decimal_checks(column, target.size or 38, target.scale)


def too_long(name: str, size: int) -> str:
    """Return the predicate of strings over `size` UTF-16 units; most rows are settled by their bytes alone."""
    return f"(octet_length({name}) > {size} AND {UNITS.format(name)} > {size})"


def out_of_range(name: str, kind: str) -> str:
    """Return the predicate of moments before the first or after the last that the column holds."""
    # A date has no time to be rounded up, and PostgreSQL would drop the time of a literal.
    return f"({name} < '{FIRST_DATE}' OR {name} {f"> '{LAST_DAY}'" if kind == 'date' else f">= '{TOO_LATE}'"})"


def not_finite_float(name: str, kind: str) -> str:
    """Return the predicate of floats that SQL Server refuses."""
    return f"({name} IN ('NaN', 'Infinity', '-Infinity') OR ({name} <> 0 AND abs({name}) < {SMALLEST[kind]}::float8))"


def not_finite_decimal(name: str) -> str:
    """Return the predicate of numerics that are no numbers; as text, since before version 14 infinity is no literal."""
    return f"({name}::text IN ('NaN', 'Infinity', '-Infinity'))"


def overflows(name: str, precision: int, scale: int) -> str:
    """Return the predicate of finite numerics with too many digits before the point, after rounding."""
    limit = "1" + "0" * (precision - scale)
    return f"(NOT {not_finite_decimal(name)} AND abs(round({name}, {scale})) >= {limit}::numeric)"


def loses_digits(name: str, scale: int) -> str:
    """Return the predicate of finite numerics with more digits after the point than the column keeps."""
    return f"(NOT {not_finite_decimal(name)} AND round({name}, {scale}) <> {name})"


def _decimal_checks(column: PlannedColumn, precision: int, scale: int) -> Iterator[ValueCheck]:
    name = identifier(column.name)
    if not column.source_type.startswith("numeric"):
        return
    yield ValueCheck(NOT_FINITE, column, not_finite_decimal(name), "expected numbers, found NaN or infinities.")
    source = parse(column.source_type) if "(" in column.source_type else None
    if source is None or (source.size or 0) - source.scale > precision - scale:
        message = f"expected at most {precision - scale} digits before the point, found more."
        yield ValueCheck(OVERFLOW, column, overflows(name, precision, scale), message)
    if source is None or source.scale > scale:
        message = f"expected at most {scale} digits after the point, found more."
        yield ValueCheck(SCALE, column, loses_digits(name, scale), message)
