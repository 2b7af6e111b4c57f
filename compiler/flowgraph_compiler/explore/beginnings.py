"""How a token begins an action: it waits, enters a subflow, goes on at once, or has branches."""

from __future__ import annotations

from collections.abc import Sequence

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler.explore import scopes
from flowgraph_compiler.explore.effects import assign
from flowgraph_compiler.explore.monitors import MANY
from flowgraph_compiler.explore.plan import ANY_EVENT, Place, event_name
from flowgraph_compiler.explore.tokens import Frame, GroupWait, Leaf, Token
from flowgraph_compiler.explore.values import NO_FACTS, NONE, UNKNOWN, Facts, Known
from flowgraph_compiler.explore.work import Entry, NotUnderstood, Way, Work

AT_ONCE = m.CallFlow | m.SendEvent | m.StartRun | m.OpenScope | m.CloseScope
"""Actions at which no `Cancelled` is delivered: nobody waits there."""


def beginnings(work: Work, token: Token, action: m.Action, place: Place, facts: Facts) -> list[Way]:
    """The ways to begin an action: one, except for a fan-out, which may have any number of elements."""
    match action:
        case m.CallStep():
            return [Way(None, lambda: _begin_step(work, token, action, place))]
        case m.CallChild() | m.SleepFor() | m.SleepTill() | m.WaitFor():
            return [Way(None, lambda: _wait(token, action, place))]
        case m.CallFlow():
            return [Way(None, lambda: token.frames.append(entered(work, action, facts)))]
        case m.SendEvent():
            return [Way(None, lambda: _send(work, token, action, place))]
        case m.StartRun():
            return [Way(None, lambda: work.resume(token, UNKNOWN))]
        case m.Group():
            return [Way(None, lambda: _begin_group(work, token, action.kind, action.branches, place, facts))]
        case m.FanOutGroup():
            return _fan_out(work, token, action, place, facts)
        case m.OpenScope() | m.CloseScope():
            return [Way(None, lambda: scopes.pass_scope(work, token, action, place, facts))]
        case _:  # pyright: ignore[reportUnnecessaryComparison]  # the vocabulary grows
            raise NotUnderstood(f"'{type(action).__name__}' is not known to exploration", place)


def _begin_step(work: Work, token: Token, action: m.CallStep, place: Place) -> None:
    work.tell("started", action.step, place, MANY if token.often else 1)
    _wait(token, action, place)


def _wait(token: Token, action: m.Action, place: Place) -> None:
    token.pending = Leaf(action, place)


def _send(work: Work, token: Token, action: m.SendEvent, place: Place) -> None:
    name = event_name(action.event)
    if name == ANY_EVENT and work.monitors.concerns(frozenset((name,))):
        raise NotUnderstood("which event is sent here is not known to exploration", place)
    work.tell("sent", name, place, MANY if token.often else 1)
    work.resume(token, NONE)


def entered(work: Work, action: m.CallFlow, facts: Facts) -> Frame:
    """The frame of a subflow, with what is known of its arguments."""
    function, reader = work.plan.functions[action.function], work.plan.reader
    given: dict[str, e.Expr] = dict(function.defaults)
    given.update(zip(function.parameters, action.arguments, strict=False))
    given.update((keyword.name or "", keyword.value) for keyword in action.keywords)
    own, read = NO_FACTS, work.plan.read[function.name]
    for name, value in given.items():
        own = assign(e.Local(name), reader.value(value, facts), own, reader, read)
    return Frame(function.name, 0, own)


# --- groups


def _begin_group(work: Work, token: Token, kind: str, branches: Sequence[m.Action], place: Place, facts: Facts) -> None:
    if not branches:
        work.resume(token, UNKNOWN)
        return
    group = GroupWait(kind, place, [])
    token.pending = group
    for branch in branches:
        add_branch(work, token, group, branch, facts)


def add_branch(work: Work, token: Token, group: GroupWait, branch: m.Action, facts: Facts, *, often: bool = False) -> None:
    """Begin one branch. Those of which no invariant tells anything are taken together: their order makes no difference."""
    place = work.plan.place_of(branch.site, group.place)
    unseen = _is_unseen(work, branch)
    first = next((child for child in group.running if isinstance(child.pending, Leaf) and child.pending.unseen), None)
    if unseen and first is not None and isinstance(first.pending, Leaf):
        first.pending.others += 1
        return
    child = Token(often=token.often or often, parent=token, index=len(group.children))
    if isinstance(branch, m.CallFlow) and not unseen:
        child.frames.append(entered(work, branch, facts))
    else:
        child.pending = Leaf(branch, place, begun=unseen, unseen=unseen)
    group.children.append(child)


def _is_unseen(work: Work, branch: m.Action) -> bool:
    plan = work.plan
    possible = isinstance(branch, m.CallStep | m.CallFlow) and not work.bounds.apart
    return possible and plan.understood(branch) and not work.monitors.concerns(plan.steps_of(branch))


def _fan_out(work: Work, token: Token, action: m.FanOutGroup, place: Place, facts: Facts) -> list[Way]:
    most = 1 if _is_unseen(work, action.branch) else work.bounds.branches
    counted = not work.plan.steps_of(action.branch).isdisjoint(work.monitors.counted)
    ways = list[Way]()
    for limit in _limits(work, action, facts):
        at_once = "" if limit is None else f", {limit} at a time"
        for count in range(most + 1):
            entry = Entry(place, f"the fan-out has {_elements(count, most)}{at_once if count > 1 else ''}")
            ways.append(_branches(work, token, action, (count, limit, False), place, facts, entry))
        if counted and most > 1:
            entry = Entry(place, f"the fan-out has many elements{at_once}")
            ways.append(_branches(work, token, action, (most, limit, True), place, facts, entry))
    return ways


def _elements(count: int, most: int) -> str:
    return ("no element", "one element" if most > 1 else "elements")[count] if count < 2 else f"{count} elements"


def _limits(work: Work, action: m.FanOutGroup, facts: Facts) -> tuple[int | None, ...]:
    if action.limit is None or work.bounds.branches < 2:
        return (None,)
    match work.plan.reader.value(action.limit, facts):
        case Known("int", int(limit)):
            return (max(limit, 1),)
        case Known("NoneType"):
            return (None,)
        case _:
            return (1, None)


def _branches(
    work: Work,
    token: Token,
    action: m.FanOutGroup,
    size: tuple[int, int | None, bool],
    place: Place,
    facts: Facts,
    entry: Entry,
) -> Way:
    count, limit, often = size
    started = count if limit is None else min(count, limit)

    def begin() -> None:
        _begin_group(work, token, action.kind, (action.branch,) * started, place, facts)
        if isinstance(token.pending, GroupWait):
            token.pending.queue = [(action.branch, False)] * (count - started)
            if often and token.pending.children[-1] is not None:
                token.pending.children[-1].often = True

    return Way(entry, begin)
