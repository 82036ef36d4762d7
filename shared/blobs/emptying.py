"""Empties the target container before files are copied, only when the request says so by name.

A redelivered or late delivery must never delete what the copy has already brought. So only blobs older than the run's
marker are deleted, by the storage service's own clock: the marker is a blob whose Last-Modified is the cut-off, and
every delete carries `If-Unmodified-Since` with it.
"""

import contextlib
import itertools
from collections import Counter
from datetime import datetime, timedelta

from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobProperties, ContainerClient

from shared import runpaths
from shared.errors import TransientError

BLOBS_PER_CALL = 50_000
"""Blobs deleted by one call: a minute or two, well within an activity."""
BLOBS_PER_REQUEST = 256
"""Blobs deleted by one request, the most that Blob Batch takes: https://learn.microsoft.com/rest/api/storageservices/blob-batch"""
DELETED, GONE = 202, 404
"""What the service answers for a blob."""


def cut_off(reports: ContainerClient, run: str) -> datetime:
    """Return the moment before which a blob may be deleted: when this run first asked, by the service's clock."""
    marker = reports.get_blob_client(runpaths.of_run(run, runpaths.CONTAINER_EMPTIED))
    with contextlib.suppress(ResourceExistsError):
        marker.upload_blob(b"{}", overwrite=False)
    moment: datetime = marker.get_blob_properties().last_modified
    return moment


def empty(container: ContainerClient, prefix: str, before: datetime, limit: int = BLOBS_PER_CALL) -> tuple[int, bool]:
    """Delete at most `limit` blobs under the prefix that were last written before the cut-off.

    Returns how many were deleted, and whether there may be more. Doing it again is harmless. Raises `TransientError`
    CONTAINER_NOT_EMPTIED about a blob that cannot be deleted.
    """
    deleted = 0
    listed = container.list_blobs(name_starts_with=prefix or None, results_per_page=5000)
    old = (blob for blob in listed if blob.last_modified < before)
    while deleted < limit:
        some = list(itertools.islice(old, min(BLOBS_PER_REQUEST, limit - deleted)))
        if not some:
            return deleted, False
        deleted += _delete(container, some, before)
    return deleted, next(old, None) is not None


def _delete(container: ContainerClient, blobs: list[BlobProperties], before: datetime) -> int:
    """Delete blobs by one request, and one by one, with the client's own retries, where it did not go smoothly."""
    # HTTP dates are whole seconds, and "unmodified since" includes its own second.
    since = before - timedelta(seconds=1)
    parts = [{"name": one.name, "delete_snapshots": "include", "if_unmodified_since": since} for one in blobs]
    answers = Counter(int(one.status_code) for one in container.delete_blobs(*parts, raise_on_any_failure=False))
    deleted = answers[DELETED]
    if set(answers) - {DELETED, GONE}:
        deleted += sum(_delete_one(container, one.name, since) for one in blobs)
    return deleted


def _delete_one(container: ContainerClient, name: str, since: datetime) -> bool:
    try:
        container.delete_blob(name, delete_snapshots="include", if_unmodified_since=since)
    except (ResourceNotFoundError, ResourceModifiedError):
        return False  # it is gone, or was written since
    except HttpResponseError as error:
        raise TransientError(
            "CONTAINER_NOT_EMPTIED", f"{container.container_name}/{name}",
            f"expected to delete what lay in the target container, found: {error.reason}.",
            "Look at leases, legal holds and immutability of the container, or empty it by hand.",
        ) from None  # fmt: skip
    return True
