"""A failed run goes on from the step that failed it: the state before that failure, with a fresh set of attempts.

    journal    1 .. k-1 | k: the last attempt of the failed step .. n: the run's end | n+1: retry
    state      fold(1 .. k-1), then the step runs again; serials, tokens and visits are counted on from n

What was decided from k on was decided because of the failure: it stays in the journal as history and is not in force any more.
Branches that were executing at k and have ended well since keep their results; the others run again: of a child run, which was
asked to end with its parent, a new one is started.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from flowgraph.errors import CodecError, FailureInfo
from flowgraph_runtime.engine.blocks import StepAction
from flowgraph_runtime.engine.commands import Command, Decision, OpenWait, RunStep, SetTimer, StartRun
from flowgraph_runtime.engine.decide import decide, drain
from flowgraph_runtime.engine.digests import agrees, digest
from flowgraph_runtime.engine.errors import Exhausted, JournalMismatch, NotReopenable
from flowgraph_runtime.engine.folding import input_of, replay
from flowgraph_runtime.engine.inputs import ChildEnded, Started
from flowgraph_runtime.engine.moving import MOVE, moved
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.run_state import RunState, run_step
from flowgraph_runtime.engine.running import resume, throw
from flowgraph_runtime.engine.scopes import note_completed, restart_timeouts
from flowgraph_runtime.engine.tokens import ChildPending, Pending, StepPending
from flowgraph_runtime.engine.turn import OPERATIONS, Turn
from flowgraph_runtime.engine.values import decoded
from flowgraph_runtime.records import JournalRow, RunRow

RETRY = "retry"
"""Kind of the journal row of a retry. Its snapshot is written with it, so a worker never folds over it."""


@dataclass(slots=True)
class _Past:
    """A fold from a run's start. `registered`: the timers, waits and child run of each suspension; `failed_at`: the row of the
    failure; `undone_by`: a compensation that was called since."""

    state: RunState
    registered: dict[int, dict[type, Command]] = field(default_factory=dict[int, "dict[type, Command]"])
    failed_at: int | None = None
    undone_by: str | None = None

    def remember(self, decision: Decision, undos: Mapping[str, StepAction]) -> None:
        for command in decision.commands:
            if isinstance(command, RunStep) and command.site in undos:
                self.undone_by = command.step
            if isinstance(command, SetTimer | OpenWait | StartRun) and command.serial is not None:
                self.registered.setdefault(command.serial, {})[type(command)] = command


def reopen(
    program: Program, run: RunRow, journal: Sequence[JournalRow], failure: FailureInfo, at: int
) -> tuple[RunState, Decision]:
    """Return the state in which a failed run goes on, and what that asks for. `journal`: all rows up to the end; `at`:
    microseconds. Raises `NotReopenable` when no step of that failure is found, when a saga has undone what came before
    it, or when the run's own code does not come to an end on the way, and `JournalMismatch` as any fold does."""
    end = _fold(program, run, journal, failure)
    if end.failed_at is None:
        raise NotReopenable(run.id, failure.step)
    if end.undone_by is not None:
        raise NotReopenable(run.id, failure.step, compensation=end.undone_by)
    past = _fold(program, run, journal[: end.failed_at - 1])
    state = past.state
    _count_on(state, end.state, at)
    turn = Turn(OPERATIONS, program, state, state.at)
    since = journal[end.failed_at - 1 :]
    carried = _carried(program, journal)
    try:
        for pending in list(state.pending.values()):
            rows = [row for row in since if row.serial == pending.serial]
            if isinstance(pending, StepPending) and pending.executing:
                _run_again(turn, pending, rows)
            elif pending.serial < carried and pending.serial not in past.registered:
                raise NotReopenable(run.id, failure.step, carried=True)
            elif isinstance(pending, ChildPending):
                _call_again(turn, pending, rows, past.registered[pending.serial][StartRun])
            else:
                turn.commands += past.registered.get(pending.serial, {}).values()
        restart_timeouts(turn)
        drain(turn)
    except Exhausted:
        raise NotReopenable(run.id, None) from None
    state.status = state.current_status()
    return state, Decision(turn.commands, state.status, parked=not state.executing)


def _begun(program: Program, run: RunRow, journal: Sequence[JournalRow]) -> tuple[_Past, int]:
    """The past up to which nothing is folded, and the number of rows in it: the run's start, or its last move, whose row holds
    the state. What was registered before a move is not known then."""
    moves = [index for index, row in enumerate(journal) if row.kind == MOVE]
    if moves:
        return _Past(moved(journal[moves[-1]], program)), moves[-1] + 1
    past = _Past(RunState.new(run.id))
    past.state.event_id = run.event_id
    started_at = run.created_at if run.started_at is None else run.started_at
    past.remember(decide(program, past.state, Started(run.input), started_at), program.undos)
    return past, 0


def _fold(program: Program, run: RunRow, journal: Sequence[JournalRow], failure: FailureInfo | None = None) -> _Past:
    past, begun = _begun(program, run, journal)
    for index, row in enumerate(journal[begun:], begun):
        if row.kind == RETRY:
            past.state, decision = retried(program, run, journal[:index], row)
        else:
            pending = past.state.pending.get(row.serial)
            decision = replay(program, past.state, row)
            if failure is not None and _is_failure(past.state, pending, row, failure):
                past.failed_at, past.undone_by = row.seq, None
        past.remember(decision, program.undos)
    return past


def _carried(program: Program, journal: Sequence[JournalRow]) -> int:
    """The first serial after a run's last move: nothing tells any more what was registered for those that it has carried over."""
    last = next((row for row in reversed(journal) if row.kind == MOVE), None)
    return 0 if last is None else moved(last, program).next_serial


def retried(program: Program, run: RunRow, journal: Sequence[JournalRow], row: JournalRow) -> tuple[RunState, Decision]:
    """Repeat a committed retry; `journal` are the rows before it. Raises `JournalMismatch` when it now asks for other things."""
    failure = json.loads(row.payload)
    state, decision = reopen(program, run, journal, FailureInfo(failure["step"], failure["attempts"], run.id), row.at)
    if not agrees(decision.commands, row.digest):
        raise JournalMismatch(run.id, row.seq, row.digest, digest(decision.commands))
    return state, decision


def retry_row(state: RunState, decision: Decision, failure: FailureInfo) -> JournalRow:
    """Return the row that records a retry."""
    payload = json.dumps({"step": failure.step, "attempts": failure.attempts})
    return JournalRow(state.run_id, state.seq, state.at, RETRY, 0, payload, digest(decision.commands))


def _is_failure(state: RunState, pending: Pending | None, row: JournalRow, failure: FailureInfo) -> bool:
    """Whether the row is the attempt after which the step was not tried again."""
    return (
        row.kind == "failed"
        and isinstance(pending, StepPending)
        and not pending.abandoned
        and row.serial not in state.pending
        and (pending.action.step, row.attempt) == (failure.step, failure.attempts)
    )


def _count_on(state: RunState, end: RunState, at: int) -> None:
    """Nothing new may be mistaken for what was begun and ended after the failure."""
    state.seq, state.at = end.seq + 1, max(at, end.at)
    state.next_serial, state.next_token = end.next_serial, end.next_token
    state.visits = {**state.visits, **end.visits}
    state.attempt = end.attempt + 1


def _call_again(turn: Turn, pending: ChildPending, since: list[JournalRow], start: Any) -> None:
    """Start the child run anew, unless it has ended well since. Under a serial of its own: the end of the one before, which may
    still clean up, is nobody's."""
    for row in since:
        ended = input_of(row)
        if isinstance(ended, ChildEnded) and ended.status == "completed":
            turn.state.release(pending)
            resume(turn, pending.token, decoded(ended.payload, turn.program.types))
            return
    turn.state.release(pending)
    pending.serial, pending.since, pending.run_id = turn.state.new_serial(), turn.at, turn.new_id("run_")
    turn.state.suspend(pending)
    turn.commands.append(replace(start, run_id=pending.run_id, serial=pending.serial))


def _run_again(turn: Turn, pending: StepPending, since: list[JournalRow]) -> None:
    """Run a step that was executing, with all its retries, unless it has ended well since."""
    done = next((row for row in since if row.kind == "done"), None)
    if done is not None:
        turn.state.release_step(pending)
        note_completed(pending, done.seq)
        try:
            value = decoded(done.payload, turn.program.types)
        except CodecError as error:
            throw(turn, pending.token, error)
        else:
            resume(turn, pending.token, value, done.seq)
        return
    failed = [row.attempt or 0 for row in since if row.kind == "failed"]
    pending.tried = max(failed, default=pending.attempt - 1)
    pending.attempt = pending.tried + 1
    pending.since = turn.at
    turn.commands.append(run_step(pending))
