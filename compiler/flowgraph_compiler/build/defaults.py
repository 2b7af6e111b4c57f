"""The defaults of parameters, as expressions."""

from __future__ import annotations

from flowgraph_compiler.build.context import Session
from flowgraph_compiler.declarations import FlowDecl, Parameter
from flowgraph_compiler.expressions import Captured, Const, Expr


def default_of(session: Session, decl: FlowDecl, parameter: Parameter) -> Expr:
    """A plain value, or a captured one."""
    value = parameter.default
    if value is None or type(value) in (bool, int, float, str, bytes):
        return Const(value, decl.span)
    return Captured(session.capture(f"{decl.name}.{parameter.name}", decl.module, value), decl.span)
