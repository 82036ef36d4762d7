"""A table's rows on two sides, compared as COPY text: the dump's in staging, and what the target gives out now.

First as streams: a target that was filled by COPY gives its rows out in the same order, and texts that are equal byte by
byte prove everything at once. Where they are not, row by row without regard to order (`shared.verification.textrows`).
Whatever the table's size, no call lasts long: a comparison stops when the budget is spent, its state is kept, and the next
call begins the texts again where both had come to. Nothing is held in memory but pieces of text, the sums of the buckets,
and the rows of a few of them.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from shared.budget import Budget

BUCKETS = 4096


class Piece(NamedTuple):
    """Some whole rows of a text, and the place from which the text goes on after them; None where it cannot be resumed there."""

    text: bytes
    after: int | None


Text = Callable[[int], Generator[Piece]]
"""Reads a table's COPY text from a place that an earlier piece gave; 0 is its first row."""


@dataclass(frozen=True)
class TextSides:
    """One table: its texts, its columns in their order, and which of them are the key; without any, the whole row is."""

    source: Text
    target: Text
    columns: Sequence[str]
    key: Sequence[int] = ()


class _State(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Compared(_State):
    """The result of comparing a table. Without differences `names` is empty; counts are rows."""

    rows_source: int = 0
    rows_target: int = 0
    in_order: bool = True
    changed: int = 0
    missing: int = 0
    unexpected: int = 0
    buckets_unseen: int = 0
    names: list[str] = Field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same rows."""
        return not (self.changed or self.missing or self.unexpected or self.buckets_unseen)

    def __str__(self) -> str:
        told = ((self.changed, "changed"), (self.missing, "missing"), (self.unexpected, "not expected or doubled"))
        parts = [f"{count:,} {what}" for count, what in told if count]
        more = f", and more in {self.buckets_unseen} further of {BUCKETS} parts" if self.buckets_unseen else ""
        return ", ".join(parts) + more


class Side(_State):
    """How far one text was read in the pass under way, and what was gathered of it."""

    at: int = 0
    ended: bool = False
    rows: int = 0
    counts: list[int] = Field(default_factory=list, description="Rows of each bucket.")
    sums: list[int] = Field(default_factory=list, description="Sum of the hashes of each bucket's rows.")
    held: list[tuple[bytes, bytes, int]] = Field(default_factory=list, description="Key, hash, how often.")
    values: list[tuple[bytes, list[bytes]]] = Field(default_factory=list, description="Key, hash of each column.")

    def rewind(self) -> None:
        """Begin another pass."""
        self.at, self.ended = 0, False


class Comparison(_State):
    """The state of a comparison between two calls."""

    phase: Literal["order", "buckets", "rows", "columns", "done"] = "order"
    source: Side = Field(default_factory=Side)
    target: Side = Field(default_factory=Side)
    used: int = Field(default=0, description="Bytes after the source's place that are compared; while `order`.")
    chosen: list[int] = Field(default_factory=list, description="Buckets whose rows are looked into.")
    named: list[tuple[bytes, str]] = Field(default_factory=list, description="Keys that differ, and how; '': changed.")
    compared: Compared = Field(default_factory=Compared)

    def enter(self, phase: Literal["buckets", "rows", "columns"]) -> None:
        """Begin a pass over both texts."""
        self.phase = phase
        self.source.rewind()
        self.target.rewind()


def compare_in_order(sides: TextSides, state: Comparison, budget: Budget) -> None:
    """Go on with the first pass, `order`, until the budget is spent, the texts prove equal, or buckets are needed."""
    rows = state.compared.rows_target
    with closing(sides.source(state.source.at)) as text, closing(_ahead(sides.target(state.target.at))) as target:
        source = _Source(text, state.source.at, state.used)
        if state.source.at or state.used:
            source.more()
            budget.arrived()
        for piece in target:
            if not source.matches(piece.text):
                break
            rows += piece.text.count(b"\n")
            if piece.after is not None:
                state.target.at, state.source.at, state.used = piece.after, source.begun, source.used
                state.compared.rows_source = state.compared.rows_target = rows
                if budget.spent:
                    return
        else:
            if not source.more():
                state.compared.rows_source = state.compared.rows_target = rows
                state.phase = "done"
                return
    state.compared.in_order = False
    state.enter("buckets")


class _Source:
    """The source's text as it is compared. `begun` is the place of the current piece, `used` its bytes compared so far."""

    def __init__(self, pieces: Iterator[Piece], at: int, used: int) -> None:
        self._pieces = pieces
        self._piece = b""
        self._after = self.begun = at
        self.used = used

    def more(self) -> bool:
        """Return whether there is text left to compare."""
        while self.used >= len(self._piece):
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self.used -= len(self._piece)
            self._piece = piece.text
            assert piece.after is not None, "the source's text can be begun after each of its pieces"
            self.begun, self._after = self._after, piece.after
        return True

    def matches(self, text: bytes) -> bool:
        """Use up as many bytes as the text has; return whether they are the same."""
        at = 0
        while at < len(text):
            if not self.more():
                return False
            size = min(len(text) - at, len(self._piece) - self.used)
            if text[at : at + size] != self._piece[self.used : self.used + size]:
                return False
            at += size
            self.used += size
        return True


def _ahead(pieces: Generator[Piece]) -> Generator[Piece]:
    """Yield the pieces, the next one being fetched meanwhile: each side waits for its own server."""
    with closing(pieces), ThreadPoolExecutor(1, thread_name_prefix="target-text") as other:
        waiting = other.submit(next, pieces, None)
        while (piece := waiting.result()) is not None:
            waiting = other.submit(next, pieces, None)
            yield piece
