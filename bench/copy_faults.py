"""Exactly-once under fire: many chunks, duplicate deliveries, every fault, several seeds; rows counted on the stand-in."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pyodbc

from bench.copy_stand import NARROW, CopyStand, copy_stand
from bench.harness import Measured, bench, scaled
from local.sqlserver.control import Control
from shared.copying.arrow import Conversion
from shared.copying.load import ChunkWork, load_chunk
from shared.copying.model import Chunk
from shared.copying.source import Source
from shared.copying.watchdog import Heartbeat
from shared.errors import TransientError
from shared.sqlserver import marker
from shared.sqlserver.bulk import CORE_ERRORS, BulkSession
from shared.sqlserver.connection import connection_string

CHUNKS, DUPLICATES, WORKERS, SEEDS = 150, 40, 4, 5
ROWS_A_CHUNK = 300
TRIES = 200
FAULTS = (
    {"kind": "reset_bulk", "rows": 50},
    {"kind": "reset_before_commit"},
    {"kind": "reset_after_commit"},
    {"kind": "error_bulk", "number": 40501},
    {"kind": "error_bulk", "number": 1205},
    {"kind": "error_commit", "number": 40197},
)


@bench("copy_faults", unit="rows twice or missing", goal="= 0")
def rows_twice_or_missing() -> Measured:
    """150 chunks and 40 duplicate deliveries, in random order, on 4 threads, for each of the seeds."""
    seeds = scaled(SEEDS)
    wrong = retries = fired = 0
    with copy_stand(narrow=CHUNKS * ROWS_A_CHUNK, discard=False) as stand, Control(stand.control_port) as control:
        for seed in range(1, seeds + 1):
            for fault in FAULTS:
                control.fault(**fault, times=None, probability=0.05, seed=seed)
            retries += _round(stand, seed)
            control.clear()
            wrong += _wrong(stand)
        fired = sum(control.statistics()["faults_fired"].values())
    detail = f"{seeds} seeds x {CHUNKS} chunks + {DUPLICATES} duplicates, {fired} faults, {retries} retries"
    return Measured(wrong, "", detail)


def _round(stand: CopyStand, seed: int) -> int:
    """Load the table once, under faults; return how many deliveries had to be repeated."""
    chance = random.Random(seed)
    work = ChunkWork(f"seed-{seed}", NARROW, True, Conversion(NARROW.columns))
    with pyodbc.connect(connection_string(stand.target), autocommit=True) as connection:
        marker.set_created(connection, work.run)
    pages = stand.pages["narrow"]
    bounds = [pages * part // CHUNKS for part in range(CHUNKS)] + [None]
    chunks = [
        Chunk(table="narrow", number=number, by="ctid", first=bounds[number], last=bounds[number + 1])
        for number in range(CHUNKS)
    ]
    deliveries = [*chunks, *chance.choices(chunks, k=DUPLICATES)]
    chance.shuffle(deliveries)
    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(lambda chunk: _deliver(stand, work, chunk), deliveries))


_pause = threading.Event()


def _deliver(stand: CopyStand, work: ChunkWork, chunk: Chunk) -> int:
    for tries in range(TRIES):
        try:
            _once(stand, work, chunk)
        except (TransientError, *CORE_ERRORS):
            _pause.wait(0.01)
            continue
        return tries
    raise RuntimeError(f"{chunk.about} was not loaded after {TRIES} deliveries")


def _once(stand: CopyStand, work: ChunkWork, chunk: Chunk) -> None:
    source = Source(stand.uri)
    try:
        session = BulkSession(stand.target)
        try:
            load_chunk(session, source, work, chunk, Heartbeat())
        finally:
            session.close()
    finally:
        source.close()


def _wrong(stand: CopyStand) -> int:
    """Count rows that are there more or less than once, and empty the table for the next round."""
    with pyodbc.connect(connection_string(stand.target), autocommit=True) as connection:
        found = Counter(row[0] for row in connection.execute("SELECT [a] FROM [dbo].[narrow]").fetchall())
        connection.execute("TRUNCATE TABLE [dbo].[narrow]")
    return sum(abs(found[number] - 1) for number in range(1, CHUNKS * ROWS_A_CHUNK + 1))
