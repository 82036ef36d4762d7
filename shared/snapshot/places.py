"""Where things of a run lie in the staging container; all of it under `runs/<run>/`, deleted at clean-up."""

from azure.storage.blob import BlobClient

from shared.blobs.clients import reports, staging


def staged(run: str, name: str) -> BlobClient:
    """Return the client of a blob in the run's part of the staging container."""
    return staging().get_blob_client(f"runs/{run}/{name}")


def reported(run: str, name: str) -> BlobClient:
    """Return the client of a blob in the run's part of the reports container, which is kept."""
    return reports().get_blob_client(f"runs/{run}/{name}")


SOURCE_URL = "secret/source-url"
ARCHIVE = "snapshot.archive"
TAR = "snapshot.tar"
DUMP = "snapshot.dump"
INFLATE_CHECKPOINT = "inflate/checkpoint.json"
INDEX = "index.parquet"
IGNORED = "ignored-names.ndjson"
"""Beside the report."""
RESTORE_PLAN = "restore/plan.json"
LOCATED = "restore/located.json"
FILES_PLAN = "files/plan.json"


def ignored_part(number: int) -> str:
    """Return the name of a part of the list of ignored names, written at a checkpoint."""
    return f"inflate/ignored-{number:06d}.ndjson"


def index_part(number: int) -> str:
    """Return the name of a part of the index, written at a checkpoint."""
    return f"inflate/index-{number:06d}.parquet"
