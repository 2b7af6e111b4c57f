"""The results as Markdown: the wanted figures first, then a table a workload."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.plan import COMMITS, OURS, RAW
from benchmarks.results import Key, Measure, Results, cpu, of, rate
from benchmarks.wanted import Wanted, wanted

TITLES = {
    "chain": "Chain: runs of ten steps, all at once",
    "long": "Long: one run of many steps",
    "fan-out": "Fan-out: one run, one step an item",
    "latency": "Latency of a one-step run, one after the other",
    "sleepers": "Sleepers: runs that only wait for a moment in 30 days",
    "match": "An event that wakes one of many open waits",
    "ingest": "Taking in events over HTTP",
    "burn": "Steps that use the CPU, in microseconds",
    "workers": "Workers on one PostgreSQL",
}
_SIZE = {
    "chain": "runs",
    "long": "steps",
    "fan-out": "items",
    "ingest": "events a request",
    "burn": "us a step",
    "workers": "workers",
}
_THROUGHPUT = tuple(_SIZE)
_ASLEEP: dict[str, Measure] = {
    "database bytes each": of("bytes_each"),
    "MB of memory after a restart, more than with none": of("rss_more_mb"),
    "s from restart to ready": of("ready_s"),
    "s from restart to first progress": of("first_progress_s"),
    "CPU s of the server until then": of("first_progress_cpu_s"),
    "CPU s of one with none until it is ready": of("none_ready_cpu_s"),
    "rate of a chain beside them, of that without": lambda one: one["chain_seconds_alone"] / one["chain_seconds_beside"],
    "the same by CPU of a step": lambda one: one["chain_cpu_alone"] / one["chain_cpu_beside"],
    "CPU us to start one and put it to sleep": cpu,
}


def page(results: Results) -> str:
    """Everything, as the body of a page."""
    parts = [_machine(results), _goals(results)]
    for workload, title in TITLES.items():
        keys = results.cases(workload)
        if keys:
            parts.append(f"## {title}\n\n" + "\n".join(_table(results, workload, keys)))
    return "\n\n".join(part for part in [*parts, _settings(results), _missing(results)] if part) + "\n"


def number(value: float) -> str:
    """A figure with about three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.2g}"


def _machine(results: Results) -> str:
    facts = "; ".join(f"{name} {value}" for name, value in results.machine.items() if name not in ("measured", "commit"))
    return f"Measured {results.machine['measured']} at {results.machine['commit']}: {facts}."


def _goals(results: Results) -> str:
    rows = [(one, one.figure(results)) for one in wanted()]
    lines = [_goal(one, value) for one, value in rows if value is not None]
    if not lines:
        return ""
    left = sum(value is None for _, value in rows)
    said = f"\n\n{left} more figures were not measured in this run." if left else ""
    return "\n".join(["## Wanted and seen", "", "| figure | wanted | seen | |", "| --- | --: | --: | --- |", *lines]) + said


def _goal(one: Wanted, value: float) -> str:
    bound = f"{'>=' if one.least else '<='} {one.bound:,g}{one.unit}" + (f" (aim {one.aim:g})" if one.aim is not None else "")
    return f"| {one.text} | {bound} | {number(value)}{one.unit} | {'reached' if one.reached(value) else '**missed**'} |"


def _table(results: Results, workload: str, keys: list[Key]) -> Iterator[str]:
    if workload in _THROUGHPUT:
        return _throughput(results, workload, keys)
    return {"latency": _latency, "sleepers": _sleepers, "match": _match}[workload](results, keys)


def _throughput(results: Results, workload: str, keys: list[Key]) -> Iterator[str]:
    unit = "event" if workload == "ingest" else "item" if workload == "fan-out" else "step"
    yield f"| database | {_SIZE[workload]} | | {unit}s/s | of the first line's | CPU us a {unit} | rounds |"
    yield "| --- | --: | --- | --: | --: | --: | --: |"
    for key in keys:
        for who in results.whose(key):
            ratio = 1.0 if who == OURS else results.ratio(key, who, OURS, rate)
            figures = [results.middle(key, who, measure) for measure in (rate, cpu)]
            shown = [number(value or 0) for value in (figures[0], ratio, figures[1])]
            yield f"| {key[1]} | {key[2]:,} | {who} | {' | '.join(shown)} | {results.rounds(key)} |"


def _latency(results: Results, keys: list[Key]) -> Iterator[str]:
    yield "| database | | p50 ms | p99 ms | p50, times a raw commit | CPU us | rounds |"
    yield "| --- | --- | --: | --: | --: | --: | --: |"
    for key in keys:
        for who in results.whose(key):
            figures = [results.middle(key, who, measure) for measure in (of("p50_ms"), of("p99_ms"))]
            figures += [results.ratio(key, who, COMMITS, of("p50_ms")), results.middle(key, who, cpu)]
            yield f"| {key[1]} | {who} | {' | '.join(number(value or 0) for value in figures)} | {results.rounds(key)} |"


def _sleepers(results: Results, keys: list[Key]) -> Iterator[str]:
    yield f"| sleepers | {' | '.join(f'{key[2]:,} on {key[1]}' for key in keys)} |"
    yield "| --- |" + " --: |" * len(keys)
    for text, measure in _ASLEEP.items():
        yield f"| {text} | {' | '.join(number(results.middle(key, OURS, measure) or 0) for key in keys)} |"


def _match(results: Results, keys: list[Key]) -> Iterator[str]:
    yield "| database | open waits | p50 ms from event to the end of its run | p99 ms | CPU us |"
    yield "| --- | --: | --: | --: | --: |"
    for key in keys:
        figures = [results.middle(key, OURS, measure) for measure in (of("p50_ms"), of("p99_ms"), cpu)]
        yield f"| {key[1]} | {key[2]:,} | {' | '.join(number(value or 0) for value in figures)} |"


def _settings(results: Results) -> str:
    durability, versions = results.said("durability"), results.said("version")
    engines = [who for who in durability if not who.startswith((RAW, COMMITS, f"{OURS},", f"{OURS} without"))]
    lines = [f"| {who} | {versions.get(who, 'at the commit above')} | `{durability[who]}` |" for who in engines]
    return "\n".join(["## Versions and how each one commits", "", "| | version | durability |", "| --- | --- | --- |", *lines])


def _missing(results: Results) -> str:
    if not results.missing:
        return ""
    return "\n".join(["## Not measured", "", *(f"- {who}: {reason}" for who, reason in results.missing.items())])
