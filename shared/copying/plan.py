"""Cutting tables into chunks, and chunks into jobs.

Chunks are ranges of heap pages (`ctid`): from PostgreSQL 14 on a TID range scan reads just those pages
(https://www.postgresql.org/docs/14/release-14.html), while a range of ids without an index reads the whole table for
each chunk. The database must not change meanwhile; the temporary database does not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psycopg

from shared.copying.model import Chunk, Job
from shared.copying.reading import identifier, table_sql, where_sql
from shared.databaseplan import PlannedTable
from shared.errors import Refusal
from shared.sqlserver.columntype import parse

CHUNK_BYTES = 64 * 1024 * 1024
LEAST_BYTES = 2 * 1024 * 1024  # below this the round trips of a chunk cost more than its rows
JOBS_PER_SESSION = 8  # so that the load is spread evenly, and progress moves, also when there is little to copy
CHUNKS_PER_JOB = 40  # small tables to an activity: each costs a few round trips, and an activity ends within minutes
MOST_ROWS = 200_000
"""Rows of a chunk that is loaded into keys: each holds a lock until COMMIT, and Azure SQL ends a session that holds a
million (error 40550): https://learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues"""
TID_RANGE_SCANS = 140000  # server_version_num
SAMPLED_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Heap:
    """Size of a source table: pages of the heap, bytes with TOAST."""

    pages: int
    bytes: int


def part_bytes(total: int, sessions: int, most: int) -> int:
    """Return the size of the parts into which `total` bytes are cut: at most `most`, several for each session."""
    return min(most, max(LEAST_BYTES, total // (sessions * JOBS_PER_SESSION)))


def plan_chunks(
    connection: psycopg.Connection,
    sizes: dict[str, Heap],
    tables: Iterable[PlannedTable],
    chunk_bytes: int = CHUNK_BYTES,
    most_rows: int | None = None,
) -> list[Chunk]:
    """Cut the tables that are to be copied into chunks of about `chunk_bytes` and `most_rows`, largest table first."""
    ranged = connection.info.server_version >= TID_RANGE_SCANS
    chunks: list[Chunk] = []
    wanted = [table for table in tables if table.content == "copy"]
    for table in sorted(wanted, key=lambda one: (-heap_of(sizes, one).bytes, one.name)):
        heap = heap_of(sizes, table)
        column = None if ranged else key_column(table)
        parts = max(1, -(-heap.bytes // chunk_bytes), -(-table.rows // most_rows) if most_rows else 1)
        if column is None or parts == 1:
            chunks.extend(page_chunks(table, heap, parts))
        else:
            bounds = key_boundaries(connection, table, column, parts)
            chunks.extend(key_chunks(table, column, bounds, heap.bytes))
    return chunks


def heap_sizes(connection: psycopg.Connection) -> dict[str, Heap]:
    """Return the size of every table of schema public.

    Pages come from the file's length: `pg_class.relpages` is only as new as the last ANALYZE.
    """
    rows = connection.execute("""
        SELECT relname,
               pg_relation_size(oid) / current_setting('block_size')::bigint,
               pg_table_size(oid)
          FROM pg_class
         WHERE relnamespace = 'public'::regnamespace
           AND relkind IN ('r', 'p', 'm')
    """).fetchall()
    return {name: Heap(pages, size) for name, pages, size in rows}


def total_bytes(sizes: dict[str, Heap], tables: Iterable[PlannedTable]) -> int:
    """Return the bytes of the tables that are to be copied."""
    return sum(heap_of(sizes, table).bytes for table in tables if table.content == "copy")


def heap_of(sizes: dict[str, Heap], table: PlannedTable) -> Heap:
    """Return the size of a planned table; Refusal SOURCE_TABLE_MISSING if the database does not have it."""
    found = sizes.get(table.source_name)
    if found is None:
        raise Refusal(
            "SOURCE_TABLE_MISSING",
            table.source_name,
            "expected the planned table in schema public of the temporary database, found none.",
            "Start the migration again: the temporary database is not the one that was planned from.",
        )
    return found


def in_turns(chunks: Iterable[Chunk]) -> list[Chunk]:
    """Return the chunks so that tables take turns: sessions that load into the keys of one table wait for each other."""
    return sorted(chunks, key=lambda chunk: chunk.number)


def page_chunks(table: PlannedTable, heap: Heap, parts: int) -> Iterator[Chunk]:
    """Yield chunks of equal page counts; the last one is open-ended. A table without pages has no chunk."""
    if heap.pages == 0:
        return
    parts = min(heap.pages, parts)
    if parts == 1:
        yield Chunk(table=table.name, number=0, rows=table.rows, bytes=heap.bytes)
        return
    bounds = [heap.pages * part // parts for part in range(parts)]
    for number, first in enumerate(bounds):
        last = bounds[number + 1] if number + 1 < parts else None
        yield Chunk(
            table=table.name, number=number, by="ctid", first=first, last=last,
            rows=table.rows // parts, bytes=heap.bytes // parts,
        )  # fmt: skip


def key_chunks(table: PlannedTable, column: str, bounds: list[int], size: int) -> Iterator[Chunk]:
    """Yield chunks between the boundaries of a key column, open at both ends."""
    edges = [None, *bounds, None]
    parts = len(edges) - 1
    for number in range(parts):
        yield Chunk(
            table=table.name, number=number, by="key", column=column, first=edges[number], last=edges[number + 1],
            rows=table.rows // parts, bytes=size // parts,
        )  # fmt: skip


def key_column(table: PlannedTable) -> str | None:
    """Return the source name of the first primary key column if it holds whole numbers read as they are."""
    if table.primary_key is None or not table.primary_key.columns:
        return None
    first = table.primary_key.columns[0].name
    column = next((one for one in table.columns if one.name == first), None)
    if column is None or column.expression or not parse(column.type).integral:
        return None
    return column.source_name


def key_boundaries(connection: psycopg.Connection, table: PlannedTable, column: str, parts: int) -> list[int]:
    """Return at most `parts - 1` values that cut the key into ranges of about equal rows.

    Mendix ids are not evenly spread (the entity's number is in the high bits), so the values are quantiles, of a sample
    when the table is large.
    """
    if parts < 2:
        return []
    share = 100.0 * SAMPLED_ROWS / table.rows if table.rows > SAMPLED_ROWS else 100.0
    sample = f" TABLESAMPLE SYSTEM ({share:.6f}) REPEATABLE (1)" if share < 100 else ""
    fractions = ",".join(f"{part / parts:.9f}" for part in range(1, parts))
    row = connection.execute(
        f"SELECT percentile_disc('{{{fractions}}}'::float8[]) WITHIN GROUP (ORDER BY {identifier(column)})"  # noqa: S608
        f" FROM {table_sql(table)}{sample}{where_sql(table.where)}"
    ).fetchone()
    values = row[0] if row and row[0] else []
    return sorted({int(value) for value in values if value is not None})


def make_jobs(chunks: Iterable[Chunk], job_bytes: int = CHUNK_BYTES) -> list[Job]:
    """Group chunks into jobs, in order: a large chunk alone, small ones together up to `job_bytes`."""
    jobs: list[Job] = []
    held: list[Chunk] = []
    for chunk in chunks:
        full = held and (sum(one.bytes for one in held) + chunk.bytes > job_bytes or len(held) >= CHUNKS_PER_JOB)
        if full:
            jobs.append(Job(number=len(jobs), chunks=held))
            held = []
        held = [*held, chunk]
    if held:
        jobs.append(Job(number=len(jobs), chunks=held))
    return jobs
