"""Memory and disk of the process that runs the activities, and what it is worth when it is killed."""

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from bench import material
from bench.harness import Measured, bench, scaled
from bench.stand import Stand, stand

KILLS = 10


@bench("snapshot_memory", unit="MiB peak RSS", goal="<= 400")
def memory_of_the_activities() -> Measured:
    """Snapshot and files stages of one archive in one process; its disk writes are asserted to be none."""
    size, files = scaled(3_000_000_000), scaled(100_000)
    with stand() as one:
        run = _prepared(one, size, files)
        found = json.loads(_child(one, run).communicate()[0])
    if found["files"] != files or found["written"]:
        raise RuntimeError(f"expected {files:,} files and no byte on disk, found {found}")
    return Measured(found["peak_mib"], "", f"{size / 1e9:.1f} GB, {files:,} files, {found['written']} bytes to disk")


@bench("snapshot_kill", unit="of 10 runs with every file equal", goal="= 10")
def kills_survived() -> Measured:
    """kill -9 at a random moment, then a successor; every file compared by MD5."""
    size, files = scaled(300_000_000), scaled(10_000)
    rng = random.Random(1)
    equal, deaths = 0, 0
    with stand() as one:
        first = _prepared(one, size, files)
        started = time.monotonic()
        _child(one, first).communicate()
        whole = time.monotonic() - started
        wanted = {name: hashlib.md5(data).digest() for name, data in material.contents(size, files)}
        for _ in range(KILLS):
            _emptied(one)
            run = _run_file(one)
            child = _child(one, run)
            time.sleep(rng.uniform(0.3, whole))
            deaths += child.poll() is None
            child.kill()
            child.wait()
            _child(one, run).communicate()
            equal += _md5s(one) == wanted
    return Measured(equal, "", f"{deaths} killed at work, {files:,} files each")


def _prepared(one: Stand, size: int, files: int) -> Path:
    path = one.folder / "snapshot.tar.gz"
    material.archive(path, material.small_dump(one.postgres), size, files, level=1)
    with path.open("rb") as file:
        one.service.get_blob_client("source", "snapshot").upload_blob(file, max_concurrency=4)
    path.unlink()
    return _run_file(one)


def _run_file(one: Stand) -> Path:
    run = one.folder / "run.json"
    run.write_text(json.dumps(one.new_run()))
    return run


def _child(one: Stand, run: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-B", "-m", "bench.snapshot_child", str(run)]
    return subprocess.Popen(command, env={**os.environ, **one.environment}, stdout=subprocess.PIPE)


def _emptied(one: Stand) -> None:
    container = one.service.get_container_client("target")
    names = [blob.name for blob in container.list_blobs()]
    for start in range(0, len(names), 200):
        container.delete_blobs(*names[start : start + 200])


def _md5s(one: Stand) -> dict[str, bytes]:
    container = one.service.get_container_client("target")
    return {
        blob.name: hashlib.md5(container.download_blob(blob.name).readall()).digest() for blob in container.list_blobs()
    }
