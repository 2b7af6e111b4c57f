"""Where a run stands, for people: which nodes its tokens are at and what each of them waits for."""

from __future__ import annotations

from dataclasses import dataclass

from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.run_state import RunState
from flowgraph_runtime.engine.tokens import (
    ChildPending,
    GroupPending,
    Pending,
    SleepPending,
    StepPending,
    Token,
    WaitPending,
)


@dataclass(frozen=True, slots=True)
class Position:
    """A token's place. `node`: the machine's node; `waits_for`: `executing`, `backoff`, `sleep`, `wait`, `child` or `children`;
    `since` and `due`: microseconds since 1970; `site`, `visit`, `attempt`: of a step."""

    token: int
    node: str
    waits_for: str
    since: int
    due: int | None = None
    site: str | None = None
    visit: int | None = None
    attempt: int | None = None


def positions(state: RunState, program: Program) -> list[Position]:
    """Return where every live token of a run is, parents before their branches."""
    return [_position(token, token.pending, program) for token in state.tokens() if token.pending is not None]


def _position(token: Token, pending: Pending, program: Program) -> Position:
    node = program.nodes.get(pending.action.site) or (token.frames[-1].current.node if token.frames else pending.action.site)
    match pending:
        case StepPending():
            what = "executing" if pending.executing else "backoff"
            due = None if pending.executing else pending.due
            return Position(token.id, node, what, pending.since, due, pending.action.site, pending.visit, pending.attempt)
        case SleepPending():
            return Position(token.id, node, "sleep", pending.since, pending.due)
        case WaitPending():
            return Position(token.id, node, "wait", pending.since, pending.due)
        case ChildPending():
            return Position(token.id, node, "child", pending.since)
        case GroupPending():
            return Position(token.id, node, "children", pending.since)
