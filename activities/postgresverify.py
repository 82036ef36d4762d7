"""Target mode `postgres`, the proof: rows of the dump in staging against rows of the target; sequences; keys."""

from dataclasses import dataclass

import psycopg
from azure.storage.blob import BlobClient
from pydantic import BaseModel, Field

from activities.boundary import activity
from activities.postgresplan import target_plan, target_server
from shared import masking, runpaths
from shared.blobs import clients, documents
from shared.budget import Budget
from shared.contracts import Counts, Run, SnapshotWork, TableRows, Verified
from shared.copying.stage import read_lines, write_lines
from shared.errors import Finding, Refusal
from shared.postgres.connection import connect
from shared.postgres.targetplan import TargetPlan, TargetTable, name_of, sequences_of
from shared.snapshot.dumpsource import Meter, open_dump, table_text
from shared.snapshot.rowtext import rewrites_of
from shared.snapshot.work import BatchDone, LoadBatch
from shared.verification import restoredchecks
from shared.verification.copytext import Comparison
from shared.verification.restored import count_rows, set_up, sides_of
from shared.verification.restoredchecks import TableVerified
from shared.verification.textrows import advance

SECONDS = 180  # of one call


class BatchVerified(BatchDone):
    """Output of `verify_postgres_tables`; the last call's has the findings."""

    findings: list[Finding] = Field(default_factory=list)


class BatchState(BaseModel):
    """What one call leaves for the next: the tables that are done, and how far the comparison of the following table is.

    Each call reads what the call before it wrote, and writes under a number of its own. So a delivery that comes twice,
    or late, still reads a complete state.
    """

    results: list[TableVerified] = Field(default_factory=list)
    findings: list[Finding] = Field(default_factory=list)
    comparison: Comparison = Field(default_factory=Comparison)
    done: Counts = Field(default_factory=Counts, description="What was done before this call.")


class VerificationWork(SnapshotWork):
    """Input of `finish_postgres_verification`: what was found table by table."""

    findings: list[Finding] = Field(default_factory=list)


@activity
def verify_postgres_tables(work: LoadBatch) -> BatchVerified:
    """Compare one batch of tables on both sides; reads only. Call it until it is finished.

    The numbers go to staging, findings into the last call's answer.
    """
    run, server, plan = work.run, target_server(work.run), target_plan(work.run)
    batch, state = plan.batches[work.batch], _state(work)
    copied = {
        one.name: one.rows_copied
        for one in read_lines(clients.staging(), runpaths.of_run(run.id, runpaths.COPIED), TableRows)
    }
    with connect(server, autocommit=True, application_name="mxferry verify") as connection:
        set_up(connection, plan.encoding)
        verifier = _Verifier(connection, work, plan, copied, Budget(SECONDS))
        while len(state.results) < len(batch):
            ended = verifier.go_on(batch[len(state.results)], state)
            if verifier.budget.spent and len(state.results) < len(batch):
                answer = _answer(work, batch, state, finished=False, under_way=0 if ended else verifier.bytes)
                documents.write(
                    _state_blob(run, work.batch, work.step + 1), state.model_copy(update={"done": answer.done})
                )
                return answer
    write_lines(clients.staging(), runpaths.of_run(run.id, runpaths.results(work.batch)), state.results)
    return _answer(work, batch, state, finished=True)


@activity
def finish_postgres_verification(work: VerificationWork) -> Verified:
    """Sum up the tables; check the tables left empty, sequences and keys. Returns one check for each kind of proof."""
    run, plan, staging = work.run, target_plan(work.run), clients.staging()
    dump, levels = open_dump(work.snapshot.dump), work.run.request.options.verify
    results = [
        one
        for batch in range(len(plan.batches))
        for one in read_lines(staging, runpaths.of_run(run.id, runpaths.results(batch)), TableVerified)
    ]
    with connect(target_server(run), autocommit=True, application_name="mxferry verify") as connection:
        rows = {one.table: one.rows_target for one in results} | _left_empty(connection, plan)
        sequences, wrong_sequences = restoredchecks.sequence_check(connection, sequences_of(dump))
        keys, wrong_keys = restoredchecks.key_check(connection, dump)
    tables = [
        one.model_copy(update={"rows_target": rows.get(one.name)})
        for one in read_lines(staging, runpaths.of_run(run.id, runpaths.COPIED), TableRows)
    ]
    filled = [
        restoredchecks.count_finding(one.name, 0, one.rows_target or 0)
        for one in tables
        if one.content == "empty" and one.rows_target
    ]
    write_lines(staging, runpaths.of_run(run.id, runpaths.VERIFIED), tables)
    return Verified(
        checks=[*restoredchecks.row_checks(tables, results, levels), sequences, keys],
        findings=[*work.findings, *filled, *wrong_sequences, *wrong_keys],
        tables_blob=runpaths.of_run(run.id, runpaths.VERIFIED),
    )


@dataclass
class _Verifier:
    """Compares tables, one after another, with what the dump has."""

    connection: psycopg.Connection
    work: LoadBatch
    plan: TargetPlan
    copied: dict[str, int]
    budget: Budget
    bytes: int = 0
    """Bytes of the current table, as it lies in the dump, that are compared."""

    def go_on(self, table: TargetTable, state: BatchState) -> bool:
        """Compare a table until the budget is spent; return whether it is done. Result and findings go into the state."""
        name, levels = name_of(table.data), self.work.run.request.options.verify
        compared = state.comparison.compared
        if "hash" not in levels:
            compared.rows_target = count_rows(self.connection, table.data.schema_name, table.data.table)
        elif not self._compared(table, state.comparison):
            return False
        if not compared.equal:
            state.findings.append(restoredchecks.contents_finding(name, compared))
        if "counts" in levels and compared.rows_target != self.copied[name]:
            state.findings.append(restoredchecks.count_finding(name, self.copied[name], compared.rows_target))
        state.results.append(
            TableVerified(
                table=name,
                rows_target=compared.rows_target,
                rows_source=compared.rows_source if "hash" in levels else None,
                in_order=compared.in_order,
                differing=compared.changed + compared.missing + compared.unexpected + compared.buckets_unseen,
            )
        )
        state.comparison = Comparison()
        return True

    def _compared(self, table: TargetTable, comparison: Comparison) -> bool:
        meter, run = Meter(), self.work.run
        sides = sides_of(
            self.connection,
            (table.data.schema_name, table.data.table),
            table.data.columns,
            lambda: table_text(self.work.snapshot.dump, table.data, meter),
            rewrites_of(table.changes, table.data.columns, masking.of_dump(run.id, run.request)),
            self.plan.server_major,
        )
        done = advance(sides, comparison, self.budget)
        self.bytes = min(meter.bytes, table.data.size) if comparison.phase == "order" else table.data.size
        return done


def _answer(
    work: LoadBatch, batch: list[TargetTable], state: BatchState, *, finished: bool, under_way: int = 0
) -> BatchVerified:
    done = Counts(
        tables=len(state.results),
        rows=sum(one.rows_target for one in state.results) + state.comparison.compared.rows_target,
        bytes=sum(one.data.size for one in batch[: len(state.results)]) + under_way,
    )
    return BatchVerified(
        batch=work.batch,
        finished=finished,
        rows=max(0, done.rows - state.done.rows),
        bytes=done.bytes - state.done.bytes,
        done=done,
        findings=state.findings[:20] if finished else [],
    )


def _state(work: LoadBatch) -> BatchState:
    if not work.step:
        return BatchState()
    state = documents.read(_state_blob(work.run, work.batch, work.step), BatchState)
    if state is None:
        raise Refusal(
            "VERIFY_UNPREPARED", f"batch {work.batch}", "expected the state of the comparison in staging, found none.",
            "Start the migration again, and keep the staging container's runs/ folder while it runs.",
        )  # fmt: skip
    return state


def _left_empty(connection: psycopg.Connection, plan: TargetPlan) -> dict[str, int]:
    return {name_of(one.data): count_rows(connection, one.data.schema_name, one.data.table) for one in plan.empty}


def _state_blob(run: Run, batch: int, step: int) -> BlobClient:
    return clients.staged(run.id, runpaths.comparison(batch, step))
