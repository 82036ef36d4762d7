"""Deleting what a run left in the staging container."""

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from shared import runpaths
from shared.blobs.clients import staging
from shared.contracts import RUN_ID
from shared.errors import Refusal, TransientError


def delete_staging(run_id: str) -> list[str]:
    """Delete every blob under `runs/<run>/`, uncommitted ones included; return what was done, as sentences.

    Doing it again is harmless. Raises `Refusal` NOT_OURS for what is no run id, `TransientError` STAGING_NOT_DELETED
    with the names of what could not be deleted.
    """
    if not RUN_ID.match(run_id):
        raise Refusal("NOT_OURS", run_id, "expected the id of a run, found something else.")
    container = staging()
    count, size = 0, 0
    left: list[str] = []
    for blob in container.list_blobs(name_starts_with=runpaths.of_run(run_id), include=["uncommittedblobs"]):
        try:
            container.delete_blob(blob.name, delete_snapshots="include")
        except ResourceNotFoundError:
            # Blocks that were never committed are no blob yet: committing none of them lets them go.
            if not blob.etag and not _discard(blob.name):
                left.append(blob.name)
            continue
        except HttpResponseError as error:
            left.append(f"{blob.name} ({error.reason})")
            continue
        count, size = count + 1, size + int(blob.size or 0)
    if left:
        raise TransientError(
            "STAGING_NOT_DELETED",
            f"{container.container_name}/{runpaths.of_run(run_id)}",
            f"expected nothing left, found {len(left):,} blobs that could not be deleted: {', '.join(left[:10])}.",
            "Delete them by hand, or look at leases and legal holds on the container.",
        )
    return [f"Deleted {count:,} staging blobs of {size:,} bytes."] if count else []


def _discard(name: str) -> bool:
    """Make an empty blob of uncommitted blocks and delete it; return whether that worked."""
    blob = staging().get_blob_client(name)
    try:
        blob.upload_blob(b"", overwrite=True)
        blob.delete_blob()
    except ResourceNotFoundError:  # another delivery did the same, and was faster
        return True
    except HttpResponseError:
        return False
    return True
