"""Verifying rows: cut the tables into slices, compare each on both sides, sum up."""

import psycopg
from azure.storage.blob import ContainerClient

from activities.boundary import activity
from activities.schema import target_of
from shared import masking, runpaths
from shared.blobs import clients
from shared.blobs.documents import read, write_or_read
from shared.contracts import RestoredWork, TableRows
from shared.copying.model import Chunk, Job
from shared.copying.plan import (
    Heap,
    heap_of,
    heap_sizes,
    key_boundaries,
    key_chunks,
    key_column,
    make_jobs,
    part_bytes,
    total_bytes,
)
from shared.copying.stage import all_rejects, database_plan, read_lines, write_groups, write_lines
from shared.databaseplan import DatabasePlan
from shared.errors import Finding
from shared.postgres.connection import connect
from shared.rowcontracts import FinishVerification, JobVerified, VerificationSummary, VerifyJob, VerifyPlan
from shared.settings import settings
from shared.sqlserver.connection import session
from shared.verification.checks import checks, rounded_finding, with_targets
from shared.verification.model import SliceVerified
from shared.verification.slices import verify_slice
from shared.verification.slicesides import Sides

STATEMENT_SECONDS = 900


@activity
def plan_verification(work: RestoredWork) -> VerifyPlan:
    """Cut every planned table into slices by its primary key, once, and write the jobs to staging."""
    run, staging = work.run, clients.staging()
    first = clients.staged(run.id, runpaths.jobs_plan("verify"))
    if (earlier := read(first, VerifyPlan)) is not None:
        return earlier
    plan = database_plan(staging, run.id)
    profile = settings().target_profile(run.request.target)
    with connect(settings().postgres, work.restore.database, read_only=True) as connection:
        sizes = heap_sizes(connection)
        total = total_bytes(sizes, plan.tables)
        size = part_bytes(total, profile.max_parallel_chunks, settings().verify_slice_bytes)
        slices = _slices(connection, sizes, plan, size)
    planned = VerifyPlan(
        groups=write_groups(staging, run.id, "verify", make_jobs(slices, size)),
        tables=len(plan.tables),
        rows=sum(table.rows for table in plan.tables if table.content == "copy"),
        limit=profile.max_parallel_chunks,
    )
    return write_or_read(first, planned)


@activity
def verify_slices(work: VerifyJob) -> JobVerified:
    """Compare the slices of one job on both sides; the numbers go to staging, the findings into the answer."""
    run, staging = work.run, clients.staging()
    plan = database_plan(staging, run.id)
    job = read_lines(staging, work.blob, Job)[work.job]
    target = target_of(work)
    results: list[SliceVerified] = []
    findings: list[Finding] = []
    database = work.restore.database
    key = masking.of_database(database, run.request)
    with (
        connect(settings().postgres, database, read_only=True, autocommit=True, session=key) as postgres,
        session(target, timeout=STATEMENT_SECONDS) as connection,
    ):
        for chunk in job.chunks:
            table = plan.table(chunk.table)
            rejected = all_rejects(staging, run.id, table.name) if run.request.options.max_rejects else ()
            without = tuple(reject.ctid for reject in rejected)
            sides = Sides(postgres, connection, table, chunk, without)
            result, found = verify_slice(sides, run.request.options.verify)
            results.append(result)
            findings.extend(found)
    write_lines(staging, runpaths.of_run(run.id, runpaths.results(job.number)), results)
    return JobVerified(
        rows=sum(one.rows_target for one in results),
        bytes=sum(chunk.bytes for chunk in job.chunks),
        findings=findings[:20],
    )


@activity
def finish_verification(work: FinishVerification) -> VerificationSummary:
    """Sum up all slices: one check a level, rows per table with those counted on the target."""
    run, staging = work.run, clients.staging()
    slices = _results(staging, run.id, work.jobs)
    copied = read_lines(staging, runpaths.of_run(run.id, runpaths.COPIED), TableRows)
    tables = with_targets(copied, slices)
    name = runpaths.of_run(run.id, runpaths.VERIFIED)
    write_lines(staging, name, tables)
    rounded = rounded_finding(slices)
    return VerificationSummary(
        checks=checks(
            slices, tables, run.request.options.verify, by_runtime=run.request.options.target_mode == "runtime"
        ),
        findings=[*work.findings, *([rounded] if rounded else [])],
        tables_blob=name,
    )


def _slices(
    connection: psycopg.Connection, sizes: dict[str, Heap], plan: DatabasePlan, slice_bytes: int
) -> list[Chunk]:
    """Return the slices of all tables, the largest table first."""
    found: list[Chunk] = []
    for table in sorted(plan.tables, key=lambda one: (-one.source_bytes, one.name)):
        size = heap_of(sizes, table).bytes if table.content == "copy" else 0
        column = key_column(table)
        parts = -(-size // slice_bytes)
        if column is None or parts < 2:
            found.append(Chunk(table=table.name, number=0, rows=table.rows, bytes=size))
        else:
            bounds = key_boundaries(connection, table, column, parts)
            found.extend(key_chunks(table, column, bounds, size))
    return found


def _results(staging: ContainerClient, run: str, jobs: int) -> list[SliceVerified]:
    return [
        one
        for job in range(jobs)
        for one in read_lines(staging, runpaths.of_run(run, runpaths.results(job)), SliceVerified)
    ]
