"""Durations: what is accepted, exactly, and what the refusal says."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowgraph.durations import DurationError, format_duration, parse_duration


@pytest.mark.feature(21)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", timedelta(hours=24)),
        ("1d", timedelta(days=1)),
        ("30s", timedelta(seconds=30)),
        ("500ms", timedelta(milliseconds=500)),
        ("1h30m", timedelta(minutes=90)),
        ("1h 30m", timedelta(minutes=90)),
        ("2w", timedelta(days=14)),
        ("1.5s", timedelta(milliseconds=1500)),
        ("0s", timedelta()),
    ],
)
def test_text_is_read_by_its_units(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.feature(21)
def test_a_timedelta_is_taken_as_it_is() -> None:
    assert parse_duration(timedelta(hours=3)) == timedelta(hours=3)


@pytest.mark.parametrize("bad", ["", "5", "h", "1x", "1h foo", "one hour", "1h-2m", "٣s1", "1e3s"])
def test_other_text_is_refused_and_the_message_says_what_to_write(bad: str) -> None:
    with pytest.raises(DurationError, match='write "500ms"'):
        parse_duration(bad)


@pytest.mark.parametrize("bad", [5, 1.5, None])
def test_a_bare_number_is_refused(bad: object) -> None:
    with pytest.raises(DurationError, match="is no duration"):
        parse_duration(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["-5s", timedelta(seconds=-1)])
def test_negative_durations_are_refused(bad: str | timedelta) -> None:
    with pytest.raises(DurationError, match="negative"):
        parse_duration(bad)


def test_a_duration_beyond_every_calendar_is_refused() -> None:
    with pytest.raises(DurationError, match="too long"):
        parse_duration("99999999999w")


@given(st.integers(min_value=0, max_value=10**12))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration
