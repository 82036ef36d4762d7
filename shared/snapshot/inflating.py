"""One pass over the staged archive: inflate it, stage the tar as blocks, and index its members.

The pass is as long as the archive is large, so it is done by several activities: every `CHECKPOINT` blocks the state of
the tar parser is kept in staging, together with the last border of two deflate blocks before that point. The next
activity, or the successor of a dead one, reads on from that border: it inflates again what lies between, some
kilobytes, and goes on. (Starting at the archive's beginning again was measured as the alternative: it costs nothing on
archives of a few gigabytes, but the last activity of a large one would take as long as the whole pass.) All that is
written is a function of the archive alone (block numbers, index parts, checkpoint positions), so two deliveries at once
write the same bytes to the same places. Checksums under way at a checkpoint are kept in it too.
"""

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from azure.storage.blob import BlobClient
from pydantic import BaseModel, ConfigDict, Field

from shared import runpaths
from shared.blobs import clients, documents
from shared.blobs.blocks import MAX_BLOCKS, BlockWriter, commit
from shared.blobs.ranges import read_ahead
from shared.errors import Refusal
from shared.snapshot.digest import Md5
from shared.snapshot.gz import Inflation, Place
from shared.snapshot.index import Row, duplicate, write_part
from shared.snapshot.layout import Layout
from shared.snapshot.members import is_file, role
from shared.snapshot.names import shown
from shared.snapshot.staging import BLOCK
from shared.snapshot.tar import Member, TarIndexer

CHECKPOINT = 64  # blocks of 16 MiB: 1 GiB of tar
ROWS_OF_PART = 50_000
MAX_FILES = 2_000_000  # comparing them with the target takes 250 MB; Mendix Cloud slows down from 50,000 on
SHOWN = 100
MAX_LISTED = 100_000  # ignored names in the full list
ZIPPED = ("tar.gz", "dump.gz")
TARS = ("tar.gz", "tar")


class Checkpoint(BaseModel):
    """How far the pass has come."""

    model_config = ConfigDict(extra="forbid")

    blocks: int = Field(default=0, description="Blocks of the inflated archive that are staged and parsed.")
    bytes: int = Field(default=0, description="Inflated bytes so far.")
    place: Place | None = Field(default=None, description="Where inflating goes on; None: at the start.")
    tar: dict[str, Any] | None = Field(default=None, description="State of the tar parser.")
    md5: str | None = Field(default=None, description="MD5 of the archive, hex, at the end, where the source told one.")
    md5_bytes: int = Field(default=0, description="Bytes of the archive that have gone into its MD5.")
    md5_state: str | None = Field(default=None, description="State of the archive's MD5 after these bytes.")
    parts: int = Field(default=0, description="Parts of the index written so far.")
    files: int = 0
    file_bytes: int = 0
    dump: tuple[int, int] | None = Field(default=None, description="Offset and size of db/db.backup.")
    metadata: tuple[int, int] | None = Field(default=None, description="Offset and size of .metadata.")
    ignored: list[str] = Field(default_factory=list)
    ignored_count: int = 0
    ignored_parts: int = Field(default=0, description="Parts of the list of ignored names written so far.")
    finished: bool = False


class InflatePass:
    """The pass over one run's archive. `md5` (hex, as the source told it) is compared with that of the bytes read."""

    def __init__(self, run: str, layout: Layout, size: int, md5: str | None = None) -> None:
        self._run = run
        self._layout = layout
        self._size = size
        self._archive = clients.staged(run, runpaths.ARCHIVE)
        self._inflated = clients.staged(run, runpaths.DUMP if layout == "dump.gz" else runpaths.TAR)
        self._checkpoint = clients.staged(run, runpaths.INFLATE_CHECKPOINT)
        self._wanted_md5 = md5
        self._md5: Md5 | None = None
        self._rows: list[Row] = []
        self._ignored: list[str] = []
        self._inflation: Inflation | None = None
        self._state = Checkpoint()

    def advance(self, enough: Callable[[], bool]) -> Checkpoint:
        """Go on from the last checkpoint until `enough()` holds at a checkpoint, or to the end.

        Raises `Refusal` ARCHIVE_CORRUPT, ARCHIVE_BOMB, ARCHIVE_HOSTILE, ARCHIVE_DUPLICATE, ARCHIVE_NO_DATABASE,
        ARCHIVE_TOO_LARGE or ARCHIVE_MD5.
        """
        state, etag = documents.read_version(self._checkpoint, Checkpoint)
        self._state = state or Checkpoint()
        if self._state.finished:
            return self._state
        if self._layout == "dump" and self._wanted_md5 is None:  # there is nothing to learn from reading it
            self._state = Checkpoint(bytes=self._size, dump=(0, self._size), finished=True)
            documents.write(self._checkpoint, self._state)
            return self._state
        with BlockWriter(self._inflated) as writer:
            indexer: TarIndexer | None = None
            for number, block in self._blocks():
                indexer = indexer or self._indexer()
                self._refuse_too_large(number)
                if self._layout in ZIPPED:
                    writer.put(number, block)
                if indexer is not None:
                    indexer.feed(block)
                self._state.bytes += len(block)
                self._state.blocks = number + 1
                if (number + 1) % CHECKPOINT == 0:
                    writer.drain()
                    etag = self._keep(indexer, etag)
                    if etag is None or enough():
                        return self._state
            writer.drain()
            self._finish(indexer or self._indexer(), etag)
        return self._state

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield the inflated blocks that are not parsed yet, with their numbers."""
        done = self._state.blocks
        if self._layout not in ZIPPED:
            blocks = read_ahead(self._archive, done * BLOCK, self._size, size=BLOCK, ahead=2)
            yield from enumerate(self._hashed(blocks, done * BLOCK), done)
            return
        start = self._state.place
        self._inflation = Inflation(BLOCK, start)
        read_from = start.read_from if start else 0
        pieces = self._hashed(read_ahead(self._archive, read_from, self._size), read_from)
        blocks = self._inflation.blocks(pieces, done * BLOCK - (start.produced if start else 0))
        for number in count(done):
            self._inflation.marking = (number + 1) % CHECKPOINT == 0
            block = next(blocks, None)
            if block is None:
                return
            yield number, block

    def _hashed(self, pieces: Iterator[bytes], at: int) -> Iterator[bytes]:
        """Take the MD5 of the archive's bytes as they pass; `at` is where they begin, some of them hashed already."""
        state = self._state
        if self._wanted_md5 is not None:
            self._md5 = Md5.resume(state.md5_state) if state.md5_bytes else Md5()
        for piece in pieces:
            if self._md5 is not None and at + len(piece) > state.md5_bytes:
                self._md5.update(memoryview(piece)[max(0, state.md5_bytes - at) :])
                state.md5_bytes = at + len(piece)
            at += len(piece)
            yield piece

    def _indexer(self) -> TarIndexer | None:
        if self._layout not in TARS:
            return None
        if self._state.tar is None:
            return TarIndexer(self._member, is_file)
        return TarIndexer.resume(self._state.tar, self._member, is_file)

    def _member(self, member: Member) -> None:
        what, uuid = role(member)
        state = self._state
        if what == "ignored":
            self._ignore(member)
            return
        if what == "directory":
            return
        if what == "file":
            state.files += 1
            state.file_bytes += member.size
        elif getattr(state, what) is not None:
            raise duplicate(member.name)
        else:
            setattr(state, what, (member.offset, member.size))
        self._rows.append(Row(what, uuid, *member[2:]))
        if len(self._rows) >= ROWS_OF_PART:
            self._write_rows()

    def _ignore(self, member: Member) -> None:
        self._state.ignored_count += 1
        name = shown(member.name)
        if len(self._state.ignored) < SHOWN:
            self._state.ignored.append(name)
        if self._state.ignored_count <= MAX_LISTED:
            self._ignored.append(json.dumps({"name": name, "size": member.size}) + "\n")

    def _write_ignored(self) -> None:
        if self._ignored:
            part = clients.staged(self._run, runpaths.ignored_part(self._state.ignored_parts))
            part.upload_blob("".join(self._ignored).encode(), overwrite=True)
            self._state.ignored_parts += 1
            self._ignored = []

    def _write_rows(self) -> None:
        if self._state.files > MAX_FILES:
            raise too_large(f"more than {MAX_FILES:,} files")
        if self._rows:
            write_part(clients.staged(self._run, runpaths.index_part(self._state.parts)), self._rows)
            self._state.parts += 1
            self._rows = []

    def _keep(self, indexer: TarIndexer | None, etag: str | None) -> str | None:
        """Write a checkpoint; None when another delivery has written one meanwhile, which then leads."""
        self._write_rows()
        self._write_ignored()
        self._state.tar = indexer.state() if indexer else None
        self._state.place = self._inflation.place if self._inflation and not self._state.finished else None
        self._state.md5_state = self._md5.state if self._md5 else None
        return documents.replace(self._checkpoint, self._state, etag)

    def _finish(self, indexer: TarIndexer | None, etag: str | None) -> None:
        if indexer is not None:
            indexer.close()
        else:
            self._state.dump = (0, self._state.bytes)
        self._state.md5 = self._md5.digest().hex() if self._md5 else None
        if self._state.md5 not in (None, self._wanted_md5):
            raise Refusal(
                "ARCHIVE_MD5",
                "snapshot archive",
                f"expected MD5 {self._wanted_md5} as at the source, found {self._state.md5} in staging.",
                "Start the migration again; if it happens again, the source's checksum is not that of its bytes.",
            )
        if self._layout in ZIPPED:
            commit(self._inflated, self._state.blocks)
        self._state.finished = True
        self._keep(None, etag)

    def _refuse_too_large(self, number: int) -> None:
        if number >= MAX_BLOCKS:
            raise too_large(f"more than {MAX_BLOCKS * BLOCK:,} inflated bytes")


def too_large(found: str) -> Refusal:
    """Return the refusal of an archive beyond what staging can hold."""
    return Refusal(
        "ARCHIVE_TOO_LARGE",
        "snapshot archive",
        f"expected at most {MAX_BLOCKS * BLOCK:,} inflated bytes and {MAX_FILES:,} files, found {found}.",
        "This is not what a Mendix backup looks like; check where the archive comes from.",
    )


def tar_place(run: str, layout: Layout) -> BlobClient:
    """Return the blob in which the members lie: the staged tar, or the archive itself when it is not compressed."""
    names = {"tar.gz": runpaths.TAR, "dump.gz": runpaths.DUMP, "tar": runpaths.ARCHIVE, "dump": runpaths.ARCHIVE}
    return clients.staged(run, names[layout])
