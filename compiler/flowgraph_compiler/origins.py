"""How the variables of a function came about on the ways to one of its blocks, and whether that is the same on another machine.

A variable's origins are what `ways` keeps of the ways to that block: the statements that bind or change it or one that it is made
of, and the decisions on which they depend. Two machines agree on a variable when its origins are alike on both, and so are the
constants, the signatures of the steps, the functions of the machine and the defaults that they use.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property
from typing import Any

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler.ways import Slice, Ways, alike, inside, shape, slice_of, ways_to


class Origins:
    """The origins of the variables of a function at a block that waits. `records`: variables that say how a block is left."""

    def __init__(self, machine: m.Machine, function: m.Function, block: int) -> None:
        self.machine = machine
        self.function = function
        self.block = block
        self.records = set(_records(function))
        self._slices: dict[frozenset[str], Slice] = {}

    @cached_property
    def ways(self) -> Ways:
        """All ways to the block."""
        return ways_to(self.function, self.block)

    @property
    def parameters(self) -> frozenset[str]:
        """The function's parameters."""
        return frozenset(self.function.parameters + self.function.keyword_only)

    def of(self, names: Collection[str]) -> Slice:
        """What variables depend on."""
        wanted = frozenset(names)
        if wanted not in self._slices:
            self._slices[wanted] = slice_of(self.ways, wanted)
        return self._slices[wanted]

    def is_bound(self, name: str) -> bool:
        """Whether some way to the block binds the variable."""
        return bool(self.ways.changing(name)) or name in self.parameters

    def arguments(self, names: Collection[str]) -> frozenset[str]:
        """The parameters that variables depend on."""
        return self.of(names).names & self.parameters

    def difference(self, other: Origins, name: str) -> str | None:
        """What differs in how a variable came about, as part of a sentence; None: nothing does."""
        part, others = self.of({name}), other.of({name})
        if not alike(self.ways, part, other.ways, others):
            return self._unlike(other, name, sorted(part.names | others.names))
        for number in sorted(part.nodes):
            if number in part.deciding or self.ways.nodes[number].changes & part.names:
                changed = self.used(other, self.ways.nodes[number].tree)
                if changed is not None:
                    return f"{changed}, and '{name}' comes from it"
        for parameter in sorted(self.arguments({name})):
            if _default(self.function, parameter) != _default(other.function, parameter):
                return f"the default of '{parameter}' changed, and '{name}' comes from it"
        return None

    def _unlike(self, other: Origins, name: str, names: list[str]) -> str:
        """The change in words: of the variable itself, of one that it comes from, or of a decision."""
        for each in (name, *names):
            if self.ways.changing(each) != other.ways.changing(each):
                return f"'{name}' comes about in another way" if each == name else f"'{each}', which '{name}' comes from, changed"
        return f"what '{name}' depends on is decided in another way"

    def used(self, other: Origins, tree: Any) -> str | None:
        """What a statement or an action uses beside variables, where that differs."""
        return self._used(other, tree, set())

    def _used(self, other: Origins, tree: Any, functions: set[str]) -> str | None:
        """`functions` have been looked into."""
        for part in inside(tree):
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


def _records(function: m.Function) -> Iterator[str]:
    for block in function.blocks:
        match block.terminator:
            case m.Resume(record=record):
                yield from (record, "$return")
            case m.Suspend(action=m.CloseScope(record=record)):
                yield from (part.name for part in inside(record) if isinstance(part, e.Local))
            case _:
                pass


def _default(function: m.Function, parameter: str) -> Any:
    return dict(function.defaults).get(parameter)


def _function(machine: m.Machine, name: str) -> Any:
    return next((shape(function) for function in machine.functions if function.name == name), None)


def _constant(machine: m.Machine, name: str) -> str | None:
    return dict(machine.constants).get(name)


def _need(machine: m.Machine, name: str) -> Any:
    return next((need for need in machine.manifest.steps if need.name == name), None)
