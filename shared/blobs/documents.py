"""Small JSON documents in staging: plans, checkpoints, the secret source URL."""

from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, ContentSettings
from pydantic import BaseModel

JSON = ContentSettings(content_type="application/json")


def write(blob: BlobClient, document: BaseModel) -> None:
    """Write the document, in place of an older one."""
    blob.upload_blob(document.model_dump_json().encode(), overwrite=True, content_settings=JSON)


def write_once(blob: BlobClient, document: BaseModel) -> bool:
    """Write the document if there is none yet; return whether it was written."""
    try:
        blob.upload_blob(document.model_dump_json().encode(), overwrite=False, content_settings=JSON)
    except ResourceExistsError:
        return False
    return True


def write_or_read[D: BaseModel](blob: BlobClient, document: D) -> D:
    """Write the document if there is none yet; return the one that is there now. Whoever is late gets the first one."""
    if write_once(blob, document):
        return document
    return read(blob, type(document)) or document


def read[D: BaseModel](blob: BlobClient, kind: type[D]) -> D | None:
    """Return the document, or None where there is none."""
    return read_version(blob, kind)[0]


def read_version[D: BaseModel](blob: BlobClient, kind: type[D]) -> tuple[D | None, str | None]:
    """Return the document and its ETag, for `replace`; (None, None) where there is none."""
    try:
        stream = blob.download_blob()
        return kind.model_validate_json(stream.readall()), str(stream.properties.etag)
    except ResourceNotFoundError:
        return None, None


def replace(blob: BlobClient, document: BaseModel, etag: str | None) -> str | None:
    """Write the document if its version is still `etag` (None: there is none yet); return the new ETag.

    Returns None, and writes nothing, when somebody else was faster.
    """
    pinned: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
    try:
        answer = blob.upload_blob(
            document.model_dump_json().encode(), overwrite=etag is not None, content_settings=JSON, **pinned
        )
    except (ResourceExistsError, ResourceModifiedError):
        return None
    return str(answer["etag"])
