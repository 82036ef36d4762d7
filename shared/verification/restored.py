"""The two sides of a restored table: the dump's text in staging, and the target's, in forms that can be equal.

The target is asked with the settings that pg_dump uses, in the dump's encoding, for the dump's columns in their order.
What two versions of PostgreSQL, or two time zones, write differently is brought to one form on both sides.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from shared.errors import Refusal
from shared.postgres import targetcatalogue
from shared.snapshot.rowtext import NULL, Rewrite, rewritten
from shared.verification.copytext import TextSides

SETTINGS = """
    SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET extra_float_digits = 3; SET bytea_output = 'hex';
    SET timezone = 'UTC'; SET statement_timeout = 0; SET synchronize_seqscans = off; SET xmloption = content
"""
"""As pg_dump sets them (src/bin/pg_dump/pg_dump.c, `setup_connection`), and the time zone that both sides are put in."""

COLUMNS = """
    SELECT a.attname, t.typname, COALESCE(array_position(i.indkey::int2[], a.attnum), -1)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
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
    source_major: int,
) -> TextSides:
    """Return both sides of a table (schema, name); `source` begins the dump's text, changes of the run applied.

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
    rewrites = _normal_forms([types[column] for column in columns], source_major)
    statement = sql.SQL("COPY {} ({}) TO STDOUT").format(name, sql.SQL(", ").join(map(sql.Identifier, columns)))
    return TextSides(
        source=lambda: rewritten(source(), rewrites),
        target=lambda: rewritten(_copied_out(connection, statement), rewrites),
        columns=columns,
        key=[columns.index(column) for _, column in key] if inside else (),
    )


def counted(connection: psycopg.Connection[Any], schema: str, table: str) -> int:
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


def _copied_out(connection: psycopg.Connection[Any], statement: sql.Composed) -> Iterator[bytes]:
    """Yield the table's text; a row at a time comes from the server, so rows are gathered to blocks."""
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        gathered: list[bytes] = []
        size = 0
        for row in copy:
            gathered.append(bytes(row))
            size += len(gathered[-1])
            if size >= 1 << 18:
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
