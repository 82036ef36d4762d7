"""What the storage service's errors mean for a run: a right that is missing is refused, all else may pass."""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError

from shared.errors import Refusal, TransientError


@contextmanager
def explained(about: str) -> Iterator[None]:
    """Turn the SDK's errors into ours; `about` names the container or the blob.

    Raises `Refusal` STORAGE_DENIED or BLOB_MISSING, else `TransientError` STORAGE_FAILED. An error's own text goes
    nowhere: it may quote a URL.
    """
    try:
        yield
    except AzureError as error:
        raise _explained(about, error) from None


def _explained(about: str, error: AzureError) -> Refusal | TransientError:
    if not isinstance(error, HttpResponseError) or error.status_code is None:
        return TransientError("STORAGE_FAILED", about, f"expected an answer, found {type(error).__name__}.")
    code = getattr(error, "error_code", None)
    found = f"status {error.status_code}{f' {code}' if code else ''}"
    if error.status_code in (401, 403):
        return Refusal(
            "STORAGE_DENIED",
            about,
            f"expected the right to read and write there, found {found}.",
            "Give the app's identity the role Storage Blob Data Contributor (on a source: Reader) on this account, and look "
            "at its firewall.",
        )
    if error.status_code == 404:
        return Refusal("BLOB_MISSING", about, f"expected it, found {found}.", "Start the run again.")
    return TransientError("STORAGE_FAILED", about, f"expected the storage service to do it, found {found}.")
