"""Ranged reads of blobs: one range, a stream with read-ahead, and a file for readers that seek (Parquet)."""

import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient

from shared.errors import Refusal

READ = 4 * 1024 * 1024  # bytes of one range: large enough to hide a round trip, small enough to hold a few of them
AHEAD = 3  # ranges under way beside the one in use


def read_range(blob: BlobClient, offset: int, length: int, etag: str | None = None) -> bytes:
    """Return exactly `length` bytes from `offset`, of the version `etag` if one is given.

    Raises `Refusal` BLOB_CHANGED, BLOB_MISSING or BLOB_SHORT, and the SDK's errors, which the boundary explains.
    """
    if not length:
        return b""
    pinned: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
    try:
        data: bytes = blob.download_blob(offset=offset, length=length, max_concurrency=1, **pinned).readall()
    except ResourceModifiedError:
        raise Refusal(
            "BLOB_CHANGED",
            blob.blob_name,
            f"expected version {etag} throughout the run, found another.",
            "Do not write to the snapshot while it is being read; start the migration again.",
        ) from None
    except ResourceNotFoundError:
        raise Refusal(
            "BLOB_MISSING", blob.blob_name, "expected the blob, found none.", "Start the run again."
        ) from None
    if len(data) != length:
        raise Refusal(
            "BLOB_SHORT",
            blob.blob_name,
            f"expected {length:,} bytes from byte {offset:,}, found {len(data):,}.",
            "The blob is shorter than it was said to be; copy it again.",
        )
    return data


def read_ahead(
    blob: BlobClient, start: int, end: int, *, size: int = READ, ahead: int = AHEAD, etag: str | None = None
) -> Iterator[bytes]:
    """Yield the bytes [start, end) in pieces of `size`, with `ahead` more being fetched meanwhile.

    Holds at most `ahead + 1` pieces. Raises what `read_range` raises.
    """
    with ThreadPoolExecutor(ahead, thread_name_prefix="read-ahead") as pool:
        waiting: deque[Future[bytes]] = deque()
        at = start
        try:
            while at < end or waiting:
                while at < end and len(waiting) < ahead:
                    waiting.append(pool.submit(read_range, blob, at, min(size, end - at), etag))
                    at += size
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


class BlobFile(io.RawIOBase):
    """A blob as a read-only file that seeks; every read is one ranged GET, so read in large pieces."""

    def __init__(self, blob: BlobClient, size: int | None = None, start: int = 0) -> None:
        self._blob = blob
        self._start = start
        self._size = int(blob.get_blob_properties().size) - start if size is None else size
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._at

    def size(self) -> int:
        """Return the size in bytes, as pyarrow asks of a file."""
        return self._size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, as `io.IOBase.seek` does."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from here; all that is left when it is negative."""
        left = max(0, self._size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        data = read_range(self._blob, self._start + self._at, wanted)
        self._at += len(data)
        return data

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from here; return the bytes read."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
