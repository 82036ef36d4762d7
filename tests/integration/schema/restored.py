"""A sample's database, restored as the restore stage leaves it: data, and the statements of keys and indexes aside."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from local.postgres import PostgresServer, bin_folder
from shared.postgres.temporary import OUR_TABLES

TABLE, NAME = (re.compile(words + r'("[^"]+"|\w+)') for words in (r"public\.", r"(?:ADD CONSTRAINT|INDEX) "))
STATEMENT = re.compile(r"^(?:ALTER TABLE ONLY|CREATE (?:UNIQUE )?INDEX).*?;\n", re.MULTILINE | re.DOTALL)


def restore(server: PostgresServer, database: str, dump: Path, *, keys: bool = False) -> None:
    """Restore a dump; with `keys` PostgreSQL makes keys and indexes too, else their statements go to mxferry.post_data."""
    sections = [] if keys else ["--section=pre-data", "--section=data"]
    _pg_restore(dump, "-O", "-x", "-n", "public", *sections, "-d", server.dsn(database))
    if not keys:
        _keep_post_data(server, database, _pg_restore(dump, "--section=post-data", "-f", "-"))


@contextmanager
def scratch(server: PostgresServer, name: str) -> Iterator[str]:
    """A database of that name, dropped at the end."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def read_only(server: PostgresServer, database: str) -> psycopg.Connection[Any]:
    """Open a session as the activities do."""
    connection = psycopg.connect(server.dsn(database), autocommit=True)
    connection.read_only = True
    return connection


def _keep_post_data(server: PostgresServer, database: str, script: str) -> None:
    with psycopg.connect(server.dsn(database)) as connection:
        connection.execute(OUR_TABLES)
        for ordinal, statement in enumerate(STATEMENT.findall(script)):
            kind = "INDEX" if statement.startswith("CREATE") else "CONSTRAINT"
            kind = "FK CONSTRAINT" if "FOREIGN KEY" in statement else kind
            table, name = (_named(pattern, statement) for pattern in (TABLE, NAME))
            connection.execute(
                "INSERT INTO mxferry.post_data VALUES (%s, %s, 'public', %s, %s, %s)",
                (ordinal, kind, table, name if kind == "INDEX" else f"{table} {name}", statement),
            )


def _named(pattern: re.Pattern[str], statement: str) -> str:
    found = pattern.search(statement)
    assert found, statement
    return found.group(1).strip('"')


def _pg_restore(dump: Path, *arguments: str) -> str:
    program = str(bin_folder() / "pg_restore")
    done = subprocess.run([program, *arguments, str(dump)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
