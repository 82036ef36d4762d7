"""kill -9 of the process that runs the activities, at random moments of every stage; every file and every row compared."""

import hashlib
import json
import random
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import urllib3
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from bench import material
from bench.harness import Measured, bench, scaled
from bench.snapshot_process import child, run_file
from bench.stand import Stand, stand
from shared.postgres.connection import database_name

STAGES = ["staging", "inflating", "restoring", "files", "verifying"]
RUNS = 2
TABLES = 5
# A kill falls within the first part of what a stage still has to do, so that a fast machine is hit at work too.
SECONDS_A_GIGABYTE = {"staging": 2.0, "inflating": 8.0, "restoring": 0.4, "files": 20.0, "verifying": 1.0}
READERS = 8


@bench("snapshot_kill", unit="of 10 kills after which every file and every row is equal", goal="= 10")
def kills_survived() -> Measured:
    """Two runs, a kill in each of five stages; the last process of a run ends it, and all is read back.

    The archive of the first is copied by the service, that of the second passes through the process.
    """
    size, files, rows = scaled(3_000_000_000), scaled(100_000), scaled(500_000)
    rng = random.Random()
    survived, deaths = 0, Counter[str]()
    with stand() as one:
        material.fill(one.postgres, "big", TABLES, rows)
        material.give(one, size, files, material.dump(one.postgres, "big"))
        wanted = {name: hashlib.md5(data).digest() for name, data in material.contents(size, files)}
        for number in range(RUNS):
            container = f"target-{number}"
            one.service.create_container(container)
            run = run_file(one, by_url=number == 1)
            died = Counter(
                _killed(one, run, container, stage, rng.uniform(0, _spread(stage, size))) for stage in STAGES
            )
            _finished(one, run, container)
            deaths += died
            same_rows = _rows(one, database_name(run.stem)) == _rows(one, "big")
            if same_rows and _md5s(one, container) == wanted:
                survived += died.total() - died["done"]
    told = ", ".join(f"{deaths[stage]} while {stage}" for stage in STAGES)
    return Measured(
        survived, "", f"{told}; {RUNS} runs of {size / 1e9:.1f} GB, {files:,} files, {TABLES * rows:,} rows"
    )


def _spread(stage: str, size: int) -> float:
    return SECONDS_A_GIGABYTE[stage] * size / 1e9


def _killed(one: Stand, run: Path, container: str, wanted: str, seconds: float) -> str:
    """Let a process work for some seconds of a stage (or a later one), kill it, and return the stage it died in."""
    seen = ["start"]
    with child(one, run, "--goes-on", container=container) as process:
        reader = Thread(target=_follow, args=(process, seen))
        reader.start()
        while process.poll() is None and seen[-1] not in STAGES[STAGES.index(wanted) :]:
            time.sleep(0.01)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        reader.join()
    if process.returncode == 0:
        return "done"
    if process.returncode != -signal.SIGKILL:
        raise RuntimeError(f"expected a process that works until it is killed, found code {process.returncode}")
    print(f"  killed {seconds:.1f} s after {wanted} began, while {seen[-1]}", flush=True)
    return seen[-1]


def _follow(process: "subprocess.Popen[str]", seen: list[str]) -> None:
    for line in process.stdout or ():
        told = json.loads(line)
        if "stage" in told:
            seen.append(told["stage"])


def _finished(one: Stand, run: Path, container: str) -> None:
    """Let the last process of a run end it."""
    with child(one, run, "--goes-on", container=container) as process:
        output, _ = process.communicate()
    print(f"  {output.splitlines()[-1] if output else 'failed'}", flush=True)


def _rows(one: Stand, database: str) -> list[Any]:
    """Return count and sum of every table's rows."""
    query = "SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM public.t{} t"
    with psycopg.connect(one.postgres.dsn(database)) as connection:
        return [connection.execute(query.format(number).encode()).fetchone() for number in range(TABLES)]


def _md5s(one: Stand, container: str) -> dict[str, bytes]:
    """Return the MD5 of every blob's bytes, read back (the SDK would take ten times the processor time)."""
    client = one.service.get_container_client(container)
    now = datetime.now(UTC)
    sas = generate_container_sas(
        str(one.service.account_name),
        container,
        account_key=one.azurite.key,
        permission=ContainerSasPermissions(read=True),
        expiry=now + timedelta(hours=2),
    )
    pool = urllib3.PoolManager(maxsize=READERS)

    def read(name: str) -> tuple[str, bytes]:
        answer = pool.request("GET", f"{client.url}/{name}?{sas}")
        return name, hashlib.md5(answer.data).digest() if answer.status == 200 else b""

    with ThreadPoolExecutor(READERS) as readers:
        return dict(readers.map(read, [blob.name for blob in client.list_blobs()]))
