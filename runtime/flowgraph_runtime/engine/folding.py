"""The journal as a sequence of inputs: rows to inputs and back, and the fold that rebuilds a state."""

from __future__ import annotations

import json

from flowgraph_runtime.engine.commands import Decision
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.digests import agrees, digest
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
        raise JournalMismatch(state.run_id, row.seq, row.digest, digest(decision.commands))
    return decision


def journal_row(run_id: str, seq: int, at: int, given: Input, decision: Decision, started_at: int | None = None) -> JournalRow:
    """Return the row that records an input. `started_at`: of the attempt, for step outcomes."""
    asked, site, visit = digest(decision.commands), decision.site, decision.visit
    if type(given) is StepDone:  # most rows
        columns = (run_id, seq, at, "done", given.serial, given.payload, asked, site, visit, given.attempt, started_at)
        # half of what a call of the class costs:
        return tuple.__new__(JournalRow, columns)  # pyright: ignore[reportUnknownMemberType]
    kind, serial, payload = _columns(given)
    attempt = given.attempt if type(given) is StepFailed else None
    return JournalRow(run_id, seq, at, kind, serial, payload, asked, site, visit, attempt, started_at)


def _columns(given: Input) -> tuple[str, int, str]:
    """Kind, serial and payload of an input's row."""
    match given:
        case StepFailed(serial, _, payload):
            return "failed", serial, f"[{json.dumps(given.retry_at)},{json.dumps(given.final)},{payload}]"
        case TimerFired(serial):
            return "timer", serial, ""
        case EventOffered(event_id, serials, payload):
            text = f'{{"id":{json.dumps(event_id)},"serials":{json.dumps(serials)},"payload":{json.dumps(payload)}}}'
            return "event", serials[0] if serials else 0, text
        case ChildEnded(serial, status, payload):
            return "child", serial, json.dumps({"status": status, "payload": payload})
        case CancelAsked(reason):
            return "cancel", 0, reason
        case _:
            raise ValueError("the start of a run is no journal row: the run's own row holds its input")


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
