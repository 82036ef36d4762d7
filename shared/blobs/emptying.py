"""Empties the target container before files are copied, only when the request says so by name.

A redelivered or late delivery must never delete what the copy has already brought. So only blobs older than the run's
marker are deleted, by the storage service's own clock: the marker is a blob whose Last-Modified is the cut-off, and
every delete carries `If-Unmodified-Since` with it.
"""

import contextlib
from datetime import datetime, timedelta

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobProperties, ContainerClient

A_BATCH = 5000
"""Blobs deleted by one call: a minute or two, well within an activity."""


def cut_off(reports: ContainerClient, run: str) -> datetime:
    """Return the moment before which a blob may be deleted: when this run first asked, by the service's clock."""
    marker = reports.get_blob_client(f"runs/{run}/container-emptied-from.json")
    with contextlib.suppress(ResourceExistsError):
        marker.upload_blob(b"{}", overwrite=False)
    moment: datetime = marker.get_blob_properties().last_modified
    return moment


def empty(container: ContainerClient, prefix: str, before: datetime, limit: int = A_BATCH) -> tuple[int, bool]:
    """Delete at most `limit` blobs under the prefix that were last written before the cut-off.

    Returns how many were deleted, and whether there may be more. Doing it again is harmless.
    """
    deleted = 0
    for blob in container.list_blobs(name_starts_with=prefix or None):
        if deleted >= limit:
            return deleted, True
        if blob.last_modified < before and _delete(container, blob, before):
            deleted += 1
    return deleted, False


def _delete(container: ContainerClient, blob: BlobProperties, before: datetime) -> bool:
    try:
        # HTTP dates are whole seconds, and "unmodified since" includes its own second.
        container.delete_blob(blob.name, delete_snapshots="include", if_unmodified_since=before - timedelta(seconds=1))
    except (ResourceNotFoundError, ResourceModifiedError):
        return False
    return True
