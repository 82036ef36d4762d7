"""Sampled read-back: some rows are read whole from both sides by the drivers and compared in Python, cell by cell.

It shares nothing with the canonical texts, so it also checks them.
"""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from shared.copying.memory import WIDE_ROW_BYTES
from shared.copying.reading import largest_sql, value_sql
from shared.databaseplan import PlannedColumn
from shared.sqlserver.columntype import ColumnType, parse
from shared.sqlserver.connection import quote
from shared.verification.canonical import UTF8, canonical
from shared.verification.naming import source_match, target_match
from shared.verification.slicesides import Row, Sides

ROWS = 20  # of each slice
PART_BYTES = 4 * 1024 * 1024


def compare_sample(sides: Sides) -> tuple[int, list[str]]:
    """Return how many rows were compared, and a sentence for each that differs. Needs a primary key."""
    differences: list[str] = []
    keys = _chosen(sides, ROWS)
    for key in keys:
        columns = _differing_cells(sides, key)
        if columns:
            shown = ", ".join(f"{column.name} {text[1:]}" for column, text in zip(sides.key, key, strict=True))
            differences.append(f"{shown}: {', '.join(columns)}")
    return len(keys), differences


def _chosen(sides: Sides, rows: int) -> list[Row]:
    """Choose rows by the hash of their key: spread over the table, and the same at every delivery."""
    keys = ", ".join(canonical(column).postgres for column in sides.key)
    return sides.source(keys, tail=f" ORDER BY md5(concat_ws(',', {keys})) LIMIT {rows:d}")


def _differing_cells(sides: Sides, key: Row) -> list[str]:
    """Return the columns of one row that differ. Of a row of many megabytes, unlimited values are read part by part."""
    columns = sides.table.columns
    ((widest,),) = sides.source(largest_sql(sides.table), *source_match(sides.key, key))
    large = [column for column in columns if int(widest) >= WIDE_ROW_BYTES and parse(column.type).unlimited]
    small = [column for column in columns if column not in large]
    left, right = _both(sides, key, [value_sql(one) for one in small], [quote(one.name) for one in small])
    if len(left) != 1 or len(right) != 1:
        return [f"found {len(right)} times"]
    differing = [
        column.name for column, a, b in zip(small, left[0], right[0], strict=True) if not same(a, b, parse(column.type))
    ]
    return differing + [column.name for column in large if not _same_in_parts(sides, key, column)]


def _same_in_parts(sides: Sides, key: Row, column: PlannedColumn) -> bool:
    """Compare a large value by its bytes, as long as one side has more of them."""
    source, target = _bytes_sql(column)
    start = 1
    while True:
        bounds = f"{start}, {PART_BYTES}"
        left, right = _both(sides, key, [f"substr({source}, {bounds})"], [f"SUBSTRING({target}, {bounds})"])
        if left != right or not left[0][0]:
            return left == right
        start += PART_BYTES


def _bytes_sql(column: PlannedColumn) -> tuple[str, str]:
    """Return a value as bytes, in PostgreSQL and on the target; text in UTF-8."""
    value, name = value_sql(column), quote(column.name)
    if parse(column.type).textual:
        return f"convert_to({value}, 'UTF8')", f"CAST(CAST({name} COLLATE {UTF8} AS varchar(max)) AS varbinary(max))"
    return value, name


def _both(sides: Sides, key: Row, source: Sequence[str], target: Sequence[str]) -> tuple[list[Row], list[Row]]:
    left = sides.source(", ".join(source), *source_match(sides.key, key))
    predicates, parameters = target_match(sides.key, key)
    return left, sides.on_target(", ".join(target), *predicates, parameters=parameters)


def same(source: object, target: object, kind: ColumnType) -> bool:
    """Say whether a value that psycopg read is kept in what pyodbc read, for a target type."""
    if source is None or target is None:
        return source is None and target is None
    if isinstance(source, datetime) and isinstance(target, datetime):
        return round_moment(source, kind.scale) == target
    if isinstance(source, date) and not isinstance(source, datetime):
        return source == (target.date() if isinstance(target, datetime) else target)
    if kind.kind == "decimal":
        step = Decimal(1).scaleb(-kind.scale)
        return Decimal(str(source)).quantize(step, ROUND_HALF_UP) == Decimal(str(target))
    if isinstance(source, float) and isinstance(target, float):
        return source == target or (math.isnan(source) and math.isnan(target))
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source) == target
    if isinstance(source, UUID):
        return str(source).lower() == str(target).lower()
    return source == target


def round_moment(moment: datetime, digits: int) -> datetime:
    """Return a moment rounded half up to `digits` of a second, in UTC without a zone."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    if digits >= 6:
        return moment
    unit = 10 ** (6 - digits)
    micros = (moment.microsecond + unit // 2) // unit * unit
    return moment.replace(microsecond=0) + timedelta(microseconds=micros)
