"""Rows of two COPY texts compared without regard to their order, in three passes, each in as many calls as it takes.

Rows are dealt into buckets by their key, and buckets are compared by count and sum of hashes. The rows of differing
buckets, or of some of them, are held as keys and hashes until rows can be named; then the columns of these are compared.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import blake2b

from shared.budget import Budget
from shared.snapshot.rowtext import NULL, unescaped
from shared.verification.copytext import BUCKETS, Comparison, Side, Text, TextSides, compare_in_order

ROWS_LOOKED_INTO = 100_000
"""Rows of the buckets that are looked into, on either side: some 20 MB as keys and hashes, kept between two calls."""
ROWS_NAMED = 10
KEY_SHOWN = 80

Take = Callable[[Side, bytes], None]
"""Collects what a pass needs from some whole rows."""


def advance(sides: TextSides, state: Comparison, budget: Budget) -> bool:
    """Go on comparing a table's rows until the budget is spent; return whether it is done. `state.compared` is the result."""
    passes = {"order": compare_in_order, "buckets": _deal, "rows": _look_into, "columns": _name_columns}
    while state.phase != "done":
        passes[state.phase](sides, state, budget)
        if budget.spent:
            break
    return state.phase == "done"


def _deal(sides: TextSides, state: Comparison, budget: Budget) -> None:
    for side in (state.source, state.target):
        if not side.counts:
            side.counts, side.sums, side.rows = [0] * BUCKETS, [0] * BUCKETS, 0

    def take(side: Side, text: bytes) -> None:
        for held, row in _keyed(text, sides.key):
            bucket = zlib.crc32(held) % BUCKETS
            side.rows += 1
            side.counts[bucket] += 1
            side.sums[bucket] += int.from_bytes(_hash(row))

    if not _pass(sides, state, budget, take):
        return
    source, target = state.source, state.target
    state.compared.rows_source, state.compared.rows_target = source.rows, target.rows
    differing = [n for n in range(BUCKETS) if (source.counts[n], source.sums[n]) != (target.counts[n], target.sums[n])]
    if not differing:
        state.phase = "done"
        return
    state.chosen = _chosen(differing, source.counts, target.counts)
    state.compared.buckets_unseen = len(differing) - len(state.chosen)
    for side in (source, target):
        side.counts, side.sums = [], []
    state.enter("rows")


def _look_into(sides: TextSides, state: Comparison, budget: Budget) -> None:
    """Find the rows of the chosen buckets that are not on both sides, count them, and choose some to be named."""
    buckets = set(state.chosen)
    gathered = {id(side): Counter({(k, h): n for k, h, n in side.held}) for side in (state.source, state.target)}

    def take(side: Side, text: bytes) -> None:
        gathered[id(side)].update(
            (_name(held, sides.key), _hash(row))
            for held, row in _keyed(text, sides.key)
            if zlib.crc32(held) % BUCKETS in buckets
        )

    done = _pass(sides, state, budget, take)
    left, right = gathered[id(state.source)], gathered[id(state.target)]
    if not done:
        state.source.held = [(*row, count) for row, count in left.items()]
        state.target.held = [(*row, count) for row, count in right.items()]
        return
    state.source.held, state.target.held = [], []
    _count(state, left, right, keyed=bool(sides.key))
    if any(not verdict for _, verdict in state.named):
        state.enter("columns")
    else:
        _tell(sides, state)


def _count(
    state: Comparison, left: Counter[tuple[bytes, bytes]], right: Counter[tuple[bytes, bytes]], *, keyed: bool
) -> None:
    less, more, there = _by_key(left - right), _by_key(right - left), _by_key(left)
    for key in sorted(less.keys() | more.keys()):
        gone, come = less[key], more[key]
        changed = min(gone, come) if keyed else 0
        state.compared.changed += changed
        state.compared.missing += gone - changed
        state.compared.unexpected += come - changed
        if len(state.named) < ROWS_NAMED:
            state.named.append((key, "" if changed else _verdict(gone, there[key], come)))


def _name_columns(sides: TextSides, state: Comparison, budget: Budget) -> None:
    """Find the columns in which the rows differ that are on both sides."""
    keys = {key for key, verdict in state.named if not verdict}

    def take(side: Side, text: bytes) -> None:
        for held, row in _keyed(text, sides.key):
            if held in keys:
                side.values.append((held, [_hash(value) for value in row.split(b"\t")]))

    if _pass(sides, state, budget, take):
        _tell(sides, state)


def _tell(sides: TextSides, state: Comparison) -> None:
    left, right = dict(state.source.values), dict(state.target.values)
    for key, verdict in state.named:
        pairs = zip(sides.columns, left.get(key, ()), right.get(key, ()), strict=False)
        columns = ", ".join(name for name, a, b in pairs if a != b)
        words = verdict or f"differs in {columns or 'a column'}"
        state.compared.names.append(f"{_shown(sides, key)}: {words}")
    state.phase = "done"


def _pass(sides: TextSides, state: Comparison, budget: Budget, take: Take) -> bool:
    """Read on both sides at the same time, each until the budget is spent; return whether both came to their end."""
    with ThreadPoolExecutor(1, thread_name_prefix="target-text") as other:
        waiting = other.submit(_read, sides.target, state.target, budget, take)
        _read(sides.source, state.source, budget, take)
        waiting.result()
    return state.source.ended and state.target.ended


def _read(text: Text, side: Side, budget: Budget, take: Take) -> None:
    if side.ended:
        return
    resumed = side.at > 0
    with closing(text(side.at)) as pieces:
        for piece in pieces:
            if resumed:
                budget.arrived()
                resumed = False
            take(side, piece.text)
            if piece.after is not None and budget.spent:
                side.at = piece.after
                return
    side.ended = True


def _keyed(text: bytes, key: Sequence[int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield every row with its key."""
    rows = text[:-1].split(b"\n") if text else []
    if not key:
        yield from ((row, row) for row in rows)
    elif tuple(key) == (0,):
        yield from ((row.partition(b"\t")[0], row) for row in rows)
    else:
        for row in rows:
            values = row.split(b"\t")
            yield b"\t".join([values[at] for at in key]), row


def _hash(row: bytes) -> bytes:
    return blake2b(row, digest_size=16).digest()


def _chosen(differing: Sequence[int], left: Sequence[int], right: Sequence[int]) -> list[int]:
    """Return as many of the differing buckets as may be looked into at once; one at least."""
    chosen: list[int] = []
    rows = 0
    for bucket in sorted(differing, key=lambda one: max(left[one], right[one])):
        rows += max(left[bucket], right[bucket])
        if chosen and rows > ROWS_LOOKED_INTO:
            break
        chosen.append(bucket)
    return chosen


def _verdict(gone: int, there: int, come: int) -> str:
    if gone:
        return "missing on the target"
    return f"expected {there} time, found {there + come} times on the target" if there else "not expected on the target"


def _name(held: bytes, key: Sequence[int]) -> bytes:
    return held if key else _hash(held)  # a row without a key is known by its hash: it may be large


def _by_key(rows: Counter[tuple[bytes, bytes]]) -> Counter[bytes]:
    found: Counter[bytes] = Counter()
    for (key, _), count in rows.items():
        found[key] += count
    return found


def _shown(sides: TextSides, key: bytes) -> str:
    if not sides.key:
        return f"row with hash {key.hex()}"
    values = [
        "NULL" if one == NULL else unescaped(one).decode(errors="replace")[:KEY_SHOWN] for one in key.split(b"\t")
    ]
    return ", ".join(f"{sides.columns[at]} {value}" for at, value in zip(sides.key, values, strict=True))
