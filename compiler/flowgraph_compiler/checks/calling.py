"""FG260, FG261: workflows that call each other without end, and runs that hold the limit which a run below them waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias

from flowgraph import Concurrency
from flowgraph.options import UNSET
from flowgraph_compiler.declarations import Application
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.expressions import Const, Expr
from flowgraph_compiler.flow import Forward
from flowgraph_compiler.graph import (
    AnyNode,
    Branch,
    Case,
    Child,
    FlowGraph,
    For,
    Handler,
    Match,
    Parallel,
    Raise,
    Subflow,
    While,
    WorkflowGraph,
    walk,
)
from flowgraph_compiler.patterns import is_irrefutable
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.types import items_of

Calls = Mapping[str, Sequence[Child]]
"""The calls of workflows that each workflow makes."""


def check(graphs: Mapping[str, WorkflowGraph], app: Application) -> Iterator[Diagnostic]:
    """Both follow the calls from workflow to workflow, among those that have a graph."""
    every = {name: [node for node in _nodes(graph) if isinstance(node, Child)] for name, graph in graphs.items()}
    certain = {name: _certain(graph, every[name]) for name, graph in graphs.items()}
    endless = list(_cycles(certain, lambda _: True))
    for name, path, call in endless:
        message = f"workflow '{call.callee}' is called from itself on every path: {' -> '.join(path)}"
        yield Diagnostic(RULES["FG260"], call.span, message, "return before the call on some path", (), name)
    told = {call.id for _, _, call in endless}
    for name, path, call in _cycles(every, lambda workflow: _holds_a_limit(workflow, app)):
        if call.id not in told:
            message = (
                f"workflow '{call.callee}' holds a slot of its limit while it waits for a run of itself: {' -> '.join(path)}"
            )
            help_ = "scope=\"step\" in 'concurrency=', or 'await start(...)', which waits for nothing"
            yield Diagnostic(RULES["FG261"], call.span, message, help_, (), name)


def _nodes(graph: WorkflowGraph) -> Iterator[AnyNode]:
    for function in graph.functions:
        yield from walk(function.body)


def _holds_a_limit(workflow: str, app: Application) -> bool:
    """Whether its live runs are limited, all of them together: with a key, a run below may count for another one."""
    given = app.workflows[workflow].target.options.concurrency
    policies: Sequence[Any] = () if given is UNSET else items_of(given)
    return any(_is_limit(policy) and policy.scope == "run" and policy.key is None for policy in policies)


def _is_limit(policy: object) -> bool:
    return isinstance(policy, Concurrency)


def _cycles(calls: Calls, matters: Callable[[str], bool]) -> Iterator[tuple[str, tuple[str, ...], Child]]:
    """For each workflow that matters and that calls lead back to: who makes the call that closes the cycle, the way round, and
    this call; each cycle once."""
    told: set[frozenset[str]] = set()
    for name in filter(matters, calls):
        path = _way_back(name, calls)
        round_ = frozenset(caller for caller, _ in path or ())
        if path is not None and round_ not in told:
            told.add(round_)
            yield path[-1][0], (*(caller for caller, _ in path), name), path[-1][1]


def _way_back(name: str, calls: Calls) -> list[tuple[str, Child]] | None:
    """The shortest way of calls from a workflow back to it: callers with their calls."""
    ways: list[list[tuple[str, Child]]] = [[(name, call)] for call in calls[name]]
    seen: set[str] = set()
    for way in ways:  # grows while it is walked: breadth first
        callee = way[-1][1].callee
        if callee == name:
            return way
        if callee not in seen:
            seen.add(callee)
            ways += [[*way, (callee, call)] for call in calls.get(callee, ())]
    return None


def _certain(graph: WorkflowGraph, calls: Sequence[Child]) -> list[Child]:
    """The first call of each workflow that every way through the graph's body calls."""
    bodies = {function.name: function for function in graph.functions}
    wanted = Certain(bodies).of(graph.main)
    first = {call.callee: call for call in reversed(calls)}
    return [first[callee] for callee in sorted(wanted)]


Called: TypeAlias = "frozenset[str] | None"


class Certain(Forward["frozenset[str]"]):
    """What has been called on every path to here."""

    def __init__(self, functions: Mapping[str, FlowGraph]) -> None:
        super().__init__()
        self._functions = functions
        self._raised: list[frozenset[str]] = []

    def of(self, function: FlowGraph) -> frozenset[str]:
        """The workflows that are called before the function ends, however it ends by its own code."""
        end = self.run(function.body, frozenset())
        ends = [state for state in (end, self.exits.returned, *self._raised) if state is not None]
        return reduce(self.join, ends) if ends else frozenset()

    def join(self, left: frozenset[str], right: frozenset[str]) -> frozenset[str]:
        """Called on both paths."""
        return left & right

    def simple(self, node: AnyNode, state: frozenset[str]) -> frozenset[str] | None:
        """A call of a workflow, or of a subflow that calls one; of a group that is written out every branch is waited for."""
        if isinstance(node, Raise):
            self._raised.append(state)
        return state | self._called(node)

    def _called(self, node: AnyNode) -> frozenset[str]:
        match node:
            case Child(callee=callee):
                return frozenset({callee})
            case Subflow(callee=callee) if callee in self._functions:
                return Certain(self._functions).of(self._functions[callee])
            case Parallel(kind="parallel" | "settle", branches=branches):
                return frozenset[str]().union(*map(self._called, branches))
            case _:
                return frozenset()

    def test(self, node: Branch | While, expr: Expr, state: frozenset[str]) -> tuple[Called, Called]:  # noqa: ARG002
        """Only a constant says which way it goes."""
        if isinstance(expr, Const):
            return (state, None) if expr.value else (None, state)
        return state, state

    def subject(self, node: Match, state: frozenset[str]) -> frozenset[str]:  # noqa: ARG002
        """What is matched calls nothing."""
        return state

    def case(self, node: Match, case: Case, state: frozenset[str]) -> tuple[Called, Called]:  # noqa: ARG002
        """A case that takes everything leaves nothing to the next one."""
        return state, None if case.guard is None and is_irrefutable(case.pattern) else state

    def bind(self, node: For, state: frozenset[str]) -> frozenset[str]:  # noqa: ARG002
        """An item calls nothing."""
        return state

    def caught(self, handler: Handler, state: frozenset[str]) -> frozenset[str]:  # noqa: ARG002
        """What has been called before the exception."""
        return state
