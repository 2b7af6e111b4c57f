"""Types of await-free expressions, with what evaluating them does to the environment (walrus, narrowing in `and`)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, get_args, get_origin
from uuid import UUID

import flowgraph
from flowgraph_compiler.expressions import (
    Assigned,
    Attribute,
    Binary,
    Bound,
    Call,
    Captured,
    ClassRef,
    Compare,
    Comprehension,
    Conditional,
    Const,
    Cursor,
    DictOf,
    EllipsisConst,
    Expr,
    Formatted,
    Joined,
    Keyword,
    Lambda,
    ListOf,
    Local,
    Logical,
    Matches,
    Method,
    NamedConstant,
    New,
    PureCall,
    Recorded,
    SetOf,
    Slice,
    Starred,
    Subscript,
    Target,
    TupleOf,
    Unary,
)
from flowgraph_compiler.infer.arguments import Called, Given, check_call, constructor, has_star
from flowgraph_compiler.infer.containers import bind, comprehension, display, grown
from flowgraph_compiler.infer.environment import Env, joined, path_of
from flowgraph_compiler.infer.findings import Findings
from flowgraph_compiler.infer.generics import parametrised
from flowgraph_compiler.infer.members import attribute, without_method
from flowgraph_compiler.infer.narrowing import falsy, narrow, truthy
from flowgraph_compiler.infer.world import World, result_of
from flowgraph_compiler.results import (
    binary,
    class_method_result,
    constructed,
    function_result,
    method_result,
    power,
    subscripted,
)
from flowgraph_compiler.spans import Span
from flowgraph_compiler.subexpressions import reads
from flowgraph_compiler.types import (
    NEVER,
    UNKNOWN,
    element,
    generic,
    has_none,
    members,
    normal,
    type_of_value,
    union,
    without_none,
)
from flowgraph_compiler.vocabulary import PURE_CONSTANTS, PURE_TYPES

RECORDED: dict[str, Any] = {"now": datetime, "uuid": UUID, "run_info": flowgraph.RunInfo}
_NONE_ATTRIBUTES = frozenset(dir(None))


class Evaluator:
    """Evaluates expressions at one place: `env` moves on with every walrus."""

    def __init__(self, world: World, env: Env, findings: Findings) -> None:
        self.world = world
        self.env = env
        self.findings = findings

    def quiet(self, env: Env) -> Evaluator:
        """An evaluator at another place that reports nothing."""
        return Evaluator(self.world, env, Findings(self.findings.workflow))

    def of(self, expr: Expr) -> Any:  # noqa: PLR0912  (one case an expression)
        """The type of an expression."""
        match expr:
            case Const(value):
                return type_of_value(value)
            case Local() | Bound():
                return self.env.types.get(path_of(expr) or "", UNKNOWN)
            case Captured(name):
                return self.world.constant(name)
            case ClassRef(name):
                cls = self.world.class_named(name)
                return UNKNOWN if cls is None else generic(type, cls)
            case NamedConstant(name):
                return type_of_value(PURE_CONSTANTS.get(name))
            case Recorded(what):
                return RECORDED.get(what, UNKNOWN)
            case Attribute():
                return self._attribute(expr)
            case Subscript():
                return self._subscript(expr)
            case Assigned(name, value):
                return self._walrus(name, value)
            case Unary() | Binary() | Compare() | Logical() | Conditional():
                return self._operation(expr)
            case ListOf() | TupleOf() | SetOf() | DictOf() | Starred():
                return display(self, expr)
            case Comprehension():
                return comprehension(self, expr)
            case Call() | New() | Method() | PureCall() | Cursor():
                return self._call(expr)
            case _:
                return self._other(expr)

    def many(self, exprs: Iterable[Expr]) -> list[Any]:
        """The types of expressions that are evaluated in this order."""
        return [self.of(expr) for expr in exprs]

    def _other(self, expr: Expr) -> Any:
        match expr:
            case Joined(parts):
                self.many(parts)
                return str
            case Formatted(value, _, spec):
                self.many([value] if spec is None else [value, spec])
                return str
            case Slice(lower, upper, step):
                self.many(part for part in (lower, upper, step) if part is not None)
                return slice
            case Matches():
                return bool
            case EllipsisConst():
                return type(...)
            case Lambda():
                return UNKNOWN
            case _:
                return UNKNOWN

    def _walrus(self, name: str, value: Expr) -> Any:
        tp = self.of(value)
        self.env = self.env.assigned(name, tp, self.timeout_of(value))
        return tp

    def timeout_of(self, expr: Expr) -> Span | None:
        """The wait with a timeout whose result an expression is."""
        return self.env.timeouts.get(path_of(expr) or "")

    # --- what None has not

    def some(self, expr: Expr, tp: Any) -> Any:
        """The type of a value that is about to be used: reports where it may be None."""
        if not has_none(tp):
            return tp
        path = path_of(expr)
        name = f"'{path}'" if path and "$" not in path else "the value"
        self.findings.possibly_none(expr.span, name.replace("^", ""), self.timeout_of(expr))
        rest = without_none(tp)
        return rest if members(rest) else UNKNOWN

    def _attribute(self, expr: Attribute) -> Any:
        tp = self.of(expr.value)
        narrowed = self.env.types.get(path_of(expr) or "")
        if expr.name not in _NONE_ATTRIBUTES:
            tp = self.some(expr.value, tp)
        return attribute(tp, expr.name) if narrowed is None else narrowed

    def _subscript(self, expr: Subscript) -> Any:
        container = self.some(expr.value, self.of(expr.value))
        index = self.of(expr.index)
        narrowed = self.env.types.get(path_of(expr) or "")
        if narrowed is not None:
            return narrowed
        at = literal_index(expr.index)
        return union(subscripted(one, index, at, isinstance(expr.index, Slice)) for one in members(container))

    # --- operators

    def _operation(self, expr: Expr) -> Any:
        match expr:
            case Unary("not", operand):
                self.of(operand)
                return bool
            case Unary(_, operand):
                tp = self.of(operand)
                return int if tp is bool else tp
            case Binary("**", left, right):
                return power(self._operand(left), self._operand(right), literal_index(right))
            case Binary(op, left, right):
                return binary(op, self._operand(left), self._operand(right))
            case Compare(left, _, operands):
                self.many([left, *operands])
                return bool
            case Logical(op, operands):
                return self._logical(op, operands)
            case Conditional(test, body, orelse):
                holds, fails = self.split(test)
                return self._both([(holds, body), (fails, orelse)])
            case _:
                return UNKNOWN

    def _operand(self, expr: Expr) -> Any:
        tp = self.of(expr)
        return without_none(tp) if has_none(tp) and members(without_none(tp)) else tp

    def _logical(self, op: str, operands: tuple[Expr, ...]) -> Any:
        """Each operand but the last gives its value where it decides; the next one is evaluated where it does not."""
        parts: list[Any] = []
        ends: list[Env | None] = []
        for operand in operands[:-1]:
            holds, fails, tp = self.split_typed(operand)
            decided, self_env = (fails, holds) if op == "and" else (holds, fails)
            parts.append(falsy(tp) if op == "and" else truthy(tp))
            ends.append(decided)
            if self_env is None:
                self.env = _first(ends)
                return union(parts)
            self.env = self_env
        parts.append(self.of(operands[-1]))
        for end in ends:
            self.env = joined(self.env, end) or self.env
        return union(parts)

    def _both(self, ways: list[tuple[Env | None, Expr]]) -> Any:
        parts: list[Any] = []
        end: Env | None = None
        for env, expr in ways:
            if env is not None:
                self.env = env
                parts.append(self.of(expr))
                end = joined(end, self.env)
        self.env = end or self.env
        return union(parts) if parts else NEVER

    def split(self, test: Expr) -> tuple[Env | None, Env | None]:
        """Evaluate a condition: the places where it holds and where it does not."""
        holds, fails, _ = self.split_typed(test)
        return holds, fails

    def split_typed(self, test: Expr) -> tuple[Env | None, Env | None, Any]:
        """`split`, with the type of the condition's value."""
        if isinstance(test, Unary) and test.op == "not":
            fails, holds, _ = self.split_typed(test.operand)
            return holds, fails, bool
        if isinstance(test, Logical):
            return self._split_logical(test)
        if isinstance(test, Assigned):
            return self._split_walrus(test)
        tp = self.of(test)
        return narrow(self, test, tp, True), narrow(self, test, tp, False), tp

    def _split_walrus(self, test: Assigned) -> tuple[Env | None, Env | None, Any]:
        """What the value says holds for the variable too."""
        timeout = self.timeout_of(test.value)
        holds, fails, tp = self.split_typed(test.value)
        ends = [self._named(test, env, tp, truth, timeout) for env, truth in ((holds, True), (fails, False))]
        return ends[0], ends[1], tp

    def _named(self, test: Assigned, env: Env | None, tp: Any, truth: bool, timeout: Span | None) -> Env | None:
        if env is None:
            return None
        inner = self.quiet(env)
        inner.bind(Local(test.name), tp, timeout)
        return narrow(inner, Local(test.name), inner.env.types.get(test.name, tp), truth)

    def _split_logical(self, test: Logical) -> tuple[Env | None, Env | None, Any]:
        parts: list[Any] = []
        decided: Env | None = None
        going: Env | None = self.env
        for operand in test.operands:
            if going is None:
                break
            self.env = going
            holds, fails, tp = self.split_typed(operand)
            going, ended = (holds, fails) if test.op == "and" else (fails, holds)
            last = operand is test.operands[-1]
            parts.append(tp if last else falsy(tp) if test.op == "and" else truthy(tp))
            decided = joined(decided, ended)
        holds, fails = (going, decided) if test.op == "and" else (decided, going)
        return holds, fails, union(parts)

    def iterated(self, expr: Expr) -> Any:
        """The type of the items of an iterable."""
        return element(self.some(expr, self.of(expr)))

    def bind(self, target: Target, tp: Any, timeout: Span | None = None) -> None:
        """Assign a value of a type to a target."""
        bind(self, target, tp, timeout)

    # --- calls

    def given(self, expr: Expr) -> Given:
        """An argument, evaluated."""
        return Given(expr, self.of(expr), self.timeout_of(expr))

    def arguments(
        self, called: Called | None, arguments: tuple[Expr, ...], keywords: tuple[Keyword, ...]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Evaluate a call's arguments and check them against what is called; their types by position and by name."""
        positional = [self.given(argument) for argument in arguments]
        named = [(keyword.name or "", self.given(keyword.value)) for keyword in keywords]
        if called is not None and not has_star(arguments, keywords):
            check_call(called, positional, named, self.findings)
        return [given.type for given in positional], {name: given.type for name, given in named}

    def _call(self, expr: Expr) -> Any:
        match expr:
            case Call(function, arguments, keywords):
                given = self._consumed(arguments)
                if function == "map" and isinstance(arguments[0], Lambda):
                    return generic(Iterable, self._mapped(arguments[0], given[1:]))
                if function == "pow" and len(given) == 2:
                    return power(*given, literal_index(arguments[1]))
                return function_result(function, given, {k.name: self.of(k.value) for k in keywords if k.name})
            case New():
                return self._new(expr)
            case Method():
                return self._method(expr)
            case PureCall(name, arguments, keywords):
                decl = self.world.app.pures.get(name)
                called = None if decl is None else Called(f"pure function '{name}'", expr.span, decl.parameters)
                self.arguments(called, arguments, keywords)
                return result_of(decl)
            case Cursor(kind, arguments, keywords):
                given = self._consumed(arguments)
                self.many(keyword.value for keyword in keywords)
                return cursor_type(kind, given)
            case _:
                return UNKNOWN

    def _mapped(self, function: Lambda, iterables: tuple[Any, ...]) -> Any:
        """What a function gives for the items of iterables."""
        items = {f"^{name}": element(tp) for name, tp in zip(function.parameters, iterables, strict=False)}
        return self.quiet(Env({**self.env.types, **items}, self.env.facts, self.env.timeouts)).of(function.body)

    def _consumed(self, arguments: tuple[Expr, ...]) -> tuple[Any, ...]:
        return tuple(self.many(arguments))

    def _new(self, expr: New) -> Any:
        cls = self.world.class_named(expr.cls)
        if cls is None or cls in PURE_TYPES.values():
            given = self._consumed(expr.arguments)
            by_name = {keyword.name: self.of(keyword.value) for keyword in expr.keywords}
            return UNKNOWN if cls is None else constructed(cls, given, by_name)
        positional, named = self.arguments(constructor(cls, expr.span), expr.arguments, expr.keywords)
        return parametrised(cls, positional, named)

    def _method(self, expr: Method) -> Any:
        receiver = self.of(expr.value)
        if expr.value == DictOf((), ()) and expr.name in ("get", "pop"):  # the display says that there is nothing but the default
            receiver = generic(dict, NEVER, NEVER)
        if expr.name not in _NONE_ATTRIBUTES:
            receiver = self.some(expr.value, receiver)
        given = self._consumed(expr.arguments)
        self.many(keyword.value for keyword in expr.keywords)
        if expr.name in ("append", "add") and (path := path_of(expr.value) or "").startswith("$"):
            self.env = self.env.narrowed(path, grown(receiver, *given))
        if get_origin(receiver) is type:
            return class_method_result(get_args(receiver)[0], expr.name, given)
        if lacking := without_method(receiver, expr.name, certain=not _behind_awaits(expr)):
            self.findings.no_method(expr.span, expr.name, lacking)
        return union(normal(method_result(one, expr.name, given)) for one in members(receiver))


def _behind_awaits(expr: Method) -> bool:
    """Whether awaits in the arguments of a call come before it, but behind where Python looks for the method."""
    return any(local.name.startswith("$") for part in (*expr.arguments, *expr.keywords) for local in reads(part))


def _first(ends: list[Env | None]) -> Env:
    env: Env | None = None
    for end in ends:
        env = joined(env, end)
    return env or Env()


def literal_index(expr: Expr) -> int | str | None:
    """The index where it is written out, a negative one included."""
    match expr:
        case Const(int() | str() as value):
            return value
        case Unary("-", Const(int() as value)):
            return -value
        case _:
            return None


def cursor_type(kind: str, given: tuple[Any, ...]) -> Any:
    """What a cursor yields, as an `Iterable`."""
    if kind in ("items", "keys", "values"):
        return method_result(given[0], kind, ())
    if kind == "iter":
        return generic(Iterable, element(given[0]))
    return function_result(kind, given, {})
