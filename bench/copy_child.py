"""One figure of the copy in a process of its own: `python -m bench.copy_child MODE TABLE URI SERVER PAGES WORKERS`.

Modes: `read` (ADBC alone), `write` (bulk load of preloaded batches alone), `copy` (both, chunk by chunk, with ledger),
`executemany` (pyodbc's fast_executemany of preloaded rows). Sessions are open before the clock starts, in every mode.
Prints JSON: seconds, cpu (seconds of this process), rows, peak_mib. The password comes in `BENCH_PASSWORD`.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pyarrow as pa
import pyodbc

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
from shared.sqlserver.bulk import PACKET_SIZE, BulkSession
from shared.sqlserver.connection import connection_string
from shared.sqlserver.connection import session as connected

CHUNKS = 8
FEW = 10_000  # rows for pyodbc: its rate does not depend on how many there are


def main() -> None:
    """Prepare, measure, print."""
    mode, name, uri, server, pages, workers = sys.argv[1:7]
    table = WIDE if name == "wide" else NARROW
    password = os.environ["BENCH_PASSWORD"]
    target = SqlServer(server=server, database="bench", user="sa", password=password, encrypt="no")
    run = f"bench-{mode}-{os.getpid()}"
    with connected(target) as connection:
        marker.set_created(connection, run)
    work = ChunkWork(run, table, True, Conversion(table.columns))
    if mode == "read":
        source = Source(uri)
        measured(lambda: read(source, table))
    elif mode == "write":
        session = BulkSession(target)
        reader = preloaded(uri, work)
        measured(lambda: session.load(table.name, reader, work.conversion.schema.names, table_lock=True))
    elif mode == "executemany":
        execute_many(uri, target, table)
    else:
        ends = [(Source(uri), BulkSession(target)) for _ in range(int(workers))]
        measured(lambda: copy(ends, work, int(pages)))


def execute_many(uri: str, target: SqlServer, table: PlannedTable) -> None:
    """Insert some rows by pyodbc's array binding, in packets as large as ours."""
    with psycopg.connect(uri) as postgres:
        rows = postgres.execute(f"SELECT * FROM {table.source_name} LIMIT {FEW}".encode()).fetchall()
    text = f"{connection_string(target)};PacketSize={PACKET_SIZE}"
    with pyodbc.connect(text, autocommit=False) as connection:
        cursor = connection.cursor()
        cursor.fast_executemany = True
        marks = ", ".join("?" for _ in table.columns)

        def insert() -> int:
            cursor.executemany(f"INSERT INTO [dbo].[{table.name}] VALUES ({marks})", rows)
            return len(rows)

        measured(insert)


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
