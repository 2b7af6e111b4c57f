"""What a cron daemon does, minute by minute: the oracle for the moments of a schedule. It shares no code with the product.

It steps through UTC, reads the wall clock at every minute, and matches the five fields that it takes apart itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

EXPRESSIONS = (
    "* * * * *", "*/15 * * * *", "7 * * * *", "0 * * * *", "59 * * * *", "*/7 */5 * * *", "30 */2 * * *", "*/10 2 * * *",
    "*/10 1 * * *", "* 3 * * *", "*/20 0 * * *", "*/30 23 * * *", "15 * * * 0", "0 0 * * *", "30 0 * * *", "0 1 * * *",
    "30 1 * * *", "0 2 * * *", "30 2 * * *", "59 2 * * *", "0 3 * * *", "0,30 2 * * *", "0-59 2 * * *", "15,45 1,2,3 * * *",
    "0 2,3 * * *", "0 9 * * 1-5", "0 9 * * 7", "0 9 * * 0", "5 4 * * SUN", "30 7 1 * *", "0 0 1 1 *", "0 12 31 * *",
    "0 0 29 2 *", "0 6 13 * 5", "0 6 */2 * 1", "0 6 1-7 * */3", "0 22 * JAN,MAR,oct mon-fri", "5/20 8-18/3 * * *",
    "45 23 28-31 * *", "0 1 * 3,4,10,11 SAT,SUN",
)  # fmt: skip
ZONES = (
    "UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "America/Santiago", "Africa/Casablanca",
    "America/Havana", "Asia/Kolkata", "Pacific/Chatham",
)  # fmt: skip
MINUTE = timedelta(minutes=1)
_NAMES = {name: number for number, name in enumerate("SUN MON TUE WED THU FRI SAT".split())} | {
    name: number for number, name in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)
}


@dataclass(frozen=True)
class Fields:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    fixed: bool

    @classmethod
    def of(cls, expression: str) -> Fields:
        minute, hour, day, month, weekday = expression.upper().split()
        days = {number % 7 for number in _numbers(weekday, 0, 7)}
        stars = [field.startswith("*") for field in (minute, hour, day, weekday)]
        return cls(
            _numbers(minute, 0, 59), _numbers(hour, 0, 23), _numbers(day, 1, 31), _numbers(month, 1, 12), frozenset(days),
            either_day=not stars[2] and not stars[3], fixed=not stars[0] and not stars[1],
        )  # fmt: skip

    def name(self, wall: datetime) -> bool:
        if wall.minute not in self.minutes or wall.hour not in self.hours or wall.month not in self.months:
            return False
        day, weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return day or weekday if self.either_day else day and weekday


def _numbers(field: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for term in field.split(","):
        span, _, step = term.partition("/")
        first, dash, last = span.partition("-")
        start = low if span == "*" else _number(first)
        end = _number(last) if dash else high if span == "*" or step else start
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str) -> int:
    return _NAMES[text] if text in _NAMES else int(text)


@dataclass(frozen=True)
class Minute:
    """One minute as the wall clock shows it: `again` when it has shown it before, and the times that it has just left out."""

    utc: datetime
    wall: datetime
    again: bool
    left_out: tuple[datetime, ...] = ()


def minutes(zone: str, start: datetime, end: datetime) -> Iterator[Minute]:
    """Every minute from `start` to before `end`."""
    tz = ZoneInfo(zone)
    utc, before = start, (start - MINUTE).astimezone(tz).replace(tzinfo=None)
    while utc < end:
        aware = utc.astimezone(tz)
        wall = aware.replace(tzinfo=None, fold=0)
        gap = (wall - before.replace(fold=0)) // MINUTE
        yield Minute(utc, wall, aware.fold == 1, tuple(wall - k * MINUTE for k in range(gap - 1, 0, -1)))
        utc, before = utc + MINUTE, wall


def fires(fields: Fields, minute: Minute) -> bool:
    """Whether cron starts the job in this minute."""
    if not fields.fixed:
        return fields.name(minute.wall)
    return any(map(fields.name, minute.left_out)) or (fields.name(minute.wall) and not minute.again)


def oracle(expression: str, walked: list[Minute]) -> list[datetime]:
    """The moments of the schedule among these minutes."""
    fields = Fields.of(expression)
    return [minute.utc for minute in walked if fires(fields, minute)]


def changes(zone: str, start: datetime, end: datetime) -> list[datetime]:
    """The days on which the clocks of the zone change."""
    tz = ZoneInfo(zone)
    days = [start + timedelta(days=k) for k in range((end - start).days + 1)]
    return [b for a, b in pairwise(days) if a.astimezone(tz).utcoffset() != b.astimezone(tz).utcoffset()]


def day(year: int, month: int = 1, number: int = 1) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)
