"""How much the copy costs beside reading alone and writing alone, and beside other ways to write."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pyodbc

from bench.copy_stand import COLUMNS, PASSWORD, CopyStand, copy_stand
from bench.harness import Measured, bench, scaled
from shared.sqlserver.connection import connection_string

ROWS = 1_000_000
LARGE = 20_000_000  # bytes of a large value
FEW = 10_000  # rows for pyodbc: its rate does not depend on how many there are


def child(stand: CopyStand, mode: str, table: str = "wide", workers: int | str = 2) -> dict[str, Any]:
    """Measure one mode in a process of its own; several tables and their workers are parted by commas."""
    pages = ",".join(str(stand.pages[name]) for name in table.split(","))
    command = [
        sys.executable,
        "-m",
        "bench.copy_child",
        mode,
        table,
        stand.uri,
        stand.target.server,
        pages,
        str(workers),
    ]
    environment = {**os.environ, "BENCH_PASSWORD": PASSWORD}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@bench("copy_cpu", unit="of reading alone + writing alone", goal="<= 1.2")
def cpu_of_the_copy() -> Measured:
    """CPU seconds of the copying process with 2 workers."""
    with copy_stand(scaled(ROWS)) as stand:
        read, write, both = (child(stand, mode) for mode in ("read", "write", "copy"))
    parts = f"read {read['cpu']:.2f} s, write {write['cpu']:.2f} s, copy {both['cpu']:.2f} s of CPU"
    return Measured(both["cpu"] / (read["cpu"] + write["cpu"]), "ADBC read + bulk load of preloaded batches", parts)


@bench("copy_wall", unit="of reading alone + writing alone", goal="<= 1.0")
def wall_time_of_the_copy() -> Measured:
    """Wall time with 2 workers: reading and writing overlap."""
    with copy_stand(scaled(ROWS)) as stand:
        read, write, both = (child(stand, mode) for mode in ("read", "write", "copy"))
    rate = both["rows"] / both["seconds"]
    parts = f"read {read['seconds']:.2f} s, write {write['seconds']:.2f} s, copy {both['seconds']:.2f} s, {rate:,.0f} rows/s"
    return Measured(
        both["seconds"] / (read["seconds"] + write["seconds"]), "ADBC read + bulk load of preloaded batches", parts
    )


@bench("copy_pairs", unit="rows/s of an association table", goal=">= 1000000")
def association_tables() -> Measured:
    """Rows of two bigints a second, from PostgreSQL to the sink, 2 workers."""
    with copy_stand(narrow=scaled(10_000_000)) as stand:
        both = child(stand, "copy", "narrow")
    return Measured(both["rows"] / both["seconds"], "", f"{both['rows']:,} rows in {both['seconds']:.2f} s")


@bench("copy_memory", unit="MiB peak RSS", goal="<= 400")
def memory_with_large_values() -> Measured:
    """A table whose rows hold two values of 20 MB each, one worker."""
    with copy_stand(16, large=LARGE) as stand:
        found = child(stand, "copy", workers=1)
    return Measured(found["peak_mib"], "", f"{found['rows']} rows of 2 x 20 MB")


@bench("copy_memory_of_many", unit="MiB peak RSS", goal="<= 400")
def memory_with_large_values_and_many_workers() -> Measured:
    """The same by 2 and 4 workers in one process, and by 4 beside 2 that copy small rows; the largest counts."""
    with copy_stand(16, 2_000_000, large=LARGE) as stand:
        two, four = (child(stand, "copy", workers=few)["peak_mib"] for few in (2, 4))
        mixed = child(stand, "copy", "wide,narrow", "4,2")["peak_mib"]
    return Measured(max(two, four, mixed), "", f"2 workers {two:.0f}, 4 workers {four:.0f}, 4 + 2 workers {mixed:.0f}")


@bench("copy_vs_executemany", unit="times as many rows/s", goal=">= 4")
def beside_fast_executemany() -> Measured:
    """pyodbc's fast_executemany of preloaded rows into the same sink."""
    with copy_stand(scaled(ROWS)) as stand:
        both = child(stand, "copy")
        rows = _rows(stand, FEW)
        with pyodbc.connect(connection_string(stand.target), autocommit=False) as connection:
            cursor = connection.cursor()
            cursor.fast_executemany = True
            marks = ", ".join("?" for _ in COLUMNS)
            started = time.perf_counter()
            cursor.executemany(f"INSERT INTO [dbo].[wide] VALUES ({marks})", rows)
            seconds = time.perf_counter() - started
    ours, theirs = both["rows"] / both["seconds"], FEW / seconds
    return Measured(ours / theirs, f"{theirs:,.0f} rows/s", f"{ours:,.0f} rows/s from PostgreSQL, 2 workers")


@bench("copy_vs_freebcp", unit="times as many rows/s", goal=">= 1.3")
def beside_freebcp() -> Measured:
    """FreeTDS' bcp of a prepared character file into the same sink (Debian package freetds-bin)."""
    program = shutil.which("freebcp")
    if program is None:
        raise RuntimeError("freebcp is not installed (Debian package freetds-bin)")
    with copy_stand(scaled(ROWS)) as stand:
        both = child(stand, "copy")
        seconds = _freebcp(program, stand, _character_file(stand))
    ours, theirs = both["rows"] / both["seconds"], both["rows"] / seconds
    return Measured(ours / theirs, f"{theirs:,.0f} rows/s", f"{ours:,.0f} rows/s from PostgreSQL, 2 workers")


def _rows(stand: CopyStand, count: int) -> list[tuple[Any, ...]]:
    with psycopg.connect(stand.uri) as connection:
        return connection.execute(f"SELECT * FROM wide LIMIT {count}").fetchall()


def _character_file(stand: CopyStand) -> Path:
    file = stand.folder / "wide.txt"
    given = {"payload": "encode(payload, 'hex')", "active": "active::int"}
    names = ", ".join(given.get(name, name) for name in COLUMNS)
    with (
        psycopg.connect(stand.uri) as connection,
        file.open("wb") as out,
        connection.cursor().copy(f"COPY (SELECT {names} FROM wide) TO STDOUT") as stream,
    ):
        for part in stream:
            out.write(part)
    return file


def _freebcp(program: str, stand: CopyStand, file: Path) -> float:
    """Return the seconds that freebcp takes for the file; all of it must have been sent."""
    host, port = stand.target.server.split(",")
    login = ["-U", "sa", "-P", PASSWORD, "-S", host, "-D", "bench"]
    command = [program, "bench.dbo.wide", "in", str(file), "-c", "-b", "1000000", *login]
    environment = {**os.environ, "TDSVER": "7.4", "TDSHOST": host, "TDSPORT": port}
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    seconds = time.perf_counter() - started
    sent = re.search(r"(\d+) rows copied", done.stdout)
    if sent is None or int(sent.group(1)) < file.stat().st_size:  # the sink counts bytes, and UTF-16 has more of them
        raise RuntimeError(f"freebcp did not copy {file.stat().st_size} bytes: {(done.stdout + done.stderr)[-500:]}")
    return seconds
