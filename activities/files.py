"""Stage files: from the staged tar into the target container, and the comparison afterwards."""

import asyncio
import time

from activities.boundary import activity
from shared import runpaths
from shared.blobs import clients, documents
from shared.blobs.clients import async_container, copy_source_url, staging, target
from shared.contracts import FilesCopied, SnapshotWork
from shared.errors import Refusal
from shared.filecontracts import FileBatch, FilesPlanned, Listing, ListingState
from shared.settings import settings
from shared.snapshot.filecopy import FileCopy
from shared.snapshot.fileslisting import Comparison
from shared.snapshot.filesplan import FilesPlan, plan_of
from shared.snapshot.index import Row, files_by_uuid, open_index, slice_of

BUDGET_SECONDS = 180  # of one `verify_listing`


@activity
def plan_files(work: SnapshotWork) -> FilesPlanned:
    """Slice the index into batches, and keep them in staging."""
    profile = settings().target_profile(work.run.request.target)
    if work.snapshot.index_blob is None:
        return FilesPlanned(batches=0, files=0, bytes=0, window=1)
    plan = plan_of(open_index(staging().get_blob_client(work.snapshot.index_blob)))
    documents.write(clients.staged(work.run.id, runpaths.FILES_PLAN), plan)
    return FilesPlanned(
        batches=len(plan.batches),
        files=sum(batch.files for batch in plan.batches),
        bytes=sum(batch.bytes for batch in plan.batches),
        window=profile.max_parallel_files,
    )


@activity
def copy_batch(work: FileBatch) -> FilesCopied:
    """Copy the files of one batch; a second delivery finds them there and copies none."""
    plan = documents.read(clients.staged(work.run.id, runpaths.FILES_PLAN), FilesPlan)
    if plan is None or work.snapshot.index_blob is None:
        raise Refusal("FILES_UNPLANNED", work.run.id, "expected the plan of the files in staging, found none.")
    batch = plan.batches[work.batch]
    rows = slice_of(open_index(staging().get_blob_client(work.snapshot.index_blob)), batch.start, batch.stop)
    return asyncio.run(_copied(work, rows))


@activity
def verify_listing(work: Listing) -> ListingState:
    """Compare the container with the index for some minutes; call it again until it has finished."""
    started = time.monotonic()
    request = work.run.request
    container = target(settings().target_profile(request.target))
    index = open_index(staging().get_blob_client(str(work.snapshot.index_blob)))
    files = files_by_uuid(index, ["size", "md5"])
    comparison = Comparison(files, container, request.options.blob_prefix, work.state or ListingState())
    return comparison.advance(lambda: time.monotonic() - started > BUDGET_SECONDS)


async def _copied(work: FileBatch, rows: list[Row]) -> FilesCopied:
    account = settings().staging
    profile = settings().target_profile(work.run.request.target)
    name = str(work.snapshot.tar_blob)
    url = copy_source_url(account, staging().get_blob_client(name))
    async with (
        async_container(account, account.container) as source,
        async_container(profile.blob, profile.blob.container) as container,
    ):
        copy = FileCopy(source.get_blob_client(name), url, container, work.run.request.options.blob_prefix)
        return await copy.copy(rows)
