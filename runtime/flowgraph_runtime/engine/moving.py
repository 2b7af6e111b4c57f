"""A run goes on with another machine of its workflow, from a place where `flowgraph_compiler.safe_points` has proven that it can.

    journal    1 .. n: inputs of the old machine | n+1: move | n+2 ..: inputs of the new machine

The row of the move holds the state on the new machine, so a fold never crosses from one machine into the other by itself.
"""

from __future__ import annotations

import json

from flowgraph_compiler.safe_points import block_at
from flowgraph_runtime.engine.digests import digest
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.run_state import RunState
from flowgraph_runtime.engine.state import restore, snapshot
from flowgraph_runtime.engine.tokens import Completed, Frame, GroupPending, SagaScope, Token
from flowgraph_runtime.records import JournalRow

MOVE = "move"
"""Kind of the journal row of a move."""


def carry(state: RunState, old: Program, new: Program, trigger: str, at: int) -> JournalRow:
    """Put the state on the new machine, in place, and return the row that records it. `trigger`: the codec text of the run's
    arguments; `at`: microseconds. Only for a position that is proven. Raises `CodecError` for a value that cannot be stored."""
    carry_over(state, new)
    state.trigger = trigger
    state.seq, state.at = state.seq + 1, max(at, state.at)
    text = snapshot(state, new)
    payload = json.dumps({"from": old.fingerprint, "to": new.fingerprint, "state": text})
    return JournalRow(state.run_id, state.seq, state.at, MOVE, 0, payload, digest([]))


def carry_over(state: RunState, new: Program) -> None:
    """Put every token where it is on the new machine, the parents before their branches."""
    for token in [*state.tokens(), *state.watches]:
        _carry_token(token, new)


def _carry_token(token: Token, new: Program) -> None:
    token.frames = [_carried_frame(frame, new) for frame in token.frames]
    for scope in token.scopes:
        if isinstance(scope, SagaScope):
            scope.done = [Completed(new.undos[one.undo.site], one.order, one.arguments, one.keywords) for one in scope.done]
    if token.pending is not None:
        token.pending.action = _action(token)  # type: ignore[assignment]  # of the same kind, by the proof


def _carried_frame(frame: Frame, new: Program) -> Frame:
    function = new.by_name[frame.function.name]
    action = frame.current.action
    assert action is not None
    block = block_at(new.machine, function.name, action.site)
    assert block is not None
    live = function.blocks[block].live
    for name in [name for name in frame.variables if name not in live]:
        del frame.variables[name]
    return Frame(function, block, frame.variables)


def _action(token: Token) -> object:
    """What a token waits for on the new machine; its group is carried before it."""
    if token.frames:
        return token.frames[-1].current.action
    assert isinstance(token.group, GroupPending)
    return token.group.action.branch(token.index)


def moved(row: JournalRow, new: Program) -> RunState:
    """The state after a move. Raises `CodecError` when a class of it is gone."""
    return restore(json.loads(row.payload)["state"], new)


def machines_of(row: JournalRow) -> tuple[str, str]:
    """The fingerprints of the machines that a move goes from and to."""
    payload = json.loads(row.payload)
    return str(payload["from"]), str(payload["to"])
