"""The temporary database of a run: made from the dump's pre-data, empty, and dropped at the end.

Beside the app's tables it holds a schema `mxferry`: `loaded` (how far the rows of each table are in), `post_data` (the
statements of keys, indexes and checks, which only `shared.postgres.postdata` executes), `made` (which of them it has
executed) and `prepared` (one row, once everything is there).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from shared.errors import Refusal, TransientError
from shared.postgres import locks, runrole
from shared.postgres.connection import connect
from shared.postgres.expressions import refuse_volatile
from shared.postgres.ownership import claim, refuse_others
from shared.postgres.storage import FULL, when_full
from shared.settings import Postgres
from shared.snapshot.dump import Dump, Entry
from shared.snapshot.dumpsql import definition
from shared.snapshot.restoring import PRE_DATA, post_data_of, tables_of

READ_FROM = PRE_DATA - {"DEFAULT"}
"""What is made in a database that is only read from: no row is ever added that a default would fill."""
AT_ONCE = 200
"""Entries made in one transaction there. A table holds some three locks until its COMMIT, and a small server has few
thousand (max_locks_per_transaction × max_connections). A delivery that dies in between leaves a database that is not `prepared`."""

OUR_TABLES = """
    CREATE SCHEMA mxferry;
    CREATE TABLE mxferry.loaded (
        entry int PRIMARY KEY, schema_name text NOT NULL, table_name text NOT NULL, rows bigint NOT NULL,
        rows_read bigint NOT NULL, text_bytes bigint NOT NULL, finished boolean NOT NULL
    );
    CREATE TABLE mxferry.post_data (
        ordinal int PRIMARY KEY, kind text NOT NULL, schema_name text NOT NULL, table_name text NOT NULL,
        name text NOT NULL, statement text NOT NULL
    );
    CREATE TABLE mxferry.made (ordinal int, action text, PRIMARY KEY (ordinal, action));
    CREATE TABLE mxferry.prepared (at timestamptz NOT NULL DEFAULT now());
"""


def prepare(server: Postgres, database: str, dump: Dump, owner: str) -> None:
    """Make the database with the dump's tables, empty; do nothing where that has been done before.

    `owner` is the id of our installation, which the database bears from then on. Whatever a dead delivery left is
    dropped first. Raises `Refusal` TEMP_SERVER_OLDER, TEMP_SERVER_RIGHTS, SERVER_FULL, NOT_OURS, DUMP_FUNCTION or
    DUMP_ENTRY_FAILED, and `TransientError` when another delivery is at it for longer than two minutes.
    """
    with connect(server, autocommit=True, application_name="mxferry restore") as maintenance:
        _refuse_older(maintenance, dump)
        with locks.held(maintenance, locks.RESTORE, database, database):
            if not _prepared(server, maintenance, database):
                refuse_others(maintenance, database, owner)
                _make(server, maintenance, database, dump, owner)


def make_tables(
    connection: psycopg.Connection[Any], dump: Dump, kinds: Collection[str] = PRE_DATA, *, at_once: int | None = None
) -> None:
    """Make our schema and the dump's entries of these kinds (tables, sequences …), empty; the caller commits.

    All in the connection's transaction, or that many entries `at_once`: each table made holds some of the server's locks.
    Raises `Refusal` DUMP_FUNCTION, DUMP_ENTRY_FAILED or SERVER_LOCKS.
    """
    connection.execute("SET search_path = ''; SET check_function_bodies = false; SET standard_conforming_strings = on")
    wanted = [entry for entry in dump.entries if entry.desc in kinds]
    refuse_volatile(connection, [*wanted, *(entry for entry in dump.entries if entry.desc not in PRE_DATA)])
    connection.execute(OUR_TABLES)
    tables = tables_of(dump)
    for number, entry in enumerate(wanted, 1):
        if entry.desc == "SCHEMA":
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(entry.tag)))
        else:
            _execute(connection, entry, definition(entry, tables))
        if at_once and number % at_once == 0:
            connection.commit()
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO mxferry.post_data VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (
                    number,
                    entry.desc,
                    table.namespace,
                    table.tag,
                    entry.tag,
                    definition(entry, {(table.namespace, table.tag)}),
                )
                for number, (entry, table) in enumerate(post_data_of(dump))
            ],
        )
    connection.execute("INSERT INTO mxferry.prepared DEFAULT VALUES")


def drop(server: Postgres, database: str, owner: str) -> list[str]:
    """Drop the temporary database, sessions included; return what was done, as sentences. May be done twice at once.

    Raises `Refusal` NOT_OURS for a name that is no run's and for a database that another installation than `owner` made,
    and what `connect` raises.
    """
    if not database.startswith("run_"):
        raise Refusal("NOT_OURS", database, "expected the name of a run's temporary database (run_…), found another.")
    with connect(server, autocommit=True, application_name="mxferry clean-up") as maintenance:
        if not _exists(maintenance, database):
            runrole.drop(maintenance, database)
            return []
        refuse_others(maintenance, database, owner)
        try:
            maintenance.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
        except psycopg.Error as error:
            raise TransientError(
                "DATABASE_NOT_DROPPED", database, f"expected to drop it, found: {_words(error)}"
            ) from None
        runrole.drop(maintenance, database)
    return [f"Dropped the temporary database {database}."]


@dataclass(frozen=True)
class Summary:
    """What the temporary database holds: `bytes` on disk, indexes and TOAST included."""

    loaded: set[int]
    tables: int
    rows: int
    bytes: int
    model_version: str | None
    runtime_version: str | None


def summary(connection: psycopg.Connection) -> Summary:
    """Return what the database holds now: tables of schema public, loaded rows, and the versions Mendix recorded."""
    query = "SELECT entry, rows FROM mxferry.loaded WHERE finished"
    loaded: dict[int, int] = dict(connection.execute(query).fetchall())
    tables, size = connection.execute(
        """
        SELECT count(*), COALESCE(sum(pg_total_relation_size(oid)), 0)::bigint
        FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        """
    ).fetchone() or (0, 0)
    model, runtime = _versions(connection)
    return Summary(set(loaded), int(tables), sum(loaded.values()), int(size), model, runtime)


def _versions(connection: psycopg.Connection) -> tuple[str | None, str | None]:
    """Return model and runtime version, where the database says so."""
    found = connection.execute("SELECT to_regclass('public.\"mendixsystem$version\"') IS NOT NULL").fetchone()
    if not (found and found[0]):
        return None, None
    query = 'SELECT to_jsonb(v) FROM public."mendixsystem$version" v ORDER BY lastsyncdate DESC NULLS LAST LIMIT 1'
    row = connection.execute(query).fetchone()
    version = row[0] if row else {}
    return version.get("modelversionnumber"), version.get("mendixversion")


def _make(server: Postgres, maintenance: psycopg.Connection, database: str, dump: Dump, owner: str) -> None:
    role = runrole.make(maintenance, database)
    _create(maintenance, database, role)
    claim(maintenance, database, owner)
    if role:
        runrole.let_in(maintenance, server, database)
    with runrole.session(server, database, "mxferry restore") as connection:
        make_tables(connection, dump, READ_FROM, at_once=AT_ONCE)
        connection.commit()


def _prepared(server: Postgres, maintenance: psycopg.Connection, database: str) -> bool:
    if not _exists(maintenance, database):
        return False
    with connect(server, database, application_name="mxferry restore") as connection:
        found = connection.execute("SELECT to_regclass('mxferry.prepared') IS NOT NULL").fetchone()
        if not (found and found[0]):
            return False
        return connection.execute("SELECT FROM mxferry.prepared").rowcount > 0


def _exists(maintenance: psycopg.Connection, database: str) -> bool:
    return maintenance.execute("SELECT FROM pg_database WHERE datname = %s", (database,)).rowcount > 0


def _create(maintenance: psycopg.Connection, database: str, role: str | None) -> None:
    name = sql.Identifier(database)
    owner = sql.SQL(" OWNER {}").format(sql.Identifier(role)) if role else sql.SQL("")
    # Text is compared by code point, and lower() knows all letters, whatever the server's own locale is.
    locale = " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'" if maintenance.info.server_version >= 170000 else ""
    try:
        maintenance.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        create = sql.SQL("CREATE DATABASE {}{} TEMPLATE template0 ENCODING 'UTF8'" + locale)
        maintenance.execute(create.format(name, owner))
        # A login that may read another run's database has no business in this one.
        maintenance.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(name))
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refusal(
            "TEMP_SERVER_RIGHTS",
            database,
            f"expected the right to create databases on the temporary PostgreSQL, found: {_words(error)}",
            "Give the login the attribute CREATEDB.",
        ) from None
    except FULL as error:
        raise when_full(database, error) from None


def _refuse_older(maintenance: psycopg.Connection, dump: Dump) -> None:
    major = maintenance.info.server_version // 10000
    if major < dump.server_major:
        raise Refusal(
            "TEMP_SERVER_OLDER",
            "temporary PostgreSQL",
            f"expected version {dump.server_major} or newer, as the backup was written by, found {major}.",
            "Upgrade the temporary PostgreSQL server.",
        )


def _execute(connection: psycopg.Connection, entry: Entry, statements: str) -> None:
    try:
        connection.execute(statements.encode())
    except psycopg.errors.OutOfMemory as error:
        raise Refusal(
            "SERVER_LOCKS",
            entry.label,
            f"expected the server to have a lock for every table that is made at once, found: {_words(error)}.",
            "Raise max_locks_per_transaction to 256 (Azure: Server parameters; the server restarts), then start again.",
        ) from None
    except psycopg.OperationalError:
        raise  # the connection or the server, not the statement
    except psycopg.Error as error:
        remedy = "Look at this object in the source database; it may need an extension that the server does not have."
        if isinstance(error, psycopg.errors.UndefinedObject) and "COLLATE" in statements:
            remedy = (
                "Use a PostgreSQL that has this collation (the source's operating system or ICU brings it), or give the "
                "column the default collation in a copy of the source database and make the backup from that copy."
            )
        message = f"expected PostgreSQL to take it, found: {_words(error)}"
        raise Refusal("DUMP_ENTRY_FAILED", entry.label, message, remedy) from None


def _words(error: psycopg.Error) -> str:
    return error.diag.message_primary or type(error).__name__
