"""Makers of column values, in the text form of COPY (`\\N` is NULL, control characters are escaped).

A maker is called once a table and returns a function of the row number. Texts come from pools that are made once: a
row costs a few picks and a join, which is what makes a million rows a matter of seconds.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from local.sample import words

if TYPE_CHECKING:
    from local.sample.plan import Plan

NULL = "\\N"
TODAY = date(2026, 11, 20)  # fixed, so that the same seed gives the same rows on any day
DAYS = [str(TODAY - timedelta(days=back)) for back in range(1, 2500)]
LARGE_TEXT = 1_000_000  # characters


@dataclass(frozen=True)
class Maker:
    """What a maker of values may use: the table's own random numbers, and the plan with the ids of all objects."""

    random: Random
    plan: "Plan"
    entity: str


type Column = Callable[[int], str]
type Values = Callable[[Maker], Column]


def escaped(text: str) -> str:
    """Return a text as COPY wants it."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def picked(pool: Sequence[str]) -> Values:
    """One of these texts."""
    ready = [escaped(text) for text in pool]
    size = len(ready)

    def make(maker: Maker) -> Column:
        draw = maker.random.random
        return lambda _row: ready[int(draw() * size)]

    return make


def constant(text: str) -> Values:
    """Always this text."""
    ready = escaped(text)
    return lambda _maker: lambda _row: ready


def null(_maker: Maker) -> Column:
    """Always NULL."""
    return lambda _row: NULL


def mostly(values: Values, nulls: float) -> Values:
    """These values, and NULL in a share of the rows."""

    def make(maker: Maker) -> Column:
        inner, draw = values(maker), maker.random.random
        return lambda row: NULL if draw() < nulls else inner(row)

    return make


def rarely(values: Values, other: Values, every: int) -> Values:
    """These values, and the other ones in every n-th row (the first of them is row 1)."""

    def make(maker: Maker) -> Column:
        inner, rare = values(maker), other(maker)
        return lambda row: rare(row) if row % every == 1 else inner(row)

    return make


def numbered(form: str, start: int = 1) -> Values:
    """A text with the row's number in it, such as `C{:06d}`; unique."""
    return lambda _maker: lambda row: form.format(row + start)


def counted(start: int = 1) -> Values:
    """Row number: what an AutoNumber gave the object."""
    return lambda _maker: lambda row: str(row + start)


def whole(low: int, high: int) -> Values:
    """A whole number in [low, high)."""

    def make(maker: Maker) -> Column:
        draw, span = maker.random.random, high - low
        return lambda _row: str(low + int(draw() * span))

    return make


def decimal(high: float, digits: int = 2) -> Values:
    """A decimal with that many digits after the point, a share of them negative."""

    def make(maker: Maker) -> Column:
        draw = maker.random.random
        return lambda _row: f"{(draw() - 0.05) * high:.{digits}f}"

    return make


def real(scale: float) -> Values:
    """A double with all its digits."""

    def make(maker: Maker) -> Column:
        draw = maker.random.random
        return lambda _row: repr((draw() - 0.5) * scale)

    return make


def truth(share: float = 0.5) -> Values:
    """True in that share of the rows."""

    def make(maker: Maker) -> Column:
        draw = maker.random.random
        return lambda _row: "t" if draw() < share else "f"

    return make


def moment(digits: int = 3) -> Values:
    """A moment of the last seven years with that many digits of a second: 3 as Mendix stores it, 6 to be rounded."""

    def make(maker: Maker) -> Column:
        draw = maker.random.random
        times = [
            f" {int(draw() * 24):02d}:{int(draw() * 60):02d}:{int(draw() * 60):02d}.{int(draw() * 10**digits):0{digits}d}"
            for _ in range(2048)
        ]
        days = len(DAYS)
        return lambda _row: DAYS[int(draw() * days)] + times[int(draw() * 2048)]

    return make


def day() -> Values:
    """Midnight of a day: what a date without time is stored as."""
    return picked([f"{text} 00:00:00" for text in DAYS])


@cache
def _sentences(seed: str, count: int, low: int, high: int) -> tuple[str, ...]:
    random = Random(f"sentences {seed}")
    return tuple(escaped(" ".join(random.choices(words.TEXT, k=random.randint(low, high)))) for _ in range(count))


def sentence(limit: int, low: int = 3, high: int = 12) -> Values:
    """A line of words in several scripts, cut so that its UTF-16 length stays within the limit."""

    def make(maker: Maker) -> Column:
        pool = [_cut(text, limit) for text in _sentences(f"{limit}", 1024, low, high)]
        draw, size = maker.random.random, len(pool)
        return lambda _row: pool[int(draw() * size)]

    return make


def _cut(text: str, limit: int) -> str:
    while len(text.encode("utf-16-le")) // 2 > limit:
        text = text[:-8]
    return text.rstrip("\\")


def paragraphs(most: int = 4) -> Values:
    """One to `most` paragraphs of 100 to 600 characters."""

    def make(maker: Maker) -> Column:
        pool = _sentences("paragraphs", 512, 20, 90)
        draw = maker.random.random

        def value(_row: int) -> str:
            first = int(draw() * 512)
            return "\\n\\n".join(pool[first : first + 1 + int(draw() * most)])

        return value

    return make


def large_text(characters: int = LARGE_TEXT) -> Values:
    """A text of about that many characters; a different one each time."""

    def make(maker: Maker) -> Column:
        pool = _sentences("paragraphs", 512, 20, 90)
        draw = maker.random.random

        def value(row: int) -> str:
            first = int(draw() * 400)
            block = "\\n".join(pool[first : first + 100])
            return f"{row}: " + "\\n".join([block] * (characters // len(block) + 1))[:characters].rstrip("\\")

        return value

    return make


def at_limit(length: int) -> Values:
    """A text of exactly that many UTF-16 units, of letters that take two and three bytes in UTF-8."""
    return picked([(letter * length)[:length] for letter in ("é", "Ł", "東", "x", "ab ", "Ω€")])


def awkward() -> Values:
    """Texts that break careless escaping: empty, blanks, backslashes, control characters, right-to-left marks."""
    return picked(words.AWKWARD)


def blob(low: int, high: int) -> Values:
    """Random bytes, of a length in [low, high)."""

    def make(maker: Maker) -> Column:
        random = maker.random
        pool = random.randbytes(1 << 16).hex()

        def value(row: int) -> str:
            size = low + int(random.random() * (high - low))
            start = 2 * int(random.random() * 30_000)
            repeated = pool[start:] + pool * (2 * size // len(pool) + 1)
            return f"\\\\x{row & 0xFFFF:04x}" + repeated[: 2 * size]

        return value

    return make


def random_uuid(maker: Maker) -> Column:
    """A random UUID."""
    random = maker.random
    return lambda _row: str(uuid.UUID(int=random.getrandbits(128), version=4))


def hex_text(length: int) -> Values:
    """Random hexadecimal digits."""

    def make(maker: Maker) -> Column:
        random = maker.random
        return lambda _row: f"{random.getrandbits(4 * length):0{length}x}"

    return make


def password_hash(maker: Maker) -> Column:
    """What a BCrypt hash looks like in System.User; no password makes it."""
    random = maker.random
    letters = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return lambda _row: "{BCrypt}$2a$12$" + "".join(random.choices(letters, k=53))


def full_name() -> Values:
    """A person's name."""
    return picked([f"{first} {last}" for first in words.FIRST_NAMES for last in words.LAST_NAMES])


def company_name() -> Values:
    """A company's name."""
    return picked([f"{name} {form}" for name in words.COMPANIES for form in words.LEGAL_FORMS])


def reference(entity: str, nulls: float = 0.0) -> Values:
    """The id of an object of that entity or of a specialisation of it."""

    def make(maker: Maker) -> Column:
        draw = maker.random.random
        count, any_id = maker.plan.objects(entity), maker.plan.any_id(entity)
        if not count:
            return lambda _row: NULL
        return lambda _row: NULL if nulls and draw() < nulls else str(any_id(int(draw() * count)))

    return make
