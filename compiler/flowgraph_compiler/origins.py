"""How the variables of a function came about on the ways to one of its blocks, and whether that is the same on another machine.

A variable's origins are the statements that bind or change it in the blocks from which that block can be reached, in their
order, and the origins of what those read. Two machines agree on a variable when both lists are the same, and so are the
constants, the signatures of the steps and the functions of the machine that they use.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler import statements as s
from flowgraph_compiler.differences import plain
from flowgraph_compiler.jumps import successors
from flowgraph_compiler.patterns import captures
from flowgraph_compiler.subexpressions import bound_by, inside
from flowgraph_compiler.traversal import is_tuple, parts


class Origins:
    """The origins of the variables of a function at a block that waits. `records`: variables that say how a block is left."""

    def __init__(self, machine: m.Machine, function: m.Function, block: int) -> None:
        self.machine = machine
        self.function = function
        self.records = set(_records(function))
        self._changes: dict[str, list[Any]] = {}
        for tree in _passed(function, block):
            for name in dict.fromkeys(_changed(tree)):
                self._changes.setdefault(name, []).append(tree)

    def is_bound(self, name: str) -> bool:
        """Whether some way to the block binds the variable."""
        return name in self._changes or name in self.function.parameters + self.function.keyword_only

    def difference(self, other: Origins, name: str) -> str | None:
        """What differs in how a variable came about, as part of a sentence; None: nothing does."""
        done, waiting = set[str](), [name]
        while waiting:
            each = waiting.pop()
            if each in done:
                continue
            done.add(each)
            mine, others = self._changes.get(each, []), other._changes.get(each, [])
            if mine != others:
                return f"'{name}' comes about in another way" if each == name else f"'{each}', which '{name}' comes from, changed"
            for tree in mine:
                changed = self._used(other, tree, set())
                if changed is not None:
                    return f"{changed}, and '{name}' comes from it"
                waiting += read_by(tree)
        return None

    def _used(self, other: Origins, tree: Any, functions: set[str]) -> str | None:
        """What a statement uses beside variables, where that differs; `functions` have been looked into."""
        for part in _inside(tree):
            match part:
                case e.Captured(name) if _constant(self.machine, name) != _constant(other.machine, name):
                    return f"constant '{name}' changed"
                case e.PureCall(function=name) | m.CallFlow(function=name) if name not in functions:
                    functions.add(name)
                    mine = _function(self.machine, name)
                    if mine != _function(other.machine, name):
                        return f"'{name}' changed"
                    found = self._used(other, mine, functions)
                    if found is not None:
                        return found
                case m.CallStep(step=name) if _need(self.machine, name) != _need(other.machine, name):
                    return f"the signature of step '{name}' changed"
                case m.CallChild(workflow=name):
                    return f"workflow '{name}' may give something else now"
                case _:
                    pass
        return None


def _passed(function: m.Function, block: int) -> Iterator[Any]:
    """The statements and terminators on all ways to a block that waits, without targets of jumps."""
    before = _reaching(function, block)
    for number, each in enumerate(function.blocks):
        if number in before or number == block:
            yield from (plain(op) for op in each.ops)
        if number in before:
            yield _end(each)
            if each.handler is not None and (each.handler in before or each.handler == block):
                yield ("caught", each.caught)


def _reaching(function: m.Function, block: int) -> set[int]:
    """The blocks that come before a block on some way; itself only where a way leads back to it."""
    onward = {
        number: {*successors(each.terminator), *(() if each.handler is None else (each.handler,))}
        for number, each in enumerate(function.blocks)
    }
    found, waiting = set[int](), [block]
    while waiting:
        target = waiting.pop()
        for number, targets in onward.items():
            if target in targets and number not in found:
                found.add(number)
                waiting.append(number)
    return found


def _end(block: m.Block) -> Any:
    """A terminator without the blocks that it leads to."""
    match block.terminator:
        case m.Suspend(action=action, result=result):
            return ("result", result, plain(action))
        case m.Advance(cursor=cursor, target=target):
            return ("advance", cursor, target)
        case m.Choose(subject=subject, ways=ways):
            return ("choose", subject, tuple((way.pattern, way.guard) for way in ways))
        case m.Test(test=test):
            return ("test", test)
        case m.Resume():
            return ("resume", "$return" if block.terminator.returns is not None else None)
        case _:
            return ()


def _records(function: m.Function) -> Iterator[str]:
    for block in function.blocks:
        match block.terminator:
            case m.Resume(record=record):
                yield from (record, "$return")
            case m.Suspend(action=m.CloseScope(record=record)):
                yield from (part.name for part in inside(record) if isinstance(part, e.Local))
            case _:
                pass


# --- what one statement binds, changes and reads


def _changed(tree: Any) -> Iterator[str]:
    match tree:
        case ("result" | "caught" | "resume", name, *_) if name is not None:
            yield name
        case ("advance", cursor, target):
            yield cursor
            yield from (local.name for local in bound_by(target))
        case ("choose", _, ways):
            yield from (name for pattern, _ in ways for name in captures(pattern))
        case _:
            pass
    for part in _inside(tree):
        yield from _changed_by(part)


def _changed_by(part: Any) -> Iterator[str]:
    match part:
        case s.Assign(targets=targets):
            for target in targets:
                yield from _of_target(target)
        case s.Augment(target=target) | s.For(target=target):
            yield from _of_target(target)
        case s.Delete(name=name) | e.Assigned(name=name):
            yield name
        case s.Except(variable=str(name)):
            yield name
        case s.MatchCase(pattern=pattern):
            yield from captures(pattern)
        case e.Method(value=value):
            yield from _root(value)
        case _:
            pass


def _of_target(target: Any) -> Iterator[str]:
    yield from (local.name for local in bound_by(target))
    yield from _root(target)


def _root(expr: Any) -> Iterator[str]:
    """The variable that a path of attributes and indices begins with."""
    while isinstance(expr, e.Attribute | e.Subscript):
        expr = expr.value
    if isinstance(expr, e.Local):
        yield expr.name


def read_by(tree: Any) -> list[str]:
    """The variables that a statement, terminator or action reads."""
    found = [part.variable if isinstance(part, e.Matches) else part.name for part in _inside(tree) if isinstance(part, _READ)]
    match tree:
        case ("advance", str(cursor), _):
            found.append(cursor)
        case _:
            pass
    return list(dict.fromkeys(found))


_READ = (e.Local, e.Matches)


def _inside(tree: Any) -> Iterator[Any]:
    """Every form in a tree, itself included."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if is_tuple(part):
            waiting.extend(part)
        elif dataclasses.is_dataclass(part) and not isinstance(part, type):
            yield part
            waiting.extend(parts(part))


def _function(machine: m.Machine, name: str) -> Any:
    return next((plain(function) for function in machine.functions if function.name == name), None)


def _constant(machine: m.Machine, name: str) -> str | None:
    return dict(machine.constants).get(name)


def _need(machine: m.Machine, name: str) -> Any:
    return next((need for need in machine.manifest.steps if need.name == name), None)
