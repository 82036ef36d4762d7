"""Bringing the archive into the staging container, block by block, by the storage service where it can.

Put Block From URL copies a range of the source without a byte passing through here. Where the service cannot follow the
source (a private network, an emulator), or the source refuses, the same blocks are read and put by us. Blocks already
there are left alone, so a successor goes on where a dead delivery stopped.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import BoundedSemaphore

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobClient

from shared.blobs.blocks import MAX_BLOCKS, BlockWriter, block_id, commit, put_block, staged_blocks
from shared.errors import Refusal, TransientError
from shared.sources.origin import Origin, OriginFacts

BLOCK = 16 * 1024 * 1024  # bytes; 50,000 of them are 781 GiB
AT_ONCE = 4  # server-side copies under way in one activity
PARALLEL = 3  # blocks under way in one activity when the bytes pass through us
THROUGH_US = BoundedSemaphore(4)  # of these in the whole process, whatever the number of activities: its memory's bound


@dataclass
class Staged:
    """How many blocks came which way in one call."""

    server_side: int = 0
    through_us: int = 0
    existed: int = 0


def blocks_of(size: int) -> int:
    """Return how many blocks an archive of that many bytes has. Raises `Refusal` ARCHIVE_TOO_LARGE."""
    blocks = -(-size // BLOCK)
    if blocks > MAX_BLOCKS:
        raise Refusal(
            "ARCHIVE_TOO_LARGE",
            "snapshot archive",
            f"expected at most {MAX_BLOCKS * BLOCK:,} bytes, found {size:,}.",
            "A blob holds 50,000 blocks; an archive of this size needs larger ones.",
        )
    return blocks


def stage_blocks(origin: Origin, facts: OriginFacts, archive: BlobClient, first: int, stop: int) -> Staged:
    """Bring the blocks [first, stop) of the archive into the blob's uncommitted blocks.

    Raises `Refusal` SOURCE_CHANGED when the source is no longer the version of `facts`, and what `origin.read` raises.
    """
    size = facts.size or 0
    there = staged_blocks(archive)
    wanted = [n for n in range(first, stop) if there.get(block_id(n, _version(facts))) != _length(n, size)]
    staged = Staged(existed=stop - first - len(wanted))
    if wanted and _copy_block(origin, facts, archive, wanted[0]):
        staged.server_side = _copy_blocks(origin, facts, archive, wanted[1:]) + 1
        return staged
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="bring-block") as pool:
        for _ in pool.map(lambda number: _bring_block(origin, facts, archive, number), wanted):
            pass
    staged.through_us = len(wanted)
    return staged


def stage_stream(origin: Origin, facts: OriginFacts, archive: BlobClient) -> int:
    """Bring the whole archive through us in one go, for sources that serve no ranges; return its bytes."""
    there = staged_blocks(archive)
    number = size = 0
    with BlockWriter(archive, version=_version(facts)) as writer:
        for data in _reblocked(origin.stream(facts.etag)):
            if there.get(block_id(number, _version(facts))) != len(data):
                writer.put(number, data)
            number, size = number + 1, size + len(data)
    if facts.size is not None and size != facts.size:
        raise TransientError(
            "SOURCE_DROPPED", origin.label, f"expected {facts.size:,} bytes, found {size:,} and an end."
        )
    blocks_of(size)
    return size


def commit_archive(facts: OriginFacts, archive: BlobClient, size: int) -> None:
    """Make the archive of its blocks and check its size; doing it twice is harmless."""
    if _committed_size(archive) == size:
        return
    blocks = blocks_of(size)
    there = staged_blocks(archive)
    wrong = [n for n in range(blocks) if there.get(block_id(n, _version(facts))) != _length(n, size)]
    if wrong:
        if _committed_size(archive) == size:
            return  # another delivery has committed the blocks since we looked
        raise TransientError(
            "STAGING_INCOMPLETE",
            archive.blob_name,
            f"expected {blocks:,} blocks, found {len(wrong):,} missing or short.",
        )
    commit(archive, blocks, _version(facts))
    if (found := _committed_size(archive)) != size:
        raise TransientError("STAGING_INCOMPLETE", archive.blob_name, f"expected {size:,} bytes, found {found or 0:,}.")


def _committed_size(archive: BlobClient) -> int | None:
    try:
        return int(archive.get_blob_properties().size)
    except ResourceNotFoundError:
        return None


def _version(facts: OriginFacts) -> str:
    """Return what keeps blocks of two versions of the archive apart: Mendix Cloud may make it anew on a renewal."""
    return hashlib.sha256(f"{facts.etag}|{facts.size}".encode()).hexdigest()[:8]


def _length(number: int, size: int) -> int:
    return min(BLOCK, size - number * BLOCK)


def _bring_block(origin: Origin, facts: OriginFacts, archive: BlobClient, number: int) -> None:
    with THROUGH_US:
        data = origin.read(number * BLOCK, _length(number, facts.size or 0), facts.etag)
        put_block(archive, number, data, _version(facts))


def _copy_blocks(origin: Origin, facts: OriginFacts, archive: BlobClient, numbers: list[int]) -> int:
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="copy-block") as pool:
        copied = list(pool.map(lambda number: _copy_block(origin, facts, archive, number), numbers))
    if not all(copied):  # the first block was copied, so this one failed for a reason of its own
        raise TransientError(
            "STAGING_REFUSED", archive.blob_name, "expected every block like the first, found a refusal."
        )
    return len(copied)


def _copy_block(origin: Origin, facts: OriginFacts, archive: BlobClient, number: int) -> bool:
    """Let the service copy one block; return False when it or the source refuses that way of copying."""
    length = _length(number, facts.size or 0)
    try:
        archive.stage_block_from_url(
            block_id(number, _version(facts)),
            origin.copy_url(),
            source_offset=number * BLOCK,
            source_length=length,
            headers={"x-ms-source-if-match": facts.etag} if facts.etag else {},
        )
    except HttpResponseError as error:
        if error.status_code == 412:
            raise Refusal(
                "SOURCE_CHANGED",
                origin.label,
                f"expected version {facts.etag} throughout the run, found another.",
                "Leave the archive alone while it is being copied, and start the migration again.",
            ) from None
        # 501: an emulator without the call. 4xx: the source cannot be verified or reached by the service. Its message
        # may quote the source's URL, so it goes nowhere.
        if error.status_code == 501 or 400 <= (error.status_code or 0) < 500:
            return False
        raise TransientError("STAGING_BUSY", archive.blob_name, f"expected a copied block: {error.reason}.") from None
    return True


def _reblocked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        while len(buffer) >= BLOCK:
            yield bytes(buffer[:BLOCK])
            del buffer[:BLOCK]
    if buffer:
        yield bytes(buffer)
