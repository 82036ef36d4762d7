"""Reads the PostgreSQL catalogue of the restored temporary database into a `SourceDatabase`.

The restore leaves keys and indexes out where it can (they would be built only to be read once); then their statements,
as the dump has them, lie in `mxferry.post_data`, and PostgreSQL itself is asked what they mean: they are run on empty
copies of the tables inside a transaction that is rolled back.
"""

import re
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from shared.errors import Refusal
from shared.mendix.source import (
    Action,
    KeyColumn,
    SourceColumn,
    SourceDatabase,
    SourceForeignKey,
    SourceKey,
    SourceSequence,
    SourceTable,
)

SHAPES = "mxferry_shapes"
_QUALIFIED = re.compile(r'"(?:[^"]|"")*"|\bpublic\.')
_ACTIONS: dict[str, Action] = {
    "a": "NO ACTION",
    "r": "NO ACTION",  # RESTRICT: SQL Server has no deferred constraints, so the two mean the same there
    "c": "CASCADE",
    "n": "SET NULL",
    "d": "SET DEFAULT",
}

TABLES = """\
SELECT c.relname AS name, pg_table_size(c.oid) AS bytes
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
ORDER BY c.relname"""

COLUMNS = """\
SELECT c.relname AS "table", a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       NOT a.attnotnull AS nullable
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum"""

KEYS = """\
SELECT t.relname AS "table", i.relname AS name, x.indisprimary AS is_primary, x.indisunique AS is_unique,
       k.oid IS NOT NULL AS is_constraint, am.amname AS method,
       pg_get_expr(x.indpred, x.indrelid) AS predicate, x.indexprs IS NOT NULL AS has_expressions,
       ARRAY(SELECT a.attname::text
             FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS p (attnum, n)
             JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = p.attnum
             WHERE p.n <= x.indnkeyatts ORDER BY p.n) AS columns,
       x.indoption::int2[] AS options
FROM pg_index AS x
JOIN pg_class AS i ON i.oid = x.indexrelid
JOIN pg_class AS t ON t.oid = x.indrelid
JOIN pg_namespace AS n ON n.oid = t.relnamespace
JOIN pg_am AS am ON am.oid = i.relam
LEFT JOIN pg_constraint AS k ON k.conindid = x.indexrelid AND k.contype IN ('p', 'u')
WHERE n.nspname = %(schema)s
ORDER BY t.relname, x.indisprimary DESC, i.relname"""

FOREIGN_KEYS = """\
SELECT t.relname AS "table", k.conname AS name, r.relname AS referenced_table, k.confdeltype::text AS action,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS p (attnum, n)
             JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = p.attnum ORDER BY p.n) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS p (attnum, n)
             JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = p.attnum ORDER BY p.n) AS referenced_columns
FROM pg_constraint AS k
JOIN pg_class AS t ON t.oid = k.conrelid
JOIN pg_class AS r ON r.oid = k.confrelid
JOIN pg_namespace AS n ON n.oid = t.relnamespace
WHERE n.nspname = %(schema)s AND k.contype = 'f'
ORDER BY t.relname, k.conname"""

SEQUENCES = """\
SELECT sequencename AS name FROM pg_sequences WHERE schemaname = 'public' ORDER BY sequencename"""

OTHERS = """\
SELECT c.relname AS name
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('v', 'm', 'f')
UNION ALL
SELECT p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = 'public'
ORDER BY 1"""

POST_DATA = "SELECT kind, name, statement FROM mxferry.post_data ORDER BY ordinal"


def read_database(connection: psycopg.Connection[Any]) -> SourceDatabase:
    """Read schema public; nothing of the database is changed."""
    columns = _grouped(_rows(connection, COLUMNS))
    tables = {
        row["name"]: SourceTable(
            name=row["name"],
            bytes=row["bytes"],
            columns=tuple(SourceColumn(c["name"], c["type"], c["nullable"]) for c in columns.get(row["name"], [])),
        )
        for row in _rows(connection, TABLES)
    }
    keys, foreign_keys = _constraints(connection, tuple(tables))
    return SourceDatabase(
        tables={
            name: replace(
                table,
                keys=tuple(_key(row) for row in keys.get(name, [])),
                foreign_keys=tuple(_foreign_key(row) for row in foreign_keys.get(name, [])),
            )
            for name, table in tables.items()
        },
        sequences=_sequences(connection),
        others=tuple(str(row["name"]) for row in _rows(connection, OTHERS)),
    )


def _constraints(
    connection: psycopg.Connection[Any], tables: tuple[str, ...]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, list[dict[str, Any]]]]:
    if not _has_post_data(connection):
        return _definitions(connection, "public")
    with connection.transaction(force_rollback=True):
        # The restore may have set the database read-only, so that nothing moves under the copy.
        connection.execute("SET TRANSACTION READ WRITE")
        _make_shapes(connection, tables)
        return _definitions(connection, SHAPES)


def _definitions(
    connection: psycopg.Connection[Any], schema: str
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, list[dict[str, Any]]]]:
    values = {"schema": schema}
    return _grouped(_rows(connection, KEYS, values)), _grouped(_rows(connection, FOREIGN_KEYS, values))


def _has_post_data(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT to_regclass('mxferry.post_data') IS NOT NULL").fetchone()
    return bool(row and row[0])


def _make_shapes(connection: psycopg.Connection[Any], tables: tuple[str, ...]) -> None:
    """Make empty copies of the tables with the dump's keys and indexes."""
    shapes = sql.Identifier(SHAPES)
    statements = _rows(connection, POST_DATA)
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(shapes))
    for table in tables:
        name = sql.Identifier(table)
        connection.execute(sql.SQL("CREATE TABLE {}.{} (LIKE public.{})").format(shapes, name, name))
    for row in statements:
        if row["kind"] in ("CONSTRAINT", "FK CONSTRAINT", "INDEX"):
            _run(connection, row)


def _on_shapes(statement: str) -> str:
    """Return a statement of the dump with schema public replaced; pg_dump qualifies every table with it."""
    return _QUALIFIED.sub(lambda found: found[0] if found[0].startswith('"') else f"{SHAPES}.", statement)


def _run(connection: psycopg.Connection[Any], row: dict[str, Any]) -> None:
    try:
        connection.execute(_on_shapes(row["statement"]))
    except psycopg.Error as error:
        raise Refusal(
            "DUMP_STATEMENT",
            str(row["name"]),
            f"expected a statement of the dump that PostgreSQL takes, found: {str(error).splitlines()[0]}.",
            "Check that the temporary PostgreSQL is at least as new as the dump.",
        ) from None


def _sequences(connection: psycopg.Connection[Any]) -> dict[str, SourceSequence]:
    found = {}
    for row in _rows(connection, SEQUENCES):
        name = str(row["name"])
        value = connection.execute(
            sql.SQL("SELECT last_value, is_called FROM public.{}").format(sql.Identifier(name))
        ).fetchone()
        if value is not None:
            found[name] = SourceSequence(name, int(value[0]), bool(value[1]))
    return found


def _key(row: dict[str, Any]) -> SourceKey:
    kind = "primary" if row["is_primary"] else "unique" if row["is_constraint"] else "index"
    unsupported = None
    if row["method"] != "btree":
        unsupported = f"a {row['method']} index has no counterpart"
    elif row["has_expressions"] or row["predicate"]:
        unsupported = "an index on an expression or with a predicate is not made by Mendix and is not carried over"
    return SourceKey(
        name=row["name"],
        kind=kind,  # type: ignore[arg-type]  # one of the three by construction
        columns=tuple(
            KeyColumn(name, bool(option & 1)) for name, option in zip(row["columns"], row["options"], strict=False)
        ),
        unique=row["is_unique"],
        unsupported=unsupported,
    )


def _foreign_key(row: dict[str, Any]) -> SourceForeignKey:
    return SourceForeignKey(
        name=row["name"],
        columns=tuple(row["columns"]),
        referenced_table=row["referenced_table"],
        referenced_columns=tuple(row["referenced_columns"]),
        on_delete=_ACTIONS[row["action"]],
    )


def _rows(
    connection: psycopg.Connection[Any], statement: str, values: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, values).fetchall()


def _grouped(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(row["table"], []).append(row)
    return grouped
