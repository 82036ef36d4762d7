"""The pg_dump custom format: header and table of contents, as `pg_backup_archiver.c` writes them.

Format versions 1.12 (PostgreSQL 9.0) to 1.16 (PostgreSQL 17 and 18). The format is not documented but in PostgreSQL's
source: https://github.com/postgres/postgres/blob/REL_17_STABLE/src/bin/pg_dump/pg_backup_archiver.c, `ReadHead`,
`ReadToc`; the data blocks are in `shared.snapshot.dumpdata`.
"""

import io
import re
from dataclasses import dataclass
from typing import BinaryIO, Literal

from shared.errors import Refusal
from shared.snapshot.names import cut

MAGIC = b"PGDMP"
OLDEST, NEWEST = (1, 12), (1, 16)
CUSTOM = 1  # archCustom
INT_SIZE = 4
OFFSET_SIZE = 8
MAX_TOC_BYTES = 40 * 1024 * 1024  # a thousand tables of Mendix need 2 MiB; the worst that fits in here takes 160 MB
MAX_ENTRIES = 200_000  # a thousand tables of Mendix have 5,000
DUMP_ID = re.compile(r"[0-9]{1,10}\Z")

Compression = Literal["none", "gzip", "lz4", "zstd"]
COMPRESSIONS: tuple[Compression, ...] = ("none", "gzip", "lz4", "zstd")

# How an entry says where its data is (`K_OFFSET_…`): a dump written to a pipe cannot go back and fill offsets in.
NOT_SET, SET, NO_DATA = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the table of contents. `offset` is in bytes from the start of the dump, None when unknown."""

    id: int
    tag: str
    desc: str
    namespace: str
    definition: str
    copy: str
    dependencies: tuple[int, ...]
    has_data: bool
    offset: int | None

    @property
    def label(self) -> str:
        """Return the entry as errors and reports name it."""
        return cut(f"{self.desc} {self.namespace}.{self.tag}" if self.namespace else f"{self.desc} {self.tag}")


@dataclass(frozen=True, slots=True)
class Dump:
    """The head of a dump: how its data is written, where it begins, and what it holds."""

    version: tuple[int, int]
    compression: Compression
    server_version: str
    dump_version: str
    entries: tuple[Entry, ...]
    data_offset: int

    @property
    def server_major(self) -> int:
        """Return the major version of the server the dump was taken from; 0 if it cannot be told."""
        digits = re.match(r"[0-9]+", self.server_version)  # "15.18 (Debian 15.18-1)", "18beta1"
        return int(digits[0]) if digits else 0


def unreadable(found: str) -> Refusal:
    """Return the refusal of a dump that is not one, or that is damaged."""
    return Refusal(
        "DUMP_UNREADABLE",
        "db/db.backup",
        f"expected a whole pg_dump custom-format dump, found {found}.",
        "Download the backup again; a dump made by hand needs `pg_dump --format=custom`.",
    )


def _too_large(found: str) -> Refusal:
    return Refusal(
        "DUMP_TOO_LARGE",
        "db/db.backup",
        f"expected a table of contents of at most {MAX_TOC_BYTES:,} bytes and {MAX_ENTRIES:,} entries, found {found}.",
        "This is not what a Mendix backup looks like; check where the dump comes from.",
    )


def read_dump(file: BinaryIO | io.RawIOBase, with_entries: bool = True) -> Dump:
    """Read header and table of contents from a file positioned at the dump's start.

    Raises `Refusal` DUMP_UNREADABLE when it is not a whole dump, DUMP_VERSION when it is of a version we do not know,
    DUMP_TOO_LARGE.
    """
    reader = _Reader(file)
    version = _version(reader)
    if version >= (1, 15):
        code = reader.byte()
        if code >= len(COMPRESSIONS):
            raise unreadable(f"an unknown compression ({code})")
        compression = COMPRESSIONS[code]
    else:
        compression = "none" if reader.integer() == 0 else "gzip"
    for _ in range(7):
        reader.integer()  # seconds … years, is-daylight-saving: when the dump was made
    reader.text()  # the source database's name
    server_version, dump_version = cut(reader.text()), cut(reader.text())
    count = reader.integer()
    if count < 0:
        raise unreadable(f"a table of contents of {count:,} entries")
    if count > MAX_ENTRIES:
        raise _too_large(f"{count:,} entries")
    entries = tuple(_entry(reader, version) for _ in range(count)) if with_entries else ()
    return Dump(version, compression, server_version, dump_version, entries, reader.at)


def _version(reader: "_Reader") -> tuple[int, int]:
    if (magic := reader.take(len(MAGIC))) != MAGIC:
        raise unreadable(f"a file that starts with {magic.hex(' ')}")
    major, minor, _revision, int_size, offset_size, layout = reader.take(6)
    version = (major, minor)
    if not OLDEST <= version <= NEWEST:
        raise Refusal(
            "DUMP_VERSION",
            "db/db.backup",
            f"expected archive format {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}, found {major}.{minor}.",
            "The backup was written by a PostgreSQL that this version of mxferry does not know; look for a newer one.",
        )
    if layout != CUSTOM:
        raise unreadable(f"archive layout {layout} instead of the custom format")
    if (int_size, offset_size) != (INT_SIZE, OFFSET_SIZE):
        raise unreadable(f"integers of {int_size} bytes and offsets of {offset_size} (a 64-bit server writes 4 and 8)")
    return version


def _entry(reader: "_Reader", version: tuple[int, int]) -> Entry:
    number = reader.integer()
    has_data = reader.integer() != 0
    reader.text(), reader.text()  # catalogue oids
    tag, desc = reader.text(), reader.text()
    reader.integer()  # section
    definition = reader.text()
    reader.text()  # DROP statement
    copy, namespace = reader.text(), reader.text()
    reader.text()  # tablespace
    if version >= (1, 14):
        reader.text()  # table access method
    if version >= (1, 16):
        reader.integer()  # relkind
    reader.text(), reader.text()  # owner, WITH OIDS
    dependencies = []
    while (dependency := reader.optional_text()) is not None:
        if not DUMP_ID.match(dependency):
            raise unreadable(f"a dependency {dependency[:40]!r} of entry {number}")
        dependencies.append(int(dependency))
    state, offset = reader.byte(), int.from_bytes(reader.take(OFFSET_SIZE), "little")
    if state not in (NOT_SET, SET, NO_DATA):
        raise unreadable(f"an offset of unknown kind {state} for entry {number}")
    known = offset if state == SET else None
    return Entry(
        number, tag, desc, namespace, definition, copy, tuple(dependencies), has_data and state != NO_DATA, known
    )


class _Reader:
    """Reads the format's numbers and strings, never past its limit."""

    def __init__(self, file: BinaryIO | io.RawIOBase) -> None:
        self._file = io.BufferedReader(file, 1 << 18) if isinstance(file, io.RawIOBase) else file
        self.at = 0

    def take(self, size: int) -> bytes:
        self.at += size
        if self.at > MAX_TOC_BYTES:
            raise _too_large("more bytes")
        data = self._file.read(size)
        if len(data) < size:
            raise unreadable("its end in the middle of the table of contents")
        return data

    def byte(self) -> int:
        return self.take(1)[0]

    def integer(self) -> int:
        raw = self.take(1 + INT_SIZE)
        value = int.from_bytes(raw[1:], "little")
        return -value if raw[0] else value

    def optional_text(self) -> str | None:
        size = self.integer()
        if size < 0:
            return None
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            raise unreadable("text that is not UTF-8 in the table of contents") from None

    def text(self) -> str:
        return self.optional_text() or ""
