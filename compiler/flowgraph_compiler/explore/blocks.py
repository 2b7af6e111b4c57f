"""The ways out of a block."""

from __future__ import annotations

from collections.abc import Iterator

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler.explore.beginnings import AT_ONCE, beginnings
from flowgraph_compiler.explore.cases import cases
from flowgraph_compiler.explore.effects import after_all, assign, forgotten
from flowgraph_compiler.explore.plan import Place
from flowgraph_compiler.explore.scopes import is_due, note_delivery
from flowgraph_compiler.explore.tokens import Frame, Token, block_of
from flowgraph_compiler.explore.values import CANCELLED, FAILED, NONE, UNKNOWN, Facts, Known, Value, record_of
from flowgraph_compiler.explore.work import Entry, NotUnderstood, Way, Work
from flowgraph_compiler.jumps import successors
from flowgraph_compiler.notation import case_text, expression
from flowgraph_compiler.subexpressions import reads


def ways(work: Work, token: Token) -> list[Way]:
    """How a ready token may go on from its block: one way where the facts decide."""
    frame = token.frames[-1]
    block = block_of(frame, work.plan)
    place = work.plan.place(frame.function, frame.block)
    facts = after_all(block.ops, frame.facts, work.plan.reader, work.plan.read[frame.function])
    found = list(_ways(work, token, frame, block, facts, place))
    if work.bounds.own_errors and (block.ops or not isinstance(block.terminator, m.Goto | m.Resume | m.Reraise)):
        found.append(_own_error(work, token, frame, block, place))
    return found


def _own_error(work: Work, token: Token, frame: Frame, block: m.Block, place: Place) -> Way:
    facts = forgotten(block.ops, frame.facts, work.plan.reader)

    def fail() -> None:
        frame.facts = facts
        work.throw(token, FAILED)

    return Way(Entry(place, "this code fails"), fail)


def _ways(work: Work, token: Token, frame: Frame, block: m.Block, facts: Facts, place: Place) -> Iterator[Way]:
    match block.terminator:
        case m.Goto(target):
            yield _to(work, frame, target, facts, None)
        case m.Test(test, then, orelse):
            yield from _test(work, frame, test, (then, orelse), facts, place)
        case m.Choose():
            yield from _choose(work, frame, block.terminator, facts, place)
        case m.Advance():
            yield from _advance(work, frame, block.terminator, facts, place)
        case m.Suspend():
            yield from _suspend(work, token, frame, block.terminator, facts, place)
        case m.Finish(value):
            result = NONE if value is None else work.plan.reader.value(value, facts)
            yield Way(None, lambda: work.finish(token, result))
        case m.Fail(exception):
            error = work.plan.reader.value(exception, facts)
            yield _raising(work, token, facts, error)
        case m.Reraise(variable):
            yield _raising(work, token, facts, facts.get(variable))
        case m.Resume():
            yield from _resume(work, token, frame, block.terminator, facts)
        case _:  # pyright: ignore[reportUnnecessaryComparison]  # the vocabulary grows
            raise NotUnderstood(f"'{type(block.terminator).__name__}' is not known to exploration", place)


def _to(work: Work, frame: Frame, block: int, facts: Facts, entry: Entry | None) -> Way:
    return Way(entry, lambda: work.goto(frame, block, facts))


def _raising(work: Work, token: Token, facts: Facts, error: Value) -> Way:
    def take() -> None:
        token.frames[-1].facts = facts
        work.throw(token, error)

    return Way(None, take)


def _test(work: Work, frame: Frame, test: e.Expr, targets: tuple[int, int], facts: Facts, place: Place) -> Iterator[Way]:
    reader = work.plan.reader
    holds, after = reader.truth(test, facts), reader.after(test, facts)
    if holds is not None:
        yield _to(work, frame, targets[0 if holds else 1], after, None)
        return
    for way, target in zip((True, False), targets, strict=True):
        entry = Entry(place, _told(test, way))
        yield _to(work, frame, target, reader.assuming(test, way, after), entry)


def _told(test: e.Expr, holds: bool) -> str:
    if isinstance(test, e.Matches):
        return f"'except {' | '.join(test.names)}' {'takes' if holds else 'does not take'} the error"
    if any(local.name.startswith("$") for local in reads(test)):
        return f"the condition is {'true' if holds else 'false'}"
    return f"'{expression(test)}' is {'true' if holds else 'false'}"


def _choose(work: Work, frame: Frame, end: m.Choose, facts: Facts, place: Place) -> Iterator[Way]:
    found = list(cases(end, facts, work.plan.reader))
    for way, known in found:
        if way is not None:
            entry = Entry(place, f"'{case_text(way.pattern, way.guard)}' is taken")
            yield _to(work, frame, way.block, known, entry if len(found) > 1 else None)
        elif end.orelse is not None:
            yield _to(work, frame, end.orelse, known, Entry(place, "no case is taken") if len(found) > 1 else None)


def _advance(work: Work, frame: Frame, end: m.Advance, facts: Facts, place: Place) -> Iterator[Way]:
    item = assign(end.target, UNKNOWN, facts, work.plan.reader, work.plan.read[frame.function])
    yield _to(work, frame, end.done, facts, Entry(place, "the loop has no further item"))
    yield _to(work, frame, end.body, item, Entry(place, "the loop takes an item"))


def _resume(work: Work, token: Token, frame: Frame, end: m.Resume, facts: Facts) -> Iterator[Way]:
    kind, value = record_of(facts.get(end.record))
    if kind == "raise":
        yield _raising(work, token, facts, value)
    elif kind == "return" and end.returns is not None:
        yield _to(work, frame, end.returns, facts.with_("$return", value), None)
    elif kind == "jump" and isinstance(value, Known) and isinstance(value.value, int):
        yield _to(work, frame, end.jumps[value.value], facts, None)
    elif kind == "next" and end.normal is not None:
        yield _to(work, frame, end.normal, facts, None)
    else:
        for target in successors(end):
            yield _to(work, frame, target, facts.with_("$return", UNKNOWN), None)
        yield _raising(work, token, facts, UNKNOWN)


# --- actions


def _suspend(work: Work, token: Token, frame: Frame, end: m.Suspend, facts: Facts, place: Place) -> Iterator[Way]:
    if not isinstance(end.action, AT_ONCE) and is_due(token, token.shields(work.plan)):
        yield Way(None, lambda: _deliver(work, token, facts))
        return
    kept = work.plan.reader.kept(facts, frozenset(end.live))
    for way in beginnings(work, token, end.action, work.plan.place_of(end.action.site, place), facts):

        def take(begin: Way = way) -> None:
            frame.facts = kept
            begin.take()

        yield Way(way.entry, take)


def _deliver(work: Work, token: Token, facts: Facts) -> None:
    note_delivery(token, token.shields(work.plan))
    token.frames[-1].facts = facts
    work.throw(token, CANCELLED)
