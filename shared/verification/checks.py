"""From the numbers of all slices to what a person reads: checks per level, rows per table, findings."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from shared.contracts import Check, TableRows
from shared.errors import Finding
from shared.verification.model import Level, SliceVerified

HOW: dict[Level, tuple[str, str]] = {
    "counts": (
        "row counts",
        "Rows counted in PostgreSQL, rows in the ledger that was written in each chunk's transaction, and rows counted "
        "on the target were compared for every table.",
    ),
    "aggregates": (
        "column aggregates",
        "Aggregates computed by both engines over the same rows were compared: of every column the number of values, of "
        "whole numbers, decimals, dates and times the smallest and the largest, of whole numbers and decimals the sum, of "
        "datetime2(3) the sum of milliseconds, of booleans the number of true ones, of texts and bytes the sum of octets. "
        "Of floating-point numbers and UUIDs it is the number of values only.",
    ),
    "hash": (
        "row hash",
        "An MD5 of every row's canonical text, computed inside both engines and added up in 64 buckets, was compared; "
        "rows of a bucket that differs are named.",
    ),
    "sample": (
        "sampled read-back",
        "Rows chosen by the hash of their key were read whole from both sides and compared cell by cell.",
    ),
}
"""By level of verification: the name of its check, and how it is done."""

_BY_RUNTIME = (
    "Rows counted in PostgreSQL, rows that the engine counted on the target when the runtime had started, and rows "
    "counted there table by table were compared."
)


def checks(
    slices: Sequence[SliceVerified], tables: Sequence[TableRows], levels: Sequence[Level], *, by_runtime: bool = False
) -> list[Check]:
    """Return one check for each level, those not asked for as skipped; `by_runtime` if the runtime copied the rows."""
    outcomes: dict[Level, Callable[[], tuple[bool, str]]] = {
        "counts": lambda: _counts(tables),
        "aggregates": lambda: _aggregates(slices),
        "hash": lambda: _hash(slices),
        "sample": lambda: _sample(slices),
    }
    found: list[Check] = []
    for level, outcome in outcomes.items():
        name, how = HOW[level]
        how = _BY_RUNTIME if by_runtime and level == "counts" else how
        if level not in levels:
            found.append(Check(name=name, outcome="skipped", how=how, detail=not_asked_for(levels)))
            continue
        passed, detail = outcome()
        found.append(Check(name=name, outcome="passed" if passed else "failed", how=how, detail=detail))
    return found


def not_asked_for(levels: Sequence[Level]) -> str:
    """Say why a level was not done that the request does not name."""
    return f"Not asked for: options.verify is {', '.join(levels) or 'empty'}."


def with_targets(tables: Sequence[TableRows], slices: Iterable[SliceVerified]) -> list[TableRows]:
    """Return the tables of the copy with the rows counted on the target."""
    rows: dict[str, int] = defaultdict(int)
    seen: set[str] = set()
    for one in slices:
        rows[one.table] += one.rows_target
        seen.add(one.table)
    return [
        table.model_copy(update={"rows_target": rows[table.name] if table.name in seen else None}) for table in tables
    ]


def rounded_finding(slices: Iterable[SliceVerified]) -> Finding | None:
    """Say how many timestamps lost their microseconds; None if none did."""
    by_table: dict[str, int] = defaultdict(int)
    for one in slices:
        by_table[one.table] += one.rounded
    touched = {table: count for table, count in by_table.items() if count}
    if not touched:
        return None
    return Finding(
        code="TIMESTAMPS_ROUNDED",
        severity="info",
        object=f"{len(touched)} tables",
        message="datetime2(3) keeps milliseconds; finer timestamps were rounded half up to the next one.",
        count=sum(touched.values()),
        examples=[f"{table}: {count}" for table, count in sorted(touched.items(), key=lambda item: -item[1])[:10]],
    )


def _counts(tables: Sequence[TableRows]) -> tuple[bool, str]:
    wrong = [
        table.name for table in tables
        if table.rows_target != table.rows_copied
        or (table.content == "copy" and table.rows_copied + table.rejected != table.rows_source)
    ]  # fmt: skip
    rows = sum(table.rows_target or 0 for table in tables)
    rejected = sum(table.rejected for table in tables)
    extra = f" {rejected} rows were rejected." if rejected else ""
    return not wrong, f"{len(tables)} tables, {rows:,} rows on the target.{extra}{_list_tables(wrong)}"


def _aggregates(slices: Sequence[SliceVerified]) -> tuple[bool, str]:
    done = sum(one.aggregates or 0 for one in slices)
    wrong = sorted({one.table for one in slices if one.aggregates_differ})
    return not wrong, f"{done:,} aggregates compared.{_list_tables(wrong)}"


def _hash(slices: Sequence[SliceVerified]) -> tuple[bool, str]:
    rows = sum(one.rows_source for one in slices if one.buckets is not None)
    wrong = sorted({one.table for one in slices if one.buckets_differ})
    return not wrong, f"{rows:,} rows hashed on both sides.{_list_tables(wrong)}"


def _sample(slices: Sequence[SliceVerified]) -> tuple[bool, str]:
    rows = sum(one.sampled or 0 for one in slices)
    wrong = sorted({one.table for one in slices if one.sampled_differ})
    left_out = sorted({one.table for one in slices if "sample" in one.why_not})
    extra = f" Not sampled, having no primary key: {', '.join(left_out[:10])}." if left_out else ""
    return not wrong, f"{rows:,} rows compared.{extra}{_list_tables(wrong)}"


def _list_tables(tables: Sequence[str]) -> str:
    if not tables:
        return ""
    more = f" and {len(tables) - 10} more" if len(tables) > 10 else ""
    return f" Different: {', '.join(tables[:10])}{more}."
