"""Scopes of a token: `async with timeout(...)` and `async with saga()`. See the language page, section 3.4.

opened      a timer for the deadline; an empty list of completed calls
deadline    the token is cancelled: see `cancelling`
closed      `TimeoutError` in the place of the `Cancelled` of the scope's own deadline; the compensations, or their hand-over
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flowgraph.durations import format_duration, parse_duration
from flowgraph.errors import COMPENSATION_FAILED, Cancelled, add_other_failure
from flowgraph_runtime.engine.blocks import CloseAction, OpenAction, UndoAction
from flowgraph_runtime.engine.commands import ClearTimer, SetTimer
from flowgraph_runtime.engine.suspending import SUSPENDED, begin_next
from flowgraph_runtime.engine.tokens import (
    DELIVERED,
    Completed,
    GroupPending,
    SagaScope,
    StepPending,
    TimeoutScope,
    Token,
)
from flowgraph_runtime.engine.turn import RESUME, Turn
from flowgraph_runtime.engine.values import copied_call

_MICROSECOND = timedelta(microseconds=1)


def open_scope(turn: Turn, token: Token, action: OpenAction, payload: Any) -> object:
    """Enter a scope. Raises `DurationError` for a bad duration."""
    if action.kind == "saga":
        token.scopes = [*token.scopes, SagaScope()]
        return None
    length = parse_duration(payload) // _MICROSECOND
    scope = TimeoutScope(token, turn.state.new_serial(), length, token.shields())
    token.scopes = [*token.scopes, scope]
    turn.state.timeouts[scope.serial] = scope
    turn.commands.append(SetTimer(scope.serial, turn.at + length, "deadline"))
    return None


def close_scope(turn: Turn, token: Token, action: CloseAction, payload: Any) -> object:
    """Leave the innermost scope. Raises `TimeoutError` when its own deadline is why."""
    assert token.scopes
    *around, scope = token.scopes
    token.scopes = around
    error = payload[1] if payload[0] == "raise" else None
    if isinstance(scope, TimeoutScope):
        _end_timeout(turn, token, scope)
        if isinstance(error, Cancelled) and _is_own(scope, token):
            raise TimeoutError(f"timed out after {format_duration(timedelta(microseconds=scope.length))}") from None
        return None
    if error is None:
        _hand_over(token, scope)
    elif scope.done and isinstance(error, Exception | Cancelled):
        _compensate(turn, token, action, scope)
        return SUSPENDED
    return None


def _end_timeout(turn: Turn, token: Token, scope: TimeoutScope) -> None:
    del turn.state.timeouts[scope.serial]
    token.expired = [other for other in token.expired if other is not scope] or ()
    if not scope.fired:
        turn.commands.append(ClearTimer(scope.serial))


def _is_own(scope: TimeoutScope, token: Token) -> bool:
    """Whether `Cancelled` leaves the block because of its own deadline, and nothing around it has been cancelled, too."""
    around = any(isinstance(other, TimeoutScope) and other.delivered for other in token.scopes)
    return scope.delivered and token.cancel != DELIVERED and not around


def restart_timeouts(turn: Turn) -> None:
    """Give the open blocks of a run that is retried their whole time anew."""
    for scope in turn.state.timeouts.values():
        if not scope.fired:
            turn.commands.append(SetTimer(scope.serial, turn.at + scope.length, "deadline"))


# --- sagas


def note_completed(pending: StepPending, order: int) -> None:
    """Keep a completed call for the saga around it, if there is one, also when nobody wants its result any more."""
    undo = pending.action.undo
    saga = None if undo is None else _saga_around(pending.token)
    if saga is not None and undo is not None:
        arguments, keywords = copied_call(pending.arguments, pending.keywords, pending.action.step)
        saga.done.append(Completed(undo, order, arguments, keywords))


def _saga_around(token: Token) -> SagaScope | None:
    while True:
        for scope in reversed(token.scopes):
            if isinstance(scope, SagaScope):
                return scope
        if token.group is None:
            return None
        token = token.group.token


def _hand_over(token: Token, saga: SagaScope) -> None:
    """What completed in a saga that succeeded is undone when the one around it fails."""
    outer = _saga_around(token)
    if outer is not None:
        outer.done.extend(saga.done)
        outer.done.sort(key=lambda completed: completed.order)


def _compensate(turn: Turn, token: Token, action: CloseAction, saga: SagaScope) -> None:
    """Undo one call after the other, the last first."""
    calls = saga.done[::-1]
    undo = UndoAction(action.site, tuple(completed.undo for completed in calls))
    none: list[Any] = [None] * len(calls)
    group = GroupPending(turn.state.new_serial(), token, turn.at, undo, none, list(none))
    turn.state.suspend(group)
    group.waiting.extend((index, (completed.arguments, completed.keywords)) for index, completed in enumerate(calls))
    begin_next(turn, group)


def undone(turn: Turn, token: Token, failures: list[BaseException]) -> None:
    """All compensations have ended: the exception goes on, those that failed as notes."""
    frame = token.frames[-1]
    action = frame.current.action
    assert isinstance(action, CloseAction)
    error = frame.variables[action.record][1]
    for failure in failures:
        add_other_failure(error, failure, COMPENSATION_FAILED)
    turn.ready.append((RESUME, token, None))


SCOPES: dict[type, Callable[[Turn, Token, Any, Any], object]] = {OpenAction: open_scope, CloseAction: close_scope}
"""Beginners, as in `suspending`."""
