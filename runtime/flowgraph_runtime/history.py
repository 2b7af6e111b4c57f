"""What a run did and where it is, node by node: its journal folded once more while somebody watches.

The journal holds every input, `decide` is pure, so the past of each node (also of those that have no row of their own: sleeps,
groups, subflows) follows from it. Nothing is stored for this page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowgraph_compiler.machine import Machine
from flowgraph_runtime.api.shapes import AttemptOut, InstanceOut, StepOut, StepStatus
from flowgraph_runtime.engine.blocks import FlowAction
from flowgraph_runtime.engine.commands import Decision, EmitEvent, EndRun, SetTimer
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.folding import error_payload, input_of
from flowgraph_runtime.engine.inputs import ChildEnded, EventOffered, Started, StepDone, StepFailed
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.reopening import RETRY, retried
from flowgraph_runtime.engine.run_state import RunState
from flowgraph_runtime.engine.tokens import GroupPending, Pending, StepPending, Token
from flowgraph_runtime.moments import rfc3339
from flowgraph_runtime.records import JournalRow, RunRow
from flowgraph_runtime.storage.transitions import ENDED
from flowgraph_runtime.views import error_view, plain_text, run_status

ROWS_SHOWN = 50
"""Latest visits of a node that are listed; all are counted."""
EMPTY: Mapping[int, int] = {}
NO_REASONS: Mapping[int, str] = {}


@dataclass(slots=True)
class Visit:
    """One visit of a node while it is folded."""

    site: str
    number: int
    started_at: int
    status: StepStatus = "running"
    ended_at: int | None = None
    payload: str | None = None
    error: str | None = None
    due: int | None = None
    reason: str | None = None
    rows: list[JournalRow] = field(default_factory=list[JournalRow])
    planned: dict[int, int] = field(default_factory=dict[int, int])  # journal position of a failure -> when it is tried again

    def attempts(self) -> list[JournalRow]:
        """Return the rows of its attempts that have ended."""
        return [row for row in self.rows if row.kind in ("done", "failed")]


class History:
    """The visits of every node of one run. `live_starts`: start times of attempts that run in this process, by serial;
    `held_up`: why attempts that are due do not start, by serial."""

    def __init__(
        self,
        run: RunRow,
        program: Program,
        journal: list[JournalRow],
        live_starts: Mapping[int, int] = EMPTY,
        held_up: Mapping[int, str] = NO_REASONS,
    ) -> None:
        self._run = run
        self._program = program
        self._machine: Machine = program.machine
        self._live_starts = live_starts
        self._open: dict[int, Visit] = {}
        self._known: dict[int, Visit] = {}
        self._frames: dict[int, tuple[object, Visit]] = {}
        self._counts: dict[str, int] = {}
        self.visits: dict[str, list[Visit]] = {}
        self._state = RunState.new(run.id)
        if run.started_at is not None:
            self._fold(journal)
        for serial in self._open.keys() & held_up.keys():
            self._open[serial].status, self._open[serial].reason = "pending", held_up[serial]

    # --- folding

    def _fold(self, journal: list[JournalRow]) -> None:
        at = self._run.started_at or 0
        self._observe(decide(self._program, self._state, Started(self._run.input), at), at, None)
        for index, row in enumerate(journal):
            if row.kind == RETRY:
                self._state, decision = retried(self._program, self._run, journal[:index], row)
            else:
                decision = decide(self._program, self._state, input_of(row), row.at)
            self._observe(decision, row.at, row)

    def _observe(self, decision: Decision, at: int, row: JournalRow | None) -> None:
        if row is not None and row.serial in self._open:
            self._open[row.serial].rows.append(row)
        end = next((command for command in decision.commands if isinstance(command, EndRun)), None)
        for serial in [serial for serial in self._open if serial not in self._state.pending]:
            self._close(self._open.pop(serial), at, row if row is not None and row.serial == serial else None)
        for serial, pending in self._state.pending.items():
            if serial not in self._open:
                self._open[serial] = self._again(serial) or self._begin(pending, at)
                self._known[serial] = self._open[serial]
            self._update(self._open[serial], pending)
        self._observe_commands(decision, at, row)
        self._observe_frames(at, end)

    def _again(self, serial: int) -> Visit | None:
        """A visit that a retry of the run has opened again."""
        visit = self._known.get(serial)
        if visit is not None:
            visit.status, visit.ended_at, visit.payload, visit.error = "running", None, None, None
        return visit

    def _begin(self, pending: Pending, at: int) -> Visit:
        return self._visit(pending.action.site, at, pending.visit if isinstance(pending, StepPending) else None)

    def _visit(self, site: str, at: int, number: int | None = None) -> Visit:
        self._counts[site] = self._counts.get(site, 0) + 1
        visit = Visit(site, self._counts[site] if number is None else number, at)
        self.visits.setdefault(site, []).append(visit)
        return visit

    @staticmethod
    def _update(visit: Visit, pending: Any) -> None:
        if isinstance(pending, StepPending):
            visit.status = "running" if pending.executing else "retrying"
        elif isinstance(pending, GroupPending) and pending.outcome in ("lost", "cancelled"):
            visit.error = visit.error or pending.outcome

    def _close(self, visit: Visit, at: int, row: JournalRow | None) -> None:
        visit.ended_at, visit.due = at, None
        if row is not None:
            self._keep_outcome(visit, row)
        elif visit.error in ("lost", "cancelled"):  # a group
            visit.status, visit.error = ("failed" if visit.error == "lost" else "cancelled"), None
        else:
            visit.status = "completed" if self._is_group(visit.site) else "skipped" if self._is_watch(visit.site) else "cancelled"

    @staticmethod
    def _keep_outcome(visit: Visit, row: JournalRow) -> None:
        visit.status = "completed"
        match input_of(row):
            case StepDone(payload=payload) | EventOffered(payload=payload) | ChildEnded(status="completed", payload=payload):
                visit.payload = payload
            case StepFailed(payload=payload) | ChildEnded(payload=payload):
                visit.status, visit.error = "failed", payload
            case _:  # a timer has no outcome of its own
                pass

    def _is_watch(self, site: str) -> bool:
        """Whether it waits for what cancels the run: nobody misses an event that has not come."""
        return any(node.site == site and node.function in self._machine.cancel_on for node in self._machine.nodes)

    def _is_group(self, site: str) -> bool:
        return any(node.site == site and node.kind in ("parallel", "settle", "race", "fan_out") for node in self._machine.nodes)

    def _observe_commands(self, decision: Decision, at: int, row: JournalRow | None) -> None:
        for command in decision.commands:
            if isinstance(command, EmitEvent):
                visit = self._visit(command.site, at)
                visit.status, visit.ended_at = "completed", at
            elif isinstance(command, SetTimer) and command.serial in self._open:
                self._open[command.serial].due = command.due
                if command.kind == "backoff" and row is not None:
                    self._open[command.serial].planned[row.seq] = command.due

    def _observe_frames(self, at: int, end: EndRun | None) -> None:
        """Subflows have no input of their own: a visit lasts as long as its frame."""
        frames = dict(self._subflow_frames())
        for key in [key for key in self._frames if key not in frames]:
            _, visit = self._frames.pop(key)
            visit.ended_at = at
            visit.status = "completed" if end is None or end.status == "completed" else _as_step(end.status)
        for key, (frame, site) in frames.items():
            if key not in self._frames:
                self._frames[key] = (frame, self._visit(site, at))

    def _subflow_frames(self) -> Iterator[tuple[int, tuple[object, str]]]:
        if len(self._program.functions) == 1:
            return
        for token in self._state.tokens():
            if not token.frames:  # ended, or a branch that is a single step
                continue
            sites = [_branch_site(token), *(_called_site(frame) for frame in token.frames[:-1])]
            for frame, site in zip(token.frames, sites, strict=True):
                if site is not None:
                    yield id(frame), (frame, site)

    # --- results

    def current(self) -> list[str]:
        """Return the ids of the nodes where the run is, in source order."""
        sites = {visit.site for visit in self._open.values()}
        return [node.id for node in self._machine.nodes if node.site in sites and node.function not in self._machine.cancel_on]

    def statuses(self) -> dict[str, str]:
        """Return the status of every node, by id."""
        return {node.id: self._status(node.site) for node in self._machine.nodes}

    def _status(self, site: str) -> StepStatus:
        visits = self.visits.get(site)
        if visits:
            return visits[-1].status
        return "skipped" if run_status(self._run) in ENDED else "pending"

    def shown(self, site: str) -> list[Visit]:
        """Return the visits of a node that `steps` lists, in the same order."""
        return self.visits.get(site, [])[-ROWS_SHOWN:]

    def steps(self) -> list[StepOut]:
        """Return one row per node, in source order."""
        return [
            StepOut(
                id=node.id,
                name=node.name,
                kind=node.kind,
                line=node.line,
                parent=node.parent,
                status=self._status(node.site),
                count=len(self.visits.get(node.site, ())),
                instances=[self._instance(visit) for visit in self.shown(node.site)],
            )
            for node in self._machine.nodes
        ]

    def _instance(self, visit: Visit) -> InstanceOut:
        return InstanceOut(
            visit=visit.number,
            status=visit.status,
            attempts=self._attempts(visit),
            started_at=rfc3339(visit.started_at),
            ended_at=rfc3339(visit.ended_at),
            output=plain_text(visit.payload),
            error=error_view(visit.error, self._program.types),
            next_attempt_at=rfc3339(visit.due) if visit.status == "retrying" else None,
            reason=visit.reason,
        )

    def _attempts(self, visit: Visit) -> list[AttemptOut]:
        attempts = [
            AttemptOut(
                attempt=row.attempt or 1,
                status="completed" if row.kind == "done" else "failed",
                started_at=rfc3339(row.started_at),
                ended_at=rfc3339(row.at),
                error=error_view(error_payload(row), self._program.types) if row.kind == "failed" else None,
                retry_at=rfc3339(visit.planned.get(row.seq)),
            )
            for row in visit.attempts()
        ]
        for serial, pending in self._state.pending.items() if visit.reason is None else ():
            if self._open.get(serial) is visit and isinstance(pending, StepPending) and pending.executing:
                started = self._live_starts.get(serial)
                attempts.append(AttemptOut(attempt=pending.attempt, status="running", started_at=rfc3339(started), ended_at=None))
        return attempts


def _as_step(status: str) -> StepStatus:
    return "cancelled" if status == "cancelled" else "failed"


def _branch_site(token: Token) -> str | None:
    """The site of the subflow that a branch is a call of."""
    if token.group is None:
        return None
    action = token.group.action.branch(token.index)
    return action.site if isinstance(action, FlowAction) else None


def _called_site(frame: Any) -> str | None:
    action = frame.current.action
    return action.site if isinstance(action, FlowAction) else None
