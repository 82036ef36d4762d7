"""What every source of a snapshot offers to staging: facts, a URL the storage service may copy from, and bytes."""

from collections.abc import Iterator
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import Refusal
from shared.snapshot.layout import Layout


class OriginFacts(BaseModel):
    """The archive at its source, as it was when the run began; every later read insists on this version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int | None = Field(description="Bytes; None when the source does not say.")
    etag: str | None = Field(default=None, description="As the source tells it; a weak one is compared, not asked for.")
    modified: str | None = Field(default=None, description="Last-Modified, where there is no strong ETag.")
    md5: str | None = Field(default=None, description="MD5 of the whole, in hex, where the source knows it.")
    ranges: bool = Field(description="Whether the source serves parts of the archive.")
    layout: Layout

    @property
    def version(self) -> tuple[str | None, str | None, int | None]:
        """Return all that tells one version of the archive from another."""
        return self.etag, self.modified, self.size


class Origin(Protocol):
    """A snapshot archive somewhere."""

    @property
    def label(self) -> str:
        """What to call it in reports; never a pre-signed URL."""
        ...

    def facts(self) -> OriginFacts:
        """Look at the archive. Raises `Refusal` when it cannot be read, or is no backup."""
        ...

    def copy_url(self) -> str:
        """Return the URL from which the storage service itself may read; it may hold a secret."""
        ...

    def read(self, offset: int, length: int, facts: OriginFacts) -> bytes:
        """Return exactly `length` bytes of the version of `facts`; needs `facts.ranges`."""
        ...

    def stream(self, facts: OriginFacts) -> Iterator[bytes]:
        """Yield the whole archive of the version of `facts` from its start; for sources without ranges."""
        ...


def is_strong(etag: str | None) -> bool:
    """Return whether an ETag says that not a byte has changed: If-Match takes no other (RFC 9110, 13.1.1)."""
    return etag is not None and not etag.startswith("W/")


def changed(label: str, found: str) -> Refusal:
    """Return the refusal of an archive that is not the one the run began with."""
    return Refusal(
        "SOURCE_CHANGED",
        label,
        f"expected the same archive throughout the run, found {found}.",
        "Leave the archive alone while it is being copied, and start the migration again.",
    )
