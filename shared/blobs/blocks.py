"""Writing a large blob block by block, so that whoever comes after a dead writer sees what is already there.

A block's id is its number, so that the same block written twice, by two deliveries at once even, is one block.
"""

import hashlib
import io
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobClient, ContentSettings

MAX_BLOCKS = 50_000  # of one block blob, https://learn.microsoft.com/rest/api/storageservices/put-block-list


def block_id(number: int, version: str = "") -> str:
    """Return the id of a block; `version` keeps blocks of another version of the content apart.

    All ids of a blob must have one length.
    """
    return f"{version}{number:08d}"


def staged_blocks(blob: BlobClient) -> dict[str, int]:
    """Return the uncommitted blocks of the blob: id → bytes."""
    try:
        _committed, uncommitted = blob.get_block_list("uncommitted")
    except ResourceNotFoundError:
        return {}
    return {block.id: int(block.size or 0) for block in uncommitted}


def commit(blob: BlobClient, blocks: int, version: str = "") -> None:
    """Make the blob of its blocks 0 … `blocks` - 1; doing it twice gives the same blob."""
    content = ContentSettings(content_type="application/octet-stream")
    wanted = [BlobBlock(block_id=block_id(number, version)) for number in range(blocks)]
    blob.commit_block_list(wanted, content_settings=content)


def put_block(blob: BlobClient, number: int, data: bytes, version: str = "") -> None:
    """Put one block; the service compares its MD5 with what arrived."""
    # Given an MD5, Azurite also leaves out a slow checksum of its own: measured twice the throughput.
    blob.stage_block(block_id(number, version), data, length=len(data), validate_content=True)


def refuses_copy(status: int | None) -> bool:
    """Return whether a status of Put Block From URL says that it will never do, so that the bytes must come through us.

    501: an emulator without the call. 4xx: the service cannot reach or verify the source; 408 and 429 pass.
    """
    return status == 501 or (400 <= (status or 0) < 500 and status not in (408, 429))


class BlockWriter:
    """Puts blocks in parallel, at most `ahead` at a time; leaving the `with` waits for the last of them."""

    def __init__(self, blob: BlobClient, ahead: int = 2, version: str = "") -> None:
        self._blob = blob
        self._version = version
        self._ahead = ahead
        self._pool = ThreadPoolExecutor(ahead, thread_name_prefix="put-block")
        self._running: set[Future[None]] = set()

    def put(self, number: int, data: bytes) -> None:
        """Put one block; waits while `ahead` others are under way. Raises what an earlier block's put raised."""
        if len(self._running) >= self._ahead:
            self._settle(wait(self._running, return_when=FIRST_COMPLETED).done)
        self._running.add(self._pool.submit(put_block, self._blob, number, data, self._version))

    def drain(self) -> None:
        """Wait until every block put so far has arrived. Raises what a put raised."""
        self._settle(wait(self._running).done)

    def __enter__(self) -> "BlockWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.drain()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _settle(self, done: set[Future[None]]) -> None:
        self._running -= done
        for one in done:
            one.result()


class BlockSink(io.RawIOBase):
    """A file for a writer that only appends: goes out as blocks of 8 MiB."""

    def __init__(self, writer: BlockWriter) -> None:
        self._writer = writer
        self._buffer = bytearray()
        self.blocks = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Take more bytes."""
        self._buffer += data
        if len(self._buffer) >= 8 << 20:
            self.finish()
        return len(data)

    def finish(self) -> None:
        """Send what is still here; the caller then commits `blocks` blocks."""
        if self._buffer:
            self._writer.put(self.blocks, bytes(self._buffer))
            self._buffer.clear()
            self.blocks += 1


def md5_of(data: bytes) -> bytes:
    """Return the MD5 that blob properties carry; an integrity check, not a security measure."""
    return hashlib.md5(data, usedforsecurity=False).digest()
