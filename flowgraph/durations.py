"""Durations as authors write them: text such as `"1h30m"`, or a `timedelta`; never a bare number, whose unit nobody can see."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

Duration = str | timedelta

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_WHOLE = re.compile(rf"\s*(?:{_PART.pattern}\s*)+")
_EXAMPLES = 'write "500ms", "30s", "1h30m", "24h", "1d", "2w" or a timedelta'


class DurationError(ValueError):
    """Text or an object that is no duration; the message says what to write."""


def parse_duration(duration: Duration) -> timedelta:
    """Return `duration` as a `timedelta` (exact to the microsecond).

    Units: `ms s m h d w`, a day being 24 hours; parts add up (`"1h30m"`). Raises `DurationError` for anything else, negative
    ones included.
    """
    if isinstance(duration, timedelta):
        return _not_negative(duration, duration)
    if not isinstance(duration, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # authors pass numbers all the same
        raise DurationError(f"{duration!r} is no duration: {_EXAMPLES}")
    if duration.lstrip().startswith("-"):
        raise DurationError(f"duration {duration!r} is negative: {_EXAMPLES}")
    if not _WHOLE.fullmatch(duration):
        raise DurationError(f"{duration!r} is no duration: {_EXAMPLES}")
    return _add_up(duration)


def aware(when: object) -> datetime:
    """Return the moment that `sleep_until` was given. Raises `TypeError` for what is no datetime, `ValueError` for one without a
    zone."""
    if not isinstance(when, datetime):
        raise TypeError(f"sleep_until() takes an aware datetime, not a value of type {type(when).__name__}")
    if when.utcoffset() is None:
        raise ValueError(f"sleep_until({when.isoformat()}) has no time zone: add tzinfo=UTC or tzinfo=ZoneInfo(...)")
    return when


def format_duration(duration: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads back as `duration`, such as `1h30m`.

    Microseconds below one millisecond are dropped.
    """
    rest = int(duration / timedelta(milliseconds=1))
    parts: list[str] = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _add_up(text: str) -> timedelta:
    try:
        return sum((timedelta(seconds=float(n) * _SECONDS[unit]) for n, unit in _PART.findall(text)), timedelta())
    except OverflowError:
        raise DurationError(f"duration {text!r} is too long: at most {timedelta.max.days} days") from None


def _not_negative(value: timedelta, shown: object) -> timedelta:
    if value < timedelta():
        raise DurationError(f"duration {shown!r} is negative: {_EXAMPLES}")
    return value
