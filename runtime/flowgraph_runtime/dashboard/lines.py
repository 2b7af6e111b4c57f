"""What the run page shows, computed from a run's history: plain data for the templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from flowgraph_runtime.api.shapes import AttemptOut, ErrorOut, InstanceOut, StepOut
from flowgraph_runtime.dashboard import formats
from flowgraph_runtime.dashboard.sources import Place, Raised, raised
from flowgraph_runtime.engine.folding import error_payload
from flowgraph_runtime.history import Visit
from flowgraph_runtime.moments import microseconds, parse_rfc3339
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.storage.transitions import ENDED

_RESTING = {"wait": "waiting", "sleep": "sleeping", "child": "waiting"}
_DEEPEST = 3


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """An error and where it was raised."""

    type: str
    message: str
    raised: Raised | None


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """One attempt of a step. `queued`: how long it waited for its start."""

    attempt: int
    status: str
    started_at: int | None
    queued: int | None
    duration: int | None
    error: ErrorLine | None


@dataclass(frozen=True, slots=True)
class InstanceLine:
    """One visit of a node."""

    visit: int
    status: str
    attempts: tuple[AttemptLine, ...]
    output: Any
    error: ErrorLine | None
    next_attempt_at: int | None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class StepLine:
    """A node of the machine in the step tree. `status` has `waiting` and `sleeping` beside those of a step; `note` says more
    than that where there is more to say."""

    name: str
    kind: str
    place: Place
    depth: int
    status: str
    note: str | None
    count: int
    attempts: int
    duration: int | None
    instances: tuple[InstanceLine, ...]


def picture_version(nodes: Sequence[StepOut]) -> str:
    """Return a text that is another one whenever the diagram is: browsers ask for a picture once per address."""
    return f"{crc32(' '.join(f'{node.status}{node.count}' for node in nodes).encode()):08x}"


def depths_of(nodes: Sequence[StepOut]) -> list[int]:
    """Return how deep each node is below groups, as far as the pages indent."""
    depths: dict[str, int] = {}
    for node in nodes:
        depths[node.id] = 0 if node.parent is None else depths.get(node.parent, 0) + 1
    return [min(depth, _DEEPEST) for depth in depths.values()]


def step_lines(
    nodes: Sequence[StepOut], places: Mapping[str, Place], visits: Mapping[str, Sequence[Visit]], now: int, *, ended: bool
) -> list[StepLine]:
    """Return the step tree in source order, branches below their group. `places` and `visits`: of each node, by id."""
    return [
        _step_line(node, places[node.id], visits[node.id], depth, now, ended)
        for node, depth in zip(nodes, depths_of(nodes), strict=True)
    ]


def _step_line(node: StepOut, place: Place, visits: Sequence[Visit], depth: int, now: int, ended: bool) -> StepLine:
    instances = tuple(_instance(shown, visit, now) for shown, visit in zip(node.instances, visits, strict=True))
    last = node.instances[-1] if node.instances else None
    return StepLine(
        node.name,
        node.kind.replace("_", " "),
        place,
        depth,
        _status(node),
        _note(node, last, now),
        node.count,
        len(last.attempts) if last is not None else 0,
        None if last is None else _between(at(last.started_at), at(last.ended_at), now, ended),
        instances,
    )


def _between(start: int | None, end: int | None, now: int, ended: bool = False) -> int | None:
    """How long something took, up to now while it goes on; nothing when its run ended first."""
    if start is None:
        return None
    return end - start if end is not None else 0 if ended else now - start


def _status(node: StepOut) -> str:
    """A wait and a sleep use no worker while they last: they are shown as what they are."""
    return _RESTING.get(node.kind, "running") if node.status == "running" else node.status


def _note(node: StepOut, last: InstanceOut | None, now: int) -> str | None:
    if last is not None and last.reason is not None:
        return last.reason
    due = at(last.next_attempt_at) if last is not None else None
    if node.status != "retrying" or due is None:
        return None
    return f"retrying in {formats.span(due - now)}" if due > now else "retrying now"


def _instance(shown: InstanceOut, visit: Visit, now: int) -> InstanceLine:
    rows = visit.attempts()
    errors = [error_payload(row) if row.kind == "failed" else None for row in rows]
    errors += [None] * (len(shown.attempts) - len(errors))
    attempts: list[AttemptLine] = []
    due = at(shown.started_at)
    for attempt, error in zip(shown.attempts, errors, strict=True):
        attempts.append(_attempt(attempt, error, due, now))
        due = at(attempt.retry_at)  # none when the run was retried by hand: that is no queue
    own = None if any(attempt.error for attempt in attempts[-1:]) else error_line(shown.error, visit.error)
    return InstanceLine(shown.visit, shown.status, tuple(attempts), shown.output, own, at(shown.next_attempt_at), shown.run_id)


def _attempt(attempt: AttemptOut, error: str | None, due: int | None, now: int) -> AttemptLine:
    start = at(attempt.started_at)
    queued = None if start is None or due is None else max(0, start - due)
    duration = _between(start, at(attempt.ended_at), now)
    return AttemptLine(attempt.attempt, attempt.status, start, queued, duration, error_line(attempt.error, error))


def error_line(shown: ErrorOut | None, stored: str | None) -> ErrorLine | None:
    """Return an error for a page; None without one."""
    return None if shown is None else ErrorLine(shown.type, shown.message, raised(stored))


def at(text: str | None) -> int | None:
    """Return a time of the interface in microseconds."""
    return None if text is None else microseconds(parse_rfc3339(text))


def step_counts(steps: Sequence[StepLine]) -> str:
    """Return how far a run is, in words: `3 done, 1 running, 2 pending`."""
    counts = Counter(step.status for step in steps)
    words = {"completed": "done"}
    return ", ".join(f"{count} {words.get(status, status)}" for status, count in counts.items()) or "no durable step"


def is_over(run: RunRow) -> bool:
    """Whether the run has ended."""
    return run.status in ENDED
