"""A machine prepared for exploration: what conditions depend on, where things stand, and which steps a function can reach."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import flowgraph.errors
from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler import statements as s
from flowgraph_compiler.explore.reading import Reader
from flowgraph_compiler.subexpressions import bound_by, reads
from flowgraph_compiler.traversal import parts

KNOWN_ACTIONS = (
    m.CallStep, m.CallChild, m.SleepFor, m.SleepTill, m.WaitFor, m.SendEvent, m.StartRun, m.OpenScope, m.CloseScope,
)  # fmt: skip
"""Actions that are single, and known to exploration."""


@dataclass(frozen=True)
class Place:
    """A source line of a function of the machine."""

    function: str
    line: int


@dataclass(eq=False)
class Plan:
    """`classes`: the application's classes by bare name, for the bases of its exceptions."""

    machine: m.Machine
    classes: Mapping[str, type] = field(default_factory=dict[str, type])

    @cached_property
    def functions(self) -> dict[str, m.Function]:
        """The functions by name."""
        return {function.name: function for function in self.machine.functions}

    @cached_property
    def reader(self) -> Reader:
        """Evaluates the machine's expressions."""
        return Reader(dict(self.machine.constants), _error_names(self.classes))

    @cached_property
    def read(self) -> dict[str, frozenset[str]]:
        """The variables of each function that some condition depends on."""
        return {name: _read(function) for name, function in self.functions.items()}

    @cached_property
    def _lines(self) -> dict[str, m.NodeInfo]:
        return {node.site: node for node in self.machine.nodes}

    def undo(self, undone: m.Compensation) -> m.CallStep:
        """The call that a compensation is: the same object each time."""
        if undone.site not in self._undos:
            self._undos[undone.site] = m.CallStep(undone.site, undone.step, (), (), undone.policy)
        return self._undos[undone.site]

    @cached_property
    def _undos(self) -> dict[str, m.CallStep]:
        return {}

    def place(self, function: str, block: int) -> Place:
        """Where the terminator of a block stands."""
        lines = self.functions[function].blocks[block].lines
        return Place(function, lines[-1] if lines else 0)

    def place_of(self, site: str, otherwise: Place) -> Place:
        """Where an action stands."""
        node = self._lines.get(site)
        return otherwise if node is None else Place(node.function or otherwise.function, node.line)

    def steps_of(self, action: m.Action) -> frozenset[str]:
        """The steps that an action can come to run, and the events that it can send."""
        match action:
            case m.CallStep():
                undo = action.compensation
                return frozenset((action.step,) if undo is None else (action.step, undo.step))
            case m.CallFlow():
                return self._reached(action.function)
            case m.Group():
                return frozenset[str]().union(*(self.steps_of(branch) for branch in action.branches))
            case m.FanOutGroup():
                return self.steps_of(action.branch)
            case m.SendEvent(event=event):
                return frozenset((event_name(event),))
            case _:
                return frozenset()

    def _reached(self, function: str) -> frozenset[str]:
        known = self._steps.get(function)
        if known is None:
            self._steps[function] = frozenset()  # subflows do not call themselves
            found = [self.steps_of(action) for action in actions_in(self.functions[function])]
            known = self._steps[function] = frozenset[str]().union(*found)
        return known

    @cached_property
    def _steps(self) -> dict[str, frozenset[str]]:
        return {}

    def understood(self, action: m.Action) -> bool:
        """Whether an action, and everything in it, belongs to the vocabulary that exploration knows."""
        match action:
            case m.CallFlow(function=name):
                function = self.functions[name]
                plain = all(type(block.terminator) in KNOWN_TERMINATORS for block in function.blocks)
                return plain and all(map(self.understood, actions_in(function)))
            case m.Group(branches=branches):
                return all(map(self.understood, branches))
            case m.FanOutGroup(branch=branch):
                return self.understood(branch)
            case _:
                return type(action) in KNOWN_ACTIONS


KNOWN_TERMINATORS = (m.Goto, m.Test, m.Choose, m.Advance, m.Suspend, m.Finish, m.Fail, m.Reraise, m.Resume)


ANY_EVENT = "*"


def event_name(event: e.Expr) -> str:
    """The class of an event that is sent; `ANY_EVENT` where it is not made on the spot."""
    return event.cls if isinstance(event, e.New) else ANY_EVENT


def actions_in(function: m.Function) -> Iterator[m.Action]:
    """The actions of a function's suspensions."""
    for block in function.blocks:
        if isinstance(block.terminator, m.Suspend):
            yield block.terminator.action


# --- exceptions


def _error_names(classes: Mapping[str, type]) -> dict[str, tuple[str, ...]]:
    own = {name: cls for name, cls in classes.items() if issubclass(cls, BaseException)}
    given = [*vars(builtins).values(), *vars(flowgraph.errors).values()]
    known = {cls.__name__: cls for cls in given if isinstance(cls, type) and issubclass(cls, BaseException)}
    return {name: tuple(base.__name__ for base in cls.__mro__) for name, cls in (known | own).items()}


# --- what conditions depend on


def _read(function: m.Function) -> frozenset[str]:
    """The variables that decide where the function goes on, and those that these are made from."""
    wanted = {name for block in function.blocks for name in _deciding(block, function.kind)}
    flows = [flow for block in function.blocks for flow in _flows(block)]
    before = -1
    while before != len(wanted):
        before = len(wanted)
        for targets, sources in flows:
            if not wanted.isdisjoint(targets):
                wanted |= sources
    return frozenset(wanted)


def _names(tree: Any) -> set[str]:
    return set() if tree is None else {local.name for local in reads(tree)}


def _deciding(block: m.Block, kind: str) -> Iterator[str]:
    """Variables that the terminator reads to choose a way, and those of conditions inside ops."""
    if block.caught is not None:
        yield block.caught
    match block.terminator:
        case m.Suspend(action=action):
            yield from _arguments(action)
        case m.Resume(record=record):
            yield from (record, "$return")
        case m.Reraise(variable=variable):
            yield variable
        case m.Advance():
            pass
        case m.Finish() if kind == "workflow":
            pass
        case other:
            yield from _names(other)
    for op in block.ops:
        yield from (name for test in _tests(op) for name in _names(test))


def _arguments(action: m.Action) -> Iterator[str]:
    """What subflows are called with may decide there."""
    match action:
        case m.CallFlow():
            yield from _names(action)
        case m.Group(branches=branches):
            yield from (name for branch in branches for name in _arguments(branch))
        case m.FanOutGroup(branch=branch):
            yield from _arguments(branch)
        case m.CloseScope(record=record):
            yield from _names(record)
        case _:
            pass


def _tests(tree: Any) -> Iterator[e.Expr]:
    for part in _everything(tree):
        match part:
            case s.If(test) | s.While(test) | e.Conditional(test):
                yield test
            case s.Match(subject):
                yield subject
            case _:
                pass


def _flows(block: m.Block) -> Iterator[tuple[set[str], set[str]]]:
    for op in block.ops:
        for part in _everything(op):
            if isinstance(part, s.Assign):
                targets = {local.name for target in part.targets for local in bound_by(target)}
                yield targets, _names(part.value)
            elif isinstance(part, s.Augment):
                yield {local.name for local in bound_by(part.target)}, _names(part.value)


def _everything(tree: Any) -> Iterator[Any]:
    yield tree
    for part in parts(tree) if hasattr(tree, "__dataclass_fields__") else ():
        yield from _everything(part)
