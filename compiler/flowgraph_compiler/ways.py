"""All ways through a function to one of its blocks that waits, and the part of them on which some variables depend.

    x = a                          variable x at the wait:     variable y at the wait:
    if await check(b): y = 1       x = a                       if await check(b): y = 1
    await sleep("1h")              sleep                       sleep

The part is a slice (Weiser; closed under decisions after Danicic et al., "A unifying theory of control dependence", 2011): the
statements that change the variables, the decisions about which of those comes next, and what all of these depend on themselves.
Two functions whose slices are alike come to the wait with the same variables, every time that they come there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler import statements as s
from flowgraph_compiler.aliases import changed_in_place, held, seen_through
from flowgraph_compiler.differences import plain
from flowgraph_compiler.jumps import successors
from flowgraph_compiler.patterns import captures
from flowgraph_compiler.subexpressions import bound_by
from flowgraph_compiler.traversal import is_tuple, parts

Names = frozenset[str]

_SEVERAL = -1


@dataclass(frozen=True)
class Node:
    """One statement or terminator: its form without targets of jumps, what it may change and reads, the nodes that may follow
    (None: one from where no way leads to the place)."""

    tree: Any
    changes: Names
    reads: Names
    onward: tuple[int | None, ...]


@dataclass(frozen=True)
class Ways:
    """The nodes on all ways to the place where a block waits, a node itself; the first one is the function's beginning."""

    nodes: tuple[Node, ...]
    place: int

    def changing(self, name: str) -> list[Any]:
        """The forms that change a variable."""
        return [node.tree for node in self.nodes if name in node.changes]


@dataclass(frozen=True)
class Slice:
    """What some variables depend on: variables, nodes that matter, those of them that decide, and the first that matters from
    each node on."""

    names: Names
    nodes: frozenset[int]
    deciding: frozenset[int]
    first: dict[int, int]


def ways_to(function: m.Function, block: int) -> Ways:
    """The ways to a block that waits."""
    inside = _reaching(function, block) | {block}
    starts: dict[int, int] = {}
    count = 0
    for number in sorted(inside):
        starts[number] = count
        count += len(function.blocks[number].ops) + 1
    found = [node for number in sorted(inside) for node in _nodes(function.blocks[number], number, starts)]
    place = starts[block] + len(function.blocks[block].ops)
    if not any(each is not None for each in found[place].onward):  # what it gives is not there yet
        found[place] = dataclasses.replace(found[place], changes=frozenset(), reads=frozenset())
    return Ways(tuple(_with_aliases(found)), place)


def slice_of(ways: Ways, names: Iterable[str]) -> Slice:
    """The part of the ways on which the variables depend at the place."""
    wanted, matter = frozenset(names), frozenset({ways.place})
    while True:
        changing = frozenset(number for number, node in enumerate(ways.nodes) if node.changes & wanted)
        first = _first(ways, matter | changing)
        deciding = frozenset(number for number in range(len(ways.nodes)) if len(_next(ways, number, first)) > 1)
        grown = wanted.union(*(ways.nodes[number].reads for number in changing | deciding))
        if grown == wanted and changing | deciding <= matter:
            return Slice(wanted, matter, deciding, first)
        wanted, matter = grown, matter | changing | deciding


def alike(ways: Ways, part: Slice, others: Ways, other: Slice) -> bool:
    """Whether two slices do the same in the same order, as far as that can be told: step by step from both beginnings."""
    waiting, done = [(part.first[0], other.first[0])], set[tuple[int, int]]()
    while waiting:
        pair = waiting.pop()
        if pair in done:
            continue
        done.add(pair)
        mine, theirs = _step(ways, part, pair[0]), _step(others, other, pair[1])
        if mine[0] != theirs[0] or len(mine[1]) != len(theirs[1]):
            return False
        for one, another in zip(mine[1], theirs[1], strict=True):
            if (one is None) != (another is None):
                return False
            if one is not None and another is not None:
                waiting.append((one, another))
    return True


def _step(ways: Ways, part: Slice, number: int) -> tuple[Any, tuple[int | None, ...]]:
    """What a node of a slice does, and what comes next, for each of its ends where it decides."""
    node = ways.nodes[number]
    onward = tuple(None if each is None else part.first[each] for each in node.onward)
    if number in part.deciding:
        return (number == ways.place, node.tree), onward
    tree = node.tree if node.changes & part.names else None
    return (number == ways.place, tree), tuple(each for each in onward if each is not None)[:1]


def _first(ways: Ways, matter: frozenset[int]) -> dict[int, int]:
    """The first node that matters from each node on, `_SEVERAL` where that is not one."""
    before: dict[int, list[int]] = {}
    for number, node in enumerate(ways.nodes):
        for each in node.onward:
            if each is not None:
                before.setdefault(each, []).append(number)
    first = {number: number for number in matter}
    waiting = sorted(matter)
    while waiting:
        at = waiting.pop()
        for number in before.get(at, ()):
            known = first.get(number)
            new = first[at] if known is None or known == first[at] else _SEVERAL
            if number not in matter and new != known:
                first[number] = new
                waiting.append(number)
    return first


def _next(ways: Ways, number: int, first: dict[int, int]) -> set[int]:
    return {first[each] for each in ways.nodes[number].onward if each is not None}


def shape(function: m.Function) -> Any:
    """A function whatever the numbers of its blocks."""
    numbers = {0: 0}
    blocks: list[Any] = []
    for number in (order := [0]):
        block = function.blocks[number]
        targets = (*_targets(block.terminator), -1 if block.handler is None else block.handler)
        for target in targets:
            if target >= 0 and target not in numbers:
                numbers[target] = len(numbers)
                order.append(target)
        ends = tuple(numbers.get(target) for target in targets)
        blocks.append((plain(block.ops), _end(block.terminator), ends, block.caught))
    return function.kind, function.parameters, function.defaults, function.keyword_only, tuple(blocks)


# --- the nodes


def _reaching(function: m.Function, block: int) -> set[int]:
    """The blocks that come before a block on some way; itself only where a way leads back to it."""
    before: dict[int, list[int]] = {}
    for number, each in enumerate(function.blocks):
        for target in (*successors(each.terminator), *(() if each.handler is None else (each.handler,))):
            before.setdefault(target, []).append(number)
    found, waiting = set[int](), [block]
    while waiting:
        for number in before.get(waiting.pop(), ()):
            if number not in found:
                found.add(number)
                waiting.append(number)
    return found


def _nodes(block: m.Block, number: int, starts: dict[int, int]) -> Iterator[Node]:
    """An exception binds the handler's variable to what the node has raised, so the node counts as one that changes it."""
    handler = None if block.handler is None else starts.get(block.handler)
    caught = frozenset({block.caught}) if handler is not None and block.caught is not None else frozenset[str]()
    fails = () if handler is None else (handler,)
    for at, op in enumerate(block.ops, starts[number]):
        tree = plain(op)
        yield Node(tree, frozenset(changed_by(tree)) | caught, frozenset(read_by(tree)), (at + 1, *fails))
    end = _end(block.terminator)
    targets = tuple(starts.get(target) for target in _targets(block.terminator))
    yield Node(end, frozenset(changed_by(end)) | caught, frozenset(read_by(end)), (*targets, *fails))


def _targets(end: m.Terminator) -> tuple[int, ...]:
    """Where a terminator leads to, one for each of its ends, also those that it has not."""
    if isinstance(end, m.Resume):
        return tuple(-1 if target is None else target for target in (end.normal, end.returns, *end.jumps))
    if isinstance(end, m.Choose):
        return (*(way.block for way in end.ways), -1 if end.orelse is None else end.orelse)
    return successors(end)


def _end(end: m.Terminator) -> Any:
    """A terminator without the blocks that it leads to."""
    match end:
        case m.Suspend(action=action, result=result):
            return ("result", result, plain(action))
        case m.Advance(cursor=cursor, target=target):
            return ("advance", cursor, target)
        case m.Choose(subject=subject, ways=ways):
            return ("choose", subject, tuple((way.pattern, way.guard) for way in ways))
        case m.Test(test=test):
            return ("test", test)
        case m.Finish(value=value):
            return ("finish", value)
        case m.Fail(exception=exception, cause=cause):
            return ("fail", exception, cause)
        case m.Reraise(variable=variable):
            return ("reraise", variable)
        case m.Resume(record=record, returns=returns):
            return ("resume", None if returns is None else "$return", record)
        case _:
            return ()


def _with_aliases(nodes: list[Node]) -> Iterator[Node]:
    """What is changed in place may be seen through other variables, too; calls of steps and flows copy."""
    holds = held(node.tree for node in nodes)
    for node in nodes:
        seen = seen_through(changed_in_place(node.tree), holds)
        yield dataclasses.replace(node, changes=node.changes | seen) if seen else node


# --- what one form changes and reads


def changed_by(tree: Any) -> Iterator[str]:
    """The variables that a statement or terminator binds."""
    match tree:
        case ("result" | "resume", str(name), *_):
            yield name
        case ("advance", cursor, target):
            yield cursor
            yield from (local.name for local in bound_by(target))
        case ("choose", _, ways):
            yield from (name for pattern, _ in ways for name in captures(pattern))
        case _:
            pass
    for part in inside(tree):
        match part:
            case s.Assign(targets=targets):
                yield from (local.name for target in targets for local in bound_by(target))
            case s.Augment(target=target) | s.For(target=target):
                yield from (local.name for local in bound_by(target))
            case s.Delete(name=name) | e.Assigned(name=name):
                yield name
            case s.Except(variable=str(name)):
                yield name
            case s.MatchCase(pattern=pattern):
                yield from captures(pattern)
            case _:
                pass


def read_by(tree: Any) -> list[str]:
    """The variables that a statement, terminator or action reads."""
    found = [part.variable if isinstance(part, e.Matches) else part.name for part in inside(tree) if isinstance(part, _READ)]
    match tree:
        case ("advance", str(name), _) | ("reraise", str(name)) | ("resume", _, str(name)):
            found.append(name)
        case _:
            pass
    return list(dict.fromkeys(found))


_READ = (e.Local, e.Matches)


def inside(tree: Any) -> Iterator[Any]:
    """Every form in a tree, itself included."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if is_tuple(part):
            waiting.extend(part)
        elif dataclasses.is_dataclass(part) and not isinstance(part, type):
            yield part
            waiting.extend(parts(part))
