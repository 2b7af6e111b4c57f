"""What a run did and where it is, node by node: its journal folded once more while somebody watches.

The journal holds every input, `decide` is pure, so the past of each node (also of those that have no row of their own: sleeps,
groups, subflows) follows from it. Nothing is stored for this page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flowgraph_compiler.machine import Machine, NodeInfo
from flowgraph_runtime.api.shapes import AttemptOut, InstanceOut, StepOut, StepStatus
from flowgraph_runtime.engine.blocks import FlowAction
from flowgraph_runtime.engine.commands import Decision, EmitEvent, EndRun, SetTimer, StartRun
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.folding import error_payload, input_of
from flowgraph_runtime.engine.inputs import ChildEnded, EventOffered, Started, StepDone, StepFailed
from flowgraph_runtime.engine.moving import MOVE, machines_of, moved
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.reopening import RETRY, retried
from flowgraph_runtime.engine.run_state import RunState
from flowgraph_runtime.engine.tokens import CANCELLED, LOST, Frame, GroupPending, Pending, StepPending, Token
from flowgraph_runtime.moments import rfc3339
from flowgraph_runtime.records import JournalRow, RunRow
from flowgraph_runtime.storage.transitions import ENDED
from flowgraph_runtime.views import error_view, plain_text, run_status

ROWS_SHOWN = 50
"""Latest visits of a node that are listed; all are counted."""
EMPTY: Mapping[int, int] = {}
NO_PROGRAMS: Mapping[str, Program] = {}
_GROUP_ENDS: dict[str, StepStatus] = {LOST: "failed", CANCELLED: "cancelled"}


@dataclass(slots=True)
class Visit:
    """One visit of a node while it is folded."""

    site: str
    number: int
    started_at: int
    serial: int = 0
    status: StepStatus = "running"
    ended_at: int | None = None
    payload: str | None = None
    error: str | None = None
    due: int | None = None
    reason: str | None = None
    rows: list[JournalRow] = field(default_factory=list[JournalRow])
    run_id: str | None = None
    planned: dict[int, int] = field(default_factory=dict[int, int])  # journal position of a failure -> when it is tried again

    def attempts(self) -> list[JournalRow]:
        """Return the rows of its attempts that have ended."""
        return [row for row in self.rows if row.kind in ("done", "failed")]


class _Watched(dict[int, Pending]):
    """What a run waits for, by serial; notes the serials that an input adds or removes, so that a fold over a run of many
    branches need not look at all of them for each of its inputs."""

    def __init__(self, pending: Mapping[int, Pending]) -> None:
        super().__init__(pending)
        self.touched: dict[int, Token] = {}

    def __setitem__(self, serial: int, pending: Pending) -> None:
        self.touched[serial] = pending.token
        super().__setitem__(serial, pending)

    def __delitem__(self, serial: int) -> None:
        self.touched[serial] = self[serial].token
        super().__delitem__(serial)


class History:
    """The visits of every node of one run, as far as its journal was given. `live_starts`: start times of attempts that run in
    this process, by serial."""

    def __init__(self, run: RunRow, program: Program, live_starts: Mapping[int, int] = EMPTY) -> None:
        self._program = program
        self._machine: Machine = program.machine
        self._open: dict[int, tuple[Visit, Pending]] = {}
        self._known: dict[int, Visit] = {}
        self._going_on: dict[str, dict[int, Visit]] = {}  # by site
        self._frames: dict[int, tuple[Token, dict[int, tuple[Frame, Visit]]]] = {}
        self._counts: dict[str, int] = {}
        self._journal: list[JournalRow] = []
        self._started = False
        self.visits: dict[str, list[Visit]] = {}
        self._held: list[Visit] = []
        self._left: list[NodeInfo] = []
        self._watch(RunState.new(run.id))
        self.look(run, live_starts)

    @property
    def seq(self) -> int:
        """The journal row up to which it is told, -1 before the first."""
        return self._journal[-1].seq if self._journal else -1

    def hold(self, held_up: Mapping[int, str]) -> None:
        """Say why attempts that are due do not start, by serial."""
        for visit in self._held:
            visit.reason = None
            if visit.status == "pending":
                visit.status = "running"
        self._held = [self._open[serial][0] for serial in held_up if serial in self._open]
        for visit in self._held:
            visit.status, visit.reason = "pending", held_up[visit.serial]

    def look(self, run: RunRow, live_starts: Mapping[int, int] = EMPTY) -> None:
        """Take the run's row as it is now."""
        self._run, self._live_starts = run, live_starts
        if run.started_at is not None and not self._started:
            self._started = True
            self._observe(decide(self._program, self._state, Started(run.input), run.started_at), run.started_at, None)

    # --- folding

    def follow(self, journal: Sequence[JournalRow], programs: Mapping[str, Program] = NO_PROGRAMS) -> None:
        """Go on with the rows that are new. `programs`: of the machines that the run was moved to, by fingerprint."""
        for row in journal:
            if row.seq > self.seq and self._started:
                self._follow(row, programs)

    def _follow(self, row: JournalRow, programs: Mapping[str, Program]) -> None:
        if row.kind == MOVE:
            self._move(row, programs[machines_of(row)[1]])
            return
        if row.kind == RETRY:
            state, decision = retried(self._program, self._run, self._journal, row)
            self._watch(state)
        else:
            decision = decide(self._program, self._state, input_of(row), row.at)
        self._journal.append(row)
        self._observe(decision, row.at, row)

    def _move(self, row: JournalRow, program: Program) -> None:
        """Nodes of the machine that it leaves are still told of where something has happened in them."""
        old, self._program, self._machine = self._machine, program, program.machine
        sites = {node.site for node in self._machine.nodes}
        self._left += [node for node in old.nodes if node.site in self.visits and node.site not in sites]
        self._frames.clear()
        self._journal.append(row)
        self._watch(moved(row, program))
        self._observe(Decision([]), row.at, row)

    def _watch(self, state: RunState) -> None:
        self._state = state
        state.pending = self._pending = _Watched(state.pending)
        everything = [*(pending for _, pending in self._open.values()), *self._pending.values()]
        self._pending.touched.update((pending.serial, pending.token) for pending in everything)

    def _observe(self, decision: Decision, at: int, row: JournalRow | None) -> None:
        if row is not None and row.serial in self._open:
            self._open[row.serial][0].rows.append(row)
        end = next((command for command in decision.commands if isinstance(command, EndRun)), None)
        touched, self._pending.touched = sorted(self._pending.touched.items()), {}
        for serial, _ in touched:
            if serial in self._open and serial not in self._pending:
                self._close(*self._open.pop(serial), at, row if row is not None and row.serial == serial else None)
        for serial, _ in touched:
            if serial in self._pending:
                pending = self._pending[serial]
                visit = self._open[serial][0] if serial in self._open else (self._again(serial) or self._begin(pending, at))
                self._open[serial], self._known[serial] = (visit, pending), visit
        if row is not None and row.serial in self._open:
            self._update(*self._open[row.serial])
        self._observe_commands(decision, at, row)
        self._observe_frames([token for _, token in touched], at, end)

    def _again(self, serial: int) -> Visit | None:
        """A visit that a retry of the run has opened again."""
        visit = self._known.get(serial)
        if visit is not None:
            visit.status, visit.ended_at, visit.payload, visit.error = "running", None, None, None
            self._going_on.setdefault(visit.site, {})[id(visit)] = visit
        return visit

    def _begin(self, pending: Pending, at: int) -> Visit:
        visit = self._visit(pending.action.site, at, pending.visit if isinstance(pending, StepPending) else None)
        visit.serial = pending.serial
        return visit

    def _visit(self, site: str, at: int, number: int | None = None) -> Visit:
        self._counts[site] = self._counts.get(site, 0) + 1
        visit = Visit(site, self._counts[site] if number is None else number, at)
        self.visits.setdefault(site, []).append(visit)
        self._going_on.setdefault(site, {})[id(visit)] = visit
        return visit

    def _end(self, visit: Visit, at: int, status: StepStatus) -> None:
        visit.status, visit.ended_at, visit.due = status, at, None
        self._going_on[visit.site].pop(id(visit), None)

    @staticmethod
    def _update(visit: Visit, pending: Pending) -> None:
        if isinstance(pending, StepPending):
            visit.status = "running" if pending.executing else "retrying"

    def _close(self, visit: Visit, pending: Pending, at: int, row: JournalRow | None) -> None:
        if isinstance(pending, GroupPending):
            self._end(visit, at, _GROUP_ENDS.get(pending.outcome, "completed"))
        elif row is not None:
            self._end(visit, at, "completed")
            self._keep_outcome(visit, row)
        else:
            self._end(visit, at, "skipped" if self._is_watch(visit.site) else "cancelled")

    @staticmethod
    def _keep_outcome(visit: Visit, row: JournalRow) -> None:
        match input_of(row):
            case StepDone(payload=payload) | EventOffered(payload=payload) | ChildEnded(status="completed", payload=payload):
                visit.payload = payload
            case ChildEnded(status="cancelled"):
                visit.status = "cancelled"
            case StepFailed(payload=payload) | ChildEnded(payload=payload):
                visit.status, visit.error = "failed", payload
            case _:  # a timer has no outcome of its own
                pass

    def _is_watch(self, site: str) -> bool:
        """Whether it waits for what cancels the run: nobody misses an event that has not come."""
        return any(node.site == site and node.function in self._machine.cancel_on for node in self._machine.nodes)

    def _observe_commands(self, decision: Decision, at: int, row: JournalRow | None) -> None:
        for command in decision.commands:
            if isinstance(command, StartRun) and command.serial is not None:
                if command.serial in self._open:
                    self._open[command.serial][0].run_id = command.run_id
            elif isinstance(command, EmitEvent | StartRun):
                visit = self._visit(command.site, at)
                visit.run_id = command.run_id if isinstance(command, StartRun) else None
                self._end(visit, at, "completed")
            elif isinstance(command, SetTimer) and command.serial in self._open:
                visit, _ = self._open[command.serial]
                visit.due = command.due
                if command.kind == "backoff" and row is not None:
                    visit.planned[row.seq] = command.due

    def _observe_frames(self, tokens: Sequence[Token], at: int, end: EndRun | None) -> None:
        """Subflows have no input of their own: a visit lasts as long as its frame. Only tokens that ran have other frames now."""
        if len(self._program.functions) == 1:
            return
        for token in tokens:
            _, known = self._frames.pop(id(token), (token, {}))
            frames = dict(_subflow_frames(token))
            for key in [key for key in known if key not in frames]:
                _, visit = known.pop(key)
                self._end(visit, at, "completed" if end is None or end.status == "completed" else _as_step(end.status))
            for key, (frame, site) in frames.items():
                if key not in known:
                    known[key] = (frame, self._visit(site, at))
            if known:
                self._frames[id(token)] = (token, known)

    # --- results

    def current(self) -> list[str]:
        """Return the ids of the nodes where the run is, in source order."""
        sites = {visit.site for visit, _ in self._open.values()}
        return [node.id for node in self._machine.nodes if node.site in sites and node.function not in self._machine.cancel_on]

    def statuses(self) -> dict[str, str]:
        """Return the status of every node, by id."""
        return {node.id: self._status(node.site) for node in self._machine.nodes}

    def _status(self, site: str) -> StepStatus:
        visits = self._going_on.get(site) or self.visits.get(site)
        if visits:
            return next(reversed(visits.values() if isinstance(visits, dict) else visits)).status
        return "skipped" if run_status(self._run) in ENDED else "pending"

    def shown(self, site: str) -> list[Visit]:
        """Return the visits of a node that `steps` lists, in the same order."""
        return self.visits.get(site, [])[-ROWS_SHOWN:]

    def steps(self) -> list[StepOut]:
        """Return one row per node, in source order; of compensations only those that were called."""
        every = (*self._left, *self._machine.nodes)
        nodes = (node for node in every if node.kind != "compensation" or node.site in self.visits)
        return [self._step(node, None, ROWS_SHOWN) for node in nodes]

    def step(self, node_id: str, before: int | None, limit: int) -> StepOut | None:
        """Return the row of one node with `limit` visits `before` a position in their order; None: there is no such node."""
        return next((self._step(node, before, limit) for node in self._machine.nodes if node.id == node_id), None)

    def _step(self, node: NodeInfo, before: int | None, limit: int) -> StepOut:
        visits = self.visits.get(node.site, [])
        end = len(visits) if before is None else min(before, len(visits))
        first = max(end - limit, 0)
        return StepOut(
            id=node.id,
            name=node.name,
            kind=node.kind,
            line=node.line,
            parent=node.parent,
            status=self._status(node.site),
            count=len(visits),
            instances=[self._instance(visit) for visit in visits[first:end]],
            next_cursor=str(first) if first else None,
        )

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
            run_id=visit.run_id,
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
        known, pending = self._open.get(visit.serial, (None, None))
        if known is visit and isinstance(pending, StepPending) and pending.executing and visit.reason is None:
            started = self._live_starts.get(visit.serial)
            attempts.append(AttemptOut(attempt=pending.attempt, status="running", started_at=rfc3339(started), ended_at=None))
        return attempts


def _as_step(status: str) -> StepStatus:
    return "cancelled" if status == "cancelled" else "failed"


def _subflow_frames(token: Token) -> Iterator[tuple[int, tuple[Frame, str]]]:
    """The frames of a token that are calls of subflows; a token that waits for nothing has ended, whatever it still holds."""
    if token.frames and token.pending is not None:
        sites = [_branch_site(token), *(_called_site(frame) for frame in token.frames[:-1])]
        for frame, site in zip(token.frames, sites, strict=True):
            if site is not None:
                yield id(frame), (frame, site)


def _branch_site(token: Token) -> str | None:
    """The site of the subflow that a branch is a call of."""
    if token.group is None:
        return None
    action = token.group.action.branch(token.index)
    return action.site if isinstance(action, FlowAction) else None


def _called_site(frame: Frame) -> str | None:
    action = frame.current.action
    return action.site if isinstance(action, FlowAction) else None
