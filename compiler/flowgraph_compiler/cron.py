"""Cron schedules: which expressions and zones there are, what they say in words, and the moments that they name.

cronsim reads the five fields and walks the wall clock without a zone: with one it errs where the clocks change by half an hour or
off the hour (measured beside the tests' oracle: Lord Howe, Chatham). This module takes the wall clock's times to moments by
cron's own rule (crontab(5) of Vixie's cron, as in Debian):

- a schedule with fixed times, that is without a `*` in front of its minute or its hour, ticks once when the clocks are put
  forward over it, at once after the gap, and once, the first time, in an hour that is repeated;
- any other follows the wall clock: nothing in the gap, and everything twice in the repeated hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from cronsim.cronsim import FIELD_NAMES, SYMBOLIC_DAYS, SYMBOLIC_MONTHS, Field

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = (Field.MINUTE, Field.HOUR, Field.DAY, Field.MONTH, Field.DOW)
_NAMES = "minute hour day-of-month month day-of-week"
_PLAIN = frozenset("0123456789*/,-")
_CHARACTERS = {  # cronsim knows L, W and # of other dialects
    Field.MONTH: _PLAIN.union(*SYMBOLIC_MONTHS),
    Field.DOW: _PLAIN.union(*SYMBOLIC_DAYS),
}
_SOME_DAY = datetime(2000, 1, 1)  # in the 28 years after it every date is every day of the week
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


class CronError(ValueError):
    """A text that is no cron expression; the message says which part is wrong."""


def five_fields(expression: str) -> str:
    """Return the expression as five fields with one blank between them, an alias spelled out. Raises `CronError`."""
    text = ALIASES.get(expression.strip().lower(), expression)
    parts = text.split()
    if text.lstrip().startswith("@"):
        raise CronError(f"there is no alias '{text.strip()}', only {', '.join(ALIASES)}")
    if len(parts) != len(_FIELDS):
        raise CronError(f"it has {len(parts)} fields instead of five ({_NAMES})")
    for field, part in zip(_FIELDS, parts, strict=True):
        _check(field, part.upper())
    return " ".join(parts)


def _check(field: Field, part: str) -> None:
    try:
        if not set(part) <= _CHARACTERS.get(field, _PLAIN):
            raise CronSimError
        field.parse(part)
    except CronSimError:
        raise CronError(f"'{part}' is no {FIELD_NAMES[field]}") from None


def ever_fires(expression: str) -> bool:
    """Return whether there is a day that the expression names. Raises `CronError`."""
    fields = five_fields(expression)
    try:
        return next(CronSim(fields, _SOME_DAY), None) is not None
    except CronSimError:  # a day of the month that none of the months has
        return False


def zone(name: str) -> ZoneInfo | None:
    """Return the zone of the IANA database with this name, None without one."""
    try:
        return ZoneInfo(name) if name != "localtime" else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def words(expression: str, zone: str) -> str:
    """Return the schedule in English: `at 09:00 every day, Europe/Paris`; as it is written when that is no schedule."""
    try:
        explained: str = CronSim(five_fields(expression), _SOME_DAY).explain()
    except (CronError, CronSimError):
        return f"{expression}, {zone}"
    return f"{explained[:1].lower()}{explained[1:]}, {zone}"


def ticks(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Yield the moments after `after` (aware) that the schedule names, in order, in UTC; it ends when 50 years have none.

    Raises `CronError`, and `zoneinfo.ZoneInfoNotFoundError` for a zone that this computer does not know."""
    fields = five_fields(expression)
    if not ever_fires(fields):
        return iter(())
    minute, hour, *_ = fields.split()
    follow = _by_the_wall_clock if minute.startswith("*") or hour.startswith("*") else _at_fixed_times
    return follow(fields, ZoneInfo(zone), after.astimezone(UTC))


def _at_fixed_times(fields: str, tz: ZoneInfo, after: datetime) -> Iterator[datetime]:
    for wall in CronSim(fields, after.astimezone(tz).replace(tzinfo=None, fold=0)):
        moment = _moment(wall, tz)
        if moment > after:  # times in one gap are one tick, and those of a repeated hour belong to its first pass
            yield moment
            after = moment


def _moment(wall: datetime, tz: ZoneInfo) -> datetime:
    """The first moment at which the wall clock shows this time; that of the change when the change leaves it out."""
    moment = wall.replace(tzinfo=tz).astimezone(UTC)
    if moment.astimezone(tz).replace(tzinfo=None, fold=0) == wall:
        return moment
    return _bisected(wall.replace(tzinfo=tz, fold=1).astimezone(UTC), moment, tz)


def _by_the_wall_clock(fields: str, tz: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """From one change of the clocks to the next: each puts them to another time, from which they walk on."""
    start: datetime | None = after
    while start is not None:
        offset = _offset(start, tz)
        wall = (start + offset).replace(tzinfo=None) - (timedelta() if start is after else _SECOND)
        change = None
        for wall_tick in CronSim(fields, wall):
            moment = (wall_tick - offset).replace(tzinfo=UTC)
            change = _first_change(start, moment, tz)
            if change is not None:
                break
            yield moment
            start = moment
        start = change


def _first_change(start: datetime, end: datetime, tz: ZoneInfo) -> datetime | None:
    """The first moment after `start`, up to `end`, from which the zone has another offset."""
    looks = [start]
    while looks[-1] + _DAY < end:
        looks.append(looks[-1] + _DAY)
    offset = _offset(start, tz)
    for one, other in pairwise([*looks, end]):
        if _offset(other, tz) != offset:
            return _bisected(one, other, tz)
    return None


def _bisected(before: datetime, after: datetime, tz: ZoneInfo) -> datetime:
    """The second at which the offset changes, between two moments that have different ones."""
    offset = _offset(before, tz)
    before = before.replace(microsecond=0)
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        before, after = (middle, after) if _offset(middle, tz) == offset else (before, middle)
    return after


def _offset(moment: datetime, tz: ZoneInfo) -> timedelta:
    offset = moment.astimezone(tz).utcoffset()
    assert offset is not None
    return offset
