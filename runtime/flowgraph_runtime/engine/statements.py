"""Native statements of the closed vocabulary as Python's `ast` (see `expressions`).

Handlers compare names, not classes, so an `except` clause becomes one `except BaseException` with tests::

    try: ...                          try: ...
    except KeyError as e: A     ->    except (Exhausted, KeyboardInterrupt): raise
                                      except BaseException as x_1:
                                          if matches(x_1, {"KeyError"}):
                                              V["e"] = x_1
                                              try: A
                                              finally: V.pop("e", None)
                                          else: raise
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any, cast

from flowgraph_compiler import expressions as forms
from flowgraph_compiler import statements as st
from flowgraph_runtime.engine.errors import ProgramError
from flowgraph_runtime.engine.expressions import Expressions
from flowgraph_runtime.engine.names import call, load
from flowgraph_runtime.engine.patterns import case

_CHECKS = {"*": "check_product", "**": "check_power", "<<": "check_shift"}


class Statements:
    """Turns statements into `ast`; call it with one."""

    def __init__(self, expressions: Expressions) -> None:
        self.expressions = expressions
        self._temporaries = 0

    def __call__(self, statement: st.Statement) -> list[ast.stmt]:
        """Return a statement's `ast`. Raises `ProgramError` for what is outside the vocabulary."""
        build = _BUILDERS.get(type(statement))
        if build is None:
            raise ProgramError(f"the machine contains {type(statement).__name__!r}, which is no statement of the vocabulary")
        built = build(self, statement)
        return at_line(built, statement.span.line) if statement.span.line else built

    def body(self, statements: Sequence[st.Statement]) -> list[ast.stmt]:
        """Return a body; an empty one is `pass`."""
        return [built for statement in statements for built in self(statement)] or [ast.Pass()]

    def optional(self, statements: Sequence[st.Statement]) -> list[ast.stmt]:
        """Return a body that may be left out."""
        return [built for statement in statements for built in self(statement)]

    def temporary(self) -> str:
        """Return a new name of the generated function."""
        self._temporaries += 1
        return f"x_{self._temporaries}"


def at_line(statements: list[ast.stmt], line: int) -> list[ast.stmt]:
    """Give generated statements the line of their source, for tracebacks."""
    line = max(line, 1)
    waiting: list[ast.AST] = [*statements]
    while waiting:
        node = waiting.pop()
        if "lineno" in node._attributes:
            if hasattr(node, "lineno"):
                continue  # and so have all nodes inside
            node.lineno = node.end_lineno = line  # type: ignore[attr-defined]
            node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                waiting.append(value)
            elif isinstance(value, list):
                waiting.extend(each for each in cast("list[object]", value) if isinstance(each, ast.AST))
    return statements


def _variable(name: str, context: ast.expr_context) -> ast.Subscript:
    return ast.Subscript(load("V"), ast.Constant(name), context)


def _drop(name: str) -> ast.stmt:
    pop = ast.Attribute(load("V"), "pop", ast.Load())
    return ast.Expr(ast.Call(pop, [ast.Constant(name), ast.Constant(None)], []))


def _tick() -> ast.stmt:
    return ast.Expr(ast.Call(ast.Attribute(load("R"), "tick", ast.Load()), [], []))


# --- simple statements


def _assign(x: Statements, statement: st.Assign) -> list[ast.stmt]:
    targets = [x.expressions.target(target) for target in statement.targets]
    unpacks = any(isinstance(target, ast.Tuple | ast.List) for target in targets)
    value = x.expressions.consumed(statement.value) if unpacks else x.expressions(statement.value)
    return [ast.Assign(targets, value)]


def _augment(x: Statements, statement: st.Augment) -> list[ast.stmt]:
    operator = x.expressions(forms.Binary(statement.op, forms.Const(0.0), forms.Const(0.0)))
    if not isinstance(operator, ast.BinOp):
        raise ProgramError(f"the machine contains the operator {statement.op!r}= , which is outside the vocabulary")
    before, target, current = _once(x, statement.target)
    value = x.expressions(statement.value)
    if statement.op in _CHECKS:
        value = call(_CHECKS[statement.op], current, value)
    return [*before, ast.AugAssign(target, operator.op, value)]  # type: ignore[arg-type]


def _once(x: Statements, target: forms.Target) -> tuple[list[ast.stmt], ast.expr, ast.expr]:
    """What evaluates the target's parts once; the target; an expression that reads it."""
    match target:
        case forms.Local():
            return [], x.expressions.target(target), x.expressions(target)
        case forms.Attribute():
            owner = x.temporary()
            stored = x.expressions.target(target)
            read = ast.Attribute(load(owner), target.name, ast.Load())
            before: list[ast.stmt] = [ast.Assign([ast.Name(owner, ast.Store())], stored.value)]  # type: ignore[attr-defined]
            return before, ast.Attribute(load(owner), target.name, ast.Store()), read
        case forms.Subscript():
            owner, index = x.temporary(), x.temporary()
            before = [
                ast.Assign([ast.Name(owner, ast.Store())], x.expressions(target.value)),
                ast.Assign([ast.Name(index, ast.Store())], _index(x, target.index)),
            ]
            place = ast.Subscript(load(owner), load(index), ast.Store())
            return before, place, ast.Subscript(load(owner), load(index), ast.Load())
        case _:
            raise ProgramError(f"the machine assigns in place to {type(target).__name__!r}")


def _index(x: Statements, index: forms.Expr) -> ast.expr:
    built = x.expressions(index)
    if not isinstance(built, ast.Slice):
        return built
    name = x.expressions.names.add("s", "slice", slice)
    return ast.Call(load(name), [part or ast.Constant(None) for part in (built.lower, built.upper, built.step)], [])


def _evaluate(x: Statements, statement: st.Evaluate) -> list[ast.stmt]:
    return [ast.Expr(x.expressions(statement.value))]


def _delete(_: Statements, statement: st.Delete) -> list[ast.stmt]:
    # the compiler has shown that a deleted name is bound, so nothing is lost by not looking
    return [_drop(statement.name)]


def _throw(x: Statements, statement: st.Throw) -> list[ast.stmt]:
    cause = None if statement.cause is None else x.expressions(statement.cause)
    return [ast.Raise(x.expressions(statement.exception), cause)]


# --- compound statements


def _if(x: Statements, statement: st.If) -> list[ast.stmt]:
    return [ast.If(x.expressions(statement.test), x.body(statement.body), x.optional(statement.orelse))]


def _match(x: Statements, statement: st.Match) -> list[ast.stmt]:
    cases = [case(x.expressions, x.temporary, each.pattern, each.guard, x.body(each.body)) for each in statement.cases]
    return [ast.Match(x.expressions(statement.subject), cases)]


def _while(x: Statements, statement: st.While) -> list[ast.stmt]:
    return [ast.While(x.expressions(statement.test), [_tick(), *x.body(statement.body)], x.optional(statement.orelse))]


def _for(x: Statements, statement: st.For) -> list[ast.stmt]:
    target, iterable = x.expressions.target(statement.target), x.expressions(statement.iterable)
    return [ast.For(target, iterable, [_tick(), *x.body(statement.body)], x.optional(statement.orelse))]


def _try(x: Statements, statement: st.Try) -> list[ast.stmt]:
    handlers = _handlers(x, statement.handlers) if statement.handlers else []
    orelse = x.optional(statement.orelse) if statement.handlers else []
    body = x.body(statement.body) if statement.handlers else [*x.body(statement.body), *x.optional(statement.orelse)]
    final = x.optional(statement.final) if handlers else x.body(statement.final)
    return [ast.Try(body, handlers, orelse, final)]


def _handlers(x: Statements, handlers: Sequence[st.Except]) -> list[ast.ExceptHandler]:
    caught = x.temporary()
    chain: list[ast.stmt] = [ast.Raise()]
    for handler in reversed(handlers):
        names = x.expressions.names.add("m", handler.names, frozenset(handler.names))
        chain = [ast.If(call("matches", load(caught), load(names)), _handler_body(x, handler, caught), chain)]
    engine = ast.Tuple([load("Exhausted"), load("KeyboardInterrupt")], ast.Load())
    return [
        ast.ExceptHandler(engine, None, [ast.Raise()]),
        ast.ExceptHandler(load("BaseException"), caught, chain),
    ]


def _handler_body(x: Statements, handler: st.Except, caught: str) -> list[ast.stmt]:
    body = x.body(handler.body)
    if handler.variable is None:
        return body
    bind = ast.Assign([_variable(handler.variable, ast.Store())], load(caught))
    return [bind, ast.Try(body, [], [], [_drop(handler.variable)])]


_BUILDERS: dict[type, Callable[[Statements, Any], list[ast.stmt]]] = {
    st.Assign: _assign,
    st.Augment: _augment,
    st.Evaluate: _evaluate,
    st.Delete: _delete,
    st.Throw: _throw,
    st.Rethrow: lambda _, __: [ast.Raise()],
    st.BreakLoop: lambda _, __: [ast.Break()],
    st.ContinueLoop: lambda _, __: [ast.Continue()],
    st.If: _if,
    st.Match: _match,
    st.While: _while,
    st.For: _for,
    st.Try: _try,
}
