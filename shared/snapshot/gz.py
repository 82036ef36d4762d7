"""Inflating a gzip file piece by piece: checked to its last byte, in blocks of one size, and resumable anywhere.

A `Place` is where a successor goes on; at 44 KB it fits into a checkpoint.
"""

import base64
import zlib
from collections.abc import Generator, Iterable, Iterator
from typing import cast

from isal import igzip_lib
from pydantic import BaseModel, ConfigDict, Field

from shared.errors import Refusal
from shared.snapshot.deflate import DeflateError, Inflater

# Deflate cannot do better than 1032:1; what a backup holds (a compressed dump, documents) stays far below 20:1.
MAX_RATIO = 200
RATIO_COUNTS_FROM = 1 << 30  # bytes of output
INFLATE_ERRORS = (cast("type[Exception]", igzip_lib.error), EOFError, ValueError)  # its stub calls it an instance
PIECE = 1 << 20  # bytes inflated by one call
TRAILER = 8  # bytes at a member's end: CRC-32, length
MAGIC = b"\x1f\x8b"


class Place(BaseModel):
    """A border of two deflate blocks within a gzip file."""

    model_config = ConfigDict(extra="forbid")

    read_from: int = Field(description="Bytes of the file before the first byte to be read again.")
    bits: int = Field(description="Bits of that byte that belong to the next block; 0: all of it does.")
    window: str = Field(description="The last 32 KiB of output, base64.")
    produced: int = Field(description="Bytes of output before this place, of the whole file.")
    member_size: int = Field(description="Of these, bytes that belong to the gzip member under way.")
    member_crc: int = Field(description="CRC-32 of those.")


def inflate(pieces: Iterable[bytes], block: int) -> Iterator[bytes]:
    """Yield the inflated bytes of a gzip file in blocks of exactly `block` bytes (the last may be shorter).

    Several gzip members one after the other are one file, zeros after the last are padding. Raises `Refusal`
    ARCHIVE_CORRUPT for bad data, a wrong CRC or length, a missing end, and ARCHIVE_BOMB.
    """
    return Inflation(block).blocks(pieces)


class Inflation:
    """One pass, from the file's start or from a place. While `marking` is true, `place` follows the pass."""

    def __init__(self, block: int, start: Place | None = None) -> None:
        self.marking = False
        self.place = start
        self._block = block
        self._start = start
        self._read = start.read_from if start else 0  # bytes of the file seen
        self._produced = start.produced if start else 0
        self._member: _Member | None = None
        self._members = 0

    def blocks(self, pieces: Iterable[bytes], skip: int = 0) -> Iterator[bytes]:
        """Yield the blocks after `skip` bytes of output; `pieces` are the file's bytes from `start.read_from` on.

        No output is taken from the inflater beyond the block that is yielded, so `place` is never behind its end.
        """
        parts: list[bytes] = []
        filled = 0
        for part in self._parts(pieces):
            if skip:
                skip, part = max(0, skip - len(part)), part[skip:]
            if part:
                parts.append(part)
                filled += len(part)
            if filled == self._block:
                yield b"".join(parts)
                parts, filled = [], 0
        if filled:
            yield b"".join(parts)

    def _parts(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        room = memoryview(bytearray(PIECE))
        for piece in pieces:
            self._read += len(piece)
            data = piece
            while data:
                if self._member is None:
                    data = self._begin(data)
                if self._member is not None:
                    data = yield from self._member_parts(self._member, data, room)
        if self._member is not None or not self._members:
            found = "its end in the middle of the compressed data" if self._read else "no bytes at all"
            raise _corrupt(found, self._read)

    def _begin(self, data: bytes) -> bytes:
        """Begin a gzip member, or go on in the one that the start lies in; return the data it is to be fed with."""
        start, self._start = self._start, None
        if start is not None:
            self._member = _Member.resume(start, data)
            return data[1:] if start.bits else data
        if self._members:
            data = data.lstrip(b"\0")
        if data and not MAGIC.startswith(data[:2]):
            raise _corrupt(f"{data[:4].hex(' ')} after the end of the compressed data", self._read - len(data))
        if data:
            self._member = _Member(self._read - len(data))
        return data

    def _member_parts(self, member: "_Member", data: bytes, room: memoryview) -> Generator[bytes, None, bytes]:
        """Yield what the data inflates to; return the data after the member's end."""
        if not member.inflater.finished:
            member.inflater.push(data)
            data = b""
        while not member.inflater.finished:
            most = min(PIECE, self._block - self._produced % self._block)
            part = self._pull(member, room[:most])
            if part:
                yield part
            elif member.inflater.hungry and not member.inflater.finished:
                return b""
        rest = member.trailed(data or member.inflater.left)
        if rest is None:
            return b""
        if not member.whole:
            raise _corrupt("data that cannot be inflated (incorrect checksum or length)", self._read - len(rest))
        self._member, self._members = None, self._members + 1
        return rest

    def _pull(self, member: "_Member", room: memoryview) -> bytes:
        try:
            count = member.inflater.pull(room, to_border=self.marking)
        except DeflateError as error:
            raise _corrupt(f"data that cannot be inflated ({error})", self._read) from None
        part = bytes(room[:count])
        member.passed(part)
        self._produced += count
        _refuse_bomb(self._produced, self._read)
        # Thousands of empty blocks in a row, which only a hostile file has, are one place: each one's window is 32 KiB.
        if self.marking and (self.place is None or self.place.produced != self._produced):
            self.place = member.place(self._produced) or self.place
        return part


class _Member:
    """A gzip member under way. From its start zlib checks it; taken up in its middle, we do."""

    def __init__(self, base: int) -> None:
        self.inflater = Inflater()
        self._base = base  # bytes of the file before what the inflater was fed with
        self._raw = False
        self._crc = self._size = 0
        self._trailer = b""

    @classmethod
    def resume(cls, start: Place, first: bytes) -> "_Member":
        """Return the member that `start` lies in; `first` begins with the byte that holds its bits."""
        member = cls(start.read_from + (1 if start.bits else 0))
        member.inflater = Inflater.resume(first, start.bits, base64.b64decode(start.window))
        member._raw, member._crc, member._size = True, start.member_crc, start.member_size
        return member

    def passed(self, part: bytes) -> None:
        self._size += len(part)
        if self._raw:
            self._crc = zlib.crc32(part, self._crc)

    def place(self, produced: int) -> Place | None:
        border = self.inflater.border
        if border is None:
            return None
        return Place(
            read_from=self._base + border.consumed - (1 if border.bits else 0),
            bits=border.bits,
            window=base64.b64encode(border.window).decode(),
            produced=produced,
            member_size=self._size,
            member_crc=self._crc if self._raw else self.inflater.checksum,
        )

    def trailed(self, data: bytes) -> bytes | None:
        """Take the trailer; return what follows it, or None when more data is needed."""
        if not self._raw:
            return data
        missing = TRAILER - len(self._trailer)
        self._trailer += data[:missing]
        return data[missing:] if len(self._trailer) == TRAILER else None

    @property
    def whole(self) -> bool:
        expected = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return not self._raw or self._trailer == expected


def _refuse_bomb(produced: int, consumed: int) -> None:
    if produced > RATIO_COUNTS_FROM and produced > MAX_RATIO * consumed:
        raise Refusal(
            "ARCHIVE_BOMB",
            "snapshot archive",
            f"expected at most {MAX_RATIO} inflated bytes for each byte of the archive, "
            f"found {produced:,} from {consumed:,}.",
            "This is not what a Mendix backup looks like; check where the archive comes from.",
        )


def _corrupt(found: str, offset: int) -> Refusal:
    return Refusal(
        "ARCHIVE_CORRUPT",
        "snapshot archive",
        f"expected a whole gzip file, found {found} near byte {offset:,} of the archive.",
        "Download the backup again and compare its size with the one the portal shows.",
    )
