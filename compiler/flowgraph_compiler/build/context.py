"""What the translation of one function shares: names, temporaries, node ids, the body being filled, findings."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flowgraph_compiler import syntax
from flowgraph_compiler.build.bindings import bindings, too_deep
from flowgraph_compiler.constants import is_constant
from flowgraph_compiler.declarations import Application, FlowDecl, SourceModule, StepDecl
from flowgraph_compiler.diagnostics import Diagnostic, Related
from flowgraph_compiler.expressions import Assigned, Captured, Const, Expr, Local
from flowgraph_compiler.graph import AnyNode, Body, Pure
from flowgraph_compiler.places import Located
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span
from flowgraph_compiler.statements import Assign

MISSING: Any = object()
"""What a name stands for that neither the module nor Python knows."""


@dataclass
class Session:
    """What the functions of one workflow share: declarations, captured constants, the subflows that were called, findings."""

    app: Application
    workflow: str
    constants: dict[str, object] = field(default_factory=dict[str, object])
    called: dict[str, FlowDecl] = field(default_factory=dict[str, FlowDecl])
    found: list[Diagnostic] = field(default_factory=list[Diagnostic])
    is_incomplete: bool = False  # something is missing that has been reported already

    def __post_init__(self) -> None:
        tables: tuple[Mapping[str, StepDecl | FlowDecl], ...] = (
            self.app.steps,
            self.app.workflows,
            self.app.subflows,
            self.app.pures,
        )
        every = [decl for table in tables for decl in table.values()]
        self._declared = {id(decl.step if isinstance(decl, StepDecl) else decl.target): decl for decl in every}

    def declared(self, obj: object) -> StepDecl | FlowDecl | None:
        """The declaration behind an object, or None."""
        return self._declared.get(id(obj))

    def source(self, decl: FlowDecl) -> SourceModule:
        """The module that a flow stands in."""
        return next(module for module in self.app.modules if module.name == decl.module)

    def capture(self, name: str, module: str, value: object) -> str:
        """Put a module global's value among the constants; the key is its name, with the module where two modules differ."""
        for key in (name, f"{module}.{name}"):
            known = self.constants.setdefault(key, value)
            if known is value or (type(known) is type(value) and repr(known) == repr(value)):
                return key
        raise AssertionError(f"two values of '{name}' in module '{module}'")


class Context:
    """The state of one function's translation."""

    def __init__(self, session: Session, decl: FlowDecl) -> None:
        self.session = session
        self.decl = decl
        self.places = session.source(decl).places
        self.deep = too_deep(decl.tree)
        self.bindings = bindings(decl.tree, whole=self.deep is None)
        self.body: list[AnyNode] = []
        self.scopes: list[dict[str, Expr]] = []  # names of the enclosing comprehensions and lambdas, innermost last
        self.variable_types: dict[str, object] = {}
        self._temporaries = 0
        self._labels: Counter[str] = Counter()
        self._awaiting = _with_awaits(decl.tree)

    # --- findings

    def report(self, code: str, node: Located, message: str, help: str | None = None, related: tuple[Related, ...] = ()) -> None:
        """Add a finding at a node."""
        workflow = self.decl.name if self.decl.kind == "workflow" else None
        self.session.found.append(Diagnostic(RULES[code], self.span(node), message, help, related, workflow))

    def refuse(self, node: Located, what: str, instead: str) -> Expr:
        """FG100; the placeholder lets the translation go on and find more."""
        self.report("FG100", node, f"{what} is not in the language", instead)
        return Const(None, self.span(node))

    def span(self, node: Located) -> Span:
        """The place of a node."""
        return self.places.span(node)

    # --- nodes and temporaries

    def has_await(self, *nodes: ast.AST | None) -> bool:
        """Whether any of the expressions awaits."""
        return any(id(node) in self._awaiting for node in nodes)

    def node_id(self, label: str) -> str:
        """A new id: the function, what is called, and which occurrence of that it is."""
        self._labels[label] += 1
        count = self._labels[label]
        return f"{self.decl.name}/{label}" + (f"#{count}" if count > 1 else "")

    def temporary(self) -> str:
        """A new variable of the compiler's own."""
        self._temporaries += 1
        return f"${self._temporaries}"

    def emit(self, node: AnyNode) -> None:
        """Append a node to the body being filled."""
        self.body.append(node)

    def assign(self, target: Local, value: Expr, span: Span) -> None:
        """Append `target = value`."""
        self.emit(Pure(self.node_id("="), span, Assign((target,), value, span)))

    def spill(self, value: Expr, span: Span) -> Local:
        """Evaluate an expression now and keep its value in a temporary."""
        target = Local(self.temporary(), span)
        self.assign(target, value, span)
        return target

    @contextmanager
    def block(self, into: list[AnyNode]) -> Generator[None, None, None]:
        """Fill another body."""
        outer, self.body = self.body, into
        try:
            yield
        finally:
            self.body = outer

    @contextmanager
    def scope(self, names: dict[str, Expr]) -> Generator[None, None, None]:
        """Give names of a comprehension or lambda their meaning."""
        self.scopes.append(names)
        try:
            yield
        finally:
            self.scopes.pop()

    # --- names

    def inner(self, name: str) -> Expr | None:
        """What a name means in the enclosing comprehensions and lambdas, or None."""
        return next((names[name] for names in reversed(self.scopes) if name in names), None)

    def is_global(self, name: str) -> bool:
        """Whether a name is the module's or Python's, not the function's."""
        return self.inner(name) is None and name not in self.bindings

    def is_parameter(self, name: str) -> bool:
        """Whether a name is one of the function's parameters."""
        return any(parameter.name == name for parameter in self.decl.parameters)

    def lookup(self, name: str) -> Any:
        """What a global name stands for, or `MISSING`."""
        return self.decl.scope.get(name, getattr(builtins, name, MISSING))

    def capture(self, name: str, value: object, span: Span) -> Expr:
        """A global's value: captured."""
        assert is_constant(value)
        return Captured(self.session.capture(name, self.decl.module, value), span)


def done(nodes: list[AnyNode]) -> Body:
    """A filled body."""
    return tuple(nodes)


def walrus(variable: str, value: Expr, span: Span) -> Expr:
    """`variable := value`."""
    return Assigned(variable, value, span)


def _with_awaits(tree: ast.AST) -> set[int]:
    """The ids of all nodes with an await below them."""
    above: dict[int, ast.AST] = {}
    waiting, awaits = [tree], list[ast.AST]()
    while waiting:
        node = waiting.pop()
        inside = syntax.children(node)
        above.update((id(inner), node) for inner in inside)
        waiting += inside
        if isinstance(node, ast.Await):
            awaits.append(node)
    found: set[int] = set()
    for place in awaits:
        node = place
        while id(node) not in found:
            found.add(id(node))
            node = above.get(id(node), tree)
    return found
