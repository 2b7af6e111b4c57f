"""`async with timeout(...)` and `async with saga()`, in the abstract: what opening, a deadline and closing mean for a token."""

from __future__ import annotations

from flowgraph_compiler import machine as m
from flowgraph_compiler.explore.plan import Place
from flowgraph_compiler.explore.tokens import ASKED, DELIVERED, GroupWait, Leaf, Scope, Token, Undo
from flowgraph_compiler.explore.values import CANCELLED, LATE, NONE, Error, Facts, Value, record_of
from flowgraph_compiler.explore.work import NotUnderstood, Work


def pass_scope(work: Work, token: Token, action: m.OpenScope | m.CloseScope, place: Place, facts: Facts) -> None:
    """Enter or leave a scope; a saga that an error leaves waits for its compensations."""
    if action.kind not in ("timeout", "saga"):
        raise NotUnderstood(f"a scope '{action.kind}' is not known to exploration", place)
    if isinstance(action, m.OpenScope):
        token.scopes.append(Scope(action.kind, place, token.shields(work.plan)))
        work.resume(token, NONE)
        return
    kind, value = record_of(work.plan.reader.value(action.record, facts))
    if kind is None:
        raise NotUnderstood("how this block was left is not known to exploration", place)
    scope = token.scopes.pop()
    if scope.kind == "timeout":
        _close_timeout(work, token, scope, value if kind == "raise" else None)
    else:
        _close_saga(work, token, scope, kind == "raise" and _is_undone(value))


def _close_timeout(work: Work, token: Token, scope: Scope, error: Value) -> None:
    token.expired = tuple(number for number in token.expired if number < len(token.scopes))
    around = any(other.delivered for other in token.scopes)
    if error == CANCELLED and scope.delivered and token.cancel != DELIVERED and not around:
        work.throw(token, LATE)
    else:
        work.resume(token, NONE)


def _close_saga(work: Work, token: Token, scope: Scope, fails: bool) -> None:
    if fails and scope.done:
        group = GroupWait("undo", scope.place, [], [(undo.action, undo.often) for undo in reversed(scope.done)])
        token.pending = group
        action, often = group.queue.pop(0)
        place = work.plan.place_of(action.site, scope.place)
        group.children.append(Token([], Leaf(action, place, begun=False), often=token.often or often, parent=token))
        return
    outer = None if fails else _saga_around(token)
    for undo in scope.done if outer is not None else ():
        outer.add(undo)  # type: ignore[union-attr]
    work.resume(token, NONE)


def _is_undone(error: Value) -> bool:
    """Whether a saga acts on the exception: on all but those that end the process."""
    return not isinstance(error, Error) or error.names is None or not {"Exception", "Cancelled"}.isdisjoint(error.names)


def note_completed(work: Work, token: Token, action: m.CallStep) -> None:
    """Keep a completed call for the saga around it, if there is one."""
    saga = None if action.compensation is None else _saga_around(token)
    if saga is not None and action.compensation is not None:
        saga.add(Undo(work.plan.undo(action.compensation), token.often))


def _saga_around(token: Token | None) -> Scope | None:
    while token is not None:
        for scope in reversed(token.scopes):
            if scope.kind == "saga":
                return scope
        token = token.parent
    return None


# --- cancellation


def is_due(token: Token, shields: int) -> bool:
    """Whether `Cancelled` may be raised in a token in so many `finally` bodies: they hold up what was asked outside of them."""
    return (token.cancel == ASKED and not shields) or any(shields <= token.scopes[n].shields for n in token.expired)


def note_delivery(token: Token, shields: int) -> None:
    """`Cancelled` is being raised in the token: for the oldest deadline that nothing holds up, else for good."""
    number = next((number for number in token.expired if shields <= token.scopes[number].shields), None)
    if number is None:
        token.cancel = DELIVERED
        return
    token.scopes[number].delivered = True
    token.expired = tuple(other for other in token.expired if other != number)
