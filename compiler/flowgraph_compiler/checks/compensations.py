"""FG112, FG170-172 at `compensate=`: what undoes a step takes the arguments of its call. FG230: what a failure leaves undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flowgraph.options import UNSET
from flowgraph_compiler import types
from flowgraph_compiler.assignability import assignable
from flowgraph_compiler.compensations import compensation_of
from flowgraph_compiler.declarations import Application, Parameter, StepDecl
from flowgraph_compiler.declared_at import option
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.graph import (
    AnyNode,
    Body,
    Branch,
    Break,
    Child,
    Continue,
    FanOut,
    For,
    Match,
    Parallel,
    Raise,
    Return,
    Scope,
    Step,
    Subflow,
    Try,
    While,
    WorkflowGraph,
    walk,
)
from flowgraph_compiler.rulebook import RULES

_FAILING = (Step, Subflow, Child, Raise)

# --- declarations


def check_declarations(app: Application) -> Iterator[Diagnostic]:
    """What the compensations of all steps are, and what they take."""
    for step in app.steps.values():
        undo = compensation_of(step, app)
        if undo is not None:
            yield from _fits(step, undo, app)
        elif step.step.options.compensate is not UNSET:
            message = f"'compensate=' of step '{step.name}' is no step"
            yield Diagnostic(RULES["FG112"], option(step, "compensate", app), message, "add '@step' to the compensation")


def _fits(step: StepDecl, undo: StepDecl, app: Application) -> Iterator[Diagnostic]:
    """A compensation is called exactly as its step was."""

    def report(code: str, message: str, help_: str) -> Diagnostic:
        return Diagnostic(RULES[code], option(step, "compensate", app), message, help_)

    taken = {parameter.name: parameter for parameter in undo.parameters}
    given = {parameter.name for parameter in step.parameters}
    for place, parameter in enumerate(step.parameters):
        own = taken.get(parameter.name)
        title = f"'{parameter.name}' of step '{step.name}'"
        if own is None or not _same_place(parameter, place, undo):
            message = f"compensation '{undo.name}' does not take {title} in its place"
            yield report("FG172", message, f"def {undo.name}{_signature(step)}")
        elif parameter.has_default and not own.has_default:
            message = f"compensation '{undo.name}' needs {title}, which a call may leave out"
            yield report("FG171", message, f"give '{own.name}' of '{undo.name}' the same default")
        elif not assignable(parameter.type, own.type):
            shown = f"'{types.show(own.type)}', which {title} ('{types.show(parameter.type)}') is not"
            yield report("FG170", f"compensation '{undo.name}' takes a {shown}", f"def {undo.name}{_signature(step)}")
    for own in undo.parameters:
        if own.name not in given and not own.has_default:
            message = f"compensation '{undo.name}' needs '{own.name}', which step '{step.name}' does not take"
            yield report("FG171", message, f"def {undo.name}{_signature(step)}")


def _same_place(parameter: Parameter, place: int, undo: StepDecl) -> bool:
    if parameter.keyword_only:
        return True
    found = undo.parameters[place] if place < len(undo.parameters) else None
    return found is not None and found.name == parameter.name and not found.keyword_only


def _signature(step: StepDecl) -> str:
    return f"({', '.join(parameter.name for parameter in step.parameters)})"


# --- FG230


def check(graph: WorkflowGraph, app: Application) -> Iterator[Diagnostic]:
    """Calls outside of every saga that something may follow which fails, unless the function undoes them by itself."""
    after = _Following(graph)
    for function in graph.functions:
        by_hand = {node.callee for node in walk(function.body) if isinstance(node, Step)}
        for node in walk(function.body):
            if not isinstance(node, Step) or not after.fails.get(node.id):
                continue
            undo = compensation_of(app.steps[node.callee], app)
            if undo is not None and undo.name not in by_hand:
                message = f"step '{node.callee}' is not undone by '{undo.name}' when what follows fails"
                help_ = "async with saga(): around it and what follows"
                yield Diagnostic(RULES["FG230"], node.span, message, help_, (), graph.name)


@dataclass(frozen=True)
class _Ways:
    """Whether a failure may follow in each continuation of a place; `raised`: whether an exception here is one."""

    next: bool = False
    broken: bool = False
    continued: bool = False
    returned: bool = False
    raised: bool = True


class _Following:
    """`fails[id]`: whether a failure may follow the completed call, outside of sagas; a backward analysis as in `liveness`."""

    def __init__(self, graph: WorkflowGraph) -> None:
        self.fails: dict[str, bool] = {}
        self._graph = graph
        handlers = {graph.on_failure, graph.on_cancel, *graph.cancel_on}
        waiting = [function for function in graph.functions if function.name not in handlers]
        done: set[str] = set()
        while waiting:
            function = next((each for each in waiting if not self._callers(each.name) - done), waiting[0])
            waiting.remove(function)
            done.add(function.name)
            calls = [node.id for node in self._calls(function.name)]
            if function is graph.main or any(call in self.fails for call in calls):
                later = any(self.fails.get(call, False) for call in calls)
                self.body(function.body, _Ways(next=later, returned=later))

    def _calls(self, name: str) -> list[Subflow]:
        every = (node for function in self._graph.functions for node in walk(function.body))
        return [node for node in every if isinstance(node, Subflow) and node.callee == name]

    def _callers(self, name: str) -> set[str]:
        calls = {node.id for node in self._calls(name)}
        return {each.name for each in self._graph.functions if any(node.id in calls for node in walk(each.body))}

    def body(self, body: Body, ways: _Ways) -> bool:
        """Whether a failure may follow from the start of a body on."""
        later = ways.next
        for node in reversed(body):
            later = self.node(node, replace(ways, next=later))
        return later

    def node(self, node: AnyNode, ways: _Ways) -> bool:
        """Whether a failure may follow from a node on."""
        match node:
            case Branch():
                return any([self.body(node.then, ways), self.body(node.orelse, ways)])
            case Match():
                return any([ways.next, *(self.body(case.body, ways) for case in node.cases)])
            case While() | For():
                return self._loop(node, ways)
            case Try():
                return self._try(node, ways)
            case Scope():
                return ways.next or ways.raised if node.kind == "saga" else self.body(node.body, ways)
            case Parallel() | FanOut():
                return self._group(node, ways)
            case Return():
                return ways.returned
            case Break():
                return ways.broken
            case Continue():
                return ways.continued
            case _:
                return self._simple(node, ways)

    def _simple(self, node: AnyNode, ways: _Ways) -> bool:
        if isinstance(node, Step | Subflow):
            self.fails[node.id] = self.fails.get(node.id, False) or ways.next
        return (ways.next and not isinstance(node, Raise)) or (ways.raised and isinstance(node, _FAILING))

    def _group(self, node: Parallel | FanOut, ways: _Ways) -> bool:
        """A branch may be followed by the failure of another one."""
        branches = node.branches if isinstance(node, Parallel) else (node.branch, node.branch)
        failing = [branch for branch in branches if isinstance(branch, (*_FAILING, Parallel, FanOut))]
        for branch in branches:
            others = ways.raised and len(failing) > (branch in failing)
            self.node(branch, replace(ways, next=ways.next or others))
        return ways.next or (ways.raised and bool(failing))

    def _loop(self, node: While | For, ways: _Ways) -> bool:
        exhausted = self.body(node.orelse, ways)
        head = exhausted
        for _ in range(2):
            inner = replace(ways, next=head, broken=ways.next, continued=head)
            head = self.body(node.body, inner) or exhausted
            if isinstance(node, While):
                head = self.body(node.before, replace(ways, next=head))
        return head

    def _try(self, node: Try, ways: _Ways) -> bool:
        through = _Ways(*(self.body(node.final, replace(ways, next=way)) for way in _each(ways)))
        handled = [self.body(handler.body, through) for handler in node.handlers]
        caught = {name for handler in node.handlers for name in handler.names}
        passed = through.raised and not caught & {"Exception", "BaseException"}
        after = self.body(node.orelse, through)
        return self.body(node.body, replace(through, next=after, raised=passed or any(handled)))


def _each(ways: _Ways) -> tuple[bool, ...]:
    return ways.next, ways.broken, ways.continued, ways.returned, ways.raised
