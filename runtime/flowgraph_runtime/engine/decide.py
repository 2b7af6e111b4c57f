"""`decide(program, state, input, at) -> Decision`: what one input means for a run.

The state is updated in place. Nothing here reads a clock, does I/O or is random: the same state and input always lead to the
same decision, which is what makes the journal a sufficient record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowgraph import Event
from flowgraph.errors import CodecError
from flowgraph.events import meta_of
from flowgraph_runtime.engine.cancelling import cancel, deliver_cancel, expire
from flowgraph_runtime.engine.commands import ClearTimer, CloseWait, Decision
from flowgraph_runtime.engine.ending import abort, attach_failure, main_ended
from flowgraph_runtime.engine.errors import Exhausted, TransitionTooLong
from flowgraph_runtime.engine.groups import branch_ended
from flowgraph_runtime.engine.inputs import (
    NOT_KEPT,
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
from flowgraph_runtime.engine.retrying import back_off, may_retry, next_attempt
from flowgraph_runtime.engine.run_state import BODY, ENDED, RunState
from flowgraph_runtime.engine.running import push, resume, run, throw, work
from flowgraph_runtime.engine.scopes import note_completed
from flowgraph_runtime.engine.tokens import ChildPending, SleepPending, StepPending, WaitPending
from flowgraph_runtime.engine.turn import OPERATIONS, Turn
from flowgraph_runtime.engine.values import decoded


def decide(program: Program, state: RunState, given: Input, at: int) -> Decision:
    """Return what the input leads to. `at`: microseconds since 1970; a time before the last input's counts as the last's."""
    turn = Turn(OPERATIONS, program, state, at if at > state.at else state.at)
    if type(given) is StepDone and given.value is not NOT_KEPT:
        pending = state.pending.get(given.serial)
        if (
            type(pending) is StepPending
            and pending.attempt == given.attempt
            and pending.executing
            and not pending.abandoned
            and pending.action.undo is None
            and pending.token.frames
        ):  # a result for a frame that just goes on with it
            return _pass_on(turn, pending, given.value)
    decision = Decision(turn.commands)
    if state.phase == ENDED or not _apply(turn, given, decision):
        decision.ignored = True
        decision.status = state.status
        return decision
    _note_time_and_status(turn)
    decision.status = state.status
    decision.parked = not state.executing
    return decision


def _note_time_and_status(turn: Turn) -> None:
    state = turn.state
    state.at = turn.at
    if state.phase != ENDED:
        state.status = state.current_status()


# --- the short way


def _pass_on(turn: Turn, pending: StepPending, value: Any) -> Decision:
    """What `_apply` and `_step_done` do, for the commonest input in half the time: a worker, which has the result at hand, comes
    here with nearly every step. A fold decodes the results and goes the long way, to the same digests."""
    state, token = turn.state, pending.token
    state.seq += 1
    del state.pending[pending.serial]  # as `release_step` does, without a call
    token.pending = None
    state.executing -= 1
    frame = token.frames[-1]
    block = frame.function.blocks[frame.block]
    if block.result is not None:
        frame.variables[block.result] = value
    frame.block = block.next
    try:
        run(turn, token)
        if turn.has_more():
            drain(turn)
    except Exhausted as why:
        abort(turn, TransitionTooLong(str(why)))
        drain(turn)
    commands, action = turn.commands, pending.action
    if state.executing and state.cancel_reason is None and state.phase is not ENDED:
        state.at, state.status = turn.at, "running"
    else:
        _note_time_and_status(turn)
    return Decision(commands, state.status, not state.executing, False, None, action.site, pending.visit)


# --- the general way


def _apply(turn: Turn, given: Input, decision: Decision) -> bool:
    """Apply the input and everything that follows from it; whether anybody waited for it."""
    state = turn.state
    before = state.seq
    state.seq += 0 if type(given) is Started else 1
    try:
        if not _HANDLERS[type(given)](turn, given, decision):
            state.seq = before
            return False
        if turn.has_more():
            drain(turn)
    except Exhausted as why:
        abort(turn, TransitionTooLong(str(why)))
        drain(turn)
    return True


def drain(turn: Turn) -> None:
    """Run every token that is ready, then deliver one message, and so on."""
    ready, messages = turn.ready, turn.messages
    while True:
        if ready:
            work(turn, *ready.popleft())
        elif messages:
            token, ok, value, reference = messages.popleft()
            if token.watch:
                abort(turn, value)
            elif token.group is None:
                main_ended(turn, ok, value)
            else:
                branch_ended(turn, token, ok, value, reference)
        else:
            return


# --- inputs


def _started(turn: Turn, given: Started, _: Decision) -> bool:
    state = turn.state
    if state.started:
        return False
    state.started, state.started_at, state.trigger = True, turn.at, given.payload
    arguments = decoded(given.payload, turn.program.types)
    if arguments and isinstance(arguments[0], Event):
        meta = meta_of(arguments[0])
        state.event_id = None if meta is None else meta.id
    try:
        push(state.main, turn.program.functions[0], arguments)
    except TypeError as error:
        main_ended(turn, False, error)
    else:
        _watch(turn, given.payload)
        run(turn, state.main)
    return True


def _watch(turn: Turn, payload: str) -> None:
    """Open the waits of `cancel_on=`, before any of the body's: they are offered an event first."""
    for name in turn.program.machine.cancel_on:
        token = turn.state.new_watch()
        push(token, turn.program.by_name[name], decoded(payload, turn.program.types)[:1])
        run(turn, token)


def _step_done(turn: Turn, given: StepDone, decision: Decision) -> bool:
    pending = _attempt(turn, given, decision)
    if pending is None:
        return False
    turn.state.release_step(pending)
    if pending.action.undo is not None:
        note_completed(pending, turn.state.seq)
    if pending.abandoned:
        deliver_cancel(turn, pending.token)
        return True
    try:
        value = decoded(given.payload, turn.program.types) if given.value is NOT_KEPT else given.value
    except CodecError as error:  # a class that the code does not have: the call has failed, and the text stays in the journal
        throw(turn, pending.token, error)
    else:
        resume(turn, pending.token, value, turn.state.seq)
    return True


def _step_failed(turn: Turn, given: StepFailed, decision: Decision) -> bool:
    pending = _attempt(turn, given, decision)
    if pending is None:
        return False
    if pending.abandoned:
        turn.state.release(pending)
        deliver_cancel(turn, pending.token)
    elif may_retry(pending, given):
        back_off(turn, pending, given)
    else:
        error = decoded(given.payload, turn.program.types)
        attach_failure(error, pending.action.step, given.attempt, turn.state.run_id)
        turn.state.release(pending)
        throw(turn, pending.token, error)
    return True


def _attempt(turn: Turn, given: StepDone | StepFailed, decision: Decision) -> StepPending | None:
    pending = turn.state.pending.get(given.serial)
    if type(pending) is not StepPending or not pending.executing or pending.attempt != given.attempt:
        return None
    decision.site, decision.visit = pending.action.site, pending.visit
    return pending


def _timer_fired(turn: Turn, given: TimerFired, _: Decision) -> bool:
    timeout = turn.state.timeouts.get(given.serial)
    if timeout is not None:
        expire(turn, timeout)
        return True
    pending = turn.state.pending.get(given.serial)
    match pending:
        case SleepPending():
            turn.state.release(pending)
            resume(turn, pending.token, None)
        case WaitPending() if pending.due is not None:
            turn.state.release(pending)
            turn.commands.append(CloseWait(pending.serial))
            resume(turn, pending.token, None)
        case StepPending() if not pending.executing:
            next_attempt(turn, pending)
        case _:
            return False
    return True


def _event_offered(turn: Turn, given: EventOffered, decision: Decision) -> bool:
    waits = [turn.state.pending.get(serial) for serial in given.serials]
    event: Any = None
    heard = False
    for pending in waits:
        if not isinstance(pending, WaitPending):
            continue
        event = event if event is not None else decoded(given.payload, turn.program.types)
        accepted, error = _accepts(turn, pending, event)
        if not accepted and (error is None or pending.token.watch):
            continue
        _close(turn, pending)
        heard = True
        if error is None:
            decision.taken = given.event_id
            if pending.token.watch:
                turn.state.watches.remove(pending.token)
                _cancel_run(turn, f"event '{event.event_name}' ({given.event_id})")
                break
            resume(turn, pending.token, event)
            break
        throw(turn, pending.token, error)
    return heard


def _accepts(turn: Turn, pending: WaitPending, event: Any) -> tuple[bool, Exception | None]:
    """Whether the rest of `where` holds; an error of it is raised at the wait, and the event goes to the next one."""
    residual = pending.action.residual
    if residual is None:
        return True, None
    try:
        return bool(residual(pending.frozen, turn, event)), None
    except Exception as error:  # the predicate is the author's
        return False, error


def _close(turn: Turn, pending: WaitPending) -> None:
    turn.state.release(pending)
    turn.commands.append(CloseWait(pending.serial))
    if pending.due is not None:
        turn.commands.append(ClearTimer(pending.serial))


def _child_ended(turn: Turn, given: ChildEnded, _: Decision) -> bool:
    pending = turn.state.pending.get(given.serial)
    if not isinstance(pending, ChildPending):
        return False
    value = decoded(given.payload, turn.program.types)
    turn.state.release(pending)
    if pending.abandoned:
        deliver_cancel(turn, pending.token)
    elif given.status == "completed":
        resume(turn, pending.token, value)
    else:
        throw(turn, pending.token, value)
    return True


def _cancel_asked(turn: Turn, given: CancelAsked, _: Decision) -> bool:
    return _cancel_run(turn, given.reason)


def _cancel_run(turn: Turn, reason: str) -> bool:
    """Cancel the run, unless that is under way already."""
    state = turn.state
    if state.cancel_reason is not None:
        return False
    state.cancel_reason = reason
    if not state.started:
        turn.state.started = True
        turn.messages.append((state.main, True, None, None))
    elif state.phase == BODY:
        cancel(turn, state.main, interrupt=True)
    return True


_HANDLERS: dict[type, Callable[[Turn, Any, Decision], bool]] = {
    Started: _started,
    StepDone: _step_done,
    StepFailed: _step_failed,
    TimerFired: _timer_fired,
    EventOffered: _event_offered,
    ChildEnded: _child_ended,
    CancelAsked: _cancel_asked,
}
