"""Verifying one slice of one table, level by level, on both sides at the same time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from shared.errors import Finding
from shared.sqlserver.connection import table_name
from shared.verification.aggregates import Difference, aggregates, compare, rounded_count
from shared.verification.model import Level, SliceVerified
from shared.verification.naming import RowDifferences, name_differences
from shared.verification.rowhash import BUCKETS, differing_buckets, source_buckets, target_buckets
from shared.verification.sample import compare_sample
from shared.verification.slicesides import Row, Sides

LISTED = 10
EXPRESSIONS_PER_SELECT = 1000  # PostgreSQL takes 1,664, SQL Server 4,096


def verify_slice(sides: Sides, levels: Sequence[Level]) -> tuple[SliceVerified, list[Finding]]:
    """Verify a slice at the wanted levels; return its numbers, and a finding for each level that found a difference."""
    table = sides.table
    if table.content == "empty":
        return _verify_empty(sides)
    wanted = aggregates(table) if "aggregates" in levels else []
    # One pass over the slice on each side: the aggregates ride with the counts.
    source, target = _both(
        lambda: _selected(sides.source, ["count(*)", rounded_count(table) or "0", *(one.postgres for one in wanted)]),
        lambda: _selected(sides.on_target, ["COUNT_BIG(*)", *(one.tsql for one in wanted)]),
    )
    result = SliceVerified(
        table=table.name,
        slice=sides.slice.number,
        rows_source=int(source[0]),
        rows_target=int(target[0]),
        rounded=int(source[1]),
    )
    findings: list[Finding] = []
    if result.rows_source != result.rows_target and "counts" in levels:
        findings.append(_counts_finding(result))
    if wanted:
        differences = compare(wanted, source[2:], target[1:])
        result = result.model_copy(update={"aggregates": len(wanted), "aggregates_differ": len(differences)})
        findings.extend([_aggregates_finding(sides, differences)] if differences else [])
    for level, step in (("hash", _hash), ("sample", _sample)):
        if level in levels:
            update, found = step(sides)
            result = result.model_copy(update=update)
            findings.extend(found)
    return result, findings


def _selected(run: Callable[[str], list[Row]], expressions: Sequence[str]) -> Row:
    """Return the one row of a SELECT of aggregates, in as many statements as their number needs."""
    found: Row = ()
    for start in range(0, len(expressions), EXPRESSIONS_PER_SELECT):
        found += run(", ".join(expressions[start : start + EXPRESSIONS_PER_SELECT]))[0]
    return found


def _verify_empty(sides: Sides) -> tuple[SliceVerified, list[Finding]]:
    table = sides.table
    rows = int(sides.run_target(f"SELECT COUNT_BIG(*) FROM {table_name(table.name)}")[0][0])  # noqa: S608
    result = SliceVerified(table=table.name, slice=0, content="empty", rows_source=0, rows_target=rows)
    return result, [_counts_finding(result)] if rows else []


def _hash(sides: Sides) -> tuple[dict[str, object], list[Finding]]:
    source, target = _both(lambda: source_buckets(sides), lambda: target_buckets(sides))
    buckets = differing_buckets(source, target)
    update: dict[str, object] = {"buckets": BUCKETS, "buckets_differ": len(buckets)}
    return update, [_rows_finding(sides, name_differences(sides, buckets))] if buckets else []


def _sample(sides: Sides) -> tuple[dict[str, object], list[Finding]]:
    if not sides.key:
        return {"why_not": {"sample": "the table has no primary key to read a row back by"}}, []
    rows, differences = compare_sample(sides)
    update: dict[str, object] = {"sampled": rows, "sampled_differ": len(differences)}
    return update, [_sample_finding(sides, rows, differences)] if differences else []


def _counts_finding(result: SliceVerified) -> Finding:
    return Finding(
        code="COUNTS_DIFFER",
        severity="error",
        object=result.table,
        message=f"expected {result.rows_source:,} rows, found {result.rows_target:,} on the target.",
        remedy="Do not cut over: start the migration again into an empty target.",
        count=abs(result.rows_source - result.rows_target),
    )


def _aggregates_finding(sides: Sides, differences: list[Difference]) -> Finding:
    # No values: a smallest or largest value may be somebody's personal data.
    names = [f"{one.column}: {one.what}" if one.column else one.what for one in differences]
    return Finding(
        code="AGGREGATES_DIFFER",
        severity="error",
        object=sides.table.name,
        message=f"expected equal aggregates on both sides, found {len(differences)} that differ.",
        remedy="Do not cut over: start the migration again into an empty target.",
        count=len(differences),
        examples=names[:LISTED],
    )


def _rows_finding(sides: Sides, found: RowDifferences) -> Finding:
    return Finding(
        code="ROWS_DIFFER",
        severity="error",
        object=sides.table.name,
        message=f"expected equal rows on both sides, found {found}.",
        remedy="Do not cut over: start the migration again into an empty target.",
        count=found.changed + found.missing + found.unexpected or None,
        examples=found.names[:LISTED],
    )


def _sample_finding(sides: Sides, rows: int, differences: list[str]) -> Finding:
    return Finding(
        code="SAMPLE_DIFFERS",
        severity="error",
        object=sides.table.name,
        message=f"expected {rows:,} rows to be read back as they were, found {len(differences)} that differ.",
        remedy="Do not cut over: start the migration again into an empty target.",
        count=len(differences),
        examples=differences[:LISTED],
    )


def _both[T](source: Callable[[], T], target: Callable[[], T]) -> tuple[T, T]:
    """Run one step on both servers at the same time: each waits for its own."""
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(target)
        left = source()
        return left, waiting.result()
