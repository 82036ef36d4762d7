"""How much the copy costs beside reading alone and writing alone, and beside other ways to write: all in one run."""

import functools
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench.copy_stand import COLUMNS, PASSWORD, CopyStand, copy_stand
from bench.harness import Measured, bench, scaled
from shared.sqlserver.bulk import PACKET_SIZE

ROWS = 1_000_000
ROUND = ("read", "write", "copy", "alone", "alone", "copy", "write", "read")
"""Each twice, and the copy in the middle: a machine that grows slower or faster changes no ratio."""
ALONE = "ADBC read + bulk load of preloaded batches"


@dataclass(frozen=True)
class Figure:
    """What one way took: rows, wall seconds, CPU seconds of its process."""

    rows: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    def __str__(self) -> str:
        return f"{self.rate:,.0f} rows/s, {self.cpu / self.rows * 1e6:.1f} us of CPU a row"


@functools.cache
def figures(rows: int) -> dict[str, Figure]:
    """Measure every way on one stand, one after the other; whoever asks first waits, the others get the same figures."""
    with copy_stand(rows) as stand:
        seen: dict[str, list[dict[str, Any]]] = {}
        for mode in ROUND:
            one = child(stand, "copy", workers=1) if mode == "alone" else child(stand, mode)
            seen.setdefault(mode, []).append(one)
        found = {mode: _mean(some) for mode, some in seen.items()}
        found["executemany"] = _mean([child(stand, "executemany")])
        program = shutil.which("freebcp")
        if program is not None:
            found["freebcp"] = _freebcp(program, stand, _character_file(stand), rows)
    return found


def child(stand: CopyStand, mode: str, table: str = "wide", workers: int = 2) -> dict[str, Any]:
    """Measure one mode in a process of its own."""
    where = [table, stand.uri, stand.target.server, str(stand.pages[table]), str(workers)]
    command = [sys.executable, "-m", "bench.copy_child", mode, *where]
    environment = {**os.environ, "BENCH_PASSWORD": PASSWORD}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@bench("copy_cpu", unit="of reading alone + writing alone", goal="<= 1.2")
def cpu_of_the_copy() -> Measured:
    """CPU seconds of the copying process with 2 workers."""
    found = figures(scaled(ROWS))
    read, write, copy = (found[mode].cpu for mode in ("read", "write", "copy"))
    return Measured(copy / (read + write), ALONE, f"read {read:.2f} s, write {write:.2f} s, copy {copy:.2f} s of CPU")


@bench("copy_wall", unit="of reading alone + writing alone", goal="<= 1.0")
def wall_time_of_the_copy() -> Measured:
    """Wall time with 2 workers: reading and writing overlap."""
    found = figures(scaled(ROWS))
    read, write, copy = (found[mode].seconds for mode in ("read", "write", "copy"))
    parts = f"read {read:.2f} s, write {write:.2f} s, copy {copy:.2f} s, {found['copy'].rate:,.0f} rows/s"
    return Measured(copy / (read + write), ALONE, parts)


@bench("copy_wall_alone", unit="of reading alone + writing alone")
def wall_time_of_one_worker() -> Measured:
    """Wall time with 1 worker: below 1 only because it reads ahead while it sends; two workers would overlap anyhow."""
    found = figures(scaled(ROWS))
    read, write, alone = (found[mode].seconds for mode in ("read", "write", "alone"))
    parts = f"read {read:.2f} s, write {write:.2f} s, copy by 1 worker {alone:.2f} s, {found['alone'].rate:,.0f} rows/s"
    return Measured(alone / (read + write), ALONE, parts)


@bench("copy_vs_executemany", unit="times as many rows/s", goal=">= 4")
def beside_fast_executemany() -> Measured:
    """pyodbc's fast_executemany of preloaded rows into the same sink, which has to parse an sp_execute for each of them."""
    return _beside(figures(scaled(ROWS)), "executemany")


@bench("copy_vs_freebcp", unit="times as many rows/s", goal=">= 1.3")
def beside_freebcp() -> Measured:
    """FreeTDS' bcp of a prepared character file into the same sink (Debian package freetds-bin)."""
    found = figures(scaled(ROWS))
    if "freebcp" not in found:
        raise RuntimeError("freebcp is not installed (Debian package freetds-bin)")
    return _beside(found, "freebcp")


@bench("copy_pairs", unit="rows/s of an association table", goal=">= 1000000")
def association_tables() -> Measured:
    """Rows of two bigints a second, from PostgreSQL to the sink, 2 workers."""
    with copy_stand(narrow=scaled(10_000_000)) as stand:
        both = child(stand, "copy", "narrow")
    return Measured(both["rows"] / both["seconds"], "", f"{both['rows']:,} rows in {both['seconds']:.2f} s")


def _beside(found: dict[str, Figure], other: str) -> Measured:
    ours, theirs = found["copy"], found[other]
    return Measured(ours.rate / theirs.rate, f"{other}: {theirs}", f"copy from PostgreSQL, 2 workers: {ours}")


def _mean(some: list[dict[str, Any]]) -> Figure:
    count = len(some)
    return Figure(some[0]["rows"], sum(one["seconds"] for one in some) / count, sum(one["cpu"] for one in some) / count)


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


def _freebcp(program: str, stand: CopyStand, file: Path, rows: int) -> Figure:
    """Return what freebcp takes for the file, in packets as large as ours; all of it must have been sent."""
    host, port = stand.target.server.split(",")
    login = ["-U", "sa", "-P", PASSWORD, "-S", host, "-D", "bench", "-A", str(PACKET_SIZE)]
    command = [program, "bench.dbo.wide", "in", str(file), "-c", "-b", "1000000", *login]
    environment = {**os.environ, "TDSVER": "7.4", "TDSHOST": host, "TDSPORT": port}
    before, started = _cpu_of_children(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    seconds, cpu = time.perf_counter() - started, _cpu_of_children() - before
    sent = re.search(r"(\d+) rows copied", done.stdout)
    if sent is None or int(sent.group(1)) < file.stat().st_size:  # the sink counts bytes, and UTF-16 has more of them
        raise RuntimeError(f"freebcp did not copy {file.stat().st_size} bytes: {(done.stdout + done.stderr)[-500:]}")
    return Figure(rows, seconds, cpu)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
