"""Copying the snapshot's files from the staged tar into the target container, one blob a file.

Small files: many neighbours in the tar come by one ranged read, and each goes out as one Put Blob; their MD5 is compared
with the one taken while the archive was inflated, and the service compares it again with what it received. Large files:
the service copies the range itself (Put Block From URL), so no byte of them passes through here; it compares every block
of 64 MiB with the MD5 that was taken of it while the archive was inflated. A file that is there, and blocks that a dead
delivery has brought, are not copied again. Either way the blob is written under `If-None-Match: *`: what is there already
is compared, never overwritten.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings
from azure.storage.blob.aio import BlobClient, ContainerClient

from shared.blobs.blocks import block_id, md5_of, refuses_copy
from shared.contracts import FilesCopied
from shared.errors import Refusal, TransientError
from shared.snapshot.digest import PIECE, Md5
from shared.snapshot.index import Row
from shared.snapshot.members import uuid_text

SMALL = 4 * 1024 * 1024  # bytes: up to here one read and one Put Blob beat the two requests of a copy by the service
RUN = 4 * 1024 * 1024  # bytes of neighbours read at once
GAP = 256 * 1024  # bytes between two neighbours that are read along with them
RUNS_AT_ONCE = 2
PUTS_AT_ONCE = 24  # writes of small files under way in one batch; `shared.sizing` reckons with it
LARGE_AT_ONCE = 4  # files, and blocks of them under way
THROUGH_AT_ONCE = 2  # blocks that pass through us
THROUGH_BLOCK = 8 * 1024 * 1024  # bytes of one of these; eight are a piece
NEW = {"If-None-Match": "*"}


@dataclass
class FileCopy:
    """The copying of one batch; `source_url` is the tar's URL with its SAS, and never logged."""

    tar: BlobClient
    source_url: str
    target: ContainerClient
    prefix: str

    def __post_init__(self) -> None:
        self._result = FilesCopied(files=0, bytes=0)
        self._puts = asyncio.Semaphore(PUTS_AT_ONCE)
        self._copies = asyncio.Semaphore(LARGE_AT_ONCE)
        self._through = asyncio.Semaphore(THROUGH_AT_ONCE)
        self._service_copies = True  # until it refuses once

    async def copy(self, rows: list[Row]) -> FilesCopied:
        """Copy the files among the rows (in the order of the tar); return what was done.

        Raises a group of all errors of the copies under way: `Refusal` FILE_EXISTS when a blob of that name holds
        something else, STAGING_DAMAGED when the tar's bytes are not those that were indexed.
        """
        files = [row for row in rows if row.kind == "file"]
        small = [row for row in files if row.size <= SMALL]
        large = [row for row in files if row.size > SMALL]
        await _at_most(RUNS_AT_ONCE, (self._run(run) for run in neighbours(small)))
        await _at_most(LARGE_AT_ONCE, (self._large(row) for row in large))
        return self._result

    async def _run(self, run: list[Row]) -> None:
        start, end = run[0].offset, run[-1].offset + run[-1].size
        data = memoryview(await self._read(start, end - start))
        async with asyncio.TaskGroup() as group:
            for row in run:
                group.create_task(self._put(row, data[row.offset - start : row.offset - start + row.size]))

    async def _put(self, row: Row, data: memoryview) -> None:
        async with self._puts:  # before the copy: a run of thousands of small files is then in memory once, not twice
            content = bytes(data)
            md5 = md5_of(content)
            if row.md5 is not None and md5 != row.md5:
                raise _damaged(row)
            try:
                await self._blob(row).upload_blob(
                    content, length=len(content), overwrite=False, validate_content=True, content_settings=_content(md5)
                )
            except (ResourceExistsError, ResourceModifiedError):
                await self._existed(row)
            else:
                self._result.streamed += 1
        self._done(row)

    async def _large(self, row: Row) -> None:
        blob = self._blob(row)
        if await blob.exists():  # `If-None-Match` would say so too, after all blocks
            await self._existed(row)
            self._done(row)
            return
        there = await _staged_blocks(blob) if row.size > PIECE else {}
        server_side = self._service_copies and await self._by_service(blob, row, there)
        if not server_side:
            await self._through_us(blob, row, there)
        size = PIECE if server_side else THROUGH_BLOCK
        blocks = [BlobBlock(block_id=_block_id(row, start, size)) for start in range(0, row.size, size)]
        try:
            await blob.commit_block_list(blocks, content_settings=_content(row.md5), headers=NEW)
        except (ResourceExistsError, ResourceModifiedError):
            await self._existed(row)
        else:
            self._result.server_side += server_side
            self._result.streamed += not server_side
        self._done(row)

    async def _by_service(self, blob: BlobClient, row: Row, there: dict[str, int]) -> bool:
        """Let the service copy the file's blocks; return False when it refuses that way of copying."""
        starts = [
            start
            for start in range(0, row.size, PIECE)
            if there.get(_block_id(row, start, PIECE)) != min(PIECE, row.size - start)
        ]
        if not starts or not await self._copy_block(blob, row, starts[0]):
            return not starts
        async with asyncio.TaskGroup() as group:
            copies = [group.create_task(self._copy_block(blob, row, start)) for start in starts[1:]]
        if not all(copy.result() for copy in copies):  # the first was copied: these failed for a reason of their own
            raise TransientError("FILES_BUSY", uuid_text(row.uuid or b""), "expected every block like the first.")
        return True

    async def _copy_block(self, blob: BlobClient, row: Row, start: int) -> bool:
        length = min(PIECE, row.size - start)
        md5 = row.piece_md5(start // PIECE)
        try:
            async with self._copies:
                await blob.stage_block_from_url(
                    _block_id(row, start, PIECE),
                    self.source_url,
                    source_offset=row.offset + start,
                    source_length=length,
                    source_content_md5=bytearray(md5) if md5 else None,
                )
        except HttpResponseError as error:
            if getattr(error, "error_code", None) in ("Md5Mismatch", "SourceContentMD5Mismatch"):
                raise _damaged(row) from None
            if not refuses_copy(error.status_code):
                raise
            self._service_copies = False
            return False
        return True

    async def _through_us(self, blob: BlobClient, row: Row, there: dict[str, int]) -> None:
        """Read and put the file's blocks, one piece of 64 MiB after another; the MD5 of each piece is compared."""
        for number, start in enumerate(range(0, row.size, PIECE)):
            end = min(start + PIECE, row.size)
            parts = [(at, min(THROUGH_BLOCK, end - at)) for at in range(start, end, THROUGH_BLOCK)]
            if all(there.get(_block_id(row, at, THROUGH_BLOCK)) == length for at, length in parts):
                continue
            md5 = Md5()
            for at, length in parts:
                async with self._through:
                    data = await self._read(row.offset + at, length)
                    md5.update(data)
                    # Before the last block is put: a later delivery takes a piece as compared when all its blocks are there.
                    if at + length == end and row.piece_md5(number) not in (None, md5.digest()):
                        raise _damaged(row)
                    await blob.stage_block(
                        _block_id(row, at, THROUGH_BLOCK), data, length=length, validate_content=True
                    )

    async def _read(self, offset: int, length: int) -> bytes:
        if not length:
            return b""
        stream = await self.tar.download_blob(offset=offset, length=length, max_concurrency=1)
        data: bytes = await stream.readall()
        if len(data) != length:
            raise TransientError("BLOB_READ", "snapshot.tar", f"expected {length:,} bytes, found {len(data):,}.")
        return data

    async def _existed(self, row: Row) -> None:
        """Accept what another delivery has written; refuse anything else."""
        found = await self._blob(row).get_blob_properties()
        md5 = found.content_settings.content_md5
        same_md5 = md5 is None or row.md5 is None or bytes(md5) == row.md5
        if found.size != row.size or not same_md5:
            raise Refusal(
                "FILE_EXISTS",
                found.name,
                f"expected no blob of this name, or the same file ({row.size:,} bytes), "
                f"found another ({found.size:,} bytes{'' if same_md5 else ', another MD5'}).",
                'Empty the target container, or ask for it with "target_not_empty": "drop".',
            )
        self._result.existed += 1

    def _blob(self, row: Row) -> BlobClient:
        return self.target.get_blob_client(self.prefix + uuid_text(row.uuid or b""))

    def _done(self, row: Row) -> None:
        self._result.files += 1
        self._result.bytes += row.size


def neighbours(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield runs of rows that one ranged read fetches: near each other, 4 MiB at most."""
    run: list[Row] = []
    for row in rows:
        if run:
            end = run[-1].offset + run[-1].size
            if row.offset - end > GAP or row.offset + row.size - run[0].offset > RUN:
                yield run
                run = []
        run.append(row)
    if run:
        yield run


async def _at_most(limit: int, works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run the works, `limit` at a time, starting none before there is room for it."""
    room = asyncio.Semaphore(limit)

    async def one(work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            room.release()

    async with asyncio.TaskGroup() as group:
        for work in works:
            await room.acquire()
            group.create_task(one(work))


async def _staged_blocks(blob: BlobClient) -> dict[str, int]:
    """Return the blocks of the blob that an earlier delivery has brought but not committed: id → bytes."""
    try:
        _committed, uncommitted = await blob.get_block_list("uncommitted")
    except ResourceNotFoundError:
        return {}
    return {block.id: int(block.size or 0) for block in uncommitted}


def _block_id(row: Row, start: int, size: int) -> str:
    """Return the id of the block at `start`; it depends on the content, so no block of other content is taken for it."""
    mark = row.md5 or (row.offset % (1 << 32)).to_bytes(4)
    return block_id(start // size, f"{mark[:4].hex()}{'s' if size == PIECE else 't'}")


def _content(md5: bytes | None) -> ContentSettings:
    return ContentSettings(content_type="application/octet-stream", content_md5=bytearray(md5) if md5 else None)


def _damaged(row: Row) -> Refusal:
    return Refusal(
        "STAGING_DAMAGED",
        uuid_text(row.uuid or b""),
        "expected the bytes that were indexed when the archive was inflated, found others in the staged tar.",
        "Something has written to the staging container; start the migration again.",
    )
