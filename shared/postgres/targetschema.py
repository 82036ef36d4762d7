"""Makes room and the dump's tables on a PostgreSQL target, once, in one transaction; and takes our schema off again.

Beside the app's tables the target holds our schema `mxferry` while a run is at work (`shared.postgres.temporary` says
what of), and in it `run`: which run made the tables, and what it dropped before.
"""

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from shared.errors import Finding, Refusal, TransientError
from shared.postgres import locks, targetcatalogue
from shared.postgres.connection import connect
from shared.postgres.fence import CREATE_MARKER
from shared.postgres.loading import TableLoaded
from shared.postgres.postdata import forget
from shared.postgres.targetcatalogue import Relation
from shared.postgres.targetchecks import DROP, in_the_way_words
from shared.postgres.temporary import make_tables
from shared.settings import Postgres
from shared.snapshot.dump import Dump

MARKED = "SELECT dropped FROM mxferry.run WHERE id = %s"
FOREIGN_KEYS = """
    SELECT n.nspname, c.relname, k.conname
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.contype = 'f' AND k.conrelid = ANY (%s)
"""
COMMANDS = {
    "r": "DROP TABLE {}", "p": "DROP TABLE {}", "f": "DROP FOREIGN TABLE {}",
    "v": "DROP VIEW {}", "m": "DROP MATERIALIZED VIEW {}", "S": "DROP SEQUENCE {}",
}  # fmt: skip
DROP_WAIT = "60s"
TABLES_PER_STATEMENT = 200  # tables that are dropped by one statement


def create(
    server: Postgres,
    run: str,
    dump: Dump,
    extensions: list[str],
    *,
    drop: bool,
    may_begin: Callable[[str | None], None],
) -> list[Finding]:
    """Make the dump's tables and sequences, empty; return what is worth reporting.

    All of it is one transaction under an advisory lock: it is there whole or not at all, and a second delivery finds the
    run's marker and changes nothing, so that what is dropped once is never dropped again. With `drop` what lies in
    schema public is dropped first; without it it is a `Refusal` TARGET_NOT_EMPTY. Where the run has no marker `may_begin`
    is asked, with the run that has one: it may be that ours was taken off, and a finished target must not be dropped.
    Raises what it raises, `Refusal` TARGET_NOT_DROPPED, DUMP_ENTRY_FAILED, and `TransientError` TARGET_IN_USE when others
    hold the tables.
    """
    with connect(server, application_name="mxferry schema") as connection:
        locks.hold(connection, locks.SCHEMA, server.database, server.database)
        dropped = _marked(connection, run)
        if dropped is None:
            may_begin(_other(connection))
            _forget(connection)  # of a run before; first, because its loads hold the marker before they hold a table
            dropped = _make_room(connection, drop=drop)
            _make_extensions(connection, extensions)
            make_tables(connection, dump)
            connection.execute(CREATE_MARKER)
            connection.execute("INSERT INTO mxferry.run VALUES (%s, %s)", (run, Jsonb(dropped)))
            connection.commit()
    return [_dropped_finding(dropped)] if dropped else []


def clear(server: Postgres, run: str) -> list[str]:
    """Take our schema off the target if it is this run's; return what was done, as sentences. May be done twice.

    Raises `TransientError` TARGET_IN_USE when a late delivery of the run still writes there.
    """
    with connect(server, application_name="mxferry clean-up") as connection:
        locks.hold(connection, locks.SCHEMA, server.database, server.database)
        if _marked(connection, run) is None:
            return []
        _forget(connection)
        connection.commit()
    return ["Removed the run's schema mxferry from the target database."]


def loaded(connection: psycopg.Connection[Any]) -> dict[int, TableLoaded]:
    """Return what of each whole table was loaded, by its entry in the dump; empty when our schema is not there."""
    return {entry: found for entry, _, _, found in _ledger(connection) if found.finished}


def loaded_by_name(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return the rows of each table that are in by now, by its name, with its schema where that is not public."""
    return {
        table if schema == "public" else f"{schema}.{table}": found.rows
        for _, schema, table, found in _ledger(connection)
    }


def _ledger(connection: psycopg.Connection[Any]) -> list[tuple[int, str, str, TableLoaded]]:
    found = connection.execute("SELECT to_regclass('mxferry.loaded') IS NOT NULL").fetchone()
    if not (found and found[0]):
        return []
    query = "SELECT entry, schema_name, table_name, rows, rows_read, text_bytes, finished FROM mxferry.loaded"
    return [(entry, schema, table, TableLoaded(*rest)) for entry, schema, table, *rest in connection.execute(query)]


def _marked(connection: psycopg.Connection[Any], run: str) -> list[str] | None:
    """Return what the run dropped when it made the tables; None when it has not made them."""
    there = connection.execute("SELECT to_regclass('mxferry.run') IS NOT NULL").fetchone()
    if not (there and there[0]):
        return None
    row = connection.execute(MARKED, (run,)).fetchone()
    return None if row is None else [str(one) for one in row[0]]


def _other(connection: psycopg.Connection[Any]) -> str | None:
    """Return the run that has its marker here."""
    there = connection.execute("SELECT to_regclass('mxferry.run') IS NOT NULL").fetchone()
    row = connection.execute("SELECT id FROM mxferry.run").fetchone() if there and there[0] else None
    return None if row is None else str(row[0])


def _forget(connection: psycopg.Connection[Any]) -> None:
    try:
        forget(connection)
    except psycopg.errors.LockNotAvailable:
        message = (
            f"expected to take our schema off, found a delivery that writes to the target for {locks.SCHEMA.wait}."
        )
        raise TransientError("TARGET_IN_USE", "schema mxferry", message, "It ends within minutes.") from None


def _make_room(connection: psycopg.Connection[Any], *, drop: bool) -> list[str]:
    """Drop what lies in schema public, or refuse if there is anything; return the names of what was dropped."""
    present = targetcatalogue.in_the_way(connection)
    if not present:
        return []
    if not drop:
        names = ", ".join(one.name for one in present[:10])
        message = f"expected an empty schema public, found {in_the_way_words(present)}."
        raise Refusal("TARGET_NOT_EMPTY", names, message, DROP)
    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(DROP_WAIT))
    try:
        _drop(connection, present)
    except psycopg.errors.LockNotAvailable:
        message = f"expected to drop {in_the_way_words(present)}, found other sessions holding them for {DROP_WAIT}."
        raise TransientError("TARGET_IN_USE", "schema public", message, "Stop the app on the target.") from None
    except (psycopg.errors.DependentObjectsStillExist, psycopg.errors.InsufficientPrivilege) as error:
        message = f"expected to drop {in_the_way_words(present)}, found: {error.diag.message_primary}."
        remedy = f"Drop it by hand as its owner. {error.diag.message_detail or ''}".strip()
        raise Refusal("TARGET_NOT_DROPPED", "schema public", message, remedy) from None
    return [one.name for one in present]


def _drop(connection: psycopg.Connection[Any], present: list[Relation]) -> None:
    """Drop these relations and nothing else: what depends on them from elsewhere makes it fail."""
    keys = connection.execute(FOREIGN_KEYS, ([one.oid for one in present],)).fetchall()
    for schema, table, key in keys:
        table_name, key_name = sql.Identifier(schema, table), sql.Identifier(key)
        connection.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table_name, key_name))
    for kind in ("v", "m", "f", "r", "p", "S"):
        names = [one.name for one in present if one.kind == kind]
        if kind == "S":  # those that a table owned went with it
            there = {one.name for one in targetcatalogue.in_the_way(connection)}
            names = [name for name in names if name in there]
        for start in range(0, len(names), TABLES_PER_STATEMENT):
            some = sql.SQL(", ").join(
                sql.Identifier("public", name) for name in names[start : start + TABLES_PER_STATEMENT]
            )
            connection.execute(sql.SQL(COMMANDS[kind]).format(some))


def _make_extensions(connection: psycopg.Connection[Any], extensions: list[str]) -> None:
    for name in extensions:
        try:
            connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(name)))
        except (psycopg.errors.InsufficientPrivilege, psycopg.NotSupportedError) as error:
            message = f"expected to make the extension, found: {error.diag.message_primary}."
            remedy = f'As the server\'s administrator, in the target database: CREATE EXTENSION "{name}";'
            raise Refusal("EXTENSION_REFUSED", name, message, remedy) from None


def _dropped_finding(dropped: list[str]) -> Finding:
    return Finding(
        code="TARGET_DROPPED", severity="info", object=f"{len(dropped)} tables, views and sequences",
        message="what lay in the target's schema public was dropped, as the request says.",
        count=len(dropped), examples=dropped[:10],
    )  # fmt: skip
