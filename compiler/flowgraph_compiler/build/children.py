"""Calls of workflows: a child run that is awaited, and `start(workflow, ...)`, which gives a run id at once.

The input of a run is a list. So a default that the call leaves out before something that it gives is written out here; those
at the end are the called workflow's own.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flowgraph_compiler.build import callees
from flowgraph_compiler.build.context import Context
from flowgraph_compiler.build.defaults import default_of
from flowgraph_compiler.constants import is_constant
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_compiler.expressions import Keyword

_FORM = "await start(other_workflow, order.id)"


def started(context: Context, node: ast.Call) -> FlowDecl | None:
    """The workflow that `start(...)` names first; None with a finding where it names none."""
    if not node.args or isinstance(node.args[0], ast.Starred):
        context.report("FG171", node, "'start' has no workflow to start", _FORM)
        return None
    match callees.callee(context, node.args[0]):
        case callees.Durable(decl=FlowDecl(kind="workflow") as decl):
            return decl
        case callees.Misdeclared():
            context.session.is_incomplete = True
        case callees.Durable(decl=decl) as durable:
            message = f"'start' takes a workflow, and '{decl.name}' is a {durable.kind}"
            context.report("FG170", node.args[0], message, f"await {decl.name}(...)")
        case _:
            message = f"'start' takes a workflow by its name, not '{ast.unparse(node.args[0])}'"
            context.report("FG170", node.args[0], message, _FORM)
    return None


def left_out(context: Context, decl: FlowDecl, given: int, keywords: Sequence[Keyword]) -> tuple[Keyword, ...]:
    """The defaults that the input needs: of the parameters that the call does not give and that stand before one that it does."""
    named = {keyword.name for keyword in keywords}
    positions = [index for index, parameter in enumerate(decl.parameters) if parameter.name in named]
    between = decl.parameters[given : max(positions, default=0)]
    missing = [each for each in between if each.name not in named and each.has_default and is_constant(each.default)]
    return tuple(Keyword(each.name, default_of(context.session, decl, each), decl.span) for each in missing)
