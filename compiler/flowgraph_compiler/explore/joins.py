"""What the end of a token means: joins, cancellation, the end of the run with its handlers."""

from __future__ import annotations

from flowgraph_compiler import machine as m
from flowgraph_compiler.explore.beginnings import add_branch
from flowgraph_compiler.explore.monitors import Status
from flowgraph_compiler.explore.scopes import is_due, note_delivery
from flowgraph_compiler.explore.tokens import ASKED, DELIVERED, UNTOUCHED, Frame, GroupWait, Leaf, Token, is_ordinary
from flowgraph_compiler.explore.values import CANCELLED, NO_FACTS, UNKNOWN, Value
from flowgraph_compiler.explore.work import Work


def ended(work: Work, token: Token) -> None:
    """Take the outcome of a token that is done."""
    assert token.done is not None
    ok, value = token.done
    if token.parent is None:
        _main_ended(work, ok, value)
    else:
        _branch_ended(work, token, token.parent, ok, value)


# --- groups


def _branch_ended(work: Work, token: Token, parent: Token, ok: bool, value: Value) -> None:
    group = parent.pending
    assert isinstance(group, GroupWait)
    group.children[token.index] = None
    if group.kind == "undo":
        pass  # what fails is told with the error that is on its way
    elif not group.outcome and group.kind == "race":
        group.outcome, group.failed, group.failure = "won", not ok, value
        _cancel_branches(work, group, interrupt=True)
    elif not group.outcome and not ok and not (group.kind == "settle" and is_ordinary(value)):
        group.outcome, group.failed, group.failure = "lost", True, value
        _cancel_branches(work, group, interrupt=False)
    if group.queue:
        _begin_queued(work, parent, group)
    elif not group.running:
        _end_group(work, parent, group)


def _begin_queued(work: Work, parent: Token, group: GroupWait) -> None:
    branch, often = group.queue.pop(0)
    facts = parent.frames[-1].facts if parent.frames else NO_FACTS
    add_branch(work, parent, group, branch, facts, often=often)


def _end_group(work: Work, parent: Token, group: GroupWait) -> None:
    if group.outcome == "cancelled":
        deliver_cancel(work, parent)
    elif group.failed:
        work.throw(parent, group.failure)
    else:
        work.resume(parent, UNKNOWN)


# --- cancellation


def cancel(work: Work, token: Token, *, interrupt: bool) -> None:
    """Cancel a token and what it waits for. `interrupt`: a step that runs is stopped; else its attempt may finish, unused."""
    if token.cancel == DELIVERED:
        return
    token.cancel = ASKED
    _stop(work, token, interrupt=interrupt)


def expire(work: Work, token: Token, number: int) -> None:
    """The deadline of a scope of the token has passed."""
    token.scopes[number].fired = True
    if token.cancel == UNTOUCHED:
        token.expired = (*token.expired, number)
        _stop(work, token, interrupt=True)


def _stop(work: Work, token: Token, *, interrupt: bool) -> None:
    pending = token.pending
    if pending is None or not is_due(token, token.shields(work.plan)):
        return
    if isinstance(pending, GroupWait):
        pending.outcome, pending.failed = "cancelled", False
        _cancel_branches(work, pending, interrupt=interrupt)
    elif pending.begun:
        _cancel_leaf(work, token, pending, interrupt=interrupt)


def _cancel_leaf(work: Work, token: Token, leaf: Leaf, *, interrupt: bool) -> None:
    finishes = isinstance(leaf.action, m.CallChild) or (isinstance(leaf.action, m.CallStep) and not interrupt)
    if finishes and not leaf.unseen:
        leaf.abandoned = True
    else:
        deliver_cancel(work, token)


def _cancel_branches(work: Work, group: GroupWait, *, interrupt: bool) -> None:
    group.queue = []
    for child in group.running:
        cancel(work, child, interrupt=interrupt)


def deliver_cancel(work: Work, token: Token) -> None:
    """Raise `Cancelled` where the token waits."""
    note_delivery(token, token.shields(work.plan))
    work.throw(token, CANCELLED)


# --- the run


def _main_ended(work: Work, ok: bool, value: Value) -> None:
    run, machine = work.run, work.plan.machine
    if run.phase != "body":
        _end(work, "cancelled" if run.phase == "cancel" or run.cancelled else "failed")
    elif run.cancelled or (not ok and value == CANCELLED):
        _handle(work, "cancel", machine.on_cancel, "cancelled")
    elif ok:
        _end(work, "completed")
    else:
        _handle(work, "failure", machine.on_failure if is_ordinary(value) else None, "failed")


def _handle(work: Work, phase: str, handler: str | None, status: Status) -> None:
    if handler is None:
        _end(work, status)
        return
    work.run.phase = phase
    work.run.main = Token([Frame(handler, 0, NO_FACTS)])


def _end(work: Work, status: Status) -> None:
    work.run.phase, work.run.status = "ended", status
    place = work.here(work.run.main)
    work.run.main = Token()
    work.tell("ended", status, place)
