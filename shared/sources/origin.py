"""What every source of a snapshot offers to staging: facts, a URL the storage service may copy from, and bytes."""

from collections.abc import Iterator
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from shared.snapshot.layout import Layout


class OriginFacts(BaseModel):
    """The archive at its source, as it was when the run began; every later read insists on this version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int | None = Field(description="Bytes; None when the source does not say.")
    etag: str | None = None
    md5: str | None = Field(default=None, description="MD5 of the whole, in hex, where the source knows it.")
    ranges: bool = Field(description="Whether the source serves parts of the archive.")
    layout: Layout


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

    def read(self, offset: int, length: int, etag: str | None) -> bytes:
        """Return exactly `length` bytes of the version `etag`; needs `facts().ranges`."""
        ...

    def stream(self, etag: str | None) -> Iterator[bytes]:
        """Yield the whole archive from its start; for sources without ranges."""
        ...
