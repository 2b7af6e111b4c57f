"""What may happen to a run: the ways on from where it is, and what follows of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flowgraph_compiler import machine as m
from flowgraph_compiler.explore import blocks, joins, scopes
from flowgraph_compiler.explore.beginnings import beginnings
from flowgraph_compiler.explore.monitors import MANY
from flowgraph_compiler.explore.tokens import UNTOUCHED, Frozen, GroupWait, Leaf, Token, canonical_token
from flowgraph_compiler.explore.values import CANCELLED, FAILED, NO_FACTS, NONE, TIMED_OUT, TRUTHY, UNKNOWN
from flowgraph_compiler.explore.work import Entry, NotUnderstood, Way, Work
from flowgraph_compiler.expressions import Const

MOST_BLOCKS = 10_000
"""Blocks between two choices; more are a loop that conditions on constants never leave."""


def choices(work: Work) -> list[Way]:
    """Run what is ready up to the first choice, and return its ways; none: the run has ended, or waits for ever."""
    for _ in range(MOST_BLOCKS):
        if work.run.phase == "ended":
            return []
        ready = next((token for token in work.run.main.live() if _is_ready(token)), None)
        if ready is not None:
            ways = _ways(work, ready)
            if len(ways) > 1:
                return ways
            ways[0].take()
            continue
        done = next((token for token in work.run.main.live() if token.done is not None), None)
        if done is None:
            return list(_at_rest(work))
        joins.ended(work, done)
    raise NotUnderstood(f"more than {MOST_BLOCKS:,} blocks without a wait", work.here(work.run.main))


def _is_ready(token: Token) -> bool:
    if isinstance(token.pending, Leaf):
        return not token.pending.begun
    return bool(token.frames) and token.pending is None


def _ways(work: Work, token: Token) -> list[Way]:
    leaf = token.pending
    if not isinstance(leaf, Leaf):
        return blocks.ways(work, token)
    return beginnings(work, token, leaf.action, leaf.place, NO_FACTS)


# --- at rest


def _at_rest(work: Work) -> Iterator[Way]:
    """What may come next from outside."""
    for token in work.run.main.live() if work.bounds.apart else _unlike(work.run.main):
        if isinstance(token.pending, Leaf):
            yield from _outcomes(work, token, token.pending)
        yield from _deadlines(work, token)
    if not work.run.cancelled:
        waiting = next((token for token in work.run.main.live() if isinstance(token.pending, Leaf)), work.run.main)
        yield Way(Entry(work.here(waiting), "the run is cancelled here", outcome="cancel"), lambda: _cancel(work))


def _unlike(token: Token) -> Iterator[Token]:
    """The tokens, without branches that are like an earlier one of their group."""
    yield token
    if not isinstance(token.pending, GroupWait):
        return
    seen = set[Frozen]()
    for child in token.pending.running:
        form = canonical_token(child.frozen())
        if form is not None and form not in seen:
            seen.add(form)
            yield from _unlike(child)


def _cancel(work: Work) -> None:
    work.run.cancelled = True
    if work.run.phase == "body":
        joins.cancel(work, work.run.main, interrupt=True)


def _deadlines(work: Work, token: Token) -> Iterator[Way]:
    """Each `timeout(...)` that the token is in may end it."""
    for number, scope in enumerate(token.scopes):
        if scope.kind == "timeout" and not scope.fired and token.cancel == UNTOUCHED:
            entry = Entry(scope.place, "the time of the block is over", outcome="deadline")
            yield Way(entry, lambda number=number: joins.expire(work, token, number))  # type: ignore[misc]


def _outcomes(work: Work, token: Token, leaf: Leaf) -> Iterator[Way]:
    if leaf.unseen:
        yield from _unseen(work, token, leaf)
        return
    match leaf.action:
        case m.CallStep():
            yield from _step(work, token, leaf, leaf.action)
        case m.CallChild(workflow=name):
            yield from _child(work, token, leaf, name)
        case m.WaitFor():
            yield from _event(work, token, leaf, leaf.action)
        case _:
            yield Way(Entry(leaf.place, "the sleep ends", leaf.action.site, "slept"), lambda: work.resume(token, NONE))


def _unseen(work: Work, token: Token, leaf: Leaf) -> Iterator[Way]:
    what = _name(leaf.action) + (f" and {leaf.others} more" if leaf.others else "")
    yield Way(Entry(leaf.place, f"{what}: completed"), lambda: work.resume(token, UNKNOWN))
    yield Way(Entry(leaf.place, f"{_name(leaf.action)} failed for good"), lambda: work.throw(token, FAILED))


def _name(action: m.Action) -> str:
    return f"step '{action.step}'" if isinstance(action, m.CallStep) else f"'{getattr(action, 'function', action.site)}'"


def _step(work: Work, token: Token, leaf: Leaf, action: m.CallStep) -> Iterator[Way]:
    def entry(text: str, outcome: str) -> Entry:
        return Entry(leaf.place, f"step '{action.step}' {text}", action.site, outcome)

    def then(kind: str, go_on: Callable[[], None]) -> Callable[[], None]:
        def take() -> None:
            work.tell(kind, action.step, leaf.place, MANY if token.often else 1)
            if kind == "completed":
                scopes.note_completed(work, token, action)
            go_on()

        return take

    if leaf.abandoned:
        yield Way(entry("completed, unused", "completed"), then("completed", lambda: joins.deliver_cancel(work, token)))
        yield Way(entry("was stopped", "stopped"), lambda: joins.deliver_cancel(work, token))
        return
    yield Way(entry("completed", "completed"), then("completed", lambda: work.resume(token, UNKNOWN)))
    yield Way(entry("failed for good", "failed"), then("failed", lambda: work.throw(token, FAILED)))
    if action.policy.timeout is not None:
        yield Way(entry("timed out for good", "failed"), then("failed", lambda: work.throw(token, TIMED_OUT)))


def _child(work: Work, token: Token, leaf: Leaf, name: str) -> Iterator[Way]:
    if leaf.abandoned:
        yield Way(Entry(leaf.place, f"the run of '{name}' ended"), lambda: joins.deliver_cancel(work, token))
        return
    yield Way(Entry(leaf.place, f"the run of '{name}' completed"), lambda: work.resume(token, UNKNOWN))
    yield Way(Entry(leaf.place, f"the run of '{name}' failed"), lambda: work.throw(token, FAILED))
    yield Way(Entry(leaf.place, f"the run of '{name}' was cancelled"), lambda: work.throw(token, CANCELLED))


def _event(work: Work, token: Token, leaf: Leaf, action: m.WaitFor) -> Iterator[Way]:
    event = Entry(leaf.place, f"event '{action.event}' came", action.site, "came")
    yield Way(event, lambda: work.resume(token, TRUTHY))
    if action.timeout is not None and action.timeout != Const(None):
        late = Entry(leaf.place, f"event '{action.event}' did not come in time", action.site, "late")
        yield Way(late, lambda: work.resume(token, NONE))
    if work.bounds.own_errors and action.residual is not None:
        yield Way(Entry(leaf.place, "'where' fails"), lambda: work.throw(token, FAILED))
