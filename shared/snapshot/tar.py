"""A push parser for tar: fed with bytes as they arrive, it tells every member with the place of its data.

`tarfile` needs a file to read from, keeps every member, and stops without an error at a damaged header
(https://docs.python.org/3/library/tarfile.html: "an invalid header ends the archive"); a backup must never come out
silently short, so here everything that is not a whole, well-formed archive is refused. GNU long names, PAX headers and
base-256 numbers are read; what no backup holds (links, devices, sparse files) is told by kind, for the caller to refuse.
"""

import base64
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from shared.errors import Refusal
from shared.snapshot.digest import MemberDigest
from shared.snapshot.names import shown

BLOCK = 512
MAX_HEADER_DATA = 1 << 20  # bytes of one long name or PAX header; PostgreSQL and Mendix need less than 1 KiB
MAX_MEMBER = 1 << 50
OCTAL = re.compile(rb"[\0 ]*([0-7]*)[\0 ]*\Z")
DECIMAL = re.compile(r"[0-9]{1,19}\Z")

Kind = Literal["file", "directory", "hard link", "symbolic link", "device", "fifo", "sparse", "unknown"]
KINDS: dict[int, Kind] = {
    0: "file",
    ord("0"): "file",
    ord("7"): "file",
    ord("1"): "hard link",
    ord("2"): "symbolic link",
    ord("3"): "device",
    ord("4"): "device",
    ord("5"): "directory",
    ord("6"): "fifo",
    ord("S"): "sparse",
}
HEADER_DATA = frozenset(b"xXgLK")
SPARSE = "GNU.sparse"  # how the PAX keys of a sparse member begin; the format has versions, each with keys of its own
PAX_KEYS = frozenset(("path", "size"))


class Member(NamedTuple):
    """One member: `offset` is where its data starts in the tar, `size` its bytes, `md5` what passed through.

    A member of more than 64 MiB also has the MD5s of its pieces of that size, one after the other.
    """

    name: str
    kind: Kind
    offset: int
    size: int
    md5: bytes | None = None
    piece_md5s: bytes | None = None


def corrupt(found: str, offset: int) -> Refusal:
    """Return the refusal of a damaged or truncated archive; `offset` is in bytes of the inflated tar."""
    return Refusal(
        "ARCHIVE_CORRUPT",
        "snapshot archive",
        f"expected a whole tar archive, found {found} at byte {offset:,} of the inflated archive.",
        "Download the backup again and compare its size with the one the portal shows.",
    )


class TarIndexer:
    """Feed it the tar in pieces of any size; `on_member` is called with each member once its data has passed.

    `digest` says of which files the MD5 is taken.
    """

    def __init__(self, on_member: Callable[[Member], None], digest: Callable[[Member], bool] = lambda _: True) -> None:
        self._on_member = on_member
        self._digest = digest
        self._md5: MemberDigest | None = None
        self.offset = 0  # bytes fed
        self._current: Member | None = None
        self._left = 0  # bytes of the member's data still to come
        self._padding = 0  # bytes to the next block border
        self._part = bytearray()  # a header, or header data, that arrived in part
        self._wanted: tuple[int, int] | None = None  # (type, size) of header data being gathered
        self._pax: dict[str, str] = {}
        self._global_pax: dict[str, str] = {}
        self._long_name: str | None = None
        self._zero_blocks = 0

    @property
    def finished(self) -> bool:
        """Whether the end of the archive (two blocks of zeros) has been seen."""
        return self._zero_blocks >= 2

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the tar. Raises `Refusal` ARCHIVE_CORRUPT."""
        view = memoryview(data)
        base, at, end = self.offset, 0, len(view)
        while at < end:
            if self._left:
                step = min(self._left, end - at)
                self._data(view[at : at + step])
            elif self._padding:
                step = min(self._padding, end - at)
                self._padding -= step
            else:
                wanted = _padded(self._wanted[1]) if self._wanted else BLOCK
                step = min(wanted - len(self._part), end - at)
                self._gather(view[at : at + step], wanted, base + at + step)
            at += step
        self.offset = base + end

    def close(self) -> None:
        """Say that no more bytes come. Raises `Refusal` ARCHIVE_CORRUPT when the archive is not whole."""
        if not self.finished:
            what = (
                f"its end in the middle of {shown(self._current.name)!r}"
                if self._current
                else "no end-of-archive marker"
            )
            raise corrupt(what, self.offset)

    def state(self) -> dict[str, Any]:
        """Return what `resume` needs to go on from here, as JSON that any encoder takes."""
        return {
            "offset": self.offset,
            "current": [_encode_name(self._current.name), *self._current[1:4]] if self._current else None,
            "left": self._left,
            "padding": self._padding,
            "part": base64.b64encode(self._part).decode(),
            "wanted": self._wanted,
            "pax": {key: _encode_name(value) for key, value in self._pax.items()},
            "global_pax": {key: _encode_name(value) for key, value in self._global_pax.items()},
            "long_name": None if self._long_name is None else _encode_name(self._long_name),
            "zero_blocks": self._zero_blocks,
            "md5": self._md5.state() if self._md5 else None,
        }

    @classmethod
    def resume(
        cls,
        state: dict[str, Any],
        on_member: Callable[[Member], None],
        digest: Callable[[Member], bool] = lambda _: True,
    ) -> "TarIndexer":
        """Return an indexer that goes on from `state`."""
        indexer = cls(on_member, digest)
        indexer.offset = state["offset"]
        if current := state["current"]:
            indexer._current = Member(_decode_name(current[0]), *current[1:])
        indexer._left = state["left"]
        indexer._padding = state["padding"]
        indexer._part = bytearray(base64.b64decode(state["part"]))
        indexer._wanted = tuple(state["wanted"]) if state["wanted"] else None
        indexer._pax = {key: _decode_name(value) for key, value in state["pax"].items()}
        indexer._global_pax = {key: _decode_name(value) for key, value in state["global_pax"].items()}
        indexer._long_name = None if state["long_name"] is None else _decode_name(state["long_name"])
        indexer._zero_blocks = state["zero_blocks"]
        if indexer._current and state["md5"]:
            indexer._md5 = MemberDigest.resume(indexer._current.size, state["md5"])
        return indexer

    def _data(self, piece: memoryview) -> None:
        if self._md5 is not None:
            self._md5.update(piece)
        self._left -= len(piece)
        if not self._left:
            self._member_done()

    def _gather(self, piece: memoryview, wanted: int, end: int) -> None:
        if not self._part and len(piece) == wanted:
            whole = bytes(piece)
        else:
            self._part += piece
            if len(self._part) < wanted:
                return
            whole = bytes(self._part)
            self._part.clear()
        if self._wanted:
            (kind, size), self._wanted = self._wanted, None
            self._header_data(kind, whole[:size], end)
        else:
            self._header(whole, end)

    def _header(self, header: bytes, end: int) -> None:
        start = end - BLOCK
        if header.count(0) == BLOCK:
            self._zero_blocks += 1
            return
        if self._zero_blocks:
            raise corrupt("data after an end-of-archive marker", start)
        if not _checksum_holds(header):
            raise corrupt("a header whose checksum does not fit", start)
        size = _number(header[124:136], start)
        kind = header[156]
        if kind in HEADER_DATA:
            if size > MAX_HEADER_DATA:
                raise corrupt(f"a header of {size:,} bytes (at most {MAX_HEADER_DATA:,})", start)
            self._wanted = (kind, size) if size else None
            return
        self._member(header, kind, size, end)

    def _member(self, header: bytes, kind: int, size: int, end: int) -> None:
        attributes = {**self._global_pax, **self._pax} if self._global_pax or self._pax else {}
        name = self._long_name or attributes.get("path") or _name(header)
        if "size" in attributes:
            if not DECIMAL.match(attributes["size"]):
                raise corrupt(f"a size that is no number for {shown(name)!r}", end - BLOCK)
            size = int(attributes["size"])
        if size > MAX_MEMBER:
            raise corrupt(f"a size of {size:,} bytes for {shown(name)!r}", end - BLOCK)
        what = KINDS.get(kind, "unknown")
        if SPARSE in attributes:
            what = "sparse"
        elif what == "file" and name.endswith("/"):
            what = "directory"
        self._pax, self._long_name = {}, None
        self._current = Member(name, what, end, size)
        has_data = what in ("file", "sparse", "unknown")  # links, devices and directories have none, whatever size says
        self._left = size if has_data else 0
        self._padding = _padded(size) - size if has_data else 0
        self._md5 = MemberDigest(size) if what == "file" and self._digest(self._current) else None
        if not self._left:
            self._member_done()

    def _member_done(self) -> None:
        member, self._current = self._current, None
        if member is not None:
            if self._md5 is not None:
                md5, pieces = self._md5.end()
                member = member._replace(md5=md5, piece_md5s=pieces)
            self._on_member(member)

    def _header_data(self, kind: int, data: bytes, end: int) -> None:
        if kind == ord("L"):
            self._long_name = _text(data)
        elif kind in b"xX":
            self._pax = _pax(data, end)
        elif kind == ord("g"):
            self._global_pax.update(_pax(data, end))


def is_header(block: bytes) -> bool:
    """Return whether the 512 bytes are the header of a tar member."""
    return len(block) == BLOCK and block.count(0) != BLOCK and _checksum_holds(block)


def _padded(size: int) -> int:
    return (size + BLOCK - 1) & -BLOCK


def _text(field: bytes) -> str:
    return _decoded(field.split(b"\0", 1)[0])


def _encode_name(text: str) -> list[str]:
    """Return a name for the state: its bytes, which need not be UTF-8."""
    return [base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()]


def _decode_name(kept: list[str] | str) -> str:
    """Return a name of a state; those that mxferry 0.1.0 kept are texts."""
    return kept if isinstance(kept, str) else _decoded(base64.b64decode(kept[0]))


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _name(header: bytes) -> str:
    name = _text(header[:100])
    if header[257:263] == b"ustar\0" and header[345]:
        return _text(header[345:500]) + "/" + name
    return name


def _checksum_holds(header: bytes) -> bool:
    """Return whether the header's checksum fits; the checksum's own bytes count as eight spaces."""
    told = OCTAL.match(header[148:156])
    if told is None or not told[1]:
        return False
    unsigned = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if int(told[1], 8) == unsigned:
        return True
    rest = header[:148] + header[156:]
    return int(told[1], 8) == unsigned - 256 * sum(byte > 127 for byte in rest)  # some old writers summed signed bytes


def _number(field: bytes, offset: int) -> int:
    """Return a size: octal digits, or base-256 when the first bit is set (8 GiB and more)."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    told = OCTAL.match(field)
    if told is None:
        raise corrupt("a size that is no number", offset)
    return int(told[1] or b"0", 8)


def _pax(data: bytes, offset: int) -> dict[str, str]:
    """Return what a member needs of a PAX header's records `<length> <key>=<value>\\n`: path, size, that it is sparse.

    Nothing else is kept: a global header goes into the state of every checkpoint, and any number of them may come.
    """
    records: dict[str, str] = {}
    at = 0
    while at < len(data) and data[at]:
        space = data.find(b" ", at, at + 20)
        digits = data[at:space] if space > at else b""
        length = int(digits) if digits.isdigit() else 0
        record = data[space + 1 : at + length] if length else b""
        key, equals, value = record[:-1].partition(b"=")
        if not record.endswith(b"\n") or not equals or at + length > len(data):
            raise corrupt("a PAX header that cannot be read", offset)
        name = _decoded(key)
        if name in PAX_KEYS:
            records[name] = _decoded(value)
        elif name.startswith(SPARSE):
            records[SPARSE] = ""
        at += length
    return records
