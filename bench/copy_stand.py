"""The copy's bench tables in PostgreSQL, and the SQL Server stand-in or the discarding sink made of it."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pyodbc

from local.postgres import PostgresServer
from local.processes import Program, ready_line, start
from shared.databaseplan import PlannedColumn, PlannedTable
from shared.settings import SqlServer
from shared.sqlserver.connection import connection_string
from shared.sqlserver.ddl import create_table
from shared.sqlserver.ledger_table import CREATE_LEDGER

PASSWORD = "Bench-Passw0rd"  # of a throw-away server on the loopback
COLUMNS = {
    "id": ("bigint", "bigint"), "code": ("character varying(200)", "nvarchar(200)"),
    "name": ("character varying(200)", "nvarchar(200)"), "city": ("character varying(200)", "nvarchar(200)"),
    "descr": ("character varying(200)", "nvarchar(200)"), "notes": ("text", "nvarchar(max)"),
    "createddate": ("timestamp without time zone", "datetime2(3)"),
    "changeddate": ("timestamp without time zone", "datetime2(3)"), "amount": ("numeric(28,8)", "decimal(28,8)"),
    "active": ("boolean", "bit"), "qty": ("integer", "int"), "payload": ("bytea", "varbinary(max)"),
}  # fmt: skip
FILL = """
INSERT INTO wide
SELECT i, 'CODE-' || i, 'Name of ' || i || ' and of somebody else', 'City ' || i % 1000, repeat('d', 60) || i,
       repeat('some notes ', 11) || i, timestamp '2020-01-01' + i * interval '1.001 second', now()::timestamp,
       i * 1.5, i % 2 = 0, i, decode(repeat(md5(i::text), 4), 'hex')
  FROM generate_series(1, {rows}) AS i
"""
PAIRS = {"a": ("bigint", "bigint"), "b": ("bigint", "bigint")}


def planned(name: str, columns: dict[str, tuple[str, str]], rows: int = 0) -> PlannedTable:
    """Return the plan of a table without keys."""
    made = [
        PlannedColumn(name=column, source_name=column, source_type=source, type=kind)
        for column, (source, kind) in columns.items()
    ]
    return PlannedTable(name=name, source_name=name, columns=made, rows=rows)


WIDE = planned("wide", COLUMNS)
NARROW = planned("narrow", PAIRS)


@dataclass
class CopyStand:
    """Addresses of both ends."""

    uri: str
    postgres: PostgresServer
    target: SqlServer
    control_port: int
    pages: dict[str, int]
    folder: Path


@contextmanager
def copy_stand(wide: int = 0, narrow: int = 0, *, discard: bool = True, large: int = 0) -> Iterator[CopyStand]:
    """Start both servers with that many rows in `wide` and `narrow`; `large` bytes are in two values of each wide row."""
    with tempfile.TemporaryDirectory(prefix="mxferry-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (
            PostgresServer(folder / "postgres") as postgres,
            _target(postgres, folder, discard=discard) as (port, control),
        ):
            target = SqlServer(server=f"127.0.0.1,{port}", database="bench", user="sa", password=PASSWORD, encrypt="no")
            with pyodbc.connect(connection_string(target), autocommit=True) as connection:
                for statement in (create_table(WIDE), create_table(NARROW), CREATE_LEDGER):
                    connection.execute(statement)
            pages = _fill(postgres, wide, narrow, large)
            uri = f"postgresql://{postgres.user}:{postgres.password}@{postgres.host}:{postgres.port}/postgres"
            yield CopyStand(uri, postgres, target, control, pages, folder)


@contextmanager
def _target(postgres: PostgresServer, folder: Path, *, discard: bool) -> Iterator[tuple[int, int]]:
    environment = {"STANDIN_PASSWORD": PASSWORD, "STANDIN_STORE": postgres.dsn()}
    command = [
        "-m",
        "bench.copy_sink" if discard else "local.sqlserver",
        "--store-env",
        "STANDIN_STORE",
        "--password-env",
        "STANDIN_PASSWORD",
    ]
    command += ["--database", "bench", *(["--discard-bulk"] if discard else [])]
    child = start(Program("sqlserver", [sys.executable, *command], folder, environment))
    try:
        ready = child.wait_until(ready_line, timeout=60)
        yield ready["port"], ready["control_port"]
    finally:
        child.stop()


def _fill(postgres: PostgresServer, wide: int, narrow: int, large: int) -> dict[str, int]:
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        declared = ", ".join(f"{name} {source}" for name, (source, _) in COLUMNS.items())
        spread = " WITH (fillfactor = 10)" if large else ""  # a row a page: chunks are ranges of pages
        connection.execute(f"CREATE TABLE wide ({declared}){spread}; CREATE TABLE narrow (a bigint, b bigint)")
        if large:  # as large on disk as in memory, so that the copy is planned as for values that cannot be compressed
            connection.execute(
                "ALTER TABLE wide ALTER COLUMN notes SET STORAGE EXTERNAL, ALTER COLUMN payload SET STORAGE EXTERNAL"
            )
        if wide:
            connection.execute(FILL.format(rows=wide))
        if large:
            half = large // 32
            connection.execute(
                f"UPDATE wide SET notes = repeat(md5(notes), {half}), payload = decode(repeat(md5(code), {2 * half}), 'hex')"
            )
        connection.execute(f"INSERT INTO narrow SELECT i, i * 7 FROM generate_series(1, {narrow}) AS i")
        connection.execute("VACUUM wide")
        sizes = connection.execute(
            "SELECT relname, pg_relation_size(oid) / 8192 FROM pg_class WHERE relname IN ('wide', 'narrow')"
        ).fetchall()
    return {name: int(pages) for name, pages in sizes}
