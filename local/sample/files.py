"""The app's files: rows of System.FileDocument and the bytes that belong to them, both computed from a number.

A row is either one of `files` rows with a file in the snapshot, or one of the extras that have none: rows whose file
is deleted after its download (a backup leaves such files out), and rows without contents. Nothing is remembered: the
row maker and the archive writer ask the same functions.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from uuid import UUID

from local.sample import words
from local.sample.values import NULL, Column, Maker, escaped, moment

PIECE = 1 << 20
EXTENSIONS = (("pdf", b"%PDF-1.7\n"), ("png", b"\x89PNG\r\n\x1a\n"), ("docx", b"PK\x03\x04"), ("txt", b""))


@dataclass(frozen=True)
class File:
    """One file of the snapshot."""

    uuid: str
    size: int
    number: int
    random_bytes: bool

    @property
    def path(self) -> str:
        """Its name in the archive."""
        return f"tree/{self.uuid[:2]}/{self.uuid[2:4]}/{self.uuid}"


@dataclass(frozen=True)
class Files:
    """All files of a sample: `count` files of `mean` bytes on average, and some rows without a file."""

    seed: int
    count: int
    mean: int

    @property
    def extras(self) -> int:
        """How many rows of System.FileDocument have no file in the snapshot."""
        return max(6, self.count // 50)

    @property
    def rows(self) -> int:
        """How many rows System.FileDocument has."""
        return self.count + self.extras

    def extra(self, row: int) -> int | None:
        """Return which of the extras a row is, or None if it has a file. Extras are spread evenly."""
        before, after = row * self.extras // self.rows, (row + 1) * self.extras // self.rows
        return before if after > before else None

    def number(self, row: int) -> int:
        """Return the number of the file of a row that has one."""
        return row - row * self.extras // self.rows

    def file(self, number: int) -> File:
        """Return the file of that number: nine of ten are small, one of a hundred is large, number 5 is empty."""
        digest = hashlib.blake2b(f"{self.seed}:{number}".encode(), digest_size=32).digest()
        chance = int.from_bytes(digest[16:20]) / 2**32
        within = int.from_bytes(digest[20:24]) / 2**32
        low, high = (0.05, 1.2) if chance < 0.9 else (1.0, 4.0) if chance < 0.99 else (10.0, 30.0)
        size = 0 if number == 5 else max(1, int(self.mean * (low + (high - low) * within)))
        return File(str(UUID(bytes=digest[:16], version=4)), size, number, digest[24] % 2 == 0)

    def extra_uuid(self, extra: int) -> str:
        """Return the storage key of a row whose file a backup leaves out."""
        digest = hashlib.blake2b(f"{self.seed}:extra:{extra}".encode(), digest_size=16).digest()
        return str(UUID(bytes=digest, version=4))

    def content(self, file: File) -> Iterator[bytes]:
        """Yield a file's bytes, at most a MiB at a time: half of the files cannot be compressed, half can well."""
        source = self._random if file.random_bytes else self._text
        head = (EXTENSIONS[file.number % 4][1] + f"{file.uuid}\n".encode())[: file.size]
        yield head
        left, position = file.size - len(head), (file.number * 7919) % (len(source) // 2)
        while left > 0:
            piece = source[position : position + min(left, PIECE)]
            yield piece
            left -= len(piece)
            position = (position + len(piece)) % (len(source) - 1)

    @cached_property
    def _random(self) -> bytes:
        return Random(f"{self.seed} bytes").randbytes(8 * PIECE)

    @cached_property
    def _text(self) -> bytes:
        random = Random(f"{self.seed} text")
        return " ".join(random.choices(words.TEXT, k=400_000)).encode()


def file_uuid(maker: Maker) -> Column:
    """The storage key; none where a row never had contents."""
    files = maker.plan.files

    def value(row: int) -> str:
        extra = files.extra(row)
        if extra is None:
            return files.file(files.number(row)).uuid
        return files.extra_uuid(extra) if extra % 3 == 0 else NULL

    return value


def file_size(maker: Maker) -> Column:
    """The size as the runtime keeps it: -1 is not yet computed, 0 is nothing there (or a file of no bytes)."""
    files = maker.plan.files

    def value(row: int) -> str:
        extra = files.extra(row)
        if extra is not None:
            return ("4096", "0", "-1")[extra % 3]
        number = files.number(row)
        return "-1" if number % 53 == 7 else str(files.file(number).size)

    return value


def has_contents(maker: Maker) -> Column:
    """True where there is, or was before a download, a file."""
    files = maker.plan.files
    return lambda row: "t" if (extra := files.extra(row)) is None or extra % 3 == 0 else "f"


def deleted_after_download(maker: Maker) -> Column:
    """True for the extras whose file a backup leaves out."""
    files = maker.plan.files
    return lambda row: "t" if (extra := files.extra(row)) is not None and extra % 3 == 0 else "f"


def file_name(maker: Maker) -> Column:
    """The name the user gave the file."""
    draw = maker.random.random
    nouns = [escaped(noun) for noun in words.TEXT if noun.isalpha()]
    return lambda row: f"{nouns[int(draw() * len(nouns))]} {row:06d}.{EXTENSIONS[row % 4][0]}"


def file_id_name(_maker: Maker) -> Column:
    """The numeric storage key of files from before UUIDs; NULL in newer rows."""
    return lambda row: str(row + 1) if row % 9 == 0 else NULL


def file_creation(maker: Maker) -> Column:
    """When the file came in."""
    return moment()(maker)
