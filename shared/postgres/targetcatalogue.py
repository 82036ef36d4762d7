"""What a PostgreSQL target says about itself: version, rights, what lies in schema public, who is connected."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

IN_THE_WAY = """
    SELECT c.oid, c.relname, c.relkind::text, pg_has_role(current_user, c.relowner, 'USAGE')
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'S', 'v', 'm', 'f')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype IN ('e', 'i'))
    ORDER BY c.relkind IN ('v', 'm') DESC, c.relkind = 'S', c.relname
"""
"""What would collide with the dump: views first, sequences last, as they can be dropped. What belongs to an extension,
or to a table as its identity column's sequence does, is left out."""

STATE = """
    SELECT pg_encoding_to_char(d.encoding), d.datcollate, pg_is_in_recovery(), current_user,
           has_database_privilege(current_database(), 'CREATE'), has_schema_privilege('public', 'CREATE'),
           pg_database_size(current_database()), (SELECT rolsuper FROM pg_roles WHERE rolname = session_user)
    FROM pg_database d WHERE d.datname = current_database()
"""

SESSIONS = """
    SELECT COALESCE(NULLIF(application_name, ''), 'unnamed program'), COALESCE(usename, 'unknown login'), count(*)
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
      AND COALESCE(backend_type, 'client backend') = 'client backend'
      AND application_name NOT LIKE 'mxferry%' AND usename <> 'azuresu'
    GROUP BY 1, 2 ORDER BY 3 DESC
"""
"""Azure's own sessions log in as `azuresu`; parallel workers and autovacuum are no client backends."""

TABLES = """
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype = 'e')
    ORDER BY c.relname
"""

KINDS = {"r": "table", "p": "table", "f": "foreign table", "S": "sequence", "v": "view", "m": "materialized view"}


@dataclass(frozen=True)
class Relation:
    """Something in schema public; `ours` when the login may drop it."""

    oid: int
    name: str
    kind: str
    ours: bool


@dataclass(frozen=True)
class State:
    """The database as it is; `bytes` is its size on disk, `superuser` says it of the login, whatever role it acts as."""

    encoding: str
    collation: str
    standby: bool
    user: str
    may_create_schema: bool
    may_create_in_public: bool
    bytes: int
    superuser: bool


@dataclass(frozen=True)
class Sessions:
    """Sessions of one program and one login."""

    program: str
    login: str
    count: int


def state(connection: psycopg.Connection[Any]) -> State:
    """Return version, rights and size."""
    row = connection.execute(STATE).fetchone()
    assert row
    return State(*row)


def in_the_way(connection: psycopg.Connection[Any]) -> list[Relation]:
    """Return what in schema public would collide with the app's tables and sequences, in the order to drop it."""
    return [Relation(int(oid), name, kind, bool(ours)) for oid, name, kind, ours in connection.execute(IN_THE_WAY)]


def sessions(connection: psycopg.Connection[Any]) -> list[Sessions]:
    """Return other programs' sessions on this database."""
    return [Sessions(program, login, int(count)) for program, login, count in connection.execute(SESSIONS)]


def extensions(connection: psycopg.Connection[Any]) -> tuple[set[str], set[str]]:
    """Return the extensions that are installed in the database, and those that could be.

    Azure lets only those be made that its parameter `azure.extensions` lists
    (https://learn.microsoft.com/azure/postgresql/extensions/how-to-allow-extensions).
    """
    installed = {str(name) for (name,) in connection.execute("SELECT extname FROM pg_extension")}
    available = {str(name) for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}
    row = connection.execute("SELECT current_setting('azure.extensions', true)").fetchone()
    if row and row[0] is not None:
        allowed = {name.strip().lower() for name in str(row[0]).split(",")}
        available = {name for name in available if name.lower() in allowed}
    return installed, available | installed


def table_rows(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Count the rows of every table in schema public, one by one."""
    names = [str(name) for (name,) in connection.execute(TABLES)]
    return {name: rows_of(connection, name) for name in names}


def rows_of(connection: psycopg.Connection[Any], table: str, schema: str = "public") -> int:
    """Count the rows of one table."""
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0
