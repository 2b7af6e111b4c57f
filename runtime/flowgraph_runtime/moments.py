"""Microseconds since 1970 (how the runtime holds a time) to aware datetimes and RFC 3339, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(microseconds: int) -> datetime:
    """Return the aware UTC datetime; exact, unlike `fromtimestamp` of a float."""
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds(when: datetime) -> int:
    """Return an aware datetime as microseconds since 1970."""
    return (when - _EPOCH) // timedelta(microseconds=1)


def parse_rfc3339(text: str) -> datetime:
    """Return the moment that a text such as `2026-03-01T09:00:00Z` names. Raises ValueError, also without a zone."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError("a time needs its zone, e.g. 2026-03-01T09:00:00Z")
    return when


def rfc3339(at: int | None) -> str | None:
    """Return the time as text, e.g. `2026-03-01T09:00:00.000000Z`; None stays None."""
    return None if at is None else moment(at).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
