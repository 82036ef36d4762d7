"""Copying rows: cut the tables into chunks, load the chunks, count what the ledger says."""

from collections import defaultdict

import pyodbc

from activities.boundary import activity
from activities.schema import target_of
from shared import masking, runpaths
from shared.blobs import clients
from shared.blobs.documents import read, write_or_read
from shared.contracts import Copied, RestoredWork, TableRows
from shared.copying.job import Ends, JobDone, Policy, run_job
from shared.copying.model import Job
from shared.copying.plan import MOST_ROWS, heap_sizes, in_turns, make_jobs, part_bytes, plan_chunks, total_bytes
from shared.copying.stage import database_plan, forget_rejects, read_lines, write_groups, write_lines
from shared.databaseplan import DatabasePlan, PlannedTable
from shared.errors import Refusal, TransientError
from shared.postgres.connection import adbc_uri, connect
from shared.rowcontracts import CopyJob, CopyPlan, FinishCopy, JobCopied
from shared.settings import SqlServer, settings
from shared.sqlserver.connection import session
from shared.sqlserver.ledger import LedgerRow, loaded_chunks

AZURE_SQL_DATABASE = 5  # SERVERPROPERTY('EngineEdition')


@activity
def plan_copy(work: RestoredWork) -> CopyPlan:
    """Cut the planned tables into chunks and jobs, once, write them to staging, say how many may run at a time."""
    run, staging = work.run, clients.staging()
    first = clients.staged(run.id, runpaths.jobs_plan("copy"))
    if (earlier := read(first, CopyPlan)) is not None:
        return earlier
    plan = database_plan(staging, run.id)
    profile = settings().target_profile(run.request.target)
    table_lock = plan.mode == "create" and profile.load == "heap-first"
    with connect(settings().postgres, work.restore.database, read_only=True) as connection:
        sizes = heap_sizes(connection)
        total = total_bytes(sizes, plan.tables)
        size = part_bytes(total, profile.max_parallel_chunks, settings().copy_chunk_bytes)
        # Where the keys exist, every row is locked until COMMIT, and a session that locks most of a table keeps others out.
        chunks = plan_chunks(connection, sizes, plan.tables, size, None if table_lock else MOST_ROWS)
    chunks = chunks if table_lock else in_turns(chunks)
    jobs = make_jobs(chunks, size)
    copied = [table for table in plan.tables if table.content == "copy"]
    planned = CopyPlan(
        groups=write_groups(staging, run.id, "copy", jobs),
        tables=len(copied),
        chunks=len(chunks),
        rows=sum(table.rows for table in copied),
        bytes=sum(chunk.bytes for chunk in chunks),
        limit=profile.max_parallel_chunks,
        table_lock=table_lock,
        log_stats=_tells_log_rate(target_of(work)),
    )
    return write_or_read(first, planned)


@activity
def copy_chunks(work: CopyJob) -> JobCopied:
    """Load the chunks of one job, each exactly once; answers `stopped` when the target wants fewer at a time."""
    staging = clients.staging()
    plan = database_plan(staging, work.run.id)
    job = read_lines(staging, work.blob, Job)[work.job]
    postgres = settings().postgres
    database = work.restore.database
    uri = adbc_uri(postgres, database, session=masking.of_database(database, work.run.request))
    ends = Ends(uri, postgres.port, target_of(work), staging)
    policy = Policy(
        table_lock=work.table_lock,
        max_rejects=work.run.request.options.max_rejects,
        stall_seconds=settings().copy_stall_seconds,
    )
    done = run_job(job, plan, ends, policy)
    answer = _answer(job, done)
    if work.log_stats:
        answer = answer.model_copy(update={"log_write_percent": _log_write_percent(ends.target)})
    return answer


@activity
def finish_copy(work: FinishCopy) -> Copied:
    """Compare the ledger with the plan, table by table; Refusal ROWS_NOT_COPIED names a table that lacks rows."""
    run, staging = work.run, clients.staging()
    plan = database_plan(staging, run.id)
    with session(target_of(work)) as connection:
        ledger = loaded_chunks(connection, run.id)
    if len(ledger) != work.chunks:
        raise Refusal(
            "ROWS_NOT_COPIED",
            "ledger",
            f"expected {work.chunks} loaded chunks in the ledger, found {len(ledger)}.",
            "Start the migration again; what was loaded is removed with the target's tables.",
        )
    forget_rejects(staging, run.id, {(entry.table, entry.chunk) for entry in ledger if not entry.rejected})
    tables = _table_rows(plan, ledger)
    name = runpaths.of_run(run.id, runpaths.COPIED)
    write_lines(staging, name, tables)
    return Copied(
        tables=sum(table.content == "copy" for table in tables),
        chunks=work.chunks,
        rows=sum(table.rows_copied for table in tables),
        bytes=sum(table.bytes for table in tables),
        rejected=sum(entry.rejected for entry in ledger),
        rounded=sum(entry.rounded for entry in ledger),
        tables_blob=name,
    )


def _answer(job: Job, done: JobDone) -> JobCopied:
    if done.stopped is not None:
        return JobCopied(stopped=done.stopped)
    return JobCopied(
        chunks=len(done.loaded),
        rows=sum(loaded.rows for loaded in done.loaded),
        bytes=sum(chunk.bytes for chunk in job.chunks),
        rejected=sum(loaded.rejected for loaded in done.loaded),
    )


def _table_rows(plan: DatabasePlan, ledger: list[LedgerRow]) -> list[TableRows]:
    rows: dict[str, int] = defaultdict(int)
    size: dict[str, int] = defaultdict(int)
    rejected: dict[str, int] = defaultdict(int)
    for entry in ledger:
        rows[entry.table] += entry.rows
        size[entry.table] += entry.bytes
        rejected[entry.table] += entry.rejected
    tables = [
        TableRows(
            name=table.name,
            rows_source=table.rows,
            rows_copied=rows[table.name],
            bytes=size[table.name],
            rejected=rejected[table.name],
            content=table.content,
            reason=table.deviation,
        )
        for table in plan.tables
    ]
    for counted, table in zip(tables, plan.tables, strict=True):
        _check_rows(counted, table)
    return tables


def _check_rows(counted: TableRows, table: PlannedTable) -> None:
    expected = table.rows if table.content == "copy" else 0
    if counted.rows_copied + counted.rejected != expected:
        raise Refusal(
            "ROWS_NOT_COPIED",
            table.name,
            f"expected {expected} rows, found {counted.rows_copied} loaded and {counted.rejected} refused.",
            "The temporary database changed after it was planned from: start the migration again.",
        )


def _tells_log_rate(target: SqlServer) -> bool:
    with session(target) as connection:
        row = connection.execute("SELECT CAST(SERVERPROPERTY('EngineEdition') AS int)").fetchone()
    return bool(row and row[0] == AZURE_SQL_DATABASE)


def _log_write_percent(target: SqlServer) -> float | None:
    """Return the log rate of the last 15 seconds in percent of its limit; None where the login may not see it."""
    try:
        with session(target, timeout=5) as connection:
            row = connection.execute(
                "SELECT TOP (1) [avg_log_write_percent] FROM sys.dm_db_resource_stats ORDER BY [end_time] DESC"
            ).fetchone()
    except (Refusal, TransientError, pyodbc.Error):
        return None  # a hint only: without the right VIEW DATABASE STATE the copy goes on without it
    return float(row[0]) if row else None
