"""A step graph as Python coroutine functions again, so that CPython can say whether it still means what the source meant."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from flowgraph_compiler import expressions as e
from flowgraph_compiler import graph as g
from flowgraph_compiler import patterns as p
from flowgraph_compiler import statements as s

_BINARY: dict[str, ast.operator] = {
    "+": ast.Add(), "-": ast.Sub(), "*": ast.Mult(), "/": ast.Div(), "//": ast.FloorDiv(), "%": ast.Mod(), "**": ast.Pow(),
    "<<": ast.LShift(), ">>": ast.RShift(), "&": ast.BitAnd(), "|": ast.BitOr(), "^": ast.BitXor(), "@": ast.MatMult(),
}  # fmt: skip
_COMPARE: dict[str, ast.cmpop] = {
    "==": ast.Eq(), "!=": ast.NotEq(), "<": ast.Lt(), "<=": ast.LtE(), ">": ast.Gt(), ">=": ast.GtE(), "in": ast.In(),
    "not in": ast.NotIn(), "is": ast.Is(), "is not": ast.IsNot(),
}  # fmt: skip
_UNARY: dict[str, ast.unaryop] = {"-": ast.USub(), "+": ast.UAdd(), "~": ast.Invert(), "not": ast.Not()}
_CONVERSIONS = {"": -1, "s": 115, "r": 114, "a": 97}


def functions(graph: g.WorkflowGraph, scope: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """The graph's functions, by name, as coroutine functions that see the module's namespace."""
    namespace = dict(scope)
    for function in graph.functions:
        tree = ast.Module([_function(function)], [])
        exec(compile(ast.fix_missing_locations(tree), f"<graph {function.name}>", "exec"), namespace)
    return {function.name: namespace[function.name] for function in graph.functions}


def _function(function: g.FlowGraph) -> ast.AsyncFunctionDef:
    arguments = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(name) for name in function.parameters],
        kwonlyargs=[ast.arg(name) for name in function.keyword_only],
        kw_defaults=[
            value(dict(function.defaults)[name]) if name in dict(function.defaults) else None for name in function.keyword_only
        ],
        defaults=[value(default) for name, default in function.defaults if name in function.parameters],
    )
    made = ast.AsyncFunctionDef(function.name, arguments, _body(function.body), [], None)
    made.type_params = []  # type: ignore[attr-defined]  # Python 3.12 wants it
    return made


# --- expressions


def _name(name: str) -> ast.expr:
    first, *rest = name.split(".")
    made: ast.expr = ast.Name(first, ast.Load())
    for part in rest:
        made = ast.Attribute(made, part, ast.Load())
    return made


def value(tree: Any) -> ast.expr:
    """An expression of the closed vocabulary as Python's own."""
    match tree:
        case e.Const(constant):
            return ast.Constant(constant)
        case e.EllipsisConst():
            return ast.Constant(...)
        case e.Local(name) | e.Bound(name) | e.Captured(name) | e.ClassRef(name) | e.NamedConstant(name):
            return _name(name)
        case e.Attribute(inner, name):
            return ast.Attribute(value(inner), name, ast.Load())
        case e.Subscript(inner, index):
            return ast.Subscript(value(inner), value(index), ast.Load())
        case e.Slice(lower, upper, step):
            return ast.Slice(*(None if part is None else value(part) for part in (lower, upper, step)))
        case e.Unary(op, operand):
            return ast.UnaryOp(_UNARY[op], value(operand))
        case e.Binary(op, left, right):
            return ast.BinOp(value(left), _BINARY[op], value(right))
        case e.Logical(op, operands):
            return ast.BoolOp(ast.And() if op == "and" else ast.Or(), [value(operand) for operand in operands])
        case e.Compare(left, ops, operands):
            return ast.Compare(value(left), [_COMPARE[op] for op in ops], [value(operand) for operand in operands])
        case _:
            return _display(tree)


def _display(tree: Any) -> ast.expr:
    match tree:
        case e.Conditional(test, body, orelse):
            return ast.IfExp(value(test), value(body), value(orelse))
        case e.Assigned(name, inner):
            return ast.NamedExpr(ast.Name(name, ast.Store()), value(inner))
        case e.Starred(inner):
            return ast.Starred(value(inner), ast.Load())
        case e.ListOf(items):
            return ast.List([value(item) for item in items], ast.Load())
        case e.TupleOf(items):
            return ast.Tuple([value(item) for item in items], ast.Load())
        case e.SetOf(items):
            return ast.Set([value(item) for item in items])
        case e.DictOf(keys, values):
            return ast.Dict([None if key is None else value(key) for key in keys], [value(item) for item in values])
        case e.Joined(parts):
            return ast.JoinedStr([value(part) for part in parts])
        case e.Formatted(inner, conversion, spec):
            return ast.FormattedValue(value(inner), _CONVERSIONS[conversion], None if spec is None else value(spec))
        case e.Comprehension(kind, element, inner, clauses):
            return _comprehension(kind, element, inner, clauses)
        case e.Lambda(parameters, body):
            arguments = ast.arguments([], [ast.arg(name) for name in parameters], None, [], [], None, [])
            return ast.Lambda(arguments, value(body))
        case _:
            return _call(tree)


def _comprehension(kind: str, element: e.Expr, inner: e.Expr | None, clauses: tuple[e.Clause, ...]) -> ast.expr:
    generators = [
        ast.comprehension(target(clause.target), value(clause.iterable), [value(each) for each in clause.conditions], 0)
        for clause in clauses
    ]
    if inner is not None:
        return ast.DictComp(value(element), value(inner), generators)
    kinds = {"list": ast.ListComp, "set": ast.SetComp, "generator": ast.GeneratorExp}
    return kinds[kind](value(element), generators)


def _call(tree: Any) -> ast.expr:
    match tree:
        case e.Call(name, arguments, keywords) | e.New(name, arguments, keywords):
            function: ast.expr = _name(name)
        case e.Method(inner, name, arguments, keywords):
            function = ast.Attribute(value(inner), name, ast.Load())
        case e.Recorded(what):
            return ast.Call(_name(what), [], [])
        case _:
            raise TypeError(f"not an expression: {tree!r}")
    return _called(function, arguments, keywords)


def _called(function: ast.expr, arguments: tuple[e.Expr, ...], keywords: tuple[e.Keyword, ...]) -> ast.Call:
    return ast.Call(
        function, [value(each) for each in arguments], [ast.keyword(each.name, value(each.value)) for each in keywords]
    )


def target(tree: Any) -> ast.expr:
    """An assignment target."""
    made = value(tree)
    _stored(made)
    return made


def _stored(node: ast.expr) -> None:
    node.ctx = ast.Store()  # type: ignore[attr-defined]
    if isinstance(node, ast.Tuple | ast.List):
        for item in node.elts:
            _stored(item)
    elif isinstance(node, ast.Starred):
        _stored(node.value)


# --- nodes


def _body(nodes: tuple[g.AnyNode, ...]) -> list[ast.stmt]:
    return [made for node in nodes for made in _node(node)] or [ast.Pass()]


def _node(node: g.AnyNode) -> list[ast.stmt]:
    match node:
        case g.Pure(statement=statement):
            return _statement(statement)
        case g.Branch(test=test, then=then, orelse=orelse):
            return [ast.If(value(test), _body(then), _body(orelse))]
        case g.Match(subject=subject, cases=cases):
            made = [ast.match_case(_pattern(each.pattern), each.guard and value(each.guard), _body(each.body)) for each in cases]
            return [ast.Match(value(subject), made)]
        case g.While(before=before, test=test, body=body, orelse=orelse):
            leave = ast.If(ast.UnaryOp(ast.Not(), value(test)), [*_body(orelse), ast.Break()], [])
            return [ast.While(ast.Constant(True), [*_body(before), leave, *_body(body)], [])]
        case g.For(target=each, iterable=iterable, body=body, orelse=orelse):
            return [ast.For(target(each), value(iterable), _body(body), _body(orelse))]
        case g.Try(body=body, handlers=handlers, orelse=orelse, final=final):
            clauses = [_handler(handler) for handler in handlers]
            return [ast.Try(_body(body), clauses, _body(orelse) if orelse else [], _body(final) if final or not clauses else [])]
        case g.Return(value=result):
            return [ast.Return(None if result is None else value(result))]
        case g.Raise(exception=exception, cause=cause):
            return [ast.Raise(*(None if each is None else value(each) for each in (exception, cause)))]
        case g.Break():
            return [ast.Break()]
        case g.Continue():
            return [ast.Continue()]
        case _:
            return [_suspension(node)]


def _pattern(pattern: p.Pattern) -> ast.pattern:
    match pattern:
        case p.ValuePattern(expr):
            return ast.MatchValue(value(expr))
        case p.SingletonPattern(single):
            return ast.MatchSingleton(single)
        case p.SequencePattern(items):
            return ast.MatchSequence([_pattern(item) for item in items])
        case p.StarPattern(name):
            return ast.MatchStar(name)
        case p.MappingPattern(keys, values, rest):
            return ast.MatchMapping([value(key) for key in keys], [_pattern(each) for each in values], rest)
        case p.ClassPattern(cls, whole, names, values):
            positional = [] if whole is None else [_pattern(whole)]
            return ast.MatchClass(_name(cls), positional, [*names], [_pattern(each) for each in values])
        case p.CapturePattern(inner, name):
            return ast.MatchAs(None if inner is None else _pattern(inner), name)
        case p.EitherPattern(options):
            return ast.MatchOr([_pattern(option) for option in options])


def _statement(statement: s.Statement) -> list[ast.stmt]:
    match statement:
        case s.Assign(targets, inner):
            return [ast.Assign([target(each) for each in targets], value(inner))]
        case s.Augment(each, op, inner):
            return [ast.AugAssign(target(each), _BINARY[op], value(inner))]  # type: ignore[arg-type]
        case s.Evaluate(inner):
            return [ast.Expr(value(inner))]
        case s.Delete(name, missing_ok):
            before = [ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None))] if missing_ok else []
            return [*before, ast.Delete([ast.Name(name, ast.Del())])]
        case _:
            raise TypeError(f"not a simple statement: {statement!r}")


def _handler(handler: g.Handler) -> ast.ExceptHandler:
    # The variable is assigned by hand: the graph says itself where it is deleted, and CPython must not do it a second time.
    bound: list[ast.stmt] = []
    if handler.variable is not None:
        bound = [ast.Assign([ast.Name(handler.variable, ast.Store())], ast.Name("$caught", ast.Load()))]
    names = ast.Tuple([_name(name) for name in handler.names], ast.Load())
    return ast.ExceptHandler(names, "$caught" if bound else None, [*bound, *_body(handler.body)])


def _suspension(node: g.AnyNode) -> ast.stmt:
    awaited = ast.Await(_action(node))
    result: str | None = getattr(node, "result", None)
    if result is None:
        return ast.Expr(awaited)
    return ast.Assign([ast.Name(result, ast.Store())], awaited)


def _action(node: g.AnyNode) -> ast.expr:
    match node:
        case g.Step() | g.Subflow():
            return _called(_name(node.callee), node.arguments, node.keywords)
        case g.Parallel(branches=branches):
            return ast.Call(_name("parallel"), [_action(branch) for branch in branches], [])
        case g.Sleep(duration=duration):
            return ast.Call(_name("sleep"), [value(duration)], [])
        case _:
            raise TypeError(f"no Python for {node!r}")
