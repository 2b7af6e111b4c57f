"""A run as bars over time: how long each attempt waited in the queue and how long it ran, backoff, waits and sleeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowgraph_runtime.api.shapes import InstanceOut, StepOut
from flowgraph_runtime.dashboard import formats
from flowgraph_runtime.moments import microseconds, parse_rfc3339

_SPANS = {"wait": "waiting", "sleep": "sleeping", "child": "waiting"}
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # milliseconds between ticks, then seconds and more
_LONGER = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400)
_TICKS = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time. `left` and `width` in percent of the run's time; `kind` names its look."""

    kind: str
    left: float
    width: float
    words: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A node of the machine with the bars of its visits; `words` tell the same to those who do not see them."""

    name: str
    status: str
    depth: int
    bars: tuple[Bar, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The lanes of the nodes that were reached, in source order, and marks on the axis: (percent, label)."""

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]


class Scale:
    """Moments of a run as percent of its time."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.total = max(1_000, end - start)

    def bar(self, kind: str, start: int, end: int, words: str) -> Bar | None:
        """Return the bar of a stretch; None for one without length."""
        if end <= start:
            return None
        left = max(0.0, 100 * (start - self.start) / self.total)
        width = min(100 - left, 100 * (end - start) / self.total)
        return Bar(kind, round(left, 3), round(max(0.0, width), 3), f"{words} {formats.span(end - start)}")

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Return the marks: round times from the start on, as far as their words have room."""
        steps = [1_000 * step for step in _STEPS] + [1_000_000 * step for step in _LONGER]
        step = next((step for step in steps if self.total / step <= _TICKS), 86_400_000_000)
        while self.total / step > _TICKS:
            step *= 2
        marks = range(0, self.total * 19 // 20 + 1, step)
        return tuple((round(100 * mark / self.total, 3), formats.span(mark) if mark else "0") for mark in marks)


def timeline(created_at: int, started_at: int | None, end: int, nodes: Sequence[StepOut], depths: Sequence[int]) -> Timeline:
    """Return the timeline of a run from its creation to `end`: its last moment, or now."""
    scale = Scale(created_at, end)
    queued = scale.bar("queue", created_at, end if started_at is None else started_at, "in the queue")
    first = (Lane("In the queue", "completed" if started_at else "queued", 0, (queued,), queued.words),) if queued else ()
    lanes = tuple(_lane(scale, node, depth, end) for node, depth in zip(nodes, depths, strict=True) if node.instances)
    return Timeline(first + lanes, scale.ticks())


def _lane(scale: Scale, node: StepOut, depth: int, end: int) -> Lane:
    bars = tuple(bar for visit in node.instances for bar in _visit(scale, node, visit, end) if bar is not None)
    return Lane(node.name, node.status, depth, bars, "; ".join(bar.words for bar in bars[:20]) or "no time at all")


def _visit(scale: Scale, node: StepOut, visit: InstanceOut, end: int) -> Iterator[Bar | None]:
    start = _at(visit.started_at, end)
    if node.kind not in ("step", "compensation"):
        yield scale.bar(_SPANS.get(node.kind, "span"), start, _at(visit.ended_at, end), _SPANS.get(node.kind, node.kind))
        return
    due: int | None = start
    for attempt in visit.attempts:
        begun, over = _at(attempt.started_at, due or end), _at(attempt.ended_at, end)
        yield scale.bar("queue", due or begun, begun, f"attempt {attempt.attempt} in the queue")
        yield scale.bar(attempt.status, begun, over, f"attempt {attempt.attempt} {attempt.status}")
        due = None if attempt.retry_at is None else _at(attempt.retry_at, over)
        yield scale.bar("backoff", over, min(due or over, end), "backoff")
    if not visit.attempts and visit.ended_at is None:
        yield scale.bar("queue", start, end, "in the queue")


def _at(text: str | None, default: int) -> int:
    return default if text is None else microseconds(parse_rfc3339(text))
