"""Decisions into transitions: each command as the row that stands for it."""

from __future__ import annotations

from collections.abc import Callable

from flowgraph.errors import LimitExceeded
from flowgraph_runtime.distribution import Distribution
from flowgraph_runtime.engine.commands import (
    CancelRun,
    ClearTimer,
    CloseWait,
    Command,
    Decision,
    EmitEvent,
    EndRun,
    OpenWait,
    RunStep,
    SetTimer,
    StartRun,
)
from flowgraph_runtime.records import Completed, Decided, JournalRow, NewRun, TimerRow, Transition, WaitRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.worker.live import LiveRun

ROW_OVERHEAD = 100
"""Bytes of a journal row beside its payload, roughly: what the snapshot rule counts."""

STATE_LIMIT = 32_000_000
"""Bytes of a run's stored state (the promises page, item 9)."""
REASON_LIMIT = 2_000
"""Characters kept of why a run was cancelled."""
_STEPS = frozenset({RunStep})


class Writer:
    """Builds the transition of a decision. `snapshot(live)` gives the text of its state; `has_room()` says whether runs with a
    large state may rest in memory."""

    def __init__(
        self, registry: Registry, distribution: Distribution, snapshot: Callable[[LiveRun], str], has_room: Callable[[], bool]
    ) -> None:
        self._registry = registry
        self._distribution = distribution
        self._snapshot = snapshot
        self._has_room = has_room

    def written(self, live: LiveRun, decision: Decision, row: JournalRow, inbox: list[int]) -> Decided:
        """Return all that a decision about an input writes, `row` and whatever else. `inbox`: the positions that it consumes."""
        live.tail += len(row.payload) + ROW_OVERHEAD
        if not (inbox or decision.parked or decision.taken) and decision.status == live.status and live.tail <= live.tail_limit:
            commands = decision.commands
            if (len(commands) == 1 and type(commands[0]) is RunStep) or only_steps(decision):
                return row  # it was executing steps, and goes on doing so
        elif decision.status == "completed" and not inbox and live.limits is None and len(decision.commands) == 1:
            (end,) = decision.commands
            if type(end) is EndRun:
                live.closed, live.status = True, end.status
                return Completed(live.id, row, live.at, end.payload)
        return self.transition(live, decision, [row], inbox)

    def transition(self, live: LiveRun, decision: Decision, rows: list[JournalRow], inbox: list[int]) -> Transition:
        """Return all that the decision writes, where more than a row may be written. `rows`: none for the run's start."""
        written = Transition(live.id, rows=rows, inbox=inbox, taken=decision.taken)
        for command in decision.commands:
            if type(command) is not RunStep:
                self._write(command, written, live)
        if decision.status != live.status:
            written.status = live.status = decision.status
        self._end_or_save(live, decision, written)
        return written

    def _end_or_save(self, live: LiveRun, decision: Decision, written: Transition) -> None:
        if written.ended_at is not None:
            live.closed = True
            written.frees_slots = live.limits is not None
        elif decision.parked:
            if live.wants_snapshot_parked(STATE_LIMIT):
                self.save(live, written, STATE_LIMIT)
            written.release = live.closed = not (live.is_large and self._has_room())
        elif live.tail > live.tail_limit:
            self.save(live, written, STATE_LIMIT)

    def save(self, live: LiveRun, written: Transition, limit: int | None = None) -> None:
        """Add a snapshot of the run's state as it is now. Raises `LimitExceeded` for more than `limit` bytes."""
        text = self._snapshot(live)
        if limit is not None and len(text) > limit // 4:
            size = len(text.encode())
            if size > limit:
                raise LimitExceeded("the bytes of a run's state", limit, size)
        written.snapshot = (live.state.seq, text)
        live.has_snapshot(len(text))

    def _write(self, command: Command, written: Transition, live: LiveRun) -> None:
        match command:
            case SetTimer(serial, due, kind):
                written.timers.append(TimerRow(live.id, serial, due, kind))
            case ClearTimer(serial):
                written.cleared_timers.append(serial)
            case OpenWait(serial, names, keys, since_start):
                every = dict.fromkeys(other for name in names for other in (name, *self._registry.names_of(name)))
                written.waits.append(WaitRow(live.id, serial, tuple(every), keys, since_start, len(written.events)))
            case CloseWait(serial):
                written.closed_waits.append(serial)
            case EmitEvent(event_id, event):
                row = self._distribution.event_row(event, event_id, source=live.id)
                row.later = written.runs[-1].later if written.runs else 0
                written.events.append(row)
                written.event_runs.extend(self._distribution.runs(event, row))
            case StartRun():
                written.runs.append(self._child(command, written, live))
            case CancelRun(run_id, reason):
                written.cancel_runs.append((run_id, reason))
            case EndRun():
                self._end(command, written, live)
            case _:  # AbandonStep is acted on, not written
                pass

    def _child(self, command: StartRun, written: Transition, live: LiveRun) -> NewRun:
        """A new run does not see the events that the same transition has sent before its start, only those after it."""
        workflow = self._registry.workflow_named(command.workflow)
        if workflow is None:
            raise LookupError(f"workflow '{command.workflow}' is not served: its run cannot be started")
        return NewRun(
            id=command.run_id,
            workflow=workflow,
            machine=self._registry.current[workflow],
            input=command.payload,
            created_at=live.at,
            parent_run=live.id,
            parent_serial=command.serial,
            later=written.events[-1].later + 1 if written.events else 0,
        )

    @staticmethod
    def _end(command: EndRun, written: Transition, live: LiveRun) -> None:
        written.status = live.status = command.status
        written.ended_at = live.at
        if command.status == "cancelled" and live.state.cancel_reason is not None:
            written.reason = live.state.cancel_reason[:REASON_LIMIT]
        if command.status == "completed":
            written.result = command.payload
        else:
            written.error = command.payload
            written.failed_step, written.failed_attempt = command.failed_step, command.attempts


def only_steps(decision: Decision) -> bool:
    """Whether nothing that the decision asks for is written: steps alone."""
    return _STEPS.issuperset(map(type, decision.commands))
