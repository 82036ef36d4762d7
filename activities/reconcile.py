"""Stage reconcile: the rows of System.FileDocument against the blobs in the target container."""

from collections.abc import Iterator

import psycopg
from azure.storage.blob import ContainerClient

from activities.boundary import activity
from shared import runpaths
from shared.blobs import clients
from shared.blobs.blocks import BlockSink, BlockWriter, commit
from shared.blobs.clients import target
from shared.contracts import Reconciled
from shared.errors import Refusal
from shared.postgres.connection import connect
from shared.settings import Postgres, TargetProfile, settings
from shared.snapshot.filedocuments import file_documents
from shared.snapshot.reconciling import reconcile
from shared.snapshot.work import ReconcileWork

BLOBS_PER_PAGE = 5_000


@activity
def reconcile_files(work: ReconcileWork) -> Reconciled:
    """Compare documents and blobs; the full list of differences goes to the reports container."""
    request = work.run.request
    profile = settings().target_profile(request.target)
    container = target(profile)
    full = clients.reported(work.run.id, runpaths.FILE_DIFFERENCES)
    with (
        _documents(work, profile) as pg,
        BlockWriter(full) as writer,
    ):
        sink = BlockSink(writer)
        result = reconcile(file_documents(pg), _blobs(container, request.options.blob_prefix), sink)
        sink.finish()
    commit(full, sink.blocks)
    result.list_blob = full.blob_name
    return result


def _documents(work: ReconcileWork, profile: TargetProfile) -> psycopg.Connection:
    """Open the temporary database, or the target that was restored into."""
    if work.restore is not None:
        server: Postgres = settings().postgres
        return connect(server, work.restore.database, read_only=True, application_name="mxferry reconcile")
    if profile.postgres is None:
        raise Refusal(
            "TARGET_KIND", work.run.request.target, "expected a PostgreSQL target, found none in its profile."
        )
    return connect(profile.postgres, read_only=True, application_name="mxferry reconcile")


def _blobs(container: ContainerClient, prefix: str) -> Iterator[tuple[str, int]]:
    for blob in container.list_blobs(name_starts_with=prefix or None, results_per_page=BLOBS_PER_PAGE):
        yield blob.name[len(prefix) :], int(blob.size)
