"""NCRONTAB: `{second} {minute} {hour} {day} {month} {day of week}`, in UTC, as timer triggers write their schedules.

Like NCrontab (and unlike Unix cron), a day must satisfy both the day-of-month and the day-of-week field.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from local.host.settings import HostError, time_span

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
)
_YEARS_AHEAD = 28  # every combination of day and weekday that can happen does so within one cycle


class Schedule(Protocol):
    """When a timer is due."""

    def after(self, moment: datetime) -> datetime:
        """Return the first due time later than a moment."""


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed interval, written as a time span."""

    interval: timedelta

    def after(self, moment: datetime) -> datetime:
        """Return one interval later."""
        return moment + self.interval


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday

    def after(self, moment: datetime) -> datetime:
        """Return the first match after a moment."""
        start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        day = start.date()
        for offset in range(_YEARS_AHEAD * 366):
            date = day + timedelta(days=offset)
            if not self._includes(date.day, date.month, date.isoweekday() % 7):
                continue
            earliest = (start.hour, start.minute, start.second) if offset == 0 else (0, 0, 0)
            found = self._time_from(earliest)
            if found is not None:
                return datetime(date.year, date.month, date.day, *found, tzinfo=UTC)
        raise HostError("the schedule never comes")

    def _includes(self, day: int, month: int, weekday: int) -> bool:
        return day in self.days and month in self.months and weekday in self.weekdays

    def _time_from(self, earliest: tuple[int, int, int]) -> tuple[int, int, int] | None:
        for hour in self.hours:
            if hour < earliest[0]:
                continue
            for minute in self.minutes:
                if (hour, minute) < earliest[:2]:
                    continue
                for second in self.seconds:
                    if (hour, minute, second) >= earliest:
                        return hour, minute, second
        return None


def parse(expression: str) -> Schedule:
    """Parse a schedule: six fields, five (seconds 0), or a time span; `HostError` says which field is wrong."""
    interval = time_span(expression.strip())
    if interval:
        return Every(timedelta(seconds=interval))
    parts = expression.split()
    if len(parts) == 5:
        parts.insert(0, "0")
    if len(parts) != 6:
        raise HostError(f"schedule '{expression}': expected six fields, found {len(parts)}")
    sets = [_field(part, *field, expression) for part, field in zip(parts, _FIELDS, strict=True)]
    cron = Cron(
        tuple(sorted(sets[0])),
        tuple(sorted(sets[1])),
        tuple(sorted(sets[2])),
        sets[3],
        sets[4],
        frozenset(day % 7 for day in sets[5]),
    )
    cron.after(datetime.now(UTC))
    return cron


def _field(text: str, name: str, low: int, high: int, expression: str) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part)
        if found is None:
            raise HostError(f"schedule '{expression}': '{part}' is not a {name}")
        first, last, step = found.groups()
        if first == "*":
            start, stop = low, 6 if name == "day of week" else high
        else:
            start = _number(first, name, expression)
            stop = _number(last, name, expression) if last else (high if step else start)
        if not low <= start <= stop <= high or step == "0":
            raise HostError(f"schedule '{expression}': '{part}' is outside the {name}s {low} to {high}")
        values.update(range(start, stop + 1, int(step or 1)))
    return frozenset(values)


def _number(text: str, name: str, expression: str) -> int:
    if text.isdigit():
        return int(text)
    names = {"month": (_MONTHS, 1), "day of week": (_DAYS, 0)}.get(name)
    if names is not None and text[:3].lower() in names[0]:
        return names[0].index(text[:3].lower()) + names[1]
    raise HostError(f"schedule '{expression}': '{text}' is not a {name}")
