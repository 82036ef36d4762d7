"""COPY text, row by row: cut at whole rows, and rewritten where a run leaves rows out, or empties or masks columns.

PostgreSQL's text format has one row a line and a tab between columns; line breaks and tabs in values are escaped
(https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"). So rows can be told apart without knowing types.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from pydantic import Field

from shared.databaseplan import Frozen
from shared.errors import Refusal

NULL = b"\\N"
ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}

Rewrite = Callable[[list[bytes]], list[bytes] | None]
"""Takes a row's values as they are in the text, returns those to put in their place, or None to leave the row out."""


class MaskedColumn(Frozen):
    """A column whose values are replaced; `length` is the longest text it takes, 0 for any."""

    column: str
    how: str
    length: int = 0


class RowChanges(Frozen):
    """What is changed in a table's rows on their way from the dump."""

    left_out: dict[str, list[str]] = Field(default_factory=dict, description="Column → values of rows left out.")
    emptied: dict[str, str] = Field(default_factory=dict, description="Column → why it is NULL.")
    masked: list[MaskedColumn] = Field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.left_out or self.emptied or self.masked)


def whole_rows(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut pieces anew so that each ends with a row's end; a row is at most what PostgreSQL lets a row be, 1 GB."""
    rest: list[bytes] = []
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if not end:
            rest.append(piece)
            continue
        yield b"".join([*rest, piece[:end]])
        rest = [piece[end:]] if end < len(piece) else []
    if any(rest):
        raise _cut_off()


class TextParts:
    """A table's text, handed out in parts that end with a row. `at` (bytes of text) and `rows` say how far it has come.

    No row is gathered: pieces pass as they come, and are cut only where a part ends.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""
        self.at = 0
        self.rows = 0
        self.ended = False

    def skip(self, size: int) -> None:
        """Leave out the first bytes of the text, which end with a row; their rows are not counted.

        Raises `Refusal` DUMP_UNREADABLE when there are not as many.
        """
        while self.at < size and (piece := self._next()):
            self._rest = piece[size - self.at :]
            self.at += len(piece) - len(self._rest)
        if self.at < size:
            raise _cut_off()

    def part(self, enough: Callable[[int], bool]) -> Iterator[bytes]:
        """Yield one part: to the end of a row after `enough(bytes of the part)` holds; one piece at least."""
        size = 0
        while piece := self._next():
            size += len(piece)
            end = piece.rfind(b"\n") + 1 if enough(size) else 0
            if end:
                piece, self._rest = piece[:end], piece[end:]
            self.at += len(piece)
            self.rows += piece.count(b"\n")
            yield piece
            if end:
                return
        self.ended = True

    def _next(self) -> bytes:
        piece, self._rest = self._rest, b""
        return piece or next((one for one in self._pieces if one), b"")


def rows_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the rows, without their line ends."""
    for block in whole_rows(pieces):
        yield from block[:-1].split(b"\n")


def rewritten(pieces: Iterable[bytes], rewrites: Sequence[Rewrite]) -> Iterator[bytes]:
    """Yield the text with every row rewritten, in blocks of whole rows; as it comes where there is nothing to do."""
    if not rewrites:
        yield from pieces
        return
    for block in whole_rows(pieces):
        rows: list[bytes] = []
        for line in block[:-1].split(b"\n"):
            row: list[bytes] | None = line.split(b"\t")
            for rewrite in rewrites:
                row = rewrite(row) if row is not None else None
            if row is not None:
                rows.append(b"\t".join(row))
        if rows:
            yield b"\n".join(rows) + b"\n"


def rewrites_of(changes: RowChanges, columns: Sequence[str], key: bytes) -> list[Rewrite]:
    """Return what makes the changes, for text with these columns; `key` is that of the run's masks."""
    if not changes:
        return []
    out = {columns.index(name): {_escaped(one) for one in values} for name, values in changes.left_out.items()}
    new: dict[int, Callable[[bytes], bytes]] = {columns.index(name): lambda _: NULL for name in changes.emptied}
    for mask in changes.masked:
        new[columns.index(mask.column)] = masked(mask, key)

    def rewrite(row: list[bytes]) -> list[bytes] | None:
        if any(row[at] in values for at, values in out.items()):
            return None
        for at, change in new.items():
            row[at] = change(row[at])
        return row

    return [rewrite]


def masked(mask: MaskedColumn, key: bytes) -> Callable[[bytes], bytes]:
    """Return what replaces a value: the same text that `shared.mendix.masks` makes PostgreSQL compute."""

    def change(value: bytes) -> bytes:
        if value == NULL or mask.how == "blank":
            return NULL
        digest = hmac.digest(key, unescaped(value), hashlib.sha256).hex()
        if mask.how == "email":
            return f"{digest[:12]}@example.invalid".encode()
        if mask.how == "name":
            return f"Name {digest[: min((mask.length or 32) - 5, 12)]}".encode()
        return digest[: min(mask.length or 32, 32)].encode()

    return change


def unescaped(value: bytes) -> bytes:
    """Return a value's bytes without the escapes of COPY's text format."""
    return ESCAPED.sub(lambda found: ESCAPES.get(found[1], found[1]), value) if b"\\" in value else value


def _cut_off() -> Refusal:
    return Refusal(
        "DUMP_UNREADABLE", "db/db.backup", "expected a table's text to end with a row's end, found it cut off.",
        "Download the backup again.",
    )  # fmt: skip


def _escaped(text: str) -> bytes:
    value = text.encode().replace(b"\\", b"\\\\")
    for letter, raw in ESCAPES.items():
        value = value.replace(raw, b"\\" + letter)
    return value
