"""The journal as a sequence of inputs: rows to inputs and back, and the fold that rebuilds a state."""

from __future__ import annotations

import json

from flowgraph_runtime.engine.commands import Decision
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.digests import agrees
from flowgraph_runtime.engine.errors import JournalMismatch
from flowgraph_runtime.engine.inputs import (
    CancelAsked,
    ChildEnded,
    EventOffered,
    Input,
    Started,
    StepDone,
    StepFailed,
    TimerFired,
)
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.state import BranchResults, RunState, restore
from flowgraph_runtime.records import InboxRow, JournalRow, LoadedRun


def fold(program: Program, loaded: LoadedRun, branch_results: BranchResults | None = None) -> RunState:
    """Return the state after the journal's last row. Raises `JournalMismatch` when a row now leads to other commands."""
    run = loaded.run
    if loaded.snapshot is not None:
        state = restore(loaded.snapshot, program, branch_results)
    else:
        state = RunState.new(run.id)
        state.event_id = run.event_id
        decide(program, state, Started(run.input), run.created_at if run.started_at is None else run.started_at)
    for row in loaded.journal:
        replay(program, state, row)
    return state


def replay(program: Program, state: RunState, row: JournalRow) -> Decision:
    """Apply one row of the journal. Raises `JournalMismatch` when the decision differs from the committed one."""
    decision = decide(program, state, input_of(row), row.at)
    if decision.ignored or state.seq != row.seq or not agrees(decision.commands, row.digest):
        raise JournalMismatch(state.run_id, row.seq, row.digest, decision.digest)
    return decision


def journal_row(run_id: str, seq: int, at: int, given: Input, decision: Decision, started_at: int | None = None) -> JournalRow:
    """Return the row that records an input. `started_at`: of the attempt, for step outcomes."""
    if type(given) is StepDone:  # most rows
        site, visit = decision.site, decision.visit
        return JournalRow(
            run_id, seq, at, "done", given.serial, given.payload, decision.digest, site, visit, given.attempt, started_at
        )
    row = JournalRow(run_id, seq, at, "", 0, "", decision.digest, decision.site, decision.visit, None, started_at)
    match given:
        case StepFailed(serial, attempt, payload):
            row.kind, row.serial, row.attempt = "failed", serial, attempt
            row.payload = f"[{json.dumps(given.retry_at)},{json.dumps(given.final)},{payload}]"
        case TimerFired(serial):
            row.kind, row.serial = "timer", serial
        case EventOffered(event_id, serials, payload):
            row.kind, row.serial = "event", serials[0] if serials else 0
            row.payload = f'{{"id":{json.dumps(event_id)},"serials":{json.dumps(serials)},"payload":{json.dumps(payload)}}}'
        case ChildEnded(serial, status, payload):
            row.kind, row.serial = "child", serial
            row.payload = json.dumps({"status": status, "payload": payload})
        case CancelAsked(reason):
            row.kind, row.payload = "cancel", reason
        case _:
            raise ValueError("the start of a run is no journal row: the run's own row holds its input")
    return row


def input_of(row: JournalRow | InboxRow) -> Input:
    """Return the input that a row of the journal or the inbox stands for. Raises ValueError for an unknown kind."""
    match row.kind:
        case "done":
            return StepDone(row.serial, _attempt(row), row.payload)
        case "failed":
            retry_at, final, error = _failure(row.payload)
            return StepFailed(row.serial, _attempt(row), error, retry_at, final)
        case "timer":
            return TimerFired(row.serial)
        case "event" if isinstance(row, InboxRow):
            return EventOffered(row.id, row.serials, row.payload)
        case "event":
            event = json.loads(row.payload)
            return EventOffered(event["id"], tuple(event["serials"]), event["payload"])
        case "child":
            child = json.loads(row.payload)
            return ChildEnded(row.serial, child["status"], child["payload"])
        case "cancel":
            return CancelAsked(row.payload)
        case _:
            raise ValueError(f"a row of kind '{row.kind}' is no input of a run")


def _attempt(row: JournalRow | InboxRow) -> int:
    return (row.attempt or 1) if isinstance(row, JournalRow) else 1


def _failure(payload: str) -> tuple[int | None, bool, str]:
    retry_at, final, error = payload[1:-1].split(",", 2)
    return json.loads(retry_at), final == "true", error


def error_payload(row: JournalRow) -> str:
    """Return the codec text of the exception in a `failed` row."""
    return _failure(row.payload)[2]
