"""A table's rows on two sides, compared as COPY text: the dump's in staging, and what the target gives out now.

First whole, as a stream: a target that was filled by one COPY gives its rows out in the same order, and equal digests of
the texts prove everything at once. Where they differ, row by row without regard to order: rows are dealt into buckets by
their key, buckets are compared by count and sum of hashes, and the differing ones are looked into until rows and columns
can be named. Nothing is held in memory but a block of rows, the buckets' sums, and the rows of a few buckets.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b

from shared.snapshot.rowtext import NULL, rows_of, unescaped

BUCKETS = 4096
ROWS_LOOKED_INTO = 400_000
"""Rows of the buckets that are looked into, on either side: some 80 MB as keys and hashes."""
ROWS_NAMED = 10
KEY_SHOWN = 80

Text = Callable[[], Iterable[bytes]]
"""Begins a table's COPY text anew."""
Held = Counter[tuple[bytes, bytes]]
"""Rows as (key, hash); a table may hold a row twice."""


@dataclass(frozen=True)
class TextSides:
    """One table: its texts, its columns in their order, and which of them are the key (none: the whole row is)."""

    source: Text
    target: Text
    columns: Sequence[str]
    key: Sequence[int] = ()


@dataclass(frozen=True)
class Digest:
    """A whole text: its rows, and a digest of its bytes in their order."""

    rows: int
    digest: bytes


@dataclass
class Compared:
    """What came of comparing a table. Without differences `names` is empty; counts are rows."""

    rows_source: int
    rows_target: int
    in_order: bool = True
    changed: int = 0
    missing: int = 0
    unexpected: int = 0
    buckets_unseen: int = 0
    names: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same rows."""
        return not (self.changed or self.missing or self.unexpected or self.buckets_unseen)

    def __str__(self) -> str:
        told = ((self.changed, "changed"), (self.missing, "missing"), (self.unexpected, "not expected or doubled"))
        parts = [f"{count:,} {what}" for count, what in told if count]
        more = f", and more in {self.buckets_unseen} further of {BUCKETS} parts" if self.buckets_unseen else ""
        return ", ".join(parts) + more


def compare(sides: TextSides) -> Compared:
    """Compare a table's rows on both sides, each read at the same time; name what differs."""
    source, target = _both(sides, _digest)
    if source == target:
        return Compared(source.rows, target.rows)
    left, right = _both(sides, lambda text: _buckets(text, sides.key))
    differing = [n for n in range(BUCKETS) if (left[0][n], left[1][n]) != (right[0][n], right[1][n])]
    compared = Compared(source.rows, target.rows, in_order=False)
    if differing:
        _look_into(sides, _chosen(differing, left[0], right[0]), compared)
        compared.buckets_unseen = len(differing) - len(_chosen(differing, left[0], right[0]))
    return compared


def _both[T](sides: TextSides, read: Callable[[Iterable[bytes]], T]) -> tuple[T, T]:
    """Read both sides at the same time: each waits for its own server."""
    with ThreadPoolExecutor(1, thread_name_prefix="target-text") as other:
        waiting = other.submit(lambda: read(sides.target()))
        return read(sides.source()), waiting.result()


def _digest(text: Iterable[bytes]) -> Digest:
    rows, digest = 0, blake2b(digest_size=32)
    for piece in text:
        rows += piece.count(b"\n")
        digest.update(piece)
    return Digest(rows, digest.digest())


def _keyed(text: Iterable[bytes], key: Sequence[int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield every row with its key."""
    if not key:
        yield from ((row, row) for row in rows_of(text))
    elif tuple(key) == (0,):
        yield from ((row.partition(b"\t")[0], row) for row in rows_of(text))
    else:
        for row in rows_of(text):
            values = row.split(b"\t")
            yield b"\t".join([values[at] for at in key]), row


def _hash(row: bytes) -> bytes:
    return blake2b(row, digest_size=16).digest()


def _buckets(text: Iterable[bytes], key: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return rows and sum of hashes of each bucket."""
    counts, sums = [0] * BUCKETS, [0] * BUCKETS
    for held, row in _keyed(text, key):
        bucket = zlib.crc32(held) % BUCKETS
        counts[bucket] += 1
        sums[bucket] += int.from_bytes(_hash(row))
    return counts, sums


def _chosen(differing: Sequence[int], left: Sequence[int], right: Sequence[int]) -> set[int]:
    """Return as many of the differing buckets as may be looked into at once; one at least."""
    chosen: set[int] = set()
    rows = 0
    for bucket in sorted(differing, key=lambda one: max(left[one], right[one])):
        rows += max(left[bucket], right[bucket])
        if chosen and rows > ROWS_LOOKED_INTO:
            break
        chosen.add(bucket)
    return chosen


def _look_into(sides: TextSides, buckets: set[int], compared: Compared) -> None:
    """Find the rows of these buckets that are not on both sides, count them, and name some."""
    left, right = _both(sides, lambda text: _held(text, sides.key, buckets))
    less, more = _by_key(left - right), _by_key(right - left)
    there = _by_key(left)
    named: dict[bytes, str] = {}
    for key in sorted(less.keys() | more.keys()):
        gone, come = less[key], more[key]
        changed = min(gone, come) if sides.key else 0
        compared.changed += changed
        compared.missing += gone - changed
        compared.unexpected += come - changed
        if len(named) < ROWS_NAMED:
            named[key] = "" if changed else _verdict(gone, there[key], come)
    columns = _differing_columns(sides, {key for key, verdict in named.items() if not verdict})
    for key, verdict in named.items():
        differs = f"differs in {', '.join(columns.get(key, [])) or 'a column'}"
        compared.names.append(f"{_shown(sides, key)}: {verdict or differs}")


def _verdict(gone: int, there: int, come: int) -> str:
    if gone:
        return "missing on the target"
    return f"expected {there} time, found {there + come} times on the target" if there else "not expected on the target"


def _held(text: Iterable[bytes], key: Sequence[int], buckets: set[int]) -> Held:
    return Counter(
        (_name(held, key), _hash(row)) for held, row in _keyed(text, key) if zlib.crc32(held) % BUCKETS in buckets
    )


def _name(held: bytes, key: Sequence[int]) -> bytes:
    return held if key else _hash(held)  # a row without a key is known by its hash: it may be large


def _by_key(rows: Held) -> Counter[bytes]:
    found: Counter[bytes] = Counter()
    for (key, _), count in rows.items():
        found[key] += count
    return found


def _differing_columns(sides: TextSides, keys: set[bytes]) -> dict[bytes, list[str]]:
    """Return the columns of the rows with these keys that differ."""
    if not keys:
        return {}
    left, right = _both(sides, lambda text: {held: row for held, row in _keyed(text, sides.key) if held in keys})
    return {
        key: [
            name
            for name, a, b in zip(sides.columns, left[key].split(b"\t"), right[key].split(b"\t"), strict=True)
            if a != b
        ]
        for key in left.keys() & right.keys()
    }


def _shown(sides: TextSides, key: bytes) -> str:
    if not sides.key:
        return f"row with hash {key.hex()}"
    values = [
        "NULL" if one == NULL else unescaped(one).decode(errors="replace")[:KEY_SHOWN] for one in key.split(b"\t")
    ]
    return ", ".join(f"{sides.columns[at]} {value}" for at, value in zip(sides.key, values, strict=True))
