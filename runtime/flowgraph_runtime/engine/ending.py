"""The end of a run: its result, or its handler and then its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flowgraph.codec import copy_value, dumps, loads
from flowgraph.errors import (
    Cancelled,
    CodecError,
    FailureInfo,
    add_other_failure,
    capture_traceback,
    compensation_failed,
    error_names,
)
from flowgraph_runtime.engine.blocks import FunctionProgram
from flowgraph_runtime.engine.commands import AbandonStep, CancelRun, ClearTimer, EndRun
from flowgraph_runtime.engine.run_state import BODY, CANCEL_HANDLER, ENDED, FAILURE_HANDLER
from flowgraph_runtime.engine.running import push
from flowgraph_runtime.engine.suspending import withdraw
from flowgraph_runtime.engine.tokens import UNTOUCHED, ChildPending, GroupPending, StepPending, Token
from flowgraph_runtime.engine.turn import EPOCH, OPERATIONS, RUN, Turn
from flowgraph_runtime.engine.values import encoded


def main_ended(turn: Turn, ok: bool, value: Any) -> None:
    """Take the outcome of the main token: of the body, or of a handler."""
    state = turn.state
    if state.phase != BODY:
        _handler_ended(turn, None if ok else value)
    elif state.cancel_reason is not None or (not ok and isinstance(value, Cancelled)):
        _cancelled(turn, Cancelled() if ok else value)
    elif ok:
        _completed(turn, value)
    else:
        _failed(turn, value)


def abort(turn: Turn, why: BaseException) -> None:
    """Fail a run whatever it is doing: nothing of its own runs any more, except its failure handler."""
    turn.ready.clear()
    turn.messages.clear()
    turn.left = OPERATIONS
    _drop_all(turn)
    main_ended(turn, False, why)


def _completed(turn: Turn, value: Any) -> None:
    try:
        text = encoded(value, by=f"result of {turn.program.machine.workflow}")
    except CodecError as error:
        _failed(turn, error)
    else:
        _end(turn, EndRun("completed", text))


def _failed(turn: Turn, error: BaseException) -> None:
    attach_failure(error, None, 0, turn.state.run_id)
    handler = turn.program.on_failure
    if handler is None or not isinstance(error, Exception):
        _end_failed(turn, "failed", error)
    else:
        _handle(turn, FAILURE_HANDLER, handler, error, [_trigger(turn), copy_value(error)])


def _cancelled(turn: Turn, error: BaseException) -> None:
    handler = turn.program.on_cancel
    if handler is None:
        _end_failed(turn, _cancelled_as(error), error)
    else:
        _handle(turn, CANCEL_HANDLER, handler, error, [_trigger(turn)])


def _handle(turn: Turn, phase: str, handler: FunctionProgram, error: BaseException, arguments: list[Any]) -> None:
    state = turn.state
    state.phase, state.error = phase, error
    state.main = Token(0)
    push(state.main, handler, arguments)
    turn.ready.append((RUN, state.main, None))


def _handler_ended(turn: Turn, failure: BaseException | None) -> None:
    state = turn.state
    error = state.error
    assert error is not None
    if failure is not None:
        add_other_failure(error, failure, "handler failed")
    cancelled = state.phase == CANCEL_HANDLER or state.cancel_reason is not None
    _end_failed(turn, _cancelled_as(error) if cancelled else "failed", error)


def _cancelled_as(error: BaseException) -> str:
    """The status of a run that was cancelled: it has failed where its effects could not be undone."""
    return "failed" if compensation_failed(error) else "cancelled"


def _trigger(turn: Turn) -> Any:
    """What the workflow received: its event, batch or time, else its arguments by name, defaults filled in."""
    machine, arguments = turn.program.machine, loads(turn.state.trigger, turn.program.types)
    if machine.parameter_kind == "parameters":
        main = turn.program.functions[0]
        return dict(main.bind((), dict(zip(main.parameters, arguments, strict=False))))
    return arguments[0] if arguments else EPOCH + timedelta(microseconds=turn.state.started_at)


def attach_failure(error: BaseException, step: str | None, attempts: int, run_id: str) -> None:
    """Say in `error.flowgraph` which step failed; what a step has said stands."""
    known = getattr(error, "flowgraph", None)
    if not isinstance(known, FailureInfo) or (step is not None and known.run_id != run_id):
        error.flowgraph = FailureInfo(step, attempts, run_id)  # type: ignore[attr-defined]


def _end_failed(turn: Turn, status: str, error: BaseException) -> None:
    info = getattr(error, "flowgraph", None)
    step, attempts = (info.step, info.attempts) if isinstance(info, FailureInfo) and info.step else (None, None)
    _end(turn, EndRun(status, error_text(error), step, attempts))


def error_text(error: BaseException) -> str:
    """Return the codec text of an exception; one that carries what cannot be stored is replaced by its name and text."""
    capture_traceback(error)
    try:
        return dumps(error)
    except CodecError as refused:
        replacement = RuntimeError(f"{error_names(error)[0]}: {str(error)[:10_000]!a}")
        replacement.add_note(f"(it cannot be stored: {refused})")
        return dumps(replacement)


def _end(turn: Turn, command: EndRun) -> None:
    _drop_all(turn)
    turn.state.phase = ENDED
    turn.state.status = command.status
    turn.state.main = Token(0)
    turn.commands.append(command)


def _drop_all(turn: Turn) -> None:
    """Take back everything that still waits."""
    for pending in list(turn.state.pending.values()):
        match pending:
            case GroupPending():
                turn.state.release(pending)
            case StepPending() if pending.executing:
                turn.state.release(pending)
                turn.commands.append(AbandonStep(pending.serial, True))
            case ChildPending():
                turn.state.release(pending)
                turn.commands.append(CancelRun(pending.run_id, "its parent has ended"))
            case _:
                withdraw(turn, pending)
    for serial, timeout in turn.state.timeouts.items():
        if not timeout.fired:
            turn.commands.append(ClearTimer(serial))
    turn.state.timeouts.clear()
    turn.state.main.cancel = UNTOUCHED
    turn.state.watches.clear()
