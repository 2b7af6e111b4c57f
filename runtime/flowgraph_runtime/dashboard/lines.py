"""What the pages show, computed from the rows of the store: plain data for the templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from flowgraph_compiler.cron import words
from flowgraph_compiler.machine import Machine
from flowgraph_runtime.api.shapes import AttemptOut, InstanceOut, StepOut
from flowgraph_runtime.dashboard import formats
from flowgraph_runtime.moments import microseconds, parse_rfc3339
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.storage.transitions import ENDED
from flowgraph_runtime.views import error_view, plain_text, run_status, run_view

RECENT = 14
"""Outcomes in a workflow's strip."""
_RESTING = {"wait": "waiting", "sleep": "sleeping"}


@dataclass(frozen=True, slots=True)
class WorkflowLine:
    """A workflow in the list: newest outcomes last, as one reads a chart."""

    name: str
    trigger: str
    fingerprint: str
    last_started: int | None
    recent: tuple[str, ...]
    recent_words: str


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in a list. Times in microseconds; `duration` up to now while it goes on."""

    id: str
    workflow: str
    status: str
    event_name: str | None
    created_at: int
    started_at: int | None
    duration: int | None


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """One attempt of a step."""

    attempt: int
    status: str
    started_at: int | None
    duration: int | None
    error: Any


@dataclass(frozen=True, slots=True)
class InstanceLine:
    """One visit of a node."""

    visit: int
    status: str
    attempts: tuple[AttemptLine, ...]
    output: Any
    error: Any
    next_attempt_at: int | None


@dataclass(frozen=True, slots=True)
class StepLine:
    """A node of the machine in the step tree. `status` has `waiting` and `sleeping` beside those of a step; `note` says more
    than that where there is more to say."""

    name: str
    kind: str
    line: int
    depth: int
    status: str
    note: str | None
    count: int
    attempts: int
    duration: int | None
    instances: tuple[InstanceLine, ...]


def trigger_words(machine: Machine) -> str:
    """Return what starts runs of the workflow."""
    told = [
        words(trigger.cron, trigger.zone or "") if trigger.cron else " or ".join(trigger.names) for trigger in machine.triggers
    ]
    return "; ".join(told) or "started by hand"


def workflow_line(machine: Machine, fingerprint: str, runs: Sequence[RunRow]) -> WorkflowLine:
    """Return a workflow with the outcomes of `runs`, which are newest first."""
    recent = tuple(run_status(run) for run in reversed(runs[:RECENT]))
    counted = ", ".join(f"{count} {status}" for status, count in Counter(recent).most_common())
    last = runs[0].started_at or runs[0].created_at if runs else None
    return WorkflowLine(machine.workflow, trigger_words(machine), fingerprint, last, recent, counted or "no run yet")


def run_line(run: RunRow, event_names: Mapping[str, str], now: int) -> RunLine:
    """Return a run for a list."""
    return RunLine(
        run.id,
        run.workflow,
        run_status(run),
        event_names.get(run.event_id) if run.event_id else None,
        run.created_at,
        run.started_at,
        _between(run.started_at, run.ended_at, now),
    )


def _between(start: int | None, end: int | None, now: int) -> int | None:
    return None if start is None else (now if end is None else end) - start


def picture_version(nodes: Sequence[StepOut]) -> str:
    """Return a text that is another one whenever the diagram is: browsers ask for a picture once per address."""
    return f"{crc32(' '.join(f'{node.status}{node.count}' for node in nodes).encode()):08x}"


def run_facts(run: RunRow, line: RunLine, steps: Sequence[StepLine], types: Any, version: str) -> dict[str, Any]:
    """Return the head of a run's page; `version` is the diagram's."""
    counts = Counter(step.status for step in steps)
    return {
        "id": run.id,
        "workflow": run.workflow,
        "status": line.status,
        "event_name": line.event_name,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "duration": line.duration,
        "queue_delay": None if run.started_at is None else run.started_at - run.created_at,
        "steps_done": counts["completed"],
        "steps_pending": counts["pending"],
        "machine": run.machine,
        "error": error_view(run.error, types, run.failed_step, run.failed_attempt),
        "reason": run.reason,
        "input": run_view(run, types).input,
        "result": plain_text(run.result),
        "version": f"{version}-{line.status}",
    }


def step_lines(nodes: Sequence[StepOut], now: int, *, ended: bool) -> list[StepLine]:
    """Return the step tree in source order, branches below their group."""
    depths: dict[str, int] = {}
    lines: list[StepLine] = []
    for node in nodes:
        depths[node.id] = 0 if node.parent is None else depths.get(node.parent, 0) + 1
        lines.append(_step_line(node, min(depths[node.id], 3), now, ended))
    return lines


def _step_line(node: StepOut, depth: int, now: int, ended: bool) -> StepLine:
    instances = tuple(_instance(instance, now) for instance in node.instances)
    last = node.instances[-1] if node.instances else None
    return StepLine(
        node.name,
        node.kind.replace("_", " "),
        node.line,
        depth,
        _status(node),
        _note(node, last, now),
        node.count,
        len(last.attempts) if last is not None else 0,
        None
        if last is None
        else _between(_at(last.started_at), _at(last.ended_at), now if not ended else _at(last.started_at) or now),
        instances,
    )


def _status(node: StepOut) -> str:
    """A wait and a sleep use no worker while they last: they are shown as what they are."""
    return _RESTING.get(node.kind, "running") if node.status == "running" else node.status


def _note(node: StepOut, last: InstanceOut | None, now: int) -> str | None:
    due = _at(last.next_attempt_at) if last is not None else None
    if node.status != "retrying" or due is None:
        return None
    return f"retrying in {formats.span(due - now)}" if due > now else "retrying now"


def _instance(instance: InstanceOut, now: int) -> InstanceLine:
    attempts = tuple(_attempt(attempt, now) for attempt in instance.attempts)
    due = _at(instance.next_attempt_at)
    return InstanceLine(instance.visit, instance.status, attempts, instance.output, instance.error, due)


def _attempt(attempt: AttemptOut, now: int) -> AttemptLine:
    start = _at(attempt.started_at)
    return AttemptLine(attempt.attempt, attempt.status, start, _between(start, _at(attempt.ended_at), now), attempt.error)


def _at(text: str | None) -> int | None:
    return None if text is None else microseconds(parse_rfc3339(text))


def is_over(run: RunRow) -> bool:
    """Whether the run has ended."""
    return run.status in ENDED
