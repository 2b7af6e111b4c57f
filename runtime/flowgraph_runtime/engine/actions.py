"""Builds the actions of suspensions (see `blocks`) and the expressions of their payloads.

CallStep(args, keywords)   payload (args, keywords or None)
CallFlow, CallChild, ...   the same
SleepFor, SleepTill        the duration or moment
WaitFor                    (key values, timeout or None, values of a fan-out's variables that the residual reads)
SendEvent                  the event
Group                      a tuple of the branches' payloads, evaluated from left to right in the parent
OpenScope                  the duration or None
CloseScope                 the completion record
FanOutGroup                (the first iterable, limit or None, list of the branches' payloads), in Python's order
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

from flowgraph_compiler import machine as form
from flowgraph_compiler.expressions import Bound, Clause, Expr, Local
from flowgraph_compiler.subexpressions import inside
from flowgraph_runtime.engine.blocks import (
    AnyAction,
    ChildAction,
    CloseAction,
    FanOutAction,
    FlowAction,
    GroupAction,
    OpenAction,
    SendAction,
    SleepAction,
    StepAction,
    WaitAction,
)
from flowgraph_runtime.engine.errors import ProgramError
from flowgraph_runtime.engine.expressions import Expressions, list_of
from flowgraph_runtime.engine.names import load

DEFAULT_POLICY = form.Policy(4, "exponential", 1.0, 2.0, 3600.0, 0.1, None)
"""The language page's defaults, for fields that a machine leaves out."""

Residuals: TypeAlias = Callable[[Expr, str, tuple[str, ...]], Callable[[Any, Any, Any], Any]]
"""Compiles a predicate over the named event parameter and names that a fan-out binds."""

_KINDS = {form.Group: ("parallel", "settle", "race"), form.FanOutGroup: ("fan_out", "settle")}


class Actions:
    """Builds actions. `flows` collects those whose function is still to be set."""

    def __init__(self, expressions: Expressions, residual: Residuals) -> None:
        self._expressions = expressions
        self._residual = residual
        self.flows: list[FlowAction] = []
        self.undos: dict[str, StepAction] = {}  # compensations by their sites
        self._bound: frozenset[str] = frozenset()  # by the clauses of the fan-outs around
        self._iterables = 0

    def build(self, action: form.Action) -> AnyAction:
        """Return the fixed part of an action. Raises `ProgramError` for what is no action."""
        match action:
            case form.CallStep():
                return self._step(action)
            case form.CallFlow():
                self.flows.append(FlowAction(action.site, action.function))
                return self.flows[-1]
            case form.CallChild():
                return ChildAction(action.site, action.workflow, action.order, awaited=True)
            case form.StartRun():
                return ChildAction(action.site, action.workflow, action.order, awaited=False)
            case form.SleepFor():
                return SleepAction(action.site, until=False)
            case form.SleepTill():
                return SleepAction(action.site, until=True)
            case form.SendEvent():
                return SendAction(action.site)
            case _:
                return self._larger(action)

    def _larger(self, action: form.Action) -> AnyAction:
        match action:
            case form.WaitFor():
                return self._wait(action)
            case form.Group() if action.kind in _KINDS[form.Group]:
                return GroupAction(action.site, action.kind, tuple(self.build(branch) for branch in action.branches))
            case form.FanOutGroup() if action.kind in _KINDS[form.FanOutGroup]:
                with self._clauses(action.clauses):
                    return FanOutAction(action.site, action.kind, self.build(action.branch))
            case form.OpenScope():
                return OpenAction(action.site, action.kind)
            case form.CloseScope(record=Local(record)):
                return CloseAction(action.site, action.kind, record)
            case _:
                raise ProgramError(f"the machine contains {type(action).__name__!r}, which is no action of the vocabulary")

    def _step(self, action: form.CallStep) -> StepAction:
        built = _step(action.site, action.step, action.policy)
        if action.compensation is not None:
            undo = action.compensation
            built.undo = self.undos[undo.site] = _step(undo.site, undo.step, undo.policy)
        return built

    def _wait(self, action: form.WaitFor) -> WaitAction:
        bound = self._captured(action)
        residual = None if action.residual is None else self._residual(action.residual, action.parameter, bound)
        names = action.names or (action.event,)
        if action.since not in ("start", "now"):
            raise ProgramError(f"the machine contains a wait since {action.since!r}")
        paths = tuple(path for path, _ in action.keys)
        return WaitAction(action.site, names, paths, residual, action.frozen, action.since == "start", bound)

    def payload(self, action: form.Action) -> ast.expr:
        """Return the expression of the varying part."""
        x = self._expressions
        match action:
            case form.SleepFor():
                return x(action.duration)
            case form.SleepTill():
                return x(action.when)
            case form.SendEvent():
                return x(action.event)
            case form.WaitFor():
                timeout = ast.Constant(None) if action.timeout is None else x(action.timeout)
                captured = _tuple(*(x(Bound(name)) for name in self._captured(action)))
                return _tuple(_tuple(*(x(value) for _, value in action.keys)), timeout, captured)
            case form.Group():
                return _tuple(*(self.payload(branch) for branch in action.branches))
            case form.FanOutGroup():
                return self._fan_out(action)
            case form.OpenScope():
                return ast.Constant(None) if action.duration is None else x(action.duration)
            case form.CloseScope():
                return x(action.record)
            case _:
                return self._call(action)

    def _fan_out(self, action: form.FanOutGroup) -> ast.expr:
        x = self._expressions
        self._iterables += 1
        name = f"_items_{self._iterables}"
        first = ast.NamedExpr(ast.Name(name, ast.Store()), x(action.clauses[0].iterable))
        limit = ast.Constant(None) if action.limit is None else x(action.limit)
        with self._clauses(action.clauses):
            return _tuple(first, limit, list_of(x, self.payload(action.branch), action.clauses, load(name)))

    @contextmanager
    def _clauses(self, clauses: tuple[Clause, ...]) -> Generator[None, None, None]:
        outer = self._bound
        targets = (part for clause in clauses for part in inside(clause.target))
        self._bound = outer | {target.name for target in targets if isinstance(target, Bound)}
        try:
            yield
        finally:
            self._bound = outer

    def _captured(self, action: form.WaitFor) -> tuple[str, ...]:
        """The variables of the fan-outs around that a residual reads: each branch has its own."""
        parts = () if action.residual is None else inside(action.residual)
        read = {part.name for part in parts if isinstance(part, Bound)}
        return tuple(sorted((read & self._bound) - {action.parameter}))

    def _call(self, action: form.CallStep | form.CallFlow | form.CallChild | form.StartRun) -> ast.expr:
        x = self._expressions
        if any(keyword.name is None for keyword in action.keywords):
            raise ProgramError(f"the machine passes '**' at '{action.site}'")
        keywords: ast.expr = ast.Constant(None)
        if action.keywords:
            keywords = ast.Dict([ast.Constant(k.name) for k in action.keywords], [x(k.value) for k in action.keywords])
        return _tuple(_tuple(*x.all(action.arguments)), keywords)


def _step(site: str, step: str, given: form.Policy) -> StepAction:
    default = DEFAULT_POLICY
    policy = form.Policy(
        *(
            getattr(default, name) if getattr(given, name) is None else getattr(given, name)
            for name in ("retries", "kind", "delay", "factor", "max", "jitter", "timeout")
        )
    )
    return StepAction(site, step, policy, policy.retries or 0, policy.timeout)


def _tuple(*items: ast.expr) -> ast.expr:
    return ast.Tuple(list(items), ast.Load())
