"""What was found about every table of a restored target becomes checks and findings, in words; sequences and keys too."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql
from pydantic import Field

from shared.contracts import KEYS_CHECK, SEQUENCES_CHECK, Check, TableRows
from shared.copying.model import Frozen
from shared.errors import Finding
from shared.request import VerifyLevel
from shared.snapshot.dump import Dump
from shared.snapshot.restoring import POST_DATA
from shared.verification.checks import not_asked_for
from shared.verification.copytext import Compared

AGAIN = "Do not cut over: start the migration again into an empty target."
LISTED = 10

COUNTED = (
    "Rows that COPY counted in each table's transaction, and rows counted on the target after keys and indexes were "
    "made, were compared for every table."
)
READ_AGAIN = (
    "Every table's rows were read again from the dump in staging and copied out of the target, both as COPY text under "
    "the same settings, and compared: byte by byte in their order, and row by row by their hashes where the order differs."
)
SEQUENCES = "The value of every sequence was read on the target and compared with the dump's."
KEYS = "Every primary key, unique key, index, foreign key and check of the dump was looked for in the catalogue."
HOW = {"row counts": COUNTED, "row contents": READ_AGAIN, SEQUENCES_CHECK: SEQUENCES, KEYS_CHECK: KEYS}
"""By name of a check of a PostgreSQL target: how it is done."""
INSTEAD = "The row contents above compare every character of every row, which leaves nothing for it to find."
CONSTRAINTS = """
    SELECT c.relname || ' ' || k.conname, k.convalidated
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
"""
INDEXES = "SELECT c.relname, x.indisvalid AND x.indisready FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid"


class TableVerified(Frozen):
    """One line of a results blob: what was found about one table. Counts are rows."""

    table: str
    rows_target: int
    rows_source: int | None = Field(default=None, description="Rows read again from the dump; None: not asked for.")
    in_order: bool = True
    differing: int = 0


def contents_finding(table: str, compared: Compared) -> Finding:
    """Say which rows of a table differ, and how."""
    return Finding(
        code="ROWS_DIFFER", severity="error", object=table,
        message=f"expected the dump's rows on the target, found {compared}.", remedy=AGAIN,
        count=compared.changed + compared.missing + compared.unexpected, examples=compared.names[:LISTED],
    )  # fmt: skip


def count_finding(table: str, expected: int, found: int) -> Finding:
    """Say that a table holds another number of rows than were loaded."""
    return Finding(
        code="COUNTS_DIFFER", severity="error", object=table, remedy=AGAIN, count=abs(expected - found),
        message=f"expected {expected} rows, found {found} on the target.",
    )  # fmt: skip


def row_checks(
    tables: Sequence[TableRows], results: Sequence[TableVerified], levels: Sequence[VerifyLevel]
) -> list[Check]:
    """Return one check for each level of verification, those that were not done as skipped."""
    return [
        _check("row counts", COUNTED, "counts" in levels, levels, *_counts(tables)),
        _check("row contents", READ_AGAIN, "hash" in levels, levels, *_contents(results)),
        *_not_done(levels),
    ]


def sequence_check(
    connection: psycopg.Connection[Any], wanted: Mapping[tuple[str, str], tuple[int, bool]]
) -> tuple[Check, list[Finding]]:
    """Compare the value of every sequence with the dump's."""
    wrong = []
    for (schema, name), (value, called) in wanted.items():
        found = _sequence(connection, schema, name)
        if found != (value, called):
            wrong.append(
                f"{name}: expected {_value(value, called)}, found {_value(*found) if found else 'no such sequence'}"
            )
    detail = f"{len(wanted)} sequences compared.{_list_names(wrong)}"
    check = Check(name=SEQUENCES_CHECK, outcome="failed" if wrong else "passed", how=SEQUENCES, detail=detail)
    return check, [
        _finding("SEQUENCES_DIFFER", SEQUENCES_CHECK, "the dump's values in all sequences", wrong)
    ] if wrong else []


def key_check(connection: psycopg.Connection[Any], dump: Dump) -> tuple[Check, list[Finding]]:
    """Look for every key, index, foreign key and check of the dump in the target's catalogue, valid."""
    constraints: dict[str, bool] = dict(connection.execute(CONSTRAINTS).fetchall())
    indexes: dict[str, bool] = dict(connection.execute(INDEXES).fetchall())
    wanted = [entry for entry in dump.entries if entry.desc in POST_DATA]
    missing = []
    for entry in wanted:
        there = (indexes if entry.desc == "INDEX" else constraints).get(entry.tag)
        # A constraint may be not valid at the source too; pg_dump says so in its statement.
        if there is None or not (there or "NOT VALID" in entry.definition):
            missing.append(f"{entry.tag}: {'not there' if there is None else 'not valid'}")
    detail = f"{len(wanted)} looked for.{_list_names(missing)}"
    check = Check(name=KEYS_CHECK, outcome="failed" if missing else "passed", how=KEYS, detail=detail)
    return check, [_finding("KEYS_MISSING", KEYS_CHECK, "all of the dump's", missing)] if missing else []


def _check(name: str, how: str, asked: bool, levels: Sequence[VerifyLevel], passed: bool, detail: str) -> Check:
    if not asked:
        return Check(name=name, outcome="skipped", how=how, detail=not_asked_for(levels))
    return Check(name=name, outcome="passed" if passed else "failed", how=how, detail=detail)


def _not_done(levels: Sequence[VerifyLevel]) -> list[Check]:
    """Levels that make sense between two different engines only: here the texts themselves are compared."""
    detail = INSTEAD if "hash" in levels else "Ask for `hash` in options.verify, which compares every row."
    how = "Not done for a PostgreSQL target."
    names = {"aggregates": "column aggregates", "sample": "sampled read-back"}
    return [
        Check(name=name, outcome="skipped", how=how, detail=detail) for level, name in names.items() if level in levels
    ]


def _counts(tables: Sequence[TableRows]) -> tuple[bool, str]:
    wrong = [one.name for one in tables if one.rows_target != one.rows_copied]
    rows = sum(one.rows_target or 0 for one in tables)
    return not wrong, f"{len(tables)} tables, {rows:,} rows on the target.{_list_names(wrong)}"


def _contents(results: Sequence[TableVerified]) -> tuple[bool, str]:
    rows = sum(one.rows_source or 0 for one in results)
    wrong = [one.table for one in results if one.differing]
    moved = sum(not one.in_order and not one.differing for one in results)
    order = f" In {moved} tables the rows lie in another order, which is no difference." if moved else ""
    return not wrong, f"{rows:,} rows in {len(results)} tables compared.{order}{_list_names(wrong)}"


def _sequence(connection: psycopg.Connection[Any], schema: str, name: str) -> tuple[int, bool] | None:
    statement = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
    try:
        row = connection.execute(statement).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    return (int(row[0]), bool(row[1])) if row else None


def _value(value: int, called: bool) -> str:
    return f"{value} ({'handed out' if called else 'not handed out yet'})"


def _finding(code: str, about: str, expected: str, wrong: Sequence[str]) -> Finding:
    return Finding(
        code=code, severity="error", object=about, message=f"expected {expected}, found {len(wrong)} that are not.",
        remedy=AGAIN, count=len(wrong), examples=list(wrong[:LISTED]),
    )  # fmt: skip


def _list_names(names: Iterable[str]) -> str:
    listed = list(names)
    if not listed:
        return ""
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return f" Different: {', '.join(listed[:LISTED])}{more}."
