"""From declarations to the typed step graph of one workflow, in CPython's order of evaluation.

The layers, each a class over the one before: `context` (names, temporaries, ids), `operands` (spilling), `expressions`,
`shortcircuits`, `comprehensions`, `known` (classes that are certain), `calls`, `awaits`, `fan_outs`, `targets`, `statements`,
`matches`, `handlers`.
`callees` says what a name stands for.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from flowgraph.options import UNSET
from flowgraph_compiler.build.bindings import MAX_DEPTH
from flowgraph_compiler.build.callees import is_primitive, is_refused_durable
from flowgraph_compiler.build.context import Session
from flowgraph_compiler.build.defaults import default_of
from flowgraph_compiler.build.handlers import FunctionBuilder
from flowgraph_compiler.build.keys import limit_keys
from flowgraph_compiler.build.watches import after_watches, watches
from flowgraph_compiler.declarations import Application, FlowDecl, StepDecl
from flowgraph_compiler.diagnostics import Diagnostic, has_errors
from flowgraph_compiler.expressions import Expr, Local, PureCall
from flowgraph_compiler.graph import AnyNode, FlowGraph, Step, Subflow, WorkflowGraph
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span
from flowgraph_compiler.subexpressions import inside

ON_FAILURE = "$on_failure"
"""The function that runs the handler of `on_failure=`; its parameters are `trigger` and `error`."""
ON_CANCEL = "$on_cancel"
"""The same for `on_cancel=`; its parameter is `trigger`."""


def build(app: Application, workflow: str) -> tuple[WorkflowGraph | None, list[Diagnostic]]:
    """The step graph of a workflow with the subflows that it reaches, or None and the errors.

    Findings inside a subflow carry no workflow, so they are the same for every workflow that reaches it."""
    decl = app.workflows[workflow]
    session = Session(app, workflow)
    handlers = [made for made in (_handler(session, decl, ON_FAILURE), _handler(session, decl, ON_CANCEL)) if made is not None]
    watched = watches(session, decl)
    main = _function(session, decl)
    functions = [after_watches(main) if watched else main]
    where = _trigger_where(session, decl)
    keys = limit_keys(session, decl)
    built: set[str] = set()
    while waiting := [name for name in session.called if name not in built]:
        built.update(waiting)
        functions += [_function(session, session.called[name]) for name in waiting]
    session.found.extend(_recursions(functions))
    if session.is_incomplete or has_errors(session.found):
        return None, session.found
    names = {made.name for made in handlers}
    graph = WorkflowGraph(
        name=decl.name,
        functions=(*functions, *handlers, *watched),
        on_failure=ON_FAILURE if ON_FAILURE in names else None,
        on_cancel=ON_CANCEL if ON_CANCEL in names else None,
        cancel_on=tuple(made.name for made in watched),
        constants=session.constants,
        where=where,
        keys=keys,
    )
    return graph, session.found


def subflow_findings(app: Application, known: Collection[str] = ()) -> list[Diagnostic]:
    """What is wrong in subflows and `@pure` functions, whether or not a workflow reaches them, except in the `known` ones."""
    session = Session(app, "")
    for decl in (*app.subflows.values(), *app.pures.values()):
        if decl.name not in known:
            _function(session, decl)
    return session.found


def _function(session: Session, decl: FlowDecl) -> FlowGraph:
    builder = FunctionBuilder(session, decl)
    session.is_incomplete |= decl.tree.args.vararg is not None or decl.tree.args.kwarg is not None  # FG107 has been reported
    if builder.deep is None:
        _shadowed(builder)
        body = builder.statements(decl.tree.body)
    else:
        builder.refuse(
            builder.deep, f"code nested more than {MAX_DEPTH} levels deep", "split it: a '@subflow', or a variable in between"
        )
        body = ()
    known = {parameter.name: parameter.type for parameter in decl.parameters if parameter.type is not None}
    return FlowGraph(
        name=decl.name,
        kind=decl.kind,
        parameters=tuple(parameter.name for parameter in decl.parameters if not parameter.keyword_only),
        defaults=tuple((each.name, default_of(session, decl, each)) for each in decl.parameters if each.has_default),
        keyword_only=tuple(parameter.name for parameter in decl.parameters if parameter.keyword_only),
        body=body,
        span=decl.span,
        variable_types={**known, **builder.variable_types},
        result_type=decl.result,
    )


def _shadowed(builder: FunctionBuilder) -> None:
    """FG111: a local assignment that hides a step, a flow or a primitive of the module."""
    for name, places in builder.bindings.items():
        value = builder.lookup(name)
        if is_refused_durable(value) or is_primitive(value):
            for place in places[builder.is_parameter(name) :]:
                builder.report(
                    "FG111",
                    place,
                    f"'{name}' is assigned here and hides the one of the module in the whole function",
                    "use another name",
                )


# --- handlers


def _handler(session: Session, decl: FlowDecl, name: str) -> FlowGraph | None:
    """`on_failure=` or `on_cancel=` as a function of one call."""
    handler = getattr(decl.target.options, name.removeprefix("$"))
    if handler is UNSET or handler is None:
        return None
    called = session.declared(handler)
    if called is None or (isinstance(called, FlowDecl) and called.kind != "subflow"):
        option = name.removeprefix("$")
        message = f"'{option}=' of workflow '{decl.name}' is neither a step nor a subflow"
        session.found.append(Diagnostic(RULES["FG112"], decl.span, message, "add '@step' to the handler", workflow=decl.name))
        return None
    parameters = ("trigger", "error") if name == ON_FAILURE else ("trigger",)
    call = _call(session, called, name, tuple(Local(each, decl.span) for each in parameters))
    return FlowGraph(name, "subflow", parameters, (), (), (call,), decl.span)


def _call(session: Session, called: StepDecl | FlowDecl, function: str, arguments: tuple[Expr, ...]) -> AnyNode:
    node_id = f"{function}/{called.name}"
    if isinstance(called, FlowDecl):
        session.called.setdefault(called.name, called)
        return Subflow(node_id, called.span, called.name, arguments, (), None)
    return Step(node_id, called.span, called.name, arguments, (), None)


def _trigger_where(session: Session, decl: FlowDecl) -> tuple[str, Expr] | None:
    """`where=` of the decorator: its parameter and its body, which sees the module only."""
    if decl.target.options.where is UNSET:
        return None
    calls = [decorator for decorator in decl.tree.decorator_list if isinstance(decorator, ast.Call)]
    written = next((keyword.value for call in calls for keyword in call.keywords if keyword.arg == "where"), None)
    if not isinstance(written, ast.Lambda):
        message = f"'where=' of workflow '{decl.name}' that is no lambda in the decorator is not in the language"
        session.found.append(Diagnostic(RULES["FG100"], decl.span, message, "where=lambda e: e.amount > 10", workflow=decl.name))
        return None
    builder = FunctionBuilder(session, decl)
    builder.bindings = {}
    parameter, body = builder.predicate(written)
    return None if body is None else (parameter, body)


# --- recursion


def _recursions(functions: list[FlowGraph]) -> Iterator[Diagnostic]:
    """FG116 at each call that closes a cycle of subflows or of `@pure` functions."""
    calls = {each.name: [*_calls(each)] for each in functions}
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[Diagnostic]:
        for kind, callee, span in calls.get(name, ()):
            if callee in path:
                cycle = " -> ".join((*path[path.index(callee) :], callee))
                message = f"{kind} '{callee}' is called from itself: {cycle}"
                help_ = "use a loop, or make it a workflow" if kind == "subflow" else "use a loop"
                yield Diagnostic(RULES["FG116"], span, message, help_)
            elif callee not in finished:
                yield from visit(callee, (*path, callee))
        finished.add(name)

    for name in calls:
        if name not in finished:
            yield from visit(name, (name,))


def _calls(function: FlowGraph) -> Iterator[tuple[str, str, Span]]:
    """Kind, name and place of each function of the machine that a function calls."""
    for node in function.body:
        for part in inside(node):
            if isinstance(part, Subflow):
                yield "subflow", part.callee, part.span
            elif isinstance(part, PureCall):
                yield "pure function", part.function, part.span
