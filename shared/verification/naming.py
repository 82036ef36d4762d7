"""Naming the rows that differ: the rows of a differing bucket are fetched from both sides as (key, hash)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.copying.reading import identifier, value_sql
from shared.databaseplan import PlannedColumn
from shared.sqlserver.columntype import parse
from shared.sqlserver.connection import quote
from shared.verification.canonical import canonical, postgres_hash, short, tsql_hash
from shared.verification.rowhash import BUCKETS
from shared.verification.slicesides import Row, Sides

BUCKETS_LOOKED_INTO = 12
ROWS_LOOKED_INTO = 50_000  # of a slice; their keys and hashes are held in memory. One bucket of a slice that was cut by
# its key is looked into in any case; a table without a whole number in its key is one slice, however large.
ROWS_NAMED = 10


@dataclass(slots=True)
class RowDifferences:
    """Rows that are not the same on both sides, counted in the buckets that were looked into; ten are named."""

    buckets: int = 0
    looked_into: int = 0
    missing: int = 0
    unexpected: int = 0
    changed: int = 0
    names: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if self.looked_into == 0:
            return (
                f"differences in {self.buckets} of {BUCKETS} buckets of rows; they hold more than {ROWS_LOOKED_INTO:,} rows, "
                "which are not named without a whole number in the primary key"
            )
        parts = [
            f"{count} {what}"
            for count, what in (
                (self.changed, "changed"),
                (self.missing, "missing"),
                (self.unexpected, "not expected or doubled"),
            )
            if count
        ]
        more = self.buckets - self.looked_into
        return ", ".join(parts) + (f", and more in {more} further buckets of {BUCKETS}" if more else "")


def name_differences(sides: Sides, buckets: Mapping[int, int]) -> RowDifferences:
    """Find out which rows of the differing buckets (with the rows of each) differ, and how."""
    chosen = _within_reason(buckets) if sides.number_key else _all_or_none(buckets)
    found = RowDifferences(buckets=len(buckets), looked_into=len(chosen))
    if not chosen:
        return found
    _sort_out(sides, _source_rows(sides, chosen), _target_rows(sides, chosen), found)
    return found


def _within_reason(buckets: Mapping[int, int]) -> list[int]:
    """Return the first of the buckets: not too many, and not too many rows."""
    chosen: list[int] = []
    rows = 0
    for bucket, count in buckets.items():
        rows += count
        if chosen and (rows > ROWS_LOOKED_INTO or len(chosen) == BUCKETS_LOOKED_INTO):
            break
        chosen.append(bucket)
    return chosen


def _all_or_none(buckets: Mapping[int, int]) -> list[int]:
    """Return all buckets if that is within reason, else none.

    Where the row's own hash decides its bucket, a changed row is in one bucket on the source and in another on the
    target: only with all buckets can it be told from a missing one.
    """
    return list(buckets) if sum(buckets.values()) <= ROWS_LOOKED_INTO else []


def differing_columns(sides: Sides, key: Row) -> list[str]:
    """Return the columns of the row with this key (canonical texts) that differ; large texts by their hash."""
    fields = [short(canonical(column), column) for column in sides.table.columns]
    left = sides.source(", ".join(one.postgres for one in fields), *source_match(sides.key, key), tail=" LIMIT 1")
    predicates, parameters = target_match(sides.key, key)
    right = sides.on_target(", ".join(one.tsql for one in fields), *predicates, parameters=parameters)
    if not left or not right:
        return []
    return [one.name for one, a, b in zip(fields, left[0], right[0], strict=True) if a != b]


def _sort_out(sides: Sides, left: Counter[Row], right: Counter[Row], found: RowDifferences) -> None:
    """Compare the two multisets: a key on both sides with other hashes is a changed row."""
    less, more = _by_key(sides, left - right), _by_key(sides, right - left)
    held = _by_key(sides, left)
    for key in sorted(less.keys() | more.keys()):
        gone, come = less[key], more[key]
        changed = min(gone, come) if sides.key else 0
        found.changed += changed
        found.missing += gone - changed
        found.unexpected += come - changed
        if len(found.names) < ROWS_NAMED:
            found.names.append(f"{_shown(sides, key)}: {_verdict(sides, key, gone, come, held[key])}")


def _verdict(sides: Sides, key: Row, gone: int, come: int, held: int) -> str:
    if sides.key and gone and come:
        return f"differs in {', '.join(differing_columns(sides, key)) or 'a column'}"
    if gone:
        return "missing on the target"
    if held:
        return f"expected {held} time, found {held + come} times on the target"
    return "not expected on the target"


def _by_key(sides: Sides, rows: Counter[Row]) -> Counter[Row]:
    found: Counter[Row] = Counter()
    for row, count in rows.items():
        found[row[:-1] if sides.key else row] += count
    return found


def _shown(sides: Sides, key: Row) -> str:
    if not sides.key:
        return f"row with hash {key[0]}"
    return ", ".join(f"{column.name} {str(text)[1:]}" for column, text in zip(sides.key, key, strict=True))


def _source_rows(sides: Sides, buckets: list[int]) -> Counter[Row]:
    key, row_hash = sides.number_key, postgres_hash(sides.fields)
    what = [canonical(column).postgres for column in sides.key] + [row_hash]
    only = f"{identifier(key[0]) if key else row_hash} % {BUCKETS} IN ({_listed(buckets)})"
    return _counted(sides.source(", ".join(what), only))


def _target_rows(sides: Sides, buckets: list[int]) -> Counter[Row]:
    key, row_hash = sides.number_key, tsql_hash(sides.fields)
    what = [canonical(column).tsql for column in sides.key] + [row_hash]
    only = f"{quote(key[1]) if key else row_hash} % {BUCKETS} IN ({_listed(buckets)})"
    return _counted(sides.on_target(", ".join(what), only))


def _listed(buckets: list[int]) -> str:
    return ", ".join(str(bucket) for bucket in buckets)


def _counted(rows: list[Row]) -> Counter[Row]:
    """Count (key…, hash)."""
    return Counter((*row[:-1], int(row[-1])) for row in rows)


def source_match(key: list[PlannedColumn], texts: Row) -> list[str]:
    """Return predicates for a key: numbers as they are, so that an index may serve; others by canonical text."""
    found = []
    for column, text in zip(key, texts, strict=True):
        if parse(column.type).integral:
            found.append(f"{value_sql(column)} = {int(text[1:])}")
        else:
            quoted = str(text).replace("'", "''")
            found.append(f"{canonical(column).postgres} = '{quoted}'")
    return found


def target_match(key: list[PlannedColumn], texts: Row) -> tuple[list[str], list[object]]:
    """Return the same predicates for the target, with their parameters."""
    predicates: list[str] = []
    parameters: list[object] = []
    for column, text in zip(key, texts, strict=True):
        integral = parse(column.type).integral
        predicates.append(f"{quote(column.name)} = ?" if integral else f"{canonical(column).tsql} = ?")
        parameters.append(int(text[1:]) if integral else text)
    return predicates, parameters
