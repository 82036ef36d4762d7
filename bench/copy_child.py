"""One figure of the copy in a process of its own: `python -m bench.copy_child MODE TABLES URI SERVER PAGES WORKERS`.

Modes: `read` (ADBC alone), `write` (bulk load of preloaded batches alone), `copy` (both, chunk by chunk, with ledger).
`copy` takes several tables, with their pages and workers, parted by commas: they are copied at the same time.
Sessions are open before the clock starts, in every mode.
Prints JSON: seconds, cpu (seconds of this process), rows, peak_mib. The password comes in `BENCH_PASSWORD`.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from bench.copy_stand import NARROW, WIDE
from shared.copying.arrow import Conversion
from shared.copying.load import ChunkWork, load_chunk
from shared.copying.model import Chunk
from shared.copying.reading import select_sql
from shared.copying.source import Source
from shared.copying.watchdog import Heartbeat
from shared.databaseplan import PlannedTable
from shared.settings import SqlServer
from shared.sqlserver import marker
from shared.sqlserver.bulk import BulkSession
from shared.sqlserver.connection import session as connected

CHUNKS = 8


def main() -> None:
    """Prepare, measure, print."""
    mode, names, uri, server, pages, workers = sys.argv[1:7]
    tables = [WIDE if name == "wide" else NARROW for name in names.split(",")]
    table = tables[0]
    password = os.environ["BENCH_PASSWORD"]
    target = SqlServer(server=server, database="bench", user="sa", password=password, encrypt="no")
    run = f"bench-{mode}-{os.getpid()}"
    with connected(target) as connection:
        marker.set_created(connection, run)
    works = [ChunkWork(run, one, True, Conversion(one.columns)) for one in tables]
    if mode == "read":
        source = Source(uri)
        measured(lambda: read(source, table))
    elif mode == "write":
        session = BulkSession(target)
        reader = preloaded(uri, works[0])
        measured(lambda: session.load(table.name, reader, works[0].conversion.schema.names, table_lock=True))
    else:
        ends = [[(Source(uri), BulkSession(target)) for _ in range(int(few))] for few in workers.split(",")]
        jobs = list(zip(ends, works, map(int, pages.split(",")), strict=True))
        with ThreadPoolExecutor(len(jobs)) as pool:
            measured(lambda: sum(pool.map(lambda job: copy(*job), jobs)))


def read(source: Source, table: PlannedTable) -> int:
    """Read the table by ADBC and do nothing with it."""
    with source.snapshot() as snapshot:
        return sum(batch.num_rows for batch in snapshot.batches(select_sql(table, "")))


def preloaded(uri: str, work: ChunkWork) -> pa.RecordBatchReader:
    """Return the whole table from memory."""
    source = Source(uri)
    with source.snapshot() as snapshot:
        batches = [work.conversion(batch).batch for batch in snapshot.batches(select_sql(work.table, ""))]
    source.close()
    return pa.RecordBatchReader.from_batches(work.conversion.schema, iter(batches))


def copy(ends: list[tuple[Source, BulkSession]], work: ChunkWork, pages: int) -> int:
    """Copy the table in chunks, by as many workers as there are pairs of open sessions."""
    bounds = [pages * part // CHUNKS for part in range(CHUNKS)] + [None]
    chunks = [
        Chunk(table=work.table.name, number=number, by="ctid", first=bounds[number], last=bounds[number + 1])
        for number in range(CHUNKS)
    ]

    def some(worker: int) -> int:
        source, session = ends[worker]
        mine = chunks[worker :: len(ends)]
        return sum(load_chunk(session, source, work, chunk, Heartbeat()).rows for chunk in mine)

    with ThreadPoolExecutor(len(ends)) as pool:
        return sum(pool.map(some, range(len(ends))))


def measured(work: Callable[[], int]) -> None:
    """Measure a call and print what it took."""
    before, started = _cpu(), time.perf_counter()
    rows = work()
    seconds, cpu = time.perf_counter() - started, _cpu() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rows": rows, "peak_mib": peak}))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
