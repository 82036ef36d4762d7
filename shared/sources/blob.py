"""A snapshot that lies in a blob container."""

from collections.abc import Iterator

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from shared.blobs.clients import container_of, copy_source_url
from shared.blobs.ranges import read_ahead, read_range
from shared.errors import Refusal, TransientError
from shared.settings import BlobAccount
from shared.snapshot.layout import SNIFF, sniff
from shared.snapshot.origin import OriginFacts


class BlobOrigin:
    """An `Origin` in a storage account this app may read."""

    def __init__(self, account: BlobAccount, container: str, blob: str) -> None:
        self._account = account
        self._blob = container_of(account, container).get_blob_client(blob)

    @property
    def label(self) -> str:
        """Return container/blob."""
        return f"{self._blob.container_name}/{self._blob.blob_name}"

    def facts(self) -> OriginFacts:
        """Look at the blob's properties and first bytes. Raises `Refusal` SOURCE_MISSING, SOURCE_DENIED or of `sniff`."""
        try:
            found = self._blob.get_blob_properties()
        except ResourceNotFoundError:
            raise Refusal(
                "SOURCE_MISSING",
                self.label,
                "expected a snapshot in this blob, found no such blob or container.",
                "Check the container's and the blob's name in the request.",
            ) from None
        except ClientAuthenticationError:
            raise _denied(self.label) from None
        except HttpResponseError as error:
            if error.status_code == 403:
                raise _denied(self.label) from None
            raise TransientError("SOURCE_UNREACHABLE", self.label, f"expected its properties: {error.reason}") from None
        size, md5 = int(found.size), found.content_settings.content_md5
        first = read_range(self._blob, 0, min(SNIFF, size), str(found.etag))
        return OriginFacts(
            size=size,
            etag=str(found.etag),
            md5=bytes(md5).hex() if md5 else None,
            ranges=True,
            layout=sniff(first),
        )

    def copy_url(self) -> str:
        """Return the blob's URL with a short-lived SAS."""
        return copy_source_url(self._account, self._blob)

    def read(self, offset: int, length: int, facts: OriginFacts) -> bytes:
        """Return exactly `length` bytes of the version of `facts`."""
        return read_range(self._blob, offset, length, facts.etag)

    def stream(self, facts: OriginFacts) -> Iterator[bytes]:
        """Yield the whole blob from its start."""
        return read_ahead(self._blob, 0, facts.size or 0, etag=facts.etag)


def _denied(label: str) -> Refusal:
    return Refusal(
        "SOURCE_DENIED",
        label,
        "expected the right to read this blob, found that it is refused.",
        "Give the app's identity the role Storage Blob Data Reader on the account, or correct the source profile.",
    )
