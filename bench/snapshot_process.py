"""Memory and disk of the process that runs the activities of the snapshot, restore and files stages."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench import material
from bench.harness import Measured, bench, scaled
from bench.stand import Stand, stand

TABLES = 5
MOST_MIB = 381  # 400 MB


@bench("snapshot_memory", unit="MiB peak RSS", goal=f"<= {MOST_MIB}")
def memory_of_the_activities() -> Measured:
    """Snapshot, restore, files and files-verify stages of one archive in one process, which may write to no file."""
    with stand() as one:
        return _measured(one, scaled(3_000_000_000), scaled(100_000), scaled(500_000))


@bench("snapshot_memory_through_us", unit="MiB peak RSS", goal=f"<= {MOST_MIB}")
def memory_where_the_service_cannot_copy() -> Measured:
    """The same from a URL that the storage service cannot follow, so that the archive passes through the process."""
    with stand() as one:
        return _measured(one, scaled(3_000_000_000), scaled(100_000), scaled(500_000), by_url=True)


def _measured(one: Stand, size: int, files: int, rows: int, *, by_url: bool = False) -> Measured:
    """`rows` are those of each of the dump's tables."""
    material.fill(one.postgres, "big", TABLES, rows)
    material.give(one, size, files, material.dump(one.postgres, "big"))
    with child(one, run_file(one, by_url=by_url)) as process:
        output, _ = process.communicate()
    found = json.loads(output.splitlines()[-1])
    if (found["files"], found["rows"], found["written"]) != (files, TABLES * rows, 0):
        raise RuntimeError(f"expected {files:,} files, {TABLES * rows:,} rows and no byte on disk, found {found}")
    peaks = ", ".join(f"{stage} {peak:.0f}" for stage, peak in found["peaks"].items())
    return Measured(
        max(found["peaks"].values()),
        "",
        f"{size / 1e9:.1f} GB, {files:,} files, {TABLES} tables of {rows:,} rows; {peaks} MiB; {found['written']} bytes to disk",
    )


def run_file(one: Stand, *, by_url: bool = False) -> Path:
    """Begin a run, and write what the child process reads of it."""
    work = one.new_run(by_url=by_url)
    path = one.folder / f"{work['run']['id']}.json"
    path.write_text(json.dumps(work))
    return path


def child(one: Stand, run: Path, *options: str, container: str = "target") -> "subprocess.Popen[str]":
    """Start the process that does the stages of the run, into a container."""
    command = [sys.executable, "-B", "-m", "bench.snapshot_child", str(run), *options]
    environment = {**os.environ, **one.environment, "TARGET__BENCH__BLOB__CONTAINER": container}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
