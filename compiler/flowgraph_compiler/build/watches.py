"""`cancel_on=[on(Event, where=lambda started, event: ...)]`: each as a function of the machine that waits for its event.

    cancel_on=[on(Cancelled, where=lambda s, c: c.id == s.id)]   ->   $cancel_on_0(s): wait Cancelled where c: c.id == s.id

The functions run beside the workflow's own from its start; the run is cancelled when one of them ends. The body begins with a
pause of no length: what came before the start is read by then, so a run whose cancel came first does nothing at all.
"""

from __future__ import annotations

import ast
from dataclasses import replace

from flowgraph import on
from flowgraph.options import UNSET
from flowgraph_compiler.build.callees import static
from flowgraph_compiler.build.context import Session
from flowgraph_compiler.build.handlers import FunctionBuilder
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_compiler.expressions import Const, Local
from flowgraph_compiler.graph import FlowGraph, Return, Sleep, Wait
from flowgraph_compiler.machine import BEGIN

CANCEL_ON = "$cancel_on_"
"""Before the number of the entry: the name of its function, whose parameter is what the workflow received."""


def watches(session: Session, decl: FlowDecl) -> list[FlowGraph]:
    """The functions of `cancel_on=`; what cannot be read has its finding."""
    if decl.target.options.cancel_on is UNSET:
        return []
    builder = FunctionBuilder(session, decl)
    builder.bindings = {}
    found = (_watch(builder, entry, f"{CANCEL_ON}{number}") for number, entry in enumerate(_entries(builder, decl)))
    return [made for made in found if made is not None]


def after_watches(main: FlowGraph) -> FlowGraph:
    """The workflow's own function, which begins when the watches have read what came before them."""
    return replace(main, body=(Sleep(f"{main.name}{BEGIN}", main.span, Const("0s")), *main.body))


def _entries(builder: FunctionBuilder, decl: FlowDecl) -> list[ast.expr]:
    calls = [decorator for decorator in decl.tree.decorator_list if isinstance(decorator, ast.Call)]
    written = next(keyword.value for call in calls for keyword in call.keywords if keyword.arg == "cancel_on")
    if isinstance(written, ast.List | ast.Tuple):
        return written.elts
    _refuse(builder, written)
    return []


def _refuse(builder: FunctionBuilder, node: ast.expr) -> None:
    builder.refuse(
        node,
        f"'{ast.unparse(node)}' in 'cancel_on='",
        "write the list out: cancel_on=[on(Event, where=lambda started, event: event.id == started.id)]",
    )


def _parts(builder: FunctionBuilder, node: ast.expr) -> tuple[str, ast.Lambda] | None:
    """The event's class and the predicate of `on(Event, where=lambda ...)`."""
    match node:
        case ast.Call(func=function, args=[event], keywords=[ast.keyword(arg="where", value=ast.Lambda() as where)]):
            maker, cls = static(builder, function), static(builder, event)
            if maker is not None and maker.value is on and cls is not None and isinstance(cls.value, type):
                return cls.value.__name__, where
        case _:
            pass
    return None


def _watch(builder: FunctionBuilder, node: ast.expr, name: str) -> FlowGraph | None:
    parts = _parts(builder, node)
    if parts is None:
        _refuse(builder, node)
        return None
    event, where = parts
    span = builder.span(node)
    started = where.args.args[0].arg if where.args.args else "started"
    parameter, residual = builder.predicate(where, {started: Local(started, span)})
    if residual is None:
        return None
    wait = Wait(f"{name}/wait_for.{event}", span, event, parameter, (), residual, None, "start", None)
    return FlowGraph(name, "subflow", (started,), (), (), (wait, Return(f"{name}/return", span, None)), span)
