"""How often a workflow starts, in the unit that says most."""

from __future__ import annotations

import pytest

from flowgraph_runtime.dashboard.statistics import DAY, HOUR, rate
from flowgraph_runtime.storage.overview import SAMPLE
from flowgraph_runtime.storage.run_pages import RunSummary

NOW = 1_000 * DAY


def _runs(*ages: float) -> list[RunSummary]:
    return [
        RunSummary(f"run_{age}", "w", "m", "completed", None, None, NOW - int(age), None, None, "hand") for age in sorted(ages)
    ]


@pytest.mark.feature(19)
@pytest.mark.parametrize(
    ("ages", "shown"),
    [
        ((), "–"),
        ([HOUR * n / 32 for n in range(32)], "32/hr"),
        ([HOUR * n / 8 for n in range(8 * 20)], "8/hr"),
        ([HOUR / 2 * (n + 1) / SAMPLE for n in range(SAMPLE)], f"{2 * SAMPLE}/hr"),
        ((DAY / 2, DAY * 1.5, DAY * 2.5), "1/day"),
        ((DAY * 2, DAY * 3, DAY * 6), "3/wk"),
        ((DAY * 30,), "idle"),
    ],
)
def test_a_rate_is_told_by_the_hour_the_day_or_the_week(ages: list[float], shown: str) -> None:
    assert rate(_runs(*ages), NOW) == shown
