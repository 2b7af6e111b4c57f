"""The messages of the event streams: what a commit means to who watches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from flowgraph_runtime.engine.commands import RunStep
from flowgraph_runtime.moments import rfc3339
from flowgraph_runtime.records import JournalRow, Transition

_TIMES = frozenset({"started_at", "ended_at"})


@dataclass(slots=True)
class Message:
    """One server-sent event. `sequence`: what a client resumes after; `kind`: `run`, `step`, `end`, `reset`. Times in `data` may
    be microseconds: most messages are made for clients that never come, and a time as text costs more than all the rest."""

    sequence: int
    run_id: str
    kind: str
    data: dict[str, Any]

    def encode(self) -> dict[str, str]:
        """Return the fields of the event as sse-starlette wants them."""
        data = {name: rfc3339(value) if name in _TIMES and type(value) is int else value for name, value in self.data.items()}
        return {"id": str(self.sequence), "event": self.kind, "data": orjson.dumps(data).decode()}


def messages(transition: Transition, sequence: int) -> Iterator[Message]:
    """Yield what a committed transition changed: a message per journal row of a step, one for the run when its status changed."""
    for row in transition.rows:
        if is_outcome(row):
            yield outcome(sequence, row, retrying=goes_on(transition, row))
    if transition.status is not None:
        yield changed(sequence, transition.run_id, transition.status, transition.ended_at, transition.reason)


def is_outcome(row: JournalRow) -> bool:
    """Whether a journal row is the outcome of an attempt of a step."""
    return row.kind in ("done", "failed") and row.site is not None


def goes_on(transition: Transition, row: JournalRow) -> bool:
    """Whether the transition of a failed attempt sets a timer for the next one."""
    return any(timer.kind == "backoff" and timer.serial == row.serial for timer in transition.timers)


def outcome(sequence: int, row: JournalRow, *, retrying: bool) -> Message:
    """The end of an attempt; `retrying`: it failed, and another one follows."""
    status = "completed" if row.kind == "done" else "retrying" if retrying else "failed"
    data = _step(row.run_id, row.site, row.visit, row.attempt, status)
    data["started_at"], data["ended_at"] = row.started_at, row.at
    return Message(sequence, row.run_id, "step", data)


def attempt_started(sequence: int, run_id: str, command: RunStep, at: int) -> Message:
    """The start of an attempt in this process."""
    data = _step(run_id, command.site, command.visit, command.attempt, "running") | {"started_at": at}
    return Message(sequence, run_id, "step", data)


def changed(sequence: int, run_id: str, status: str, ended_at: int | None, reason: str | None) -> Message:
    """The new status of a run."""
    data: dict[str, Any] = {"id": run_id, "status": status}
    if ended_at is not None:
        data["ended_at"] = ended_at
    if reason is not None:
        data["reason"] = reason
    return Message(sequence, run_id, "run", data)


def _step(run_id: str, site: str | None, visit: int | None, attempt: int | None, status: str) -> dict[str, Any]:
    return {"run": run_id, "id": site, "visit": visit, "attempt": attempt, "status": status}
