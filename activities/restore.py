"""Stage restore: the dump's tables into the temporary database, without pg_restore and without a disk."""

import time
from collections.abc import Iterator
from typing import BinaryIO, cast

import psycopg

from activities.boundary import activity
from shared.blobs import documents
from shared.blobs.clients import staging
from shared.blobs.ranges import BlobFile, read_ahead
from shared.contracts import DumpRef, RestoreRef, SnapshotWork
from shared.errors import Refusal
from shared.postgres.connection import connect, database_name
from shared.postgres.loading import load_table
from shared.postgres.sequences import set_sequences
from shared.postgres.temporary import prepare, summary
from shared.settings import settings
from shared.snapshot import places
from shared.snapshot.dump import Dump, read_dump
from shared.snapshot.dumpdata import copy_text
from shared.snapshot.locating import advance
from shared.snapshot.restoring import Contents, RestorePlan, TableData, contents_of, plan_of, skipped_of
from shared.snapshot.work import LoadBatch, Loaded, Located, Prepared

BUDGET_SECONDS = 180  # of one `locate_tables`
READ = 4 * 1024 * 1024  # bytes of one ranged read of table data


@activity
def read_contents(work: SnapshotWork) -> Located:
    """Read the dump's table of contents; refuse, before data flows, what a migration cannot carry over."""
    contents = contents_of(_dump(work.snapshot.dump))
    documents.write(places.staged(work.run.id, places.LOCATED), contents)
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
    dump = _dump(work.snapshot.dump)
    prepare(settings().postgres, database_name(work.run.id), dump)
    contents = documents.read(places.staged(work.run.id, places.LOCATED), Contents)
    if contents is None or not contents.located:
        raise Refusal("RESTORE_UNPREPARED", work.run.id, "expected the places of all tables, found some unknown.")
    plan = plan_of(contents, work.snapshot.dump.size, skipped_of(dump))
    documents.write(places.staged(work.run.id, places.RESTORE_PLAN), plan)
    tables = [table for batch in plan.batches for table in batch]
    return Prepared(batches=len(plan.batches), tables=len(tables), bytes=sum(table.size for table in tables))


@activity
def load_tables(work: LoadBatch) -> Loaded:
    """Load one batch of tables: each by ranged reads of the staged dump, inflated, into COPY."""
    plan = _plan(work.run.id)
    batch = plan.batches[work.batch]
    rows = 0
    for table in batch:
        text = _text(work.snapshot.dump, table)
        rows += load_table(settings().postgres, database_name(work.run.id), table, plan.encoding, text)
    return Loaded(tables=len(batch), rows=rows, bytes=sum(table.size for table in batch))


@activity
def finish_restore(work: SnapshotWork) -> RestoreRef:
    """Set the sequences, check that every table is in, and say what the temporary database holds."""
    plan = _plan(work.run.id)
    database = database_name(work.run.id)
    with connect(settings().postgres, database, application_name="mxferry restore") as connection:
        set_sequences(connection, _dump(work.snapshot.dump))
        connection.commit()
        return _finished(connection, database, plan)


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


def _dump(ref: DumpRef) -> Dump:
    file = BlobFile(staging().get_blob_client(ref.blob), ref.size, ref.offset)
    return read_dump(cast("BinaryIO", file))


def _plan(run: str) -> RestorePlan:
    plan = documents.read(places.staged(run, places.RESTORE_PLAN), RestorePlan)
    if plan is None:
        raise Refusal("RESTORE_UNPREPARED", run, "expected the plan of the restore in staging, found none.")
    return plan


def _text(dump: DumpRef, table: TableData) -> Iterator[bytes]:
    start = dump.offset + (table.offset or 0)
    pieces = read_ahead(staging().get_blob_client(dump.blob), start, start + table.size, size=READ)
    return copy_text(pieces, dump.compression, table.entry)


ACTIVITIES = [read_contents, locate_tables, prepare_database, load_tables, finish_restore]
