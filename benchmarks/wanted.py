"""The figures that the project wants to reach, each as a ratio within one run or a bound, and what the results say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.plan import COMMITS, OURS, RAW
from benchmarks.results import Key, Results, cpu, of, rate

LATENCY = "flowgraph, over HTTP"
Figure = Callable[[Results], float | None]


@dataclass(frozen=True)
class Wanted:
    """`least`: the figure has to be at least `bound`, else at most. `aim`: what would be better still."""

    text: str
    bound: float
    least: bool
    figure: Figure
    aim: float | None = None
    unit: str = ""

    def reached(self, value: float) -> bool:
        """Whether the value is good enough."""
        return value >= self.bound if self.least else value <= self.bound


def _beside(key: Key, other: str) -> Figure:
    """Our rate as a multiple of another one in the same rounds."""
    return lambda results: results.ratio(key, OURS, other, rate)


def _best_peer(key: Key) -> Figure:
    def figure(results: Results) -> float | None:
        peers = [who for who in results.whose(key) if who not in (OURS, RAW, COMMITS)]
        found = [ratio for who in peers if (ratio := results.ratio(key, OURS, who, rate)) is not None]
        return min(found, default=None)

    return figure


def _growth(workload: str, database: str) -> Figure:
    """CPU time of a unit at the largest size as a multiple of that at the smallest, in the same rounds."""

    def figure(results: Results) -> float | None:
        keys = sorted((key for key in results.cases(workload) if key[1] == database), key=lambda key: key[2])
        return results.ratio(keys[-1], OURS, OURS, cpu, keys[0]) if len(keys) > 1 else None

    return figure


def _latency(database: str) -> Figure:
    """Milliseconds over four raw commits."""

    def figure(results: Results) -> float | None:
        for key in results.cases("latency"):
            ours, commit = (results.middle(key, who, of("p50_ms")) for who in (LATENCY, COMMITS))
            if key[1] == database and ours is not None and commit is not None:
                return ours - 4 * commit
        return None

    return figure


def _peer_latency(database: str) -> Figure:
    """Our median latency as a part of the fastest peer's."""

    def figure(results: Results) -> float | None:
        for key in results.cases("latency"):
            peers = [who for who in results.whose(key) if not who.startswith((OURS, "raw"))]
            found = [results.ratio(key, LATENCY, who, of("p50_ms")) for who in peers]
            if key[1] == database and found:
                return max((one for one in found if one is not None), default=None)
        return None

    return figure


def _largest(workload: str, figure: Callable[[Results, Key], float | None], database: str = "sqlite") -> Figure:
    def at(results: Results) -> float | None:
        keys = [key for key in results.cases(workload) if key[1] == database]
        return figure(results, max(keys, key=lambda key: key[2])) if keys else None

    return at


def _member(name: str) -> Callable[[Results, Key], float | None]:
    return lambda results, key: results.middle(key, OURS, of(name))


def _beside_sleepers(results: Results, key: Key) -> float | None:
    return results.middle(key, OURS, lambda sample: sample["chain_seconds_alone"] / sample["chain_seconds_beside"])


def _seconds(results: Results, key: Key) -> float | None:
    each = results.middle(key, OURS, lambda sample: sample["seconds"] / sample["count"])
    return None if each is None else each * key[2]


def _workers(more: int, fewer: int) -> Figure:
    return lambda results: results.ratio(("workers", "postgres", more), OURS, OURS, rate, ("workers", "postgres", fewer))


def wanted() -> Iterator[Wanted]:
    """All figures."""
    sqlite, postgres = ("chain", "sqlite", 1_000), ("chain", "postgres", 1_000)
    yield Wanted("chain, 1,000 runs, SQLite FULL: of the raw group-commit loop", 0.12, True, _beside(sqlite, RAW), 0.25)
    yield Wanted("the same, times DBOS", 100, True, _beside(sqlite, "DBOS"))
    yield Wanted("the same, times the best peer", 25, True, _best_peer(sqlite))
    yield Wanted("chain, 1,000 runs, PostgreSQL: of a raw unnest loop", 0.2, True, _beside(postgres, RAW), 0.4)
    yield Wanted("the same, times DBOS", 80, True, _beside(postgres, "DBOS"))
    yield Wanted("the same, times Absurd", 20, True, _beside(postgres, "Absurd"))
    yield Wanted("one run alone, SQLite: of raw one-row commits", 0.5, True, _beside(("chain", "sqlite", 1), COMMITS))
    yield Wanted("steps that burn 10 us: of the engine without its writer", 0.6, True, _burning(10))
    for database in ("sqlite", "postgres"):
        yield Wanted(f"one-step run over HTTP, {database}: p50 over 4 raw commits", 2, False, _latency(database), unit=" ms")
        yield Wanted(f"the same, {database}: of the fastest peer's", 1, False, _peer_latency(database))
    yield Wanted("long: CPU of a step in the longest run, times that in one of 100", 1.2, False, _growth("long", "sqlite"))
    for database in ("sqlite", "postgres"):
        yield Wanted(f"the widest fan-out, {database}", 1, False, _largest("fan-out", _seconds, database), unit=" s")
        growth = _growth("fan-out", database)
        yield Wanted(f"fan-out, {database}: CPU of an item in the widest, times that in 100", 1.2, False, growth)
    yield from _parked()
    yield Wanted("single events over HTTP: of a route that does nothing", 0.3, True, _ingest(1, "a route that does nothing"))
    yield Wanted("batched events over HTTP: of the raw loop", 0.3, True, _ingest(1_000, RAW))
    yield Wanted("two workers on PostgreSQL: times one", 1.3, True, _workers(2, 1))
    yield Wanted("three workers: times two", 0.9, True, _workers(3, 2))


def _parked() -> Iterator[Wanted]:
    asleep = "the most sleepers"
    yield Wanted(f"{asleep}: database bytes each", 700, False, _largest("sleepers", _member("bytes_each")))
    yield Wanted(f"{asleep}: memory after a restart, more than with none", 30, False, _restarted("rss_more_mb"), unit=" MB")
    yield Wanted(f"{asleep}: chain beside them, of that without", 0.9, True, _largest("sleepers", _beside_sleepers))
    yield Wanted(f"{asleep}: from restart to first progress", 2, False, _restarted("first_progress_s"), unit=" s")
    for database in ("sqlite", "postgres"):
        yield Wanted(f"event among the most waits, {database}: CPU, times that among 100", 1.5, False, _growth("match", database))


def _restarted(name: str) -> Figure:
    return _largest("sleepers", _member(name))


def _burning(us: int) -> Figure:
    return _beside(("burn", "sqlite", us), "flowgraph without its writer")


def _ingest(each: int, other: str) -> Figure:
    return _beside(("ingest", "sqlite", each), other)
