"""Target mode `postgres`: the dump's tables, rows, keys and indexes straight into the target."""

from psycopg import sql
from pydantic import Field

from activities.boundary import activity
from activities.keys import WAITS, KeysMade, make_keys
from activities.postgresplan import target_plan, target_server
from shared import masking, runpaths, runs
from shared.blobs import clients
from shared.contracts import Copied, Counts, DumpRef, Findings, Run, RunWork, SnapshotWork, TableRows
from shared.copying.batches import load_batch
from shared.copying.stage import write_lines
from shared.errors import Refusal
from shared.postgres import fence, postdata, targetschema
from shared.postgres.connection import connect
from shared.postgres.loading import Destination, TableLoaded
from shared.postgres.sequences import set_sequences_once
from shared.postgres.targetplan import EmptyTable, TargetTable, describe_changes, name_of
from shared.settings import settings
from shared.snapshot.dumpsource import open_dump, table_text
from shared.snapshot.rowtext import rewrites_of
from shared.snapshot.work import BatchDone, LoadBatch
from shared.strict import Strict


class Batches(Strict):
    """Output of `postgres_batches`: how the tables are handed out."""

    batches: int
    window: int = Field(description="Batches at a time.")
    tables: int
    bytes: int


class Waves(Strict):
    """Output of `plan_postgres_keys`: groups that may run side by side, wave after wave."""

    waves: list[list[postdata.Group]]
    window: int


class KeysWork(RunWork):
    """Input of `make_postgres_keys`."""

    group: postdata.Group
    waits: int = WAITS


@activity
def create_postgres_schema(work: SnapshotWork) -> Findings:
    """Make the dump's tables and sequences on the target, empty; drops first only what the request confirmed, once."""
    run = work.run
    drop = run.request.target_not_empty == "drop"
    extensions = target_plan(run).extensions
    findings = targetschema.create(
        target_server(run), run.id, open_dump(work.snapshot.dump), extensions,
        drop=drop, may_begin=lambda other: _may_begin(run, other),
    )  # fmt: skip
    return Findings(findings=findings)


@activity
def postgres_batches(work: RunWork) -> Batches:
    """Say how many batches of tables there are, and how many may be worked on at a time."""
    plan = target_plan(work.run)
    window = settings().target_profile(work.run.request.target).max_parallel_chunks
    return Batches(batches=len(plan.batches), window=window, tables=len(list(plan.tables)), bytes=plan.bytes)


@activity
def load_postgres_tables(work: LoadBatch) -> BatchDone:
    """Load one batch of tables into the target, noted segment by segment in the ledger; call it until it is finished.

    What a run changes (rows left out, columns emptied or masked) is changed before it is sent: the server never sees
    the original values.
    """
    plan, server, run = target_plan(work.run), target_server(work.run), work.run.id
    into = Destination(server, server.database, plan.encoding, run)
    key = masking.of_dump(run, work.run.request)
    tables = [(one.data, rewrites_of(one.changes, one.data.columns, key)) for one in plan.batches[work.batch]]
    return load_batch(work.snapshot.dump, into, work.batch, tables)


@activity
def finish_postgres_load(work: SnapshotWork) -> Copied:
    """Check the ledger against the plan and write the rows of each table to staging; `Refusal` ROWS_NOT_COPIED."""
    plan, server = target_plan(work.run), target_server(work.run)
    with connect(server, autocommit=True, application_name="mxferry copy") as connection:
        ledger = targetschema.loaded(connection)
    missing = [table.data.label for table in plan.tables if table.data.entry not in ledger]
    if missing:
        raise _not_copied(missing[0], f"expected every table in the ledger, found {len(missing)} missing")
    tables: list[TableRows] = [_rows(table, ledger[table.data.entry]) for table in plan.tables]
    tables += [_left_empty(work.snapshot.dump, table) for table in plan.empty]
    name = runpaths.of_run(work.run.id, runpaths.COPIED)
    tables.sort(key=lambda one: one.name)
    write_lines(clients.staging(), name, tables)
    return Copied(
        tables=len(ledger), chunks=len(ledger), rows=sum(one.rows_copied for one in tables), bytes=plan.bytes,
        tables_blob=name,
    )  # fmt: skip


@activity
def plan_postgres_keys(work: SnapshotWork) -> Waves:
    """Set the sequences, once, and say in which order keys, indexes and foreign keys are made."""
    server = target_server(work.run)
    with connect(server, application_name="mxferry finish") as connection:
        fence.hold(connection, work.run.id)
        set_sequences_once(connection, open_dump(work.snapshot.dump))
        connection.commit()
    window = settings().target_profile(work.run.request.target).max_parallel_chunks
    return Waves(waves=postdata.waves(server, server.database), window=window)


@activity
def make_postgres_keys(work: KeysWork) -> KeysMade:
    """Make one group of keys, indexes, foreign keys or checks; what an earlier delivery made is left alone."""
    server = target_server(work.run)
    return make_keys(server, server.database, work.group, work.run.id)


@activity
def analyze_postgres_tables(work: LoadBatch) -> BatchDone:
    """Gather the planner's statistics of one batch of tables, which a restored database lacks."""
    server = target_server(work.run)
    batch = target_plan(work.run).batches[work.batch]
    with connect(server, autocommit=True, application_name="mxferry finish") as connection:
        for table in batch:
            name = sql.Identifier(table.data.schema_name, table.data.table)
            connection.execute(sql.SQL("ANALYZE {}").format(name))
    return BatchDone(batch=work.batch, done=Counts(tables=len(batch)))


def _may_begin(run: Run, other: str | None) -> None:
    """Raise a refusal if the run is over, or if the target belongs to another run."""
    runs.stop_if_closed(run.id)
    runs.stop_if_replaced(run.request.target, run.id)
    if other is not None and not runs.closed(other):
        raise Refusal(
            "TARGET_BUSY", other, "expected no other migration in this database, found one that is not over.",
            "Wait for it or abort it, and start again. If no installation of the app knows it any more: DROP SCHEMA mxferry "
            "CASCADE;",
        )  # fmt: skip


def _rows(table: TargetTable, loaded: TableLoaded) -> TableRows:
    left_out = loaded.rows_read - loaded.rows
    if left_out and not table.changes.left_out:
        found = f"expected the {loaded.rows_read} rows of the dump, found that {loaded.rows} were taken"
        raise _not_copied(table.data.label, found)
    return TableRows(
        name=name_of(table.data), rows_source=loaded.rows_read, rows_copied=loaded.rows, left_out=left_out,
        bytes=table.data.size, reason=describe_changes(table.changes) or None,
    )  # fmt: skip


def _not_copied(table: str, found: str) -> Refusal:
    remedy = "Start the migration again; what was loaded is dropped with the target's tables."
    return Refusal("ROWS_NOT_COPIED", table, f"{found}.", remedy)


def _left_empty(dump: DumpRef, table: EmptyTable) -> TableRows:
    rows = sum(piece.count(b"\n") for piece in table_text(dump, table.data))
    return TableRows(
        name=name_of(table.data), rows_source=rows, rows_copied=0, content="empty", reason=table.reason
    )  # fmt: skip
