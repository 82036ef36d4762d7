"""Sampled read-back: some rows are read whole from both sides by the drivers and compared in Python, cell by cell.

It shares nothing with the canonical texts, so it also checks them.
"""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from shared.copying.reading import value_sql
from shared.sqlserver.columntype import ColumnType, parse
from shared.sqlserver.connection import quote
from shared.verification.canonical import canonical
from shared.verification.naming import source_match, target_match
from shared.verification.sides import Row, Sides

ROWS = 20  # of each slice


def compare_sample(sides: Sides, rows: int = ROWS) -> tuple[int, list[str]]:
    """Return how many rows were compared, and a sentence for each that differs. Needs a primary key."""
    differences: list[str] = []
    keys = _chosen(sides, rows)
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
    columns = sides.table.columns
    left = sides.source(", ".join(value_sql(column) for column in columns), *source_match(sides.key, key))
    predicates, parameters = target_match(sides.key, key)
    right = sides.on_target(", ".join(quote(one.name) for one in columns), *predicates, parameters=parameters)
    if len(left) != 1 or len(right) != 1:
        return [f"found {len(right)} times"]
    return [
        column.name
        for column, a, b in zip(columns, left[0], right[0], strict=True)
        if not same(a, b, parse(column.type))
    ]


def same(source: object, target: object, kind: ColumnType) -> bool:
    """Say whether a value that psycopg read is kept in what pyodbc read, for a target type."""
    if source is None or target is None:
        return source is None and target is None
    if isinstance(source, datetime) and isinstance(target, datetime):
        return kept(source, kind.scale) == target
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


def kept(moment: datetime, digits: int) -> datetime:
    """Return a moment rounded half up to `digits` of a second, in UTC without a zone."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    if digits >= 6:
        return moment
    unit = 10 ** (6 - digits)
    micros = (moment.microsecond + unit // 2) // unit * unit
    return moment.replace(microsecond=0) + timedelta(microseconds=micros)
