"""Restoring a dump from its blob against `pg_restore -j2` from a local file, in one run.

Two comparisons for each writer: like for like (rows, keys, indexes, foreign keys: a whole database, as target modes
`postgres` and `runtime` need it), and what a migration to SQL Server needs (rows and sequences) against the same
`pg_restore`. Both sides restore into the same server; ours reads from Azurite, which shares the cores.
"""

import functools
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import psycopg

from activities import restore
from bench import material
from bench.harness import Measured, bench, scaled
from bench.stand import History, Stand, done, restore_database, stand, take_snapshot
from local.postgres import PostgresServer, bin_folder
from orchestrators.restore import KEYS_AT_ONCE

UNIT = "× of pg_restore -j2"
TABLES = 5


class Took(NamedTuple):
    """Seconds, of the same dump: theirs for the whole, ours for the rows and for what makes them a whole database."""

    theirs: float
    rows: float
    keys: float
    about: str


@bench("snapshot_restore_whole_17", unit=UNIT, goal=">= 1")
def whole_database_17() -> Measured:
    """Rows, keys, indexes and foreign keys, dump written by the wheel's PostgreSQL 17."""
    return _whole(_took(bin_folder()))


@bench("snapshot_restore_whole_15", unit=UNIT, goal=">= 1")
def whole_database_15() -> Measured:
    """The same, dump written by Debian's PostgreSQL 15."""
    return _whole(_took(_installed("15")))


@bench("snapshot_restore_rows_17", unit=UNIT, goal=">= 1")
def rows_17() -> Measured:
    """Rows and sequences only, as a migration to SQL Server needs them, dump written by the wheel's PostgreSQL 17."""
    return _rows(_took(bin_folder()))


@bench("snapshot_restore_rows_15", unit=UNIT, goal=">= 1")
def rows_15() -> Measured:
    """The same, dump written by Debian's PostgreSQL 15."""
    return _rows(_took(_installed("15")))


def _whole(took: Took) -> Measured:
    ours = took.rows + took.keys
    detail = f"{ours:.2f} s ({took.rows:.2f} rows, {took.keys:.2f} keys) against {took.theirs:.2f} s, {took.about}"
    return Measured(took.theirs / ours, "pg_restore -j2 of the same from a local file", detail)


def _rows(took: Took) -> Measured:
    detail = f"{took.rows:.2f} s against {took.theirs:.2f} s, {took.about}"
    return Measured(took.theirs / took.rows, "pg_restore -j2 from a local file, with the keys we leave out", detail)


def _installed(version: str) -> Path:
    found = Path("/usr/lib/postgresql") / version / "bin"
    if not found.is_dir():
        raise RuntimeError(
            f"expected PostgreSQL {version} in {found}, found none: apt-get install postgresql-{version}"
        )
    return found


@functools.cache
def _took(writer: Path) -> Took:
    """Measure once a writer: each side twice in turn, the quicker of both counts, for others use the machine too."""
    rows = scaled(500_000)
    with stand() as one, PostgresServer(one.folder / "writer", binaries=writer) as source:
        material.fill(source, "big", TABLES, rows)
        _relate(source)
        dump = material.dump(source, "big")
        version = subprocess.run([writer / "pg_dump", "--version"], check=True, capture_output=True, text=True).stdout
        source.stop()
        (one.folder / "dump").write_bytes(dump)
        one.service.get_blob_client("source", "snapshot").upload_blob(dump)
        theirs, ours = [], []
        for turn in range(2):
            theirs.append(_pg_restore(one, f"theirs_{turn}"))
            ours.append(_ours(one))
    mine = min(ours, key=sum)
    about = f"{TABLES} × {rows:,} rows, {len(dump) / 1e6:.0f} MB, {version.strip()}, better of two runs each"
    return Took(min(theirs), *mine, about)


def _relate(source: PostgresServer) -> None:
    """Add a foreign key to each table but the first: what Mendix makes of associations."""
    with psycopg.connect(source.dsn("big"), autocommit=True) as connection:
        for number in range(1, TABLES):
            connection.execute(f"ALTER TABLE t{number} ADD FOREIGN KEY (id) REFERENCES t0 (id)")


def _pg_restore(one: Stand, database: str) -> float:
    with psycopg.connect(one.postgres.dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")
    command = [str(bin_folder() / "pg_restore"), "-j2", "-O", "-x", "-d", one.postgres.dsn(database)]
    started = time.monotonic()
    subprocess.run([*command, str(one.folder / "dump")], check=True)
    return time.monotonic() - started


def _ours(one: Stand) -> tuple[float, float]:
    """Return the seconds for the rows, and those for keys, indexes and foreign keys."""
    work = take_snapshot(one.new_run())
    started = time.monotonic()
    restored = restore_database(work)
    loaded = time.monotonic()
    whole = {"run": work["run"], "restore": restored}
    for wave in done(restore.plan_post_data(None, whole))["waves"]:
        groups = [{**whole, "group": group} for group in wave]
        History().many(restore.make_post_data, groups, KEYS_AT_ONCE)
    return loaded - started, time.monotonic() - loaded
