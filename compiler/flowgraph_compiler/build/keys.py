"""The key of each `Concurrency` of a workflow, as an expression over the event that starts a run."""

from __future__ import annotations

import ast

from flowgraph.options import UNSET
from flowgraph_compiler.build.context import Session
from flowgraph_compiler.build.handlers import FunctionBuilder
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.expressions import Expr
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.types import items_of

Key = tuple[str, Expr]


def limit_keys(session: Session, decl: FlowDecl) -> tuple[Key | None, ...]:
    """Return parameter and body of the lambda of each limit in `concurrency=`, None for a limit without a key.

    The bodies see the module only. A key that is no lambda in the decorator is reported."""
    given = decl.target.options.concurrency
    policies = () if given is UNSET else tuple(items_of(given))
    written = _displayed(decl, len(policies))
    return tuple(_key(session, decl, policy, node) for policy, node in zip(policies, written, strict=True))


def _displayed(decl: FlowDecl, count: int) -> list[ast.expr | None]:
    """The expressions of the limits as they stand in the decorator; None for each that cannot be told."""
    calls = [decorator for decorator in decl.tree.decorator_list if isinstance(decorator, ast.Call)]
    value = next((keyword.value for call in calls for keyword in call.keywords if keyword.arg == "concurrency"), None)
    nodes = list(value.elts) if isinstance(value, ast.List | ast.Tuple) else [value]
    return [*nodes] if len(nodes) == count else [None] * count


def _key(session: Session, decl: FlowDecl, policy: object, node: ast.expr | None) -> Key | None:
    if getattr(policy, "key", None) is None:
        return None
    keywords = node.keywords if isinstance(node, ast.Call) else ()
    written = next((keyword.value for keyword in keywords if keyword.arg == "key"), None)
    if not isinstance(written, ast.Lambda):
        message = f"'key=' of 'concurrency=' of workflow '{decl.name}' that is no lambda in the decorator is not in the language"
        help_ = "concurrency=Concurrency(10, key=lambda e: e.customer)"
        session.found.append(Diagnostic(RULES["FG100"], decl.span, message, help_, workflow=decl.name))
        return None
    builder = FunctionBuilder(session, decl)
    builder.bindings = {}
    parameter, body = builder.predicate(written)
    return None if body is None else (parameter, body)
