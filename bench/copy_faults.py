"""Exactly-once under fire: many chunks, duplicate deliveries, every fault, several seeds; every row and value counted."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pyodbc
from azure.storage.blob import ContainerClient

from bench.copy_stand import COLUMNS, WIDE, CopyStand, copy_stand
from bench.harness import Measured, bench
from local.sqlserver.control import Control
from shared.copying.job import Ends, Policy, run_job
from shared.copying.model import Chunk, Job
from shared.databaseplan import DatabasePlan, PlannedTable
from shared.errors import TransientError
from shared.sqlserver import marker
from shared.sqlserver.connection import connection_string

# The sizes of the goal, whatever BENCH_SCALE says: fewer rounds would leave faults out.
CHUNKS, DUPLICATES, WORKERS, SEEDS = 150, 40, 4, 5
ROWS_A_CHUNK = 800  # more than the stand-in decodes in one step: a fault after some rows finds them in its transaction
TRIES = 200
STALL_SECONDS = 4.0
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "reset_bulk", "rows": 1},
    {"kind": "reset_before_commit"},
    {"kind": "reset_after_commit"},
    {"kind": "error_bulk", "number": 40501},
    {"kind": "error_bulk", "number": 1205},
    {"kind": "error_commit", "number": 40197},
    {"kind": "error", "number": 40613, "text": "INSERT INTO [dbo].[__mxferry_ledger]"},
    {"kind": "refuse_login", "number": 40613},
    {"kind": "stall_bulk", "rows": 1, "seconds": 3 * STALL_SECONDS, "probability": 0.02},
)
# The source ends its own session in the middle of the rows, in one of twenty chunks.
DYING = (
    f"(qty + CASE WHEN random() < {0.05 / ROWS_A_CHUNK} THEN pg_terminate_backend(pg_backend_pid())::int ELSE 0 END)"
)
AS_KEPT = "date_trunc('milliseconds', changeddate + interval '500 microseconds')"
Row = tuple[Any, ...]


@bench("copy_faults", unit="rows twice, missing or changed", goal="= 0")
def rows_twice_or_missing() -> Measured:
    """150 chunks and 40 duplicate deliveries, in random order, on 4 threads, for each of 5 seeds, as jobs of the app."""
    wrong, codes = 0, Counter[str]()
    with copy_stand(CHUNKS * ROWS_A_CHUNK, discard=False) as stand, Control(stand.control_port) as control:
        expected = _expected(stand)
        for seed in range(1, SEEDS + 1):
            inject(control, seed)
            codes += _round(stand, seed)
            control.clear()
            wrong += _wrong(stand, expected)
        fired = Counter(control.fired())
    all_happened(fired, codes)
    return Measured(wrong, "", told(CHUNKS, DUPLICATES, fired, codes))


def inject(control: Control, seed: int, probability: float = 0.05) -> None:
    """Let every fault happen at so many of its chances."""
    for fault in FAULTS:
        control.fault(**{"probability": probability, **fault}, times=None, seed=seed)


def told(chunks: int, duplicates: int, fired: Counter[str], codes: Counter[str]) -> str:
    """Say what was done, what was injected, and why deliveries had to be repeated."""
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(fired.items()))
    again = ", ".join(f"{code} {count}" for code, count in sorted(codes.items()))
    return (
        f"{SEEDS} seeds x {chunks} chunks + {duplicates} duplicates; injected: {faults}; delivered again for: {again}"
    )


def all_happened(fired: Counter[str], codes: Counter[str]) -> None:
    """Refuse a result to which a fault has not contributed."""
    missing = [str(fault["kind"]) for fault in FAULTS if not fired[str(fault["kind"])]]
    missing += [code for code in ("SOURCE_FAILED", "STALLED", "throttled") if not codes[code]]
    if missing:
        raise RuntimeError(f"expected every fault to happen, found none of: {', '.join(missing)}")


def _round(stand: CopyStand, seed: int) -> Counter[str]:
    """Load the table once, under faults; return for which reasons deliveries had to be repeated."""
    run = f"seed-{seed}"
    with pyodbc.connect(connection_string(stand.target), autocommit=True) as connection:
        marker.set_created(connection, run)
    # The staging container is for refused rows; there are none, and this one cannot be reached.
    staging = ContainerClient.from_container_url("http://127.0.0.1:9/nowhere/staging")
    ends = Ends(stand.uri, stand.postgres.port, stand.target, staging)
    plan = DatabasePlan(run=run, tables=[dying(WIDE)])
    return deliver_all(plan, ends, Policy(True, 0, STALL_SECONDS), cut(stand.pages["wide"], CHUNKS), DUPLICATES, seed)


def dying(table: PlannedTable) -> PlannedTable:
    """Return the table read by a session that may end in the middle of it."""
    columns = [one.model_copy(update={"expression": DYING}) if one.name == "qty" else one for one in table.columns]
    return table.model_copy(update={"columns": columns})


def cut(pages: int, parts: int) -> list[Chunk]:
    """Return the chunks of table `wide`."""
    bounds = [pages * part // parts for part in range(parts)] + [None]
    return [
        Chunk(table="wide", number=number, by="ctid", first=bounds[number], last=bounds[number + 1])
        for number in range(parts)
    ]


def deliver_all(
    plan: DatabasePlan, ends: Ends, policy: Policy, chunks: list[Chunk], duplicates: int, seed: int
) -> Counter[str]:
    """Deliver every chunk, some twice, in random order by some workers; return why deliveries had to be repeated."""
    chance = random.Random(seed)
    deliveries = [*chunks, *chance.choices(chunks, k=duplicates)]
    chance.shuffle(deliveries)
    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(lambda chunk: _deliver(plan, ends, policy, chunk), deliveries), Counter[str]())


_pause = threading.Event()


def _deliver(plan: DatabasePlan, ends: Ends, policy: Policy, chunk: Chunk) -> Counter[str]:
    """Deliver a job of one chunk until it is done, as the durable engine and copy_group do."""
    codes = Counter[str]()
    for _ in range(TRIES):
        try:
            done = run_job(Job(number=0, chunks=[chunk]), plan, ends, policy)
        except TransientError as error:
            codes[error.code] += 1
        else:
            if done.stopped is None:
                return codes
            codes[done.stopped] += 1
        _pause.wait(0.01)
    raise RuntimeError(f"{chunk.about} was not loaded after {TRIES} deliveries: {codes}")


def _expected(stand: CopyStand) -> Counter[Row]:
    """Return every row of the source as the target keeps it."""
    names = ", ".join(AS_KEPT if name == "changeddate" else name for name in COLUMNS)
    with psycopg.connect(stand.uri) as connection:
        return Counter(connection.execute(f"SELECT {names} FROM wide".encode()).fetchall())


def _wrong(stand: CopyStand, expected: Counter[Row]) -> int:
    """Count rows that are there more or less than once, or not as they were, and empty the table for the next round."""
    names = ", ".join(f"[{name}]" for name in COLUMNS)
    with pyodbc.connect(connection_string(stand.target), autocommit=True) as connection:
        rows = connection.execute(f"SELECT {names} FROM [dbo].[wide]").fetchall()
        connection.execute("TRUNCATE TABLE [dbo].[wide]")
    found = Counter(tuple(row) for row in rows)
    return sum(abs(found[row] - expected[row]) for row in found.keys() | expected.keys())
