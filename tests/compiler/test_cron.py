"""Cron schedules: their moments are those of a minute-by-minute oracle; what cannot be read is refused where it is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest

from flowgraph_compiler.cron import CronError, ever_fires, five_fields, ticks, words, zone
from flowgraph_compiler.pretty import pretty
from flowgraph_compiler.render import diagram
from flowgraph_compiler.serialize import from_json, to_json
from tests.compiler.checked import codes_by_line, compiled, marked
from tests.compiler.cron_oracle import EXPRESSIONS, MINUTE, ZONES, changes, day, minutes, oracle

FAST_ZONES = ("Europe/Paris", "Australia/Lord_Howe")
"""An hour's change at three, and half an hour's at two."""


def differences(zone_: str, start: datetime, end: datetime) -> list[tuple[str, list[str]]]:
    walked = list(minutes(zone_, start, end))
    found = []
    for expression in EXPRESSIONS:
        expected = set(oracle(expression, walked))
        told = set(takewhile(lambda at: at < end, ticks(expression, zone_, start - MINUTE)))
        if told != expected:
            found.append((expression, sorted(map(str, told ^ expected))[:5]))
    return found


def around(zone_: str, year: int, days: float) -> list[tuple[datetime, datetime]]:
    """Stretches of time around the changes of a year, or one at its end where there are none."""
    wide = timedelta(days=days)
    return [(at - wide, at + wide) for at in changes(zone_, day(year), day(year + 1)) or [day(year, 12, 31)]]


@pytest.mark.feature(18)
@pytest.mark.parametrize("zone_", FAST_ZONES)
def test_moments_around_the_changes_of_a_year(zone_: str) -> None:
    stretches = around(zone_, 2027, 1)
    assert len(stretches) == 2
    assert [differences(zone_, *stretch) for stretch in stretches] == [[], []]


@pytest.mark.ci
@pytest.mark.parametrize("zone_", ZONES)
def test_moments_around_the_changes_of_more_years(zone_: str) -> None:
    stretches = [stretch for year in (2018, 2026, 2028) for stretch in around(zone_, year, 3)]
    assert {str(stretch): found for stretch in stretches if (found := differences(zone_, *stretch))} == {}


@pytest.mark.verify
@pytest.mark.parametrize("zone_", ZONES)
def test_moments_of_a_year_and_around_the_changes_of_nine(zone_: str) -> None:
    stretches = [(day(2026), day(2027)), *(stretch for year in range(2027, 2036) for stretch in around(zone_, year, 3))]
    assert {str(stretch): found for stretch in stretches if (found := differences(zone_, *stretch))} == {}


@pytest.mark.parametrize("expression", ["30 2 * * *", "*/20 1-3 * * *", "0 0 29 2 *"])
@pytest.mark.parametrize("zone_", FAST_ZONES)
def test_going_on_from_any_tick_gives_the_same_moments(expression: str, zone_: str) -> None:
    """The database keeps one moment; the next one is computed from it alone."""
    at = datetime(2027, 3, 20, tzinfo=UTC)
    walked = list(islice(ticks(expression, zone_, at), 30))
    for expected in walked:
        at = next(ticks(expression, zone_, at))
        assert at == expected


def test_a_repeated_hour_is_not_run_again_by_whoever_begins_in_it() -> None:
    second_pass = datetime(2027, 10, 31, 2, 10, fold=1, tzinfo=ZoneInfo("Europe/Paris"))
    assert next(ticks("30 2 * * *", "Europe/Paris", second_pass)) == datetime(2027, 11, 1, 1, 30, tzinfo=UTC)
    assert next(ticks("*/30 2 * * *", "Europe/Paris", second_pass)) == datetime(2027, 10, 31, 1, 30, tzinfo=UTC)


def test_a_tick_is_after_the_moment_given_even_by_a_microsecond() -> None:
    nine = datetime(2027, 1, 1, 9, tzinfo=UTC)
    almost = nine - timedelta(microseconds=1)
    assert next(ticks("0 9 * * *", "UTC", almost)) == nine
    assert next(ticks("* * * * *", "Europe/Paris", almost)) == nine
    assert next(ticks("0 9 * * *", "UTC", nine)) == nine + timedelta(days=1)


@pytest.mark.feature(18)
@pytest.mark.parametrize(
    ("alias", "fields"),
    [
        ("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@midnight", "0 0 * * *"), ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"), ("@yearly", "0 0 1 1 *"), ("@annually", "0 0 1 1 *"), (" @Daily ", "0 0 * * *"),
        ("  0  9 * *\tmon-fri ", "0 9 * * mon-fri"),
    ],
)  # fmt: skip
def test_aliases_and_blanks(alias: str, fields: str) -> None:
    assert five_fields(alias) == fields


@pytest.mark.parametrize(
    "expression",
    [
        "", "* * * *", "* * * * * *", "@reboot", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
        "*/0 * * * *", "5-1 * * * *", "1,,2 * * * *", "-1 * * * *", "1.5 * * * *", "* * L * *", "* * LW * *", "* * * * 5L",
        "* * * * MON#1", "* * 15W * *", "MON * * * *", "* * * * JAN", "* * * MON *", "a b c d e", "٣ * * * *", "* * * * MON-SUN",
    ],
)  # fmt: skip
def test_what_is_no_cron_expression(expression: str) -> None:
    with pytest.raises(CronError):
        five_fields(expression)


def test_days_that_never_come() -> None:
    never = ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30 FEB */2"]
    assert [ever_fires(expression) for expression in never] == [False] * 3
    assert [list(ticks(expression, "UTC", day(2026))) for expression in never] == [[], [], []]
    assert [ever_fires(expression) for expression in ("0 0 29 2 *", "0 0 30 2 MON", "0 0 31 1-12 *")] == [True] * 3


def test_zones() -> None:
    assert [zone(name) is not None for name in ("UTC", "Europe/Paris", "America/Argentina/Ushuaia")] == [True] * 3
    assert [zone(name) for name in ("", "Paris", "../etc/passwd", "/etc/localtime", "localtime", "Europe", "a\0b")] == [None] * 7


def test_words() -> None:
    assert words("0 9 * * *", "Europe/Paris") == "at 09:00 every day, Europe/Paris"
    assert words("@hourly", "UTC") == "at the start of every hour, UTC"
    assert words("61 9 * * *", "UTC") == "61 9 * * *, UTC"


SCHEDULES = """
from datetime import datetime
from flowgraph import Cron
@workflow(on=Cron("61 * * * *"))  # error: FG310
async def c1() -> None: ...
@workflow(on=Cron("0 0 31 2 *", tz="Europe/Nowhere"))  # error: FG311 FG312
async def c2() -> None: ...
@workflow(
    on=(Asked, Cron("@daily", catch_up="never")),  # error: FG320
)
async def c3(event: Asked | datetime) -> None: ...
@workflow(on=Cron("@daily", overlap="queue", jitter="soon"))  # error: FG320 FG321
async def c4(at: datetime) -> None: ...
@workflow(on=(Cron("@daily"), Cron("0 0  * * *")))  # error: FG310
async def c5() -> None: ...
@workflow(on=(Cron("@daily"), Cron("@daily", tz="Asia/Tokyo", catch_up="all", overlap="skip", jitter="5m")))
async def c6() -> None: ...
@workflow(on=Cron(5, tz=None, jitter=3))  # error: FG310 FG312 FG321
async def c7() -> None: ...
@workflow(on=Cron("@daily"))
async def c8(at: datetime, n: int) -> None: ...  # error: FG106
@workflow(on=Cron("@daily"))
async def c9(at: str) -> None: ...  # error: FG106
"""


def test_what_is_wrong_with_a_schedule_is_told_where_it_stands() -> None:
    codes = ("FG106", "FG310", "FG311", "FG312", "FG320", "FG321", "FG323")
    assert codes_by_line(SCHEDULES, *codes) == marked(SCHEDULES)


def test_the_diagram_and_the_machine_text_say_when_it_runs() -> None:
    source = """
@workflow(on=(Cron("@daily"), Cron("0 9 * * mon-fri", tz="Asia/Tokyo", catch_up="all", overlap="skip", jitter="5m")))
async def scheduled() -> None: ...
"""
    machine = compiled("from flowgraph import Cron" + source).machines["scheduled"]
    (start,) = [node for node in diagram(machine).nodes if node.kind == "start"]
    assert start.detail == ("at 00:00 every day, UTC", "at 09:00 on Monday through Friday, Asia/Tokyo")
    assert [line for line in pretty(machine).splitlines() if line.startswith("on ")] == [
        "on 0 0 * * * UTC catch_up latest overlap allow",
        "on 0 9 * * mon-fri Asia/Tokyo catch_up all overlap skip jitter 300s",
    ]
    assert from_json(to_json(machine)) == machine
