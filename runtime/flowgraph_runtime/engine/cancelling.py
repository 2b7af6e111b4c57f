"""Cancellation of tokens: by a cancel of the run, by the failure of a sibling, by a race that is decided, by a deadline.

step executing    interrupt: abandoned, `Cancelled` now;  else: its attempt finishes unused, `Cancelled` then
step in backoff   timer cleared, `Cancelled` now           (as a sleeping one)
sleep, wait       taken back, `Cancelled` now
child run         asked to cancel, `Cancelled` when it has ended
group             its branches first; `Cancelled` when the last has ended
in a `finally`    nothing yet: `Cancelled` at the next wait outside of it

A token can be cancelled several times: by each `timeout(...)` that it is in, and once for good, after which no deadline counts.
"""

from __future__ import annotations

from flowgraph.errors import Cancelled
from flowgraph_runtime.engine.commands import AbandonStep, CancelRun
from flowgraph_runtime.engine.suspending import withdraw
from flowgraph_runtime.engine.tokens import (
    ASKED,
    CANCELLED,
    DELIVERED,
    UNTOUCHED,
    ChildPending,
    GroupPending,
    StepPending,
    TimeoutScope,
    Token,
)
from flowgraph_runtime.engine.turn import THROW, Turn


def cancel(turn: Turn, token: Token, *, interrupt: bool) -> None:
    """Cancel a token and what it waits for. `interrupt`: stop running attempts of async steps at their next await."""
    if token.cancel == DELIVERED:
        return
    token.cancel = ASKED
    _stop(turn, token, interrupt=interrupt)


def expire(turn: Turn, scope: TimeoutScope) -> None:
    """Cancel a token whose block has reached its deadline, unless the token is cancelled as a whole."""
    token = scope.token
    scope.fired = True
    if token.cancel == UNTOUCHED:
        token.expired = [*token.expired, scope]
        _stop(turn, token, interrupt=True)


def _stop(turn: Turn, token: Token, *, interrupt: bool) -> None:
    pending = token.pending
    if pending is None or not is_due(token, token.shields()):
        return
    match pending:
        case GroupPending():
            cancel_group(turn, pending, interrupt=interrupt)
        case StepPending() if pending.executing:
            _cancel_attempt(turn, pending, interrupt=interrupt)
        case ChildPending():
            if not pending.abandoned:
                pending.abandoned = True
                turn.commands.append(CancelRun(pending.run_id, turn.state.cancel_reason or "its parent's branch was cancelled"))
        case _:
            withdraw(turn, pending)
            deliver_cancel(turn, token)


def _cancel_attempt(turn: Turn, pending: StepPending, *, interrupt: bool) -> None:
    if interrupt:
        turn.state.release(pending)
        turn.commands.append(AbandonStep(pending.serial, True))
        deliver_cancel(turn, pending.token)
    elif not pending.abandoned:
        pending.abandoned = True
        turn.commands.append(AbandonStep(pending.serial, False))


def cancel_group(turn: Turn, group: GroupPending, *, interrupt: bool) -> None:
    """Cancel a group as a whole: `Cancelled` is raised at its await when the last branch has ended."""
    group.outcome = CANCELLED
    cancel_branches(turn, group, interrupt=interrupt)


def cancel_branches(turn: Turn, group: GroupPending, *, interrupt: bool) -> None:
    """Drop the branches that have not started and cancel the others, in order."""
    group.waiting.clear()
    for child in list(group.children.values()):
        cancel(turn, child, interrupt=interrupt)


def deliver_cancel(turn: Turn, token: Token) -> None:
    """Raise `Cancelled` where the token waits."""
    note_delivery(token, token.shields())
    turn.ready.append((THROW, token, Cancelled()))


def is_due(token: Token, shields: int) -> bool:
    """Whether `Cancelled` may be raised in a token in so many `finally` bodies: they hold up what was asked outside of them."""
    return (token.cancel == ASKED and not shields) or any(shields <= scope.shields for scope in token.expired)


def note_delivery(token: Token, shields: int) -> None:
    """`Cancelled` is being raised in the token: for the oldest deadline that nothing holds up, else for good."""
    scope = next((scope for scope in token.expired if shields <= scope.shields), None)
    if scope is None:
        token.cancel = DELIVERED
        return
    scope.delivered = True
    token.expired = [other for other in token.expired if other is not scope] or ()
