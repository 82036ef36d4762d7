"""Stage restore: the dump's tables into the temporary database, without pg_restore and without a disk."""

import time

import psycopg

from activities.boundary import activity
from activities.keys import WAITS, KeysMade, make_keys
from shared import runpaths
from shared.blobs import clients, documents
from shared.blobs.clients import staging
from shared.contracts import RestoredWork, RestoreRef, SnapshotWork
from shared.copying.batches import load_batch
from shared.errors import Finding, Refusal
from shared.installation import installation
from shared.postgres import postdata, storage
from shared.postgres.connection import QUESTION_SECONDS, connect, database_name
from shared.postgres.loading import Destination
from shared.postgres.sequences import set_sequences
from shared.postgres.temporary import prepare, summary
from shared.settings import TemporaryPostgres, settings
from shared.snapshot.dumpsource import open_dump
from shared.snapshot.locating import advance
from shared.snapshot.restoring import Contents, RestorePlan, contents_of, plan_of, skipped_of
from shared.snapshot.work import BatchDone, LoadBatch, Located, Prepared
from shared.strict import Strict

BUDGET_SECONDS = 180  # of one `locate_tables`


class PostData(Strict):
    """Output of `plan_post_data`: groups of statements that may be made side by side, wave after wave."""

    waves: list[list[postdata.Group]]


class PostDataWork(RestoredWork):
    """Input of `make_post_data`."""

    group: postdata.Group
    waits: int = WAITS


@activity
def read_contents(work: SnapshotWork) -> Located:
    """Read the dump's table of contents; refuse, before data flows, what a migration cannot carry over."""
    contents = contents_of(open_dump(work.snapshot.dump))
    documents.write(clients.staged(work.run.id, runpaths.LOCATED), contents)
    return Located(finished=contents.located)


@activity
def locate_tables(work: SnapshotWork) -> Located:
    """Find the places of the tables' data in a dump that was written to a pipe; call it again until it has finished."""
    dump = work.snapshot.dump
    started = time.monotonic()
    scanned = advance(
        work.run.id,
        staging().get_blob_client(dump.blob),
        dump.offset,
        dump.size,
        lambda: time.monotonic() - started > BUDGET_SECONDS,
    )
    return Located(finished=scanned.finished, bytes=scanned.at)


@activity
def prepare_database(work: SnapshotWork) -> Prepared:
    """Make the temporary database with the dump's tables and sequences, empty, and plan their loading."""
    dump = open_dump(work.snapshot.dump)
    server, database = settings().postgres, database_name(work.run.id)
    findings = _room(server, database, storage.need_of(work.snapshot.metadata, work.snapshot.dump))
    prepare(server, database, dump, installation())
    contents = documents.read(clients.staged(work.run.id, runpaths.LOCATED), Contents)
    if contents is None or not contents.located:
        raise Refusal("RESTORE_UNPREPARED", work.run.id, "expected the places of all tables, found some unknown.")
    plan = plan_of(contents, work.snapshot.dump.size, skipped_of(dump))
    documents.write(clients.staged(work.run.id, runpaths.RESTORE_PLAN), plan)
    tables = [table for batch in plan.batches for table in batch]
    return Prepared(
        batches=len(plan.batches), tables=len(tables), bytes=sum(table.size for table in tables), findings=findings
    )


@activity
def load_tables(work: LoadBatch) -> BatchDone:
    """Load one batch of tables, each by ranged reads of the staged dump, inflated, into COPY; call it until it is finished."""
    plan = _plan(work.run.id)
    into = Destination(settings().postgres, database_name(work.run.id), plan.encoding)
    return load_batch(work.snapshot.dump, into, work.batch, [(table, ()) for table in plan.batches[work.batch]])


@activity
def finish_restore(work: SnapshotWork) -> RestoreRef:
    """Set the sequences, check that every table is in, and say what the temporary database holds."""
    plan = _plan(work.run.id)
    database = database_name(work.run.id)
    with connect(settings().postgres, database, application_name="mxferry restore") as connection:
        set_sequences(connection, open_dump(work.snapshot.dump))
        connection.commit()
        return _finished(connection, database, plan)


@activity
def plan_post_data(work: RestoredWork) -> PostData:
    """Say in which order the temporary database's keys, indexes and foreign keys are made."""
    return PostData(waves=postdata.waves(settings().postgres, work.restore.database))


@activity
def make_post_data(work: PostDataWork) -> KeysMade:
    """Make one group of keys, indexes or foreign keys; what an earlier delivery made is left alone."""
    return make_keys(settings().postgres, work.restore.database, work.group)


def _room(server: TemporaryPostgres, database: str, need: storage.Need) -> list[Finding]:
    """Look for room before anything is made; `Refusal` TEMP_ROOM where there is none to be had."""
    with connect(
        server, autocommit=True, application_name="mxferry restore", statement_timeout=QUESTION_SECONDS
    ) as session:
        findings = storage.check_room(session, server, "TEMP_ROOM", need, database=database)
    for one in findings:
        if one.severity == "error":
            raise Refusal(one.code, one.object, one.message, one.remedy)
    return findings


def _finished(connection: psycopg.Connection, database: str, plan: RestorePlan) -> RestoreRef:
    found = summary(connection)
    wanted = {table.entry for batch in plan.batches for table in batch}
    if missing := wanted - found.loaded:
        raise Refusal(
            "RESTORE_INCOMPLETE",
            database,
            f"expected {len(wanted):,} tables loaded, found {len(missing):,} missing.",
            "Start the migration again.",
        )
    return RestoreRef(
        database=database,
        tables=found.tables,
        rows=found.rows,
        bytes=found.bytes,
        server_version=connection.info.server_version,
        model_version=found.model_version,
        runtime_version=found.runtime_version,
        skipped=plan.skipped,
    )


def _plan(run: str) -> RestorePlan:
    plan = documents.read(clients.staged(run, runpaths.RESTORE_PLAN), RestorePlan)
    if plan is None:
        raise Refusal("RESTORE_UNPREPARED", run, "expected the plan of the restore in staging, found none.")
    return plan
