"""NCRONTAB schedules."""

from datetime import UTC, datetime

import pytest

from local.host import ncrontab
from local.host.settings import HostError

SUNDAY = datetime(2026, 11, 22, 21, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("*/5 * * * * *", datetime(2026, 11, 22, 21, 0, 35, tzinfo=UTC)),
        ("0 */5 * * * *", datetime(2026, 11, 22, 21, 5, tzinfo=UTC)),
        ("0 0 * * * *", datetime(2026, 11, 22, 22, tzinfo=UTC)),
        ("0 0 2 * * 6", datetime(2026, 11, 28, 2, tzinfo=UTC)),
        ("0 0 2 * * Sat", datetime(2026, 11, 28, 2, tzinfo=UTC)),
        ("0 0 2 * * 7", datetime(2026, 11, 29, 2, tzinfo=UTC)),
        ("0 0 2 * * *", datetime(2026, 11, 23, 2, tzinfo=UTC)),
        ("0 30 9-17 * * Mon-Fri", datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),
        ("0 0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC)),
        ("0 0 0 13 * 5", datetime(2027, 8, 13, tzinfo=UTC)),
        ("30,45 59 23 31 dec *", datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC)),
        ("0 10/20 * * * *", datetime(2026, 11, 22, 21, 10, tzinfo=UTC)),
        ("*/5 * * * *", datetime(2026, 11, 22, 21, 5, tzinfo=UTC)),
        ("00:05:00", datetime(2026, 11, 22, 21, 5, 30, tzinfo=UTC)),
    ],
)
def test_the_next_due_time_is_the_first_that_satisfies_every_field(expression: str, due: datetime) -> None:
    assert ncrontab.parse(expression).after(SUNDAY) == due


@pytest.mark.parametrize(
    ("expression", "trouble"),
    [
        ("0 0 2", "expected six fields, found 3"),
        ("0 61 * * * *", "'61' is outside the minutes 0 to 59"),
        ("0 0 5-2 * * *", "'5-2' is outside the hours"),
        ("0 0 0 * Foo *", "'Foo' is not a month"),
        ("0 */0 * * * *", r"'\*/0' is outside the minutes"),
        ("0 0 0 30 2 *", "never comes"),
    ],
)
def test_a_schedule_that_is_wrong_is_refused_with_its_field(expression: str, trouble: str) -> None:
    with pytest.raises(HostError, match=trouble):
        ncrontab.parse(expression)
