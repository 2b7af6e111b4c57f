"""Joins: what the end of a branch means for its group. See "Groups" on the language page, section 3.4."""

from __future__ import annotations

from typing import Any

from flowgraph.errors import Cancelled, add_other_failure
from flowgraph.outcomes import Err, Ok
from flowgraph_runtime.engine.blocks import GroupAction, UndoAction
from flowgraph_runtime.engine.cancelling import cancel_branches, deliver_cancel
from flowgraph_runtime.engine.scopes import undone
from flowgraph_runtime.engine.suspending import begin_next
from flowgraph_runtime.engine.tokens import CANCELLED, LOST, UNDECIDED, WON, GroupPending, Token
from flowgraph_runtime.engine.turn import RESUME, THROW, Turn


def branch_ended(turn: Turn, token: Token, ok: bool, value: Any, reference: int | None) -> None:
    """Take the outcome of a branch; when it was the last one, the parent goes on."""
    group = token.group
    assert group is not None
    del group.children[token.index]
    if group.outcome != UNDECIDED or isinstance(group.action, UndoAction):
        _note(group, ok, value)
    elif group.action.kind == "race":
        _decide_race(turn, group, ok, value)
    elif ok:
        _keep(group, token.index, _settled(group, value), reference)
    elif group.action.kind == "settle" and isinstance(value, Exception):
        _keep(group, token.index, Err(value), None)
    else:
        group.outcome, group.failure = LOST, value
        cancel_branches(turn, group, interrupt=False)
    if group.waiting:
        begin_next(turn, group)
    elif not group.children:
        _end(turn, group)


def _settled(group: GroupPending, value: Any) -> Any:
    return Ok(value) if group.action.kind == "settle" else value


def _keep(group: GroupPending, index: int, result: Any, reference: int | None) -> None:
    group.results[index] = result
    group.references[index] = reference


def _decide_race(turn: Turn, group: GroupPending, ok: bool, value: Any) -> None:
    group.outcome = WON
    if ok:
        group.winner = value
    else:
        group.failure = value
    cancel_branches(turn, group, interrupt=True)


def _note(group: GroupPending, ok: bool, value: Any) -> None:
    """A branch that ended after the group was decided: its failure is kept as a note, its result and its `Cancelled` are not."""
    if not ok and not isinstance(value, Cancelled):
        group.others.append(value)


def _end(turn: Turn, group: GroupPending) -> None:
    turn.state.release(group)
    token = group.token
    error = group.failure
    if isinstance(group.action, UndoAction):
        undone(turn, token, group.others)
    elif group.outcome == CANCELLED:
        deliver_cancel(turn, token)
    elif error is not None:
        turn.ready.append((THROW, token, _with_notes(error, group.others)))
    elif group.outcome == WON:
        turn.ready.append((RESUME, token, group.winner))
    else:
        results = group.results
        turn.ready.append((RESUME, token, tuple(results) if isinstance(group.action, GroupAction) else results))


def _with_notes(error: BaseException, others: list[BaseException]) -> BaseException:
    for other in others:
        add_other_failure(error, other)
    return error
