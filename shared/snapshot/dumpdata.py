"""The data blocks of a pg_dump custom-format dump: finding them, and reading a table's as COPY text.

A block is a type byte, the entry's dump id, then chunks (length, bytes) until a length of 0
(`pg_backup_custom.c`, `_PrintTocData`). The chunks of a table are one compressed stream of COPY text that ends with
`\\.`; compressed chunks are of some 4 KiB (gzip) or 32 KiB, uncompressed ones are one row each.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import lz4.frame
from backports.zstd import ZstdDecompressor, ZstdError
from isal import igzip_lib

from shared.errors import Refusal
from shared.snapshot.dump import Compression, unreadable
from shared.snapshot.gz import INFLATE_ERRORS

BLOCK_DATA, BLOCK_BLOBS = 1, 3  # BLK_DATA, BLK_BLOBS
END_OF_DATA = b"\\.\n\n\n"  # after the last row; COPY over the wire protocol has no such line
TEXT_PIECE = 1 << 20  # bytes of COPY text handed on at a time
HEADER = struct.Struct("<BBI")  # type, sign, dump id
LENGTH = struct.Struct("<BI")  # sign, length
DECOMPRESSION_ERRORS = (
    *INFLATE_ERRORS,
    ZstdError,
    EOFError,  # what zstd raises for data after its end
    RuntimeError,  # what lz4 raises
)


def copy_text(pieces: Iterable[bytes], compression: Compression, entry: int) -> Iterator[bytes]:
    """Yield a table's rows as COPY text, in pieces of up to 1 MiB, without the closing `\\.`.

    `pieces` are the dump's bytes from the entry's offset on; no more of them are taken than the table needs. Raises
    `Refusal` DUMP_UNREADABLE for another entry's block, bad data, or a missing end.
    """
    last = b""  # handed on when the next piece is there, so that no piece is copied to look at its end
    for text in _decompressed(_payload(pieces, entry), compression):
        if len(text) < len(END_OF_DATA):
            last += text
            continue
        if last:
            yield last
        last = text
    if not last.endswith(END_OF_DATA):
        raise unreadable(f"no end-of-data mark after the rows of entry {entry}")
    if len(last) > len(END_OF_DATA):
        yield last[: -len(END_OF_DATA)]


def _payload(pieces: Iterable[bytes], entry: int) -> Iterator[bytes]:
    """Yield the chunks of the block that starts the pieces, many at a time."""
    scanner = BlockScanner(keep=entry)
    for piece in pieces:
        kept, done = scanner.payload(piece)
        if kept:
            yield kept
        if done:
            return
    raise unreadable(f"its end in the middle of the data of entry {entry}")


class BlockScanner:
    """Walks the blocks of a dump as its bytes come: gathers one block's chunks, or only finds where blocks start."""

    def __init__(self, keep: int | None = None, at: int = 0, *, in_block: bool = False) -> None:
        self.at = at  # bytes from the start of the dump
        self.found: list[tuple[int, int]] = []  # (dump id, offset), in the order of the dump
        self._keep = keep
        self._skip = 0  # bytes of a chunk still to come
        self._in_block = in_block
        self._rest = b""  # a number cut in two by the end of a piece

    @property
    def between_blocks(self) -> bool:
        """Return whether the bytes so far end with a whole block."""
        return not (self._in_block or self._rest)

    @property
    def place(self) -> tuple[int, bool]:
        """Return where another scanner can go on, at a block's header or a chunk's length, and whether in a block."""
        return self.at - len(self._rest) + self._skip, self._in_block

    def scan(self, piece: bytes) -> None:
        """Take the next bytes, keep none; `found` grows by the blocks that start in them."""
        self._walk(piece, None)

    def payload(self, piece: bytes) -> tuple[bytes, bool]:
        """Take the next bytes; return the chunk bytes among them, and whether the wanted block ended."""
        kept: list[memoryview] = []
        done = self._walk(piece, kept)
        return b"".join(kept), done

    def _walk(self, piece: bytes, kept: list[memoryview] | None) -> bool:
        data = memoryview(self._rest + piece if self._rest else piece)
        base = self.at - len(self._rest)
        self.at += len(piece)
        at, end = 0, len(data)
        while True:
            if self._skip:
                step = min(self._skip, end - at)
                if kept is not None:
                    kept.append(data[at : at + step])
                self._skip -= step
                at += step
            if not self._in_block:
                if end - at < HEADER.size:
                    break
                kind, sign, entry = HEADER.unpack_from(data, at)
                self._start_block(kind, sign, entry, base + at)
                at += HEADER.size
            if self._skip or end - at < LENGTH.size:
                break
            sign, self._skip = LENGTH.unpack_from(data, at)
            at += LENGTH.size
            if sign:
                raise unreadable(f"a chunk of negative length at byte {base + at:,}")
            if not self._skip:
                self._in_block = False
                if self._keep is not None:
                    self._rest = b""
                    return True
        self._rest = bytes(data[at:])
        return False

    def _start_block(self, kind: int, sign: int, entry: int, offset: int) -> None:
        if kind == BLOCK_BLOBS:
            raise large_objects("a block of large objects")
        if kind != BLOCK_DATA or sign:
            raise unreadable(f"no data block (type {kind}) at byte {offset:,}")
        if self._keep is not None and entry != self._keep:
            raise unreadable(f"the data of entry {entry} at byte {offset:,}, where that of {self._keep} should be")
        self._in_block = True
        self.found.append((entry, offset))


def large_objects(found: str) -> Refusal:
    """Return the refusal of a dump with large objects: Mendix stores none, and the target has no place for them."""
    return Refusal(
        "DUMP_LARGE_OBJECTS",
        "db/db.backup",
        f"expected the tables of a Mendix app, found {found}.",
        "Remove the large objects from the source database, or make the dump with `pg_dump --no-large-objects`.",
    )


# --- decompression -------------------------------------------------------------------------------------------------


class _Bounded(Protocol):
    """A decompressor that keeps what it could not put out yet (the interface of `bz2.BZ2Decompressor`)."""

    eof: bool
    needs_input: bool

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


DECOMPRESSORS: dict[Compression, Callable[[], Any]] = {
    "gzip": lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_ZLIB),
    "lz4": lz4.frame.LZ4FrameDecompressor,
    # A backport of Python 3.14's standard library; the package `zstandard` is eighteen times as large.
    "zstd": ZstdDecompressor,
}


def _decompressed(payload: Iterator[bytes], compression: Compression) -> Iterator[bytes]:
    """Yield the decompressed bytes in pieces of up to `TEXT_PIECE`, however well they were compressed."""
    if compression == "none":
        yield from payload
    else:
        yield from _bounded(DECOMPRESSORS[compression](), payload)


def _bounded(decompressor: _Bounded, payload: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in payload:
        data = chunk
        while data or not (decompressor.needs_input or decompressor.eof):
            if decompressor.eof:
                raise unreadable("data after the end of a compressed table")
            text = _checked(decompressor.decompress, data, TEXT_PIECE)
            data = b""
            if text:
                yield text
    if not decompressor.eof:
        raise unreadable("a compressed table without its end")


def _checked(function: Any, *arguments: Any) -> bytes:
    """Call a decompressor; its errors, whose types differ by library, become ours."""
    try:
        return bytes(function(*arguments))
    except DECOMPRESSION_ERRORS as error:
        raise unreadable(f"table data that cannot be decompressed ({error})") from None
