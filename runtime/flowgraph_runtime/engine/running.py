"""Runs tokens through their blocks until each of them waits or has ended."""

from __future__ import annotations

from typing import Any

from flowgraph.calls import left_coroutine
from flowgraph.codec import copy_value
from flowgraph.errors import TRACEBACK_ATTRIBUTE, Cancelled
from flowgraph_runtime.engine.blocks import (
    FINISH,
    JUMP,
    SUSPEND,
    AnyAction,
    BlockProgram,
    ChildAction,
    CloseAction,
    FlowAction,
    FunctionProgram,
    OpenAction,
    SendAction,
)
from flowgraph_runtime.engine.cancelling import is_due, note_delivery
from flowgraph_runtime.engine.errors import Exhausted
from flowgraph_runtime.engine.scopes import SCOPES
from flowgraph_runtime.engine.suspending import BEGINNERS as SUSPENDING
from flowgraph_runtime.engine.suspending import ENTERED, SUSPENDED
from flowgraph_runtime.engine.tokens import ASKED, Frame, Token
from flowgraph_runtime.engine.turn import BEGIN, RESUME, THROW, Turn

BEGINNERS = SUSPENDING | SCOPES

_NO_WAITS = (FlowAction, SendAction, OpenAction, CloseAction)


def work(turn: Turn, what: int, token: Token, value: Any) -> None:
    """Do what a ready token is ready for."""
    if what == RESUME:
        resume(turn, token, value)
    elif what == THROW:
        throw(turn, token, value)
    elif what == BEGIN:
        _begin(turn, token, value)
    else:
        run(turn, token)


def resume(turn: Turn, token: Token, value: Any, reference: int | None = None) -> None:
    """Give a token what it waited for and run it. `reference`: the journal row that holds the value."""
    if not token.frames:
        turn.messages.append((token, True, value, reference))
        return
    frame = token.frames[-1]
    _store(frame, frame.function.blocks[frame.block], value)
    run(turn, token)


def throw(turn: Turn, token: Token, error: BaseException) -> None:
    """Raise an exception where a token waits and run it."""
    if _caught(turn, token, error):
        run(turn, token)


def _begin(turn: Turn, token: Token, payload: Any) -> None:
    """Begin the action of a branch."""
    assert token.group is not None
    action = token.group.action.branch(token.index)
    try:
        outcome = BEGINNERS[type(action)](turn, token, action, payload)
    except (Exhausted, KeyboardInterrupt):
        raise
    except BaseException as error:  # it is the branch's outcome
        turn.messages.append((token, False, error, None))
        return
    if outcome is ENTERED:
        run(turn, token)
    elif outcome is not SUSPENDED:
        turn.messages.append((token, True, outcome, None))


def run(turn: Turn, token: Token) -> None:
    """Run a token's blocks until it waits or has ended."""
    frames = token.frames
    while True:
        frame = frames[-1]
        block = frame.function.blocks[frame.block]
        turn.left -= 1
        if turn.left < 0:
            turn.tick()
        try:
            outcome: Any = block.run(frame.variables, turn)
            if block.kind == JUMP:
                if type(outcome) is int:
                    frame.block = outcome
                    continue
                frame.block, outcome = outcome
                block = frame.function.blocks[frame.block]
            action = block.action
            if action is not None:
                if token.cancel == ASKED or token.expired:
                    _deliver_asked(token, action)
                outcome = BEGINNERS[type(action)](turn, token, action, outcome)
        except (Exhausted, KeyboardInterrupt):
            raise
        except BaseException as raised:  # the workflow's own handlers decide
            error = own_traceback(raised)
        else:
            if outcome is SUSPENDED or (block.kind == FINISH and not _finished(turn, token, outcome)):
                return
            if block.kind == SUSPEND and outcome is not ENTERED:
                _store(frame, block, outcome)
            continue
        if not _caught(turn, token, error):
            return


def own_traceback(error: BaseException) -> BaseException:
    """Take the engine's part off a traceback; an error that came from a step keeps the text of the step's."""
    known = error.__traceback__
    if known is not None:
        error.__traceback__ = None if TRACEBACK_ATTRIBUTE in vars(error) else known.tb_next
    return error


def _deliver_asked(token: Token, action: AnyAction) -> None:
    """Raise the `Cancelled` that a `finally` has held up, at the first wait outside of it."""
    if not isinstance(action, _NO_WAITS) and not (isinstance(action, ChildAction) and not action.awaited):
        shields = token.shields()
        if is_due(token, shields):
            note_delivery(token, shields)
            raise Cancelled


def _store(frame: Frame, block: BlockProgram, value: Any) -> None:
    if block.result is not None:
        frame.variables[block.result] = value
    frame.block = block.next


def _caught(turn: Turn, token: Token, error: BaseException) -> bool:
    """Go to the innermost handler; without one the token ends with the exception."""
    frames = token.frames
    while frames:
        frame = frames[-1]
        block = frame.current
        if block.handler is not None:
            if block.caught is not None:
                frame.variables[block.caught] = error
            frame.block = block.handler
            return True
        frames.pop()
        error = left_coroutine(error)
    turn.messages.append((token, False, error, None))
    return False


def _finished(turn: Turn, token: Token, value: Any) -> bool:
    """Pop a frame that returns; whether the token goes on."""
    frame = token.frames.pop()
    if token.frames or token.group is not None:
        try:
            value = copy_value(value, by=f"result of {frame.function.name}")
        except Exception as error:  # a result that cannot be stored is an error of the call
            return _caught(turn, token, error)
    if not token.frames:
        turn.messages.append((token, True, value, None))
        return False
    caller = token.frames[-1]
    _store(caller, caller.current, value)
    return True


def push(token: Token, function: FunctionProgram, arguments: list[Any]) -> None:
    """Begin a function on a token without frames. `arguments`: in the order of the parameters, keyword-only ones last."""
    count, keywords, positional = len(function.positional), {}, arguments
    if count < len(arguments) <= len(function.parameters):
        keywords, positional = dict(zip(function.parameters[count:], arguments[count:], strict=False)), arguments[:count]
    token.frames.append(Frame(function, 0, function.bind(positional, keywords)))
