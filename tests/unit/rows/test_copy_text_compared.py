"""Two COPY texts compared: equal ones are equal in any order; each kind of difference is found, counted and named."""

import random
from collections.abc import Generator

import pytest

from shared import budget
from shared.budget import Budget
from shared.verification import textrows
from shared.verification.copytext import Compared, Comparison, Piece, Text, TextSides
from shared.verification.restored import in_utc
from shared.verification.textrows import advance

COLUMNS = ["id", "name", "at"]
ROWS = [b"%d\tname %d\t2026-01-01 00:00:00.%06d\n" % (n, n % 7, n) for n in range(5_000)]


def text(rows: list[bytes], a_piece: int, places: int = 1) -> Text:
    """A text that can be begun after each piece, or after each so many of them."""

    def begin(at: int) -> Generator[Piece]:
        for number, start in enumerate(range(at, len(rows), a_piece), at // a_piece + 1):
            stop = start + a_piece
            yield Piece(b"".join(rows[start:stop]), None if number % places else stop)

    return begin


def sides(rows: list[bytes], key: tuple[int, ...] = (0,)) -> TextSides:
    return TextSides(text(ROWS, 100), text(rows, 33, places=4), COLUMNS, key)


def compare(sides: TextSides) -> Compared:
    """Compare in one call; then in as many as can be, whose states cross JSON: the same must come of it."""
    whole = Comparison()
    assert advance(sides, whole, Budget(3_600))
    parts, calls = Comparison(), 0
    while not advance(sides, parts, Budget(0)):
        parts = Comparison.model_validate_json(parts.model_dump_json())
        calls += 1
        assert calls < 1_000, "each call must bring it on"
    assert calls > 20
    assert parts.compared == whole.compared
    return whole.compared


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget of no seconds is spent at once, however long the way was."""
    monkeypatch.setattr(budget, "PAID_BACK", 0)


def with_row(number: int, row: bytes) -> list[bytes]:
    return [row if n == number else one for n, one in enumerate(ROWS)]


def test_the_same_text_is_equal_in_order() -> None:
    found = compare(sides(ROWS))
    assert (found.equal, found.in_order, found.rows_source, found.rows_target) == (True, True, 5_000, 5_000)


def test_rows_in_another_order_are_equal() -> None:
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    found = compare(sides(shuffled))
    assert (found.equal, found.in_order, found.names) == (True, False, [])


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (b"17\tname 4\t2026-01-01 00:00:00.000017\n", "name"),
        (b"17\t\\N\t2026-01-01 00:00:00.000017\n", "name"),
        (b"17\tname 3\t2026-01-01 00:00:00.000018\n", "at"),
    ],
)
def test_a_changed_value_is_named_by_key_and_column(row: bytes, column: str) -> None:
    found = compare(sides(with_row(17, row)))
    assert (found.changed, found.missing, found.unexpected) == (1, 0, 0)
    assert found.names == [f"id 17: differs in {column}"]


def test_a_row_that_lacks_and_one_that_is_there_twice_are_named() -> None:
    rows = [one for n, one in enumerate(ROWS) if n != 30] + [ROWS[40]]
    found = compare(sides(rows))
    assert (found.changed, found.missing, found.unexpected) == (0, 1, 1)
    assert found.names == ["id 30: missing on the target", "id 40: expected 1 time, found 2 times on the target"]


def test_a_row_that_nobody_expects_is_named() -> None:
    found = compare(sides([*ROWS, b"9999\tx\t\\N\n"]))
    assert (found.missing, found.unexpected) == (0, 1)
    assert found.names == ["id 9999: not expected on the target"]


def test_without_a_key_a_changed_row_is_one_missing_and_one_unexpected() -> None:
    found = compare(sides(with_row(17, b"17\tother\t\\N\n"), key=()))
    assert (found.changed, found.missing, found.unexpected) == (0, 1, 1)


def test_a_key_of_two_columns_names_both() -> None:
    found = compare(sides(with_row(17, b"17\tname 3\t\\N\n"), key=(1, 0)))
    assert found.names == ["name name 3, id 17: differs in at"]


def test_when_everything_differs_some_parts_are_looked_into_and_the_rest_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(textrows, "ROWS_LOOKED_INTO", 50)
    found = compare(sides([one.replace(b"name", b"Name") for one in ROWS]))
    assert not found.equal
    assert found.buckets_unseen > 0
    assert 0 < found.changed <= 60
    assert len(found.names) == 10
    assert "further of 4096 parts" in str(found)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"2026-01-01 10:00:00.123456+05:30", b"2026-01-01 04:30:00.123456+00:00"),
        (b"2026-01-01 04:30:00.123456+00", b"2026-01-01 04:30:00.123456+00:00"),
        (b"infinity", b"infinity"),
        (b"0044-03-15 12:00:00+00 BC", b"0044-03-15 12:00:00+00 BC"),
    ],
)
def test_moments_of_two_time_zones_have_one_form(value: bytes, expected: bytes) -> None:
    assert in_utc(value) == expected
