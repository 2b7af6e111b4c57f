"""How a workflow is doing, from its newest runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from flowgraph_runtime.storage.overview import SAMPLE
from flowgraph_runtime.storage.run_pages import RunSummary
from flowgraph_runtime.storage.transitions import ENDED

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
BARS = 40
"""Runs in a workflow's chart."""
JUDGED = 50
"""Runs that the health is judged by."""
FAILED = ("failed", "crashed")
_LOWEST = 0.25


@dataclass(frozen=True, slots=True)
class Health:
    """`level`: good, fair (some of the latest runs failed), poor (half of them), none (nothing has ended yet)."""

    level: str
    words: str


@dataclass(frozen=True, slots=True)
class OutcomeBar:
    """One run in a chart. `height` from 0 to 1 grows with the logarithm of the duration, from the shortest to the longest one."""

    id: str
    status: str
    height: float


def rate(runs: Sequence[RunSummary], now: int) -> str:
    """Return how often a workflow starts: `32/hr`, `1/day`, `3/wk`, over its last day or week. `runs`: the newest ones, newest
    first; where they reach back less than an hour because there are so many, the rate is that of the time they cover."""
    if not runs:
        return "–"
    covered = len(runs) < SAMPLE
    oldest = max(1, now - runs[-1].created_at)
    window = min(DAY, max(HOUR, oldest) if covered else oldest)
    hourly = _since(runs, now - window) * HOUR / window
    if hourly >= 0.95:
        return f"{round(hourly):,}/hr"
    daily = _since(runs, now - DAY)
    if daily:
        return f"{daily}/day"
    weekly = _since(runs, now - 7 * DAY)
    return f"{weekly}/wk" if weekly else "idle"


def _since(runs: Sequence[RunSummary], at: int) -> int:
    return sum(run.created_at >= at for run in runs)


def health(runs: Sequence[RunSummary]) -> Health:
    """Return the share of failed runs among the latest ones that have ended."""
    ended = [run for run in runs if run.status in ENDED][:JUDGED]
    failed = sum(run.status in FAILED for run in ended)
    if not ended:
        return Health("none", "nothing ended yet")
    if not failed:
        return Health("good", f"{len(ended)} of {len(ended)} fine")
    return Health("poor" if 2 * failed >= len(ended) else "fair", f"{failed} of {len(ended)} failed")


def outcome_bars(runs: Sequence[RunSummary], now: int) -> list[OutcomeBar]:
    """Return the newest runs as bars, the newest last, as one reads a chart."""
    shown = list(reversed(runs[:BARS]))
    sizes = [log(max(1_000, _duration(run, now))) for run in shown]
    shortest, longest = min(sizes, default=0.0), max(sizes, default=0.0)
    spread = max(1.0, longest - shortest)
    return [
        OutcomeBar(run.id, run.status, _LOWEST + (1 - _LOWEST) * (size - shortest) / spread)
        for run, size in zip(shown, sizes, strict=True)
    ]


def _duration(run: RunSummary, now: int) -> int:
    return 0 if run.started_at is None else (run.ended_at or now) - run.started_at


def counted(runs: Sequence[RunSummary]) -> str:
    """Return the outcomes in words, the most frequent first."""
    counts = Counter(run.status for run in runs[:BARS])
    return ", ".join(f"{count} {status}" for status, count in counts.most_common()) or "no run yet"


def usual_duration(runs: Sequence[RunSummary]) -> int | None:
    """Return the median duration of the runs that completed, in microseconds."""
    times = sorted(run.ended_at - run.started_at for run in runs if run.status == "completed" and run.started_at and run.ended_at)
    return times[len(times) // 2] if times else None
