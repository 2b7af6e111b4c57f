"""`GET /metrics` in the format of Prometheus. Everything but the gauges counts from the start of the process.

| name | labels | is |
| --- | --- | --- |
| `flowgraph_run_transitions_total` | workflow, status | runs that this process has moved to a status |
| `flowgraph_step_attempts_total` | step, outcome | attempts that have ended: completed or failed |
| `flowgraph_step_duration_seconds` | step | histogram: how long attempts ran |
| `flowgraph_step_queue_delay_seconds` | step | histogram: from the decision to run an attempt to its start, the commit included |
| `flowgraph_commit_transitions` | | histogram: transitions in one commit |
| `flowgraph_commit_seconds` | | histogram: how long commits took |
| `flowgraph_events_received_total` | status | events by what became of them: stored, unknown, invalid |
| `flowgraph_deleted_total` | kind | runs and events deleted because they were older than they are kept |
| `flowgraph_live_runs` | | runs in this process's memory |
| `flowgraph_timer_lateness_seconds` | | how long the most overdue timer of the database has been due |
| `flowgraph_inbox_backlog` | | inbox rows of the database that no owner has taken yet |
| `process_*` | | CPU time, memory, open files, start time |

Workflow and step names are those of the served code; all others count as `other`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from flowgraph_runtime.api.endpoints import Call
from flowgraph_runtime.meter import Distribution, Meter

MEDIA = "text/plain; version=0.0.4; charset=utf-8"


async def metrics(call: Call) -> Response:
    """Show what this process has counted, and how far behind the database is."""
    service = call.service
    due = await service.store.next_timer()
    gauges = {
        "flowgraph_live_runs": ("Runs in memory", len(service.worker.owned) if service.worker is not None else 0),
        "flowgraph_timer_lateness_seconds": (
            "How overdue the most overdue timer is",
            max(0, service.clock.now() - due) / 1e6 if due is not None else 0,
        ),
        "flowgraph_inbox_backlog": ("Inbox rows that nobody has taken", await service.store.inbox_backlog()),
    }
    registry = CollectorRegistry(auto_describe=False)  # of its own: two applications in a process do not share their numbers
    ProcessCollector(registry=registry)
    registry.register(_Snapshot(service.meter, gauges))
    return Response(generate_latest(registry), headers={"Content-Type": MEDIA})


class _Snapshot(Collector):
    """A meter as metric families."""

    def __init__(self, meter: Meter, gauges: Mapping[str, tuple[str, float]]) -> None:
        self._meter = meter
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        meter = self._meter
        yield _counter("flowgraph_run_transitions", "Runs moved to a status", ("workflow", "status"), meter.moves)
        yield _counter("flowgraph_step_attempts", "Attempts that have ended", ("step", "outcome"), meter.attempts)
        events = {(status,): count for status, count in meter.events.items()}
        yield _counter("flowgraph_events_received", "Events by what became of them", ("status",), events)
        deleted = {(kind,): count for kind, count in meter.deleted.items()}
        yield _counter("flowgraph_deleted", "Rows deleted because they were older than they are kept", ("kind",), deleted)
        yield _by_step("flowgraph_step_duration_seconds", "How long attempts ran", meter.durations)
        yield _by_step("flowgraph_step_queue_delay_seconds", "From the decision to the start of an attempt", meter.delays)
        yield _single("flowgraph_commit_transitions", "Transitions in one commit", meter.batches)
        yield _single("flowgraph_commit_seconds", "How long commits took", meter.commits)
        for name, (about, value) in self._gauges.items():
            yield GaugeMetricFamily(name, about, value=value)


def _counter(name: str, about: str, labels: tuple[str, ...], counts: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _by_step(name: str, about: str, found: Mapping[str, Distribution]) -> Metric:
    family = HistogramMetricFamily(name, about, labels=("step",))
    for step, distribution in found.items():
        family.add_metric((step,), list(_buckets(distribution)), distribution.total)
    return family


def _single(name: str, about: str, distribution: Distribution) -> Metric:
    return HistogramMetricFamily(name, about, buckets=list(_buckets(distribution)), sum_value=distribution.total)


def _buckets(distribution: Distribution) -> Iterator[tuple[str, float]]:
    below = 0
    for bound, count in zip((*map(str, distribution.bounds), "+Inf"), distribution.counts, strict=True):
        below += count
        yield bound, below
