"""Two COPY texts compared: equal ones are equal in any order; each kind of difference is found, counted and named."""

import random
from collections.abc import Callable, Iterator

import pytest

from shared.verification import copytext
from shared.verification.copytext import TextSides, compare
from shared.verification.restored import in_utc

COLUMNS = ["id", "name", "at"]
ROWS = [b"%d\tname %d\t2026-01-01 00:00:00.%06d\n" % (n, n % 7, n) for n in range(5_000)]


def text(rows: list[bytes], size: int = 1 << 12) -> Callable[[], Iterator[bytes]]:
    whole = b"".join(rows)
    return lambda: (whole[at : at + size] for at in range(0, len(whole), size))


def sides(rows: list[bytes], key: tuple[int, ...] = (0,)) -> TextSides:
    return TextSides(text(ROWS), text(rows, 999), COLUMNS, key)


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
    monkeypatch.setattr(copytext, "ROWS_LOOKED_INTO", 50)
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
