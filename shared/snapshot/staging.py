"""Bringing the archive into the staging container, block by block, by the storage service where it can.

Put Block From URL copies a range of the source without a byte passing through here. Where the service cannot follow the
source (a private network, an emulator), or the source refuses, the same blocks are read and put by us. Blocks already
there are left alone, so a successor goes on where a dead delivery stopped.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import BoundedSemaphore

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobClient

from shared.blobs.blocks import MAX_BLOCKS, BlockWriter, block_id, commit, put_block, refuses_copy, staged_blocks
from shared.errors import Refusal, TransientError
from shared.snapshot.origin import Origin, OriginFacts, changed, is_strong

BLOCK = 16 * 1024 * 1024  # bytes; 50,000 of them are 781 GiB
AT_ONCE = 4  # server-side copies under way in one activity
PARALLEL = 3  # blocks under way in one activity when the bytes pass through us
STREAM_SECONDS = 20 * 60  # of one `stage_stream`, below the time limit of host.json: it cannot go on where it stopped
UNREACHED = (500, 502, 504)  # answers of the service, or of the source through it
LOOK_SECONDS = 10.0  # after which a stream asks whether it is to stop
THROUGH_US = BoundedSemaphore(4)  # of these in the whole process, however many activities run: it bounds the memory


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


def stage_blocks(
    origin: Origin,
    facts: OriginFacts,
    archive: BlobClient,
    first: int,
    stop: int,
    look: Callable[[], None] = lambda: None,
) -> Staged:
    """Bring the blocks [first, stop) of the archive into the blob's uncommitted blocks.

    `look` is called before each that passes through us; it raises when the run is to stop. Raises `Refusal`
    SOURCE_CHANGED when the source is no longer the version of `facts`, and what `origin.read` raises.
    """
    size = facts.size or 0
    there = staged_blocks(archive)
    wanted = [n for n in range(first, stop) if there.get(block_id(n, _version(facts))) != _length(n, size)]
    staged = Staged(existed=stop - first - len(wanted))
    if wanted and _copy_block(origin, facts, archive, wanted[0], first=True):
        staged.server_side = _copy_blocks(origin, facts, archive, wanted[1:]) + 1
        # Only the service saw the source's answers, and not every source heeds the If-Match that the service passes on.
        if origin.facts().version != facts.version:
            raise changed(origin.label, "another version after its blocks were copied")
        return staged
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="bring-block") as pool:
        for _ in pool.map(lambda number: _bring_block(origin, facts, archive, number, look), wanted):
            pass
    staged.through_us = len(wanted)
    return staged


def stage_stream(origin: Origin, facts: OriginFacts, archive: BlobClient, look: Callable[[], None]) -> int:
    """Bring the whole archive through us in one go, for sources that serve no ranges; return its bytes.

    `look` is called now and then; it raises when the run is to stop. Raises `Refusal` SOURCE_TOO_SLOW,
    ARCHIVE_TOO_LARGE, and what `origin.stream` raises.
    """
    # A block that is there is not written again only if it is surely of this version: the bytes have to be read anyway.
    there = staged_blocks(archive) if is_strong(facts.etag) else {}
    number = size = 0
    with BlockWriter(archive, version=_version(facts)) as writer:
        for data in _reblocked(_watched(origin.stream(facts), origin.label, look)):
            number, size = number + 1, size + len(data)
            blocks_of(size)
            if there.get(block_id(number - 1, _version(facts))) != len(data):
                writer.put(number - 1, data)
    if facts.size is not None and size != facts.size:
        raise TransientError(
            "SOURCE_DROPPED", origin.label, f"expected {facts.size:,} bytes, found {size:,} and an end."
        )
    return size


def _watched(pieces: Iterator[bytes], label: str, look: Callable[[], None]) -> Iterator[bytes]:
    """Look at the time at every piece, however small: a source that trickles never fills a block."""
    started = looked = time.monotonic()
    size = 0
    for piece in pieces:
        size += len(piece)
        yield piece
        now = time.monotonic()
        if now - started > STREAM_SECONDS:
            raise _too_slow(label, size)
        if now - looked > LOOK_SECONDS:
            look()
            looked = now


def _too_slow(label: str, size: int) -> Refusal:
    return Refusal(
        "SOURCE_TOO_SLOW",
        label,
        f"expected the whole archive within {STREAM_SECONDS // 60} minutes from a source that serves no parts of it, "
        f"found {size:,} bytes so far.",
        'Copy the archive into a storage container, with AzCopy for example, and give it as a "blob" source.',
    )


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
        if short := there.get(block_id(wrong[0], _version(facts))):
            raise changed(archive.blob_name, f"{short:,} bytes where block {wrong[0]:,} should be")
        raise Refusal(
            "STAGING_INCOMPLETE",
            archive.blob_name,
            f"expected {blocks:,} blocks, found that {len(wrong):,} are not there.",
            "Azure drops what is not committed after a week, and nobody else may write there; start the migration again.",
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
    return hashlib.sha256("|".join(map(str, facts.version)).encode()).hexdigest()[:8]


def _length(number: int, size: int) -> int:
    return min(BLOCK, size - number * BLOCK)


def _bring_block(
    origin: Origin, facts: OriginFacts, archive: BlobClient, number: int, look: Callable[[], None]
) -> None:
    with THROUGH_US:
        look()
        data = origin.read(number * BLOCK, _length(number, facts.size or 0), facts)
        put_block(archive, number, data, _version(facts))


def _copy_blocks(origin: Origin, facts: OriginFacts, archive: BlobClient, numbers: list[int]) -> int:
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="copy-block") as pool:
        copied = list(pool.map(lambda number: _copy_block(origin, facts, archive, number), numbers))
    if not all(copied):  # the first block was copied, so this one failed for a reason of its own
        raise TransientError(
            "STAGING_REFUSED", archive.blob_name, "expected every block like the first, found a refusal."
        )
    return len(copied)


def _copy_block(origin: Origin, facts: OriginFacts, archive: BlobClient, number: int, *, first: bool = False) -> bool:
    """Let the service copy one block; return False when it or the source refuses that way of copying.

    Nobody documents what the service says of a source that it cannot reach. So a `first` block that it answers with 5xx
    but 503 (its own being busy), after the SDK has tried some times, comes through us too.
    """
    length = _length(number, facts.size or 0)
    try:
        archive.stage_block_from_url(
            block_id(number, _version(facts)),
            origin.copy_url(),
            source_offset=number * BLOCK,
            source_length=length,
            headers=_condition(facts),
        )
    except HttpResponseError as error:
        if error.status_code == 412:
            raise changed(origin.label, "another version") from None
        # Its message may quote the source's URL, so it goes nowhere.
        if refuses_copy(error.status_code) or (first and error.status_code in UNREACHED):
            return False
        raise TransientError("STAGING_BUSY", archive.blob_name, f"expected a copied block: {error.reason}.") from None
    return True


def _condition(facts: OriginFacts) -> dict[str, str]:
    if is_strong(facts.etag):
        return {"x-ms-source-if-match": str(facts.etag)}
    return {"x-ms-source-if-unmodified-since": facts.modified} if facts.modified else {}


def _reblocked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        while len(buffer) >= BLOCK:
            yield bytes(buffer[:BLOCK])
            del buffer[:BLOCK]
    if buffer:
        yield bytes(buffer)
