"""Expressions of the closed vocabulary as Python's `ast`, over `V` (the frame's variables) and `R` (the transition's records).

    Binary("+", Local("a"), Const(1))         ->   V["a"] + 1
    Comprehension(list, ...)                  ->   [... for b_x in ... if R.tick() ...]
    Method(Local("xs"), "append", (...))      ->   method(V["xs"], "append")(...)

The shapes are ours, the names are looked up in the vocabulary: nothing in a machine becomes source text.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from flowgraph_compiler import expressions as forms
from flowgraph_compiler import vocabulary
from flowgraph_runtime.engine import cursors
from flowgraph_runtime.engine.errors import ProgramError
from flowgraph_runtime.engine.names import Names, bound, call, checked_attribute, load

_BINARY: dict[str, type[ast.operator]] = {
    "-": ast.Sub, "+": ast.Add, "/": ast.Div, "//": ast.FloorDiv, "%": ast.Mod, ">>": ast.RShift, "&": ast.BitAnd,
    "|": ast.BitOr, "^": ast.BitXor, "@": ast.MatMult, "*": ast.Mult, "**": ast.Pow, "<<": ast.LShift,
}  # fmt: skip
_CAPPED = {"*": "multiply", "**": "power", "<<": "shift_left"}
_UNARY: dict[str, type[ast.unaryop]] = {"-": ast.USub, "+": ast.UAdd, "~": ast.Invert, "not": ast.Not}
_COMPARE: dict[str, type[ast.cmpop]] = {
    "==": ast.Eq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE, "in": ast.In,
    "not in": ast.NotIn, "is": ast.Is, "is not": ast.IsNot,
}  # fmt: skip
_CONVERSIONS = {"": -1, "s": 115, "r": 114, "a": 97}
_CONSUMERS = frozenset({"all", "any", "max", "min", "sorted", "sum", "math.dist", "math.fsum", "math.prod"})
_CONSUMING_TYPES = frozenset({"dict", "frozenset", "list", "set", "tuple"})
_CONSUMING_METHODS = frozenset(
    {
        "difference", "difference_update", "extend", "fromkeys", "intersection", "intersection_update", "isdisjoint", "issubset",
        "issuperset", "join", "symmetric_difference", "symmetric_difference_update", "union", "update",
    }
)  # fmt: skip
_WIDTH_METHODS = frozenset({"center", "expandtabs", "ljust", "rjust", "to_bytes", "zfill"})
_DUMPS_KEYWORDS = frozenset({"indent", "sort_keys", "separators", "ensure_ascii", "allow_nan", "skipkeys"})
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_RECORDED = frozenset({"now", "uuid", "run_info"})


class Expressions:
    """Turns expressions into `ast`; call it with one."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def __call__(self, expr: forms.Expr) -> ast.expr:
        """Return an expression's `ast`. Raises `ProgramError` for what is outside the vocabulary."""
        build = _BUILDERS.get(type(expr))
        if build is None:
            raise ProgramError(f"the machine contains {type(expr).__name__!r}, which is no expression of the vocabulary")
        return build(self, expr)

    def all(self, exprs: Sequence[forms.Expr]) -> list[ast.expr]:
        """Return the `ast` of each."""
        return [self(expr) for expr in exprs]

    def keywords(self, keywords: Sequence[forms.Keyword]) -> list[ast.keyword]:
        """Return keyword arguments."""
        return [ast.keyword(_identifier(keyword.name), self(keyword.value)) for keyword in keywords]

    def target(self, target: forms.Target) -> ast.expr:
        """Return what is assigned to."""
        match target:
            case forms.Local():
                return ast.Subscript(load("V"), ast.Constant(target.name), ast.Store())
            case forms.Bound():
                return ast.Name(bound(target.name), ast.Store())
            case forms.Attribute():
                owner = call("own_attributes", self(target.value))
                return ast.Attribute(owner, checked_attribute(target.name), ast.Store())
            case forms.Subscript():
                return ast.Subscript(self(target.value), self(target.index), ast.Store())
            case forms.Starred():
                return ast.Starred(self.target(_as_target(target.value)), ast.Store())
            case forms.TupleOf():
                return ast.Tuple([self.target(_as_target(item)) for item in target.items], ast.Store())
            case forms.ListOf():
                return ast.List([self.target(_as_target(item)) for item in target.items], ast.Store())
            case _:
                raise ProgramError(f"the machine assigns to {type(target).__name__!r}")

    def consumed(self, expr: forms.Expr) -> ast.expr:
        """Return an operand of a call that runs through all of it; what `*` spreads is consumed by the spreading."""
        built = self(expr)
        if isinstance(expr, forms.Starred | forms.Comprehension | forms.Const | forms.ListOf | forms.TupleOf | forms.Lambda):
            return built
        return call("consume", load("R"), built)


def _as_target(expr: Any) -> forms.Target:
    if isinstance(
        expr, forms.Local | forms.Bound | forms.Attribute | forms.Subscript | forms.Starred | forms.TupleOf | forms.ListOf
    ):
        return expr
    raise ProgramError(f"the machine assigns to {type(expr).__name__!r}")


def _identifier(name: str | None) -> str | None:
    if name is not None and (not name.isidentifier() or name.startswith("__")):
        raise ProgramError(f"the machine passes a keyword argument {name!r}, which is outside the vocabulary")
    return name


def _operator(table: dict[str, Any], op: str) -> Any:
    if op not in table:
        raise ProgramError(f"the machine contains the operator {op!r}, which is outside the vocabulary")
    return table[op]


# --- values and names


def _const(_: Expressions, expr: forms.Const) -> ast.expr:
    if type(expr.value) not in _SCALARS:
        raise ProgramError(f"the machine contains a constant of type {type(expr.value).__name__!r}")
    return ast.Constant(expr.value)


def _local(_: Expressions, expr: forms.Local) -> ast.expr:
    return ast.Subscript(load("V"), ast.Constant(expr.name), ast.Load())


# --- operators


def _attribute(x: Expressions, expr: forms.Attribute) -> ast.expr:
    return ast.Attribute(x(expr.value), checked_attribute(expr.name), ast.Load())


def _slice(x: Expressions, expr: forms.Slice) -> ast.expr:
    lower, upper, step = (None if part is None else x(part) for part in (expr.lower, expr.upper, expr.step))
    return ast.Slice(lower, upper, step)


def _unary(x: Expressions, expr: forms.Unary) -> ast.expr:
    return ast.UnaryOp(_operator(_UNARY, expr.op)(), x(expr.operand))


def _binary(x: Expressions, expr: forms.Binary) -> ast.expr:
    left, right = x(expr.left), x(expr.right)
    op = _operator(_BINARY, expr.op)()
    if expr.op in _CAPPED and not _is_small(expr.left) and not (expr.op == "*" and _is_small(expr.right)):
        return call(_CAPPED[expr.op], left, right)
    return ast.BinOp(left, op, right)


def _is_small(expr: forms.Expr) -> bool:
    return isinstance(expr, forms.Const) and (
        isinstance(expr.value, float) or (isinstance(expr.value, int) and 0 <= expr.value <= 1)
    )


def _logical(x: Expressions, expr: forms.Logical) -> ast.expr:
    op = _operator({"and": ast.And, "or": ast.Or}, expr.op)
    return ast.BoolOp(op(), x.all(expr.operands))


def _compare(x: Expressions, expr: forms.Compare) -> ast.expr:
    return ast.Compare(x(expr.left), [_operator(_COMPARE, op)() for op in expr.ops], x.all(expr.operands))


def _conditional(x: Expressions, expr: forms.Conditional) -> ast.expr:
    return ast.IfExp(x(expr.test), x(expr.body), x(expr.orelse))


def _assigned(x: Expressions, expr: forms.Assigned) -> ast.expr:
    put = ast.Attribute(load("V"), "put", ast.Load())
    return ast.Call(put, [ast.Constant(expr.name), x(expr.value)], [])


# --- displays


def _starred(x: Expressions, expr: forms.Starred) -> ast.expr:
    return ast.Starred(x.consumed(expr.value), ast.Load())


def _dict(x: Expressions, expr: forms.DictOf) -> ast.expr:
    return ast.Dict([None if key is None else x(key) for key in expr.keys], x.all(expr.values))


def _formatted(x: Expressions, expr: forms.Formatted) -> ast.expr:
    spec = None if expr.spec is None else x(expr.spec)
    if spec is not None and not isinstance(spec, ast.JoinedStr):
        spec = ast.JoinedStr([_part(spec)])
    return ast.FormattedValue(x(expr.value), _operator(_CONVERSIONS, expr.conversion), spec)


def _joined(x: Expressions, expr: forms.Joined) -> ast.expr:
    return ast.JoinedStr([_part(x(part)) for part in expr.parts])


def _part(part: ast.expr) -> ast.expr:
    is_text = isinstance(part, ast.FormattedValue) or (isinstance(part, ast.Constant) and isinstance(part.value, str))
    return part if is_text else ast.FormattedValue(part, -1, None)


# --- scopes of their own


def _clauses(x: Expressions, clauses: Sequence[forms.Clause], first: ast.expr | None = None) -> list[ast.comprehension]:
    tick = ast.Call(ast.Attribute(load("R"), "tick", ast.Load()), [], [])
    iterables = [x(clause.iterable) if number or first is None else first for number, clause in enumerate(clauses)]
    return [
        ast.comprehension(x.target(clause.target), iterable, [tick, *x.all(clause.conditions)], 0)
        for clause, iterable in zip(clauses, iterables, strict=True)
    ]


def _comprehension(x: Expressions, expr: forms.Comprehension) -> ast.expr:
    element, clauses = x(expr.element), _clauses(x, expr.clauses)
    match expr.kind:
        case "list":
            return ast.ListComp(element, clauses)
        case "set":
            return ast.SetComp(element, clauses)
        case "generator":
            return ast.GeneratorExp(element, clauses)
        case "dict" if expr.value is not None:
            return ast.DictComp(element, x(expr.value), clauses)
        case _:
            raise ProgramError(f"the machine contains a comprehension of kind {expr.kind!r}")


def list_of(x: Expressions, element: ast.expr, clauses: Sequence[forms.Clause], first: ast.expr) -> ast.expr:
    """Return a list comprehension of a built element, for the branches of a fan-out; `first` reads the first iterable."""
    return ast.ListComp(element, _clauses(x, clauses, first))


def _lambda(x: Expressions, expr: forms.Lambda) -> ast.expr:
    names = [ast.arg(bound(name)) for name in expr.parameters]
    body = x(expr.body)
    ticked = ast.Subscript(
        ast.Tuple([ast.Call(ast.Attribute(load("R"), "tick", ast.Load()), [], []), body], ast.Load()), ast.Constant(1), ast.Load()
    )
    return ast.Lambda(ast.arguments([], names, None, [], [], None, []), ticked)


# --- calls


def _callback(expr: forms.Expr) -> None:
    allowed = isinstance(expr, forms.Lambda | forms.ClassRef) or (isinstance(expr, forms.Const) and expr.value is None)
    if isinstance(expr, forms.Attribute) and isinstance(expr.value, forms.ClassRef):
        cls = vocabulary.PURE_TYPES.get(expr.value.name, object)
        allowed = expr.name in vocabulary.PURE_METHODS.get(cls, ())
    if not allowed:
        raise ProgramError(f"the machine passes {type(expr).__name__!r} where a function is called")


def _check_callbacks(function: str, arguments: Sequence[forms.Expr], keywords: Sequence[forms.Keyword]) -> None:
    if function in vocabulary.PATTERN_FUNCTIONS:
        patterns = [*arguments[:1], *(keyword.value for keyword in keywords if keyword.name == "pattern")]
        if not patterns or not isinstance(patterns[0], forms.Const | forms.Captured):
            raise ProgramError(f"the machine computes the pattern of {function}")
    if function in ("map", "filter") and arguments:
        _callback(arguments[0])
    for keyword in keywords:
        if keyword.name == "key":
            _callback(keyword.value)
        if function == "json.dumps" and keyword.name not in _DUMPS_KEYWORDS:
            raise ProgramError(f"the machine passes '{keyword.name}' to json.dumps, which is outside the vocabulary")


def _call(x: Expressions, expr: forms.Call) -> ast.expr:
    _check_callbacks(expr.function, expr.arguments, expr.keywords)
    consumes = expr.function in _CONSUMERS and len(expr.arguments) <= 2
    arguments = (
        [x.consumed(expr.arguments[0]), *x.all(expr.arguments[1:])] if consumes and expr.arguments else x.all(expr.arguments)
    )
    return ast.Call(load(x.names.function(expr.function)), arguments, x.keywords(expr.keywords))


def _limited(guard: str, argument: ast.expr) -> ast.expr:
    if isinstance(argument, ast.Starred):
        return ast.Starred(call("each", load(guard), argument.value), ast.Load())
    return call(guard, argument)


def _new(x: Expressions, expr: forms.New) -> ast.expr:
    arguments = x.all(expr.arguments)
    if expr.cls in _CONSUMING_TYPES and arguments:
        arguments[0] = x.consumed(expr.arguments[0])
    if expr.cls == "bytes" and arguments:
        arguments[0] = _limited("byte_source", arguments[0])
    return ast.Call(load(x.names.class_name(expr.cls)), arguments, x.keywords(expr.keywords))


def _method(x: Expressions, expr: forms.Method) -> ast.expr:
    _check_callbacks(expr.name, (), expr.keywords)
    arguments = (
        [x.consumed(argument) for argument in expr.arguments] if expr.name in _CONSUMING_METHODS else x.all(expr.arguments)
    )
    if expr.name in _WIDTH_METHODS and arguments:
        arguments[0] = _limited("width", arguments[0])
    return ast.Call(_callee(x, expr), arguments, x.keywords(expr.keywords))


def _callee(x: Expressions, expr: forms.Method) -> ast.expr:
    if isinstance(expr.value, forms.ClassRef) and expr.name in vocabulary.PURE_CLASS_METHODS.get(expr.value.name, ()):
        return ast.Attribute(x(expr.value), expr.name, ast.Load())
    if expr.name not in vocabulary.METHOD_NAMES:
        raise ProgramError(f"the machine calls the method '{expr.name}', which is outside the vocabulary")
    return call("method", x(expr.value), ast.Constant(expr.name))


def _pure_call(x: Expressions, expr: forms.PureCall) -> ast.expr:
    name = x.names.known("p", expr.function)
    if name is None:
        raise ProgramError(f"the machine calls the pure function '{expr.function}', which it does not hold")
    return ast.Call(load(name), [load("R"), *x.all(expr.arguments)], x.keywords(expr.keywords))


def _recorded(_: Expressions, expr: forms.Recorded) -> ast.expr:
    if expr.what not in _RECORDED:
        raise ProgramError(f"the machine reads the record '{expr.what}', which is outside the vocabulary")
    return ast.Call(ast.Attribute(load("R"), expr.what, ast.Load()), [], [])


# --- made by the compiler only


def _matches(x: Expressions, expr: forms.Matches) -> ast.expr:
    names = x.names.add("m", expr.names, frozenset(expr.names))
    return call("matches", ast.Subscript(load("V"), ast.Constant(expr.variable), ast.Load()), load(names))


def _cursor(x: Expressions, expr: forms.Cursor) -> ast.expr:
    if expr.kind not in cursors.KINDS:
        raise ProgramError(f"the machine contains a cursor of kind {expr.kind!r}")
    return ast.Call(load("open_cursor"), [ast.Constant(expr.kind), *x.all(expr.arguments)], x.keywords(expr.keywords))


_BUILDERS: dict[type, Callable[[Expressions, Any], ast.expr]] = {
    forms.Const: _const,
    forms.EllipsisConst: lambda _, __: ast.Constant(...),
    forms.Local: _local,
    forms.Bound: lambda _, expr: load(bound(expr.name)),
    forms.Captured: lambda x, expr: load(x.names.constant(expr.name)),
    forms.ClassRef: lambda x, expr: load(x.names.class_name(expr.name)),
    forms.NamedConstant: lambda x, expr: load(x.names.named_constant(expr.name)),
    forms.Attribute: _attribute,
    forms.Subscript: lambda x, expr: ast.Subscript(x(expr.value), x(expr.index), ast.Load()),
    forms.Slice: _slice,
    forms.Unary: _unary,
    forms.Binary: _binary,
    forms.Logical: _logical,
    forms.Compare: _compare,
    forms.Conditional: _conditional,
    forms.Assigned: _assigned,
    forms.Starred: _starred,
    forms.ListOf: lambda x, expr: ast.List(x.all(expr.items), ast.Load()),
    forms.TupleOf: lambda x, expr: ast.Tuple(x.all(expr.items), ast.Load()),
    forms.SetOf: lambda x, expr: ast.Set(x.all(expr.items)),
    forms.DictOf: _dict,
    forms.Formatted: _formatted,
    forms.Joined: _joined,
    forms.Comprehension: _comprehension,
    forms.Lambda: _lambda,
    forms.Call: _call,
    forms.New: _new,
    forms.Method: _method,
    forms.PureCall: _pure_call,
    forms.Recorded: _recorded,
    forms.Matches: _matches,
    forms.Cursor: _cursor,
}
