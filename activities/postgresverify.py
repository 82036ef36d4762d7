"""Target mode `postgres`, the proof: rows of the dump in staging against rows of the target; sequences; keys."""

from collections.abc import Iterator

import psycopg
from pydantic import Field

from activities.boundary import activity
from activities.postgresplan import target_plan, target_server
from activities.postgrestarget import COPIED
from shared.blobs import clients
from shared.contracts import DumpRef, Run, SnapshotWork, TableRows, Verified
from shared.copying.stage import read_lines, write_lines
from shared.errors import Finding
from shared.postgres.connection import connect
from shared.postgres.targetplan import TargetPlan, TargetTable, name_of, sequences_of
from shared.rowcontracts import JobVerified
from shared.snapshot.dumpsource import open_dump, table_text
from shared.snapshot.rowtext import rewrites_of, rewritten
from shared.snapshot.work import LoadBatch
from shared.verification import restoredchecks
from shared.verification.copytext import compare
from shared.verification.restored import counted, set_up, sides_of
from shared.verification.restoredchecks import TableVerified

VERIFIED = "verify/tables.ndjson"


class BatchVerified(JobVerified):
    """Output of `verify_postgres_tables`: numbers of the whole batch, findings of this call."""

    batch: int
    finished: bool = True


class VerificationWork(SnapshotWork):
    """Input of `finish_postgres_verification`: what was found table by table."""

    findings: list[Finding] = Field(default_factory=list)


@activity
def verify_postgres_tables(work: LoadBatch) -> BatchVerified:
    """Compare one batch of tables on both sides; reads only. The numbers go to staging, findings into the answer."""
    run, plan, server = work.run, target_plan(work.run), target_server(work.run)
    copied = {one.name: one.rows_copied for one in read_lines(clients.staging(), _blob(run, COPIED), TableRows)}
    results: list[TableVerified] = []
    findings: list[Finding] = []
    with connect(server, autocommit=True, application_name="mxferry verify") as connection:
        set_up(connection, plan.encoding)
        for table in plan.batches[work.batch]:
            result, found = _verified(connection, work, plan, table)
            results.append(result)
            findings.extend(found)
            expected = copied[result.table]
            if "counts" in run.request.options.verify and result.rows_target != expected:
                findings.append(restoredchecks.count_finding(result.table, expected, result.rows_target))
    write_lines(clients.staging(), _results(run, work.batch), results)
    return BatchVerified(
        batch=work.batch,
        rows=sum(one.rows_target for one in results),
        bytes=sum(table.data.size for table in plan.batches[work.batch]),
        findings=findings[:20],
    )


@activity
def finish_postgres_verification(work: VerificationWork) -> Verified:
    """Sum up the tables, look at those left empty, at sequences and keys; one check for each kind of proof."""
    run, plan, staging = work.run, target_plan(work.run), clients.staging()
    dump, levels = open_dump(work.snapshot.dump), work.run.request.options.verify
    results = [
        one for batch in range(len(plan.batches)) for one in read_lines(staging, _results(run, batch), TableVerified)
    ]
    with connect(target_server(run), autocommit=True, application_name="mxferry verify") as connection:
        rows = {one.table: one.rows_target for one in results} | _left_empty(connection, plan)
        sequences, wrong_sequences = restoredchecks.sequence_check(connection, sequences_of(dump))
        keys, wrong_keys = restoredchecks.key_check(connection, dump)
    tables = [
        one.model_copy(update={"rows_target": rows.get(one.name)})
        for one in read_lines(staging, _blob(run, COPIED), TableRows)
    ]
    filled = [
        restoredchecks.count_finding(one.name, 0, one.rows_target or 0)
        for one in tables
        if one.content == "empty" and one.rows_target
    ]
    write_lines(staging, _blob(run, VERIFIED), tables)
    return Verified(
        checks=[*restoredchecks.row_checks(tables, results, levels), sequences, keys],
        findings=[*work.findings, *filled, *wrong_sequences, *wrong_keys],
        tables_blob=_blob(run, VERIFIED),
    )


def _verified(
    connection: psycopg.Connection, work: LoadBatch, plan: TargetPlan, table: TargetTable
) -> tuple[TableVerified, list[Finding]]:
    data, name = table.data, name_of(table.data)
    rows = counted(connection, data.schema_name, data.table)
    if "hash" not in work.run.request.options.verify:
        return TableVerified(table=name, rows_target=rows), []
    sides = sides_of(
        connection,
        (data.schema_name, data.table),
        table.data.columns,
        lambda: _source(work.run, work.snapshot.dump, table),
        plan.server_major,
    )
    compared = compare(sides)
    result = TableVerified(
        table=name,
        rows_target=rows,
        rows_source=compared.rows_source,
        in_order=compared.in_order,
        differing=compared.changed + compared.missing + compared.unexpected + compared.buckets_unseen,
    )
    return result, [] if compared.equal else [restoredchecks.contents_finding(name, compared)]


def _source(run: Run, dump: DumpRef, table: TargetTable) -> Iterator[bytes]:
    """The rows that the target should have: the dump's, with the changes of the run."""
    return rewritten(table_text(dump, table.data), rewrites_of(table.changes, table.data.columns, run.id))


def _left_empty(connection: psycopg.Connection, plan: TargetPlan) -> dict[str, int]:
    return {name_of(one.data): counted(connection, one.data.schema_name, one.data.table) for one in plan.empty}


def _results(run: Run, batch: int) -> str:
    return _blob(run, f"verify/results-{batch:06d}.ndjson")


def _blob(run: Run, name: str) -> str:
    return f"runs/{run.id}/{name}"
