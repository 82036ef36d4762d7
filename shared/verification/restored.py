"""The two sides of a restored table: the dump's text in staging, and the target's, in forms that can be equal.

The target is asked with the settings that pg_dump uses, in the dump's encoding, for the dump's columns in their order.
What two versions of PostgreSQL, or two time zones, write differently is brought to one form on both sides.
"""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from shared.errors import Refusal
from shared.postgres import targetcatalogue
from shared.snapshot.rowtext import NULL, Rewrite, TextParts, rewritten
from shared.verification.copytext import Piece, TextSides

SETTINGS = """
    SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET extra_float_digits = 3; SET bytea_output = 'hex';
    SET timezone = 'UTC'; SET synchronize_seqscans = off; SET xmloption = content;
    SET max_parallel_workers_per_gather = 0
"""
"""As pg_dump sets them (src/bin/pg_dump/pg_dump.c, `setup_connection`), the time zone that both sides are put in, and no
parallel scans, which give rows out in any order."""

COLUMNS = """
    SELECT a.attname, t.typname, COALESCE(array_position(i.indkey::int2[], a.attnum), -1)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
PAGES = """
    SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint, pg_table_size(c.oid)
    FROM pg_class c WHERE c.oid = to_regclass(%s)
"""
RANGE_BYTES = 64 * 1024 * 1024
"""Bytes, TOAST included, of the pages that one statement copies out."""
RANGE_SCANS = 140000
"""The first server version that reads a range of pages without reading all before it (TID range scans)."""
BLOCK_BYTES = 256 * 1024  # bytes of rows handed on at a time
SHORTEST_FLOATS = 12
"""The first major version that writes the shortest text of a float; older ones wrote all digits."""
FLOATS = {"float4", "float8"}


def set_up(connection: psycopg.Connection[Any], encoding: str) -> None:
    """Prepare a session on the target, which must commit each statement by itself."""
    connection.execute(SETTINGS)
    connection.execute(sql.SQL("SET client_encoding = {}").format(encoding))


def sides_of(
    connection: psycopg.Connection[Any],
    table: tuple[str, str],
    columns: Sequence[str],
    source: Callable[[], Iterable[bytes]],
    rewrites: Sequence[Rewrite],
    source_major: int,
) -> TextSides:
    """Return both sides of a table (schema, name); `source` opens the dump's text, to which the rewrites apply.

    `Refusal` TABLE_MISSING when the target has no such table, or not all of its columns.
    """
    name = sql.Identifier(*table)
    found = connection.execute(COLUMNS, (name.as_string(connection),)).fetchall()
    types = {str(column): str(kind) for column, kind, _ in found}
    missing = [column for column in columns if column not in types]
    if not found or missing:
        raise table_missing(table, f"no column {', '.join(missing)}" if found else "no such table")
    key = sorted((place, str(column)) for column, _, place in found if place >= 0)
    inside = bool(key) and all(column in columns for _, column in key)
    forms = _normal_forms([types[column] for column in columns], source_major)
    return TextSides(
        source=lambda at: _from_dump(source(), at, [*rewrites, *forms]),
        target=lambda at: _copied_out(connection, name, columns, at, forms),
        columns=columns,
        key=[columns.index(column) for _, column in key] if inside else (),
    )


def count_rows(connection: psycopg.Connection[Any], schema: str, table: str) -> int:
    """Count a table's rows on the target; `Refusal` TABLE_MISSING."""
    try:
        return targetcatalogue.rows_of(connection, table, schema)
    except psycopg.errors.UndefinedTable:
        raise table_missing((schema, table), "no such table") from None


def table_missing(table: tuple[str, str], found: str) -> Refusal:
    """Return the refusal to verify a table that is not there as it was made."""
    return Refusal(
        "TABLE_MISSING", ".".join(table), f"expected the table with its columns on the target, found {found}.",
        "Do not cut over: start the migration again into an empty target.",
    )  # fmt: skip


def _from_dump(text: Iterable[bytes], at: int, rewrites: Sequence[Rewrite]) -> Generator[Piece]:
    """Yield the dump's text from a place on; places are bytes of the text as it is in the dump."""
    parts = TextParts(text)
    parts.skip(at)
    while rows := b"".join(parts.part(lambda _: True)):
        yield Piece(b"".join(rewritten([rows], rewrites)), parts.at)


def _copied_out(
    connection: psycopg.Connection[Any], name: sql.Identifier, columns: Sequence[str], at: int, forms: Sequence[Rewrite]
) -> Generator[Piece]:
    """Yield the table's text on the target from a page on; places are pages."""
    wanted = sql.SQL(", ").join(map(sql.Identifier, columns))
    for first, stop in _ranges(connection, name, at):
        statement = sql.SQL("COPY {} ({}) TO STDOUT" if columns else "COPY {}{} TO STDOUT").format(name, wanted)
        if first or stop:
            to = sql.SQL(" AND ctid < {}").format(sql.Literal(f"({stop},0)")) if stop else sql.SQL("")
            rows = sql.SQL("SELECT {} FROM ONLY {} WHERE ctid >= {}{}").format(
                wanted, name, sql.Literal(f"({first},0)"), to
            )
            statement = sql.SQL("COPY ({}) TO STDOUT").format(rows)
        for text in rewritten(_gathered(connection, statement), forms):
            yield Piece(text, None)
        if stop:
            yield Piece(b"", stop)


def _ranges(connection: psycopg.Connection[Any], name: sql.Identifier, first: int) -> Iterator[tuple[int, int | None]]:
    """Yield ranges [first, stop) of the table's pages; the last one has no end."""
    found = connection.execute(PAGES, (name.as_string(connection),)).fetchone()
    pages, size = found or (0, 0)
    step = max(1, RANGE_BYTES * pages // max(size, 1))
    while connection.info.server_version >= RANGE_SCANS and first + step < pages:
        yield first, first + step
        first += step
    yield first, None


def _gathered(connection: psycopg.Connection[Any], statement: sql.Composed) -> Iterator[bytes]:
    """Yield what COPY gives out in blocks of whole rows; the server sends one row at a time."""
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        gathered: list[bytes] = []
        size = 0
        for row in copy:
            gathered.append(bytes(row))
            size += len(gathered[-1])
            if size >= BLOCK_BYTES:
                yield b"".join(gathered)
                gathered, size = [], 0
        if gathered:
            yield b"".join(gathered)


def _normal_forms(types: Sequence[str], source_major: int) -> list[Rewrite]:
    """Return what brings values to one form where two servers write the same value differently."""
    forms: dict[int, Callable[[bytes], bytes]] = {}
    for at, kind in enumerate(types):
        if kind == "timestamptz":
            forms[at] = in_utc
        elif kind in FLOATS and 0 < source_major < SHORTEST_FLOATS:
            forms[at] = _number
    if not forms:
        return []

    def rewrite(row: list[bytes]) -> list[bytes]:
        for at, form in forms.items():
            if row[at] != NULL:
                row[at] = form(row[at])
        return row

    return [rewrite]


def in_utc(value: bytes) -> bytes:
    """Return a moment in UTC: pg_dump writes it in the time zone of the server it reads."""
    with contextlib.suppress(ValueError, OverflowError):  # infinity, years before Christ or after 9999: as they are
        return datetime.fromisoformat(value.decode()).astimezone(UTC).isoformat(" ").encode()
    return value


def _number(value: bytes) -> bytes:
    return repr(float(value)).encode()
