"""Restoring a dump from its blob against `pg_restore -j2` from a local file, in one run."""

import subprocess
import time
from pathlib import Path

import psycopg

from bench import material
from bench.harness import Measured, bench, scaled
from bench.stand import Stand, restore_database, stand, take_snapshot
from local.postgres import PostgresServer, bin_folder
from shared.postgres.postdata import make_keys_and_indexes
from shared.settings import settings


@bench("snapshot_restore_wheel", unit="× of pg_restore -j2", goal=">= 1")
def restore_of_the_wheels_dump() -> Measured:
    """The restore stage as a migration needs it (rows and sequences, no keys), dump written by the wheel."""
    return _against_pg_restore(bin_folder(), keys=False)


@bench("snapshot_restore_installed", unit="× of pg_restore -j2", goal=">= 1")
def restore_of_the_installed_dump() -> Measured:
    """The same with the oldest PostgreSQL installed on this machine; that of the wheel where there is none."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return _against_pg_restore(installed[0] if installed else bin_folder(), keys=False)


@bench("snapshot_restore_with_keys", unit="× of pg_restore -j2")
def restore_with_keys() -> Measured:
    """As for a PostgreSQL target: keys and indexes are made too, after the rows."""
    return _against_pg_restore(bin_folder(), keys=True)


def _against_pg_restore(writer: Path, *, keys: bool) -> Measured:
    rows = scaled(500_000)
    with stand() as one, PostgresServer(one.folder / "writer", binaries=writer) as source:
        material.fill(source, "big", 5, rows)
        dump = material.dump(source, "big")
        source.stop()
        theirs = _pg_restore(one, dump)
        ours = _ours(one, dump, keys=keys)
    detail = f"{ours:.1f} s against {theirs:.1f} s, 5 × {rows:,} rows, {len(dump) / 1e6:.0f} MB"
    return Measured(theirs / ours, "pg_restore -j2 from a local file, keys and indexes included", detail)


def _pg_restore(one: Stand, dump: bytes) -> float:
    path = one.folder / "dump"
    path.write_bytes(dump)
    with psycopg.connect(one.postgres.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE theirs")
    command = [str(bin_folder() / "pg_restore"), "-j2", "-O", "-x", "-d", one.postgres.dsn("theirs"), str(path)]
    started = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - started


def _ours(one: Stand, dump: bytes, *, keys: bool) -> float:
    one.service.get_blob_client("source", "snapshot").upload_blob(dump)
    work = take_snapshot(one.new_run())
    started = time.monotonic()
    restored = restore_database(work)
    if keys:
        make_keys_and_indexes(settings().postgres, restored["database"], at_once=2)
    return time.monotonic() - started
