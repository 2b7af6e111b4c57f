"""Expressions and native statements as text that reads like Python: for golden texts, messages and the labels of diagrams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flowgraph_compiler import expressions as e
from flowgraph_compiler import patterns as p
from flowgraph_compiler import statements as s

_PRECEDENCE = {
    "or": 1, "and": 2, "not": 3, "|": 5, "^": 6, "&": 7, "<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "//": 10, "%": 10,
    "@": 10, "**": 12,
}  # fmt: skip
_COMPARE, _UNARY, _ATOM = 4, 11, 14


# --- expressions


def expression(tree: Any, above: int = 0) -> str:
    """An expression as Python would write it; `above` is how tightly the place around it binds."""
    text, precedence = _written(tree)
    return f"({text})" if precedence < above else text


def _written(tree: Any) -> tuple[str, int]:
    match tree:
        case e.Unary(op, operand):
            level = _PRECEDENCE["not"] if op == "not" else _UNARY
            return f"{op}{' ' if op == 'not' else ''}{expression(operand, level)}", level
        case e.Binary(op, left, right):
            level = _PRECEDENCE[op]
            sides = (level + 1, _UNARY) if op == "**" else (level, level + 1)
            return f"{expression(left, sides[0])} {op} {expression(right, sides[1])}", level
        case e.Logical(op, operands):
            level = _PRECEDENCE[op]
            return f" {op} ".join(expression(operand, level + 1) for operand in operands), level
        case e.Compare(left, ops, operands):
            rest = "".join(f" {op} {expression(x, _COMPARE + 1)}" for op, x in zip(ops, operands, strict=True))
            return expression(left, _COMPARE + 1) + rest, _COMPARE
        case e.Conditional(test, body, orelse):
            return f"{expression(body, 1)} if {expression(test, 1)} else {expression(orelse)}", 0
        case e.Lambda(parameters, body):
            return f"lambda {', '.join(parameters)}: {expression(body)}", 0
        case e.Assigned(name, value):
            return f"({name} := {expression(value)})", _ATOM
        case e.Starred(value):
            return f"*{expression(value, _ATOM)}", _ATOM
        case e.TupleOf(items):
            return f"({_list(items)}{',' * (len(items) == 1)})", _ATOM
        case _:
            return _atom(tree), _ATOM


def _atom(tree: Any) -> str:
    match tree:
        case e.Const(value):
            return repr(value)
        case e.EllipsisConst():
            return "..."
        case e.Local(name) | e.Bound(name) | e.Captured(name) | e.ClassRef(name) | e.NamedConstant(name):
            return name
        case e.Attribute(value, name):
            return f"{_receiver(value)}.{name}"
        case e.Subscript(value, index):
            return f"{_receiver(value)}[{_index(index)}]"
        case e.Matches(variable, names):
            return f"{variable} matches {' | '.join(names)}"
        case e.Slice():
            return _index(tree)
        case _:
            return _display(tree)


def _display(tree: Any) -> str:
    match tree:
        case e.ListOf(items):
            return f"[{_list(items)}]"
        case e.SetOf(items):
            return f"{{{_list(items)}}}"
        case e.DictOf(keys, values):
            return f"{{{', '.join(_item(key, value) for key, value in zip(keys, values, strict=True))}}}"
        case e.Joined(parts):
            return "f" + repr("".join(_piece(part) for part in parts))
        case e.Formatted():
            return "f" + repr(_piece(tree))
        case e.Comprehension(kind, element, value, clauses):
            inside = expression(element) if value is None else f"{expression(element)}: {expression(value)}"
            opening, closing = {"list": ("[", "]"), "generator": ("(", ")")}.get(kind, ("{", "}"))
            return opening + " ".join([inside, *map(clause_text, clauses)]) + closing
        case _:
            return _call(tree)


def _call(tree: Any) -> str:
    match tree:
        case e.Call(name, arguments, keywords) | e.New(name, arguments, keywords) | e.PureCall(name, arguments, keywords):
            return f"{name}({call_arguments(arguments, keywords)})"
        case e.Method(value, name, arguments, keywords):
            return f"{_receiver(value)}.{name}({call_arguments(arguments, keywords)})"
        case e.Recorded(what):
            return f"{what}()"
        case e.Cursor(kind, arguments, keywords):
            return f"cursor {kind}({call_arguments(arguments, keywords)})"
        case _:
            raise TypeError(f"not an expression: {tree!r}")


def call_arguments(arguments: Iterable[e.Expr], keywords: Iterable[e.Keyword]) -> str:
    """What stands between the parentheses of a call."""
    named = (f"**{expression(k.value)}" if k.name is None else f"{k.name}={expression(k.value)}" for k in keywords)
    return ", ".join([*(expression(argument) for argument in arguments), *named])


def _receiver(tree: Any) -> str:
    text = expression(tree, _ATOM)
    return f"({text})" if isinstance(tree, e.Const) and isinstance(tree.value, int | float) else text


def _list(items: Iterable[e.Expr]) -> str:
    return ", ".join(map(expression, items))


def _item(key: e.Expr | None, value: e.Expr) -> str:
    return f"**{expression(value)}" if key is None else f"{expression(key)}: {expression(value)}"


def _index(tree: Any) -> str:
    if not isinstance(tree, e.Slice):
        return expression(tree)
    lower, upper, step = ("" if part is None else expression(part) for part in (tree.lower, tree.upper, tree.step))
    return f"{lower}:{upper}" + (f":{step}" if step else "")


def _piece(part: Any) -> str:
    if isinstance(part, e.Const):
        return str(part.value).replace("{", "{{").replace("}", "}}")
    if isinstance(part, e.Joined):
        return "".join(map(_piece, part.parts))
    conversion = f"!{part.conversion}" if part.conversion else ""
    return f"{{{expression(part.value)}{conversion}{'' if part.spec is None else ':' + _piece(part.spec)}}}"


def clause_text(clause: e.Clause) -> str:
    """`for x in xs if x > 1`."""
    conditions = "".join(f" if {expression(condition, 1)}" for condition in clause.conditions)
    return f"for {target_text(clause.target)} in {expression(clause.iterable, 1)}{conditions}"


def target_text(target: e.Target) -> str:
    """An assignment target, a tuple without its parentheses."""
    text = expression(target)
    return text[1:-1] if isinstance(target, e.TupleOf) and len(target.items) > 1 else text


# --- patterns


def case_text(pattern: p.Pattern, guard: e.Expr | None) -> str:
    """`case [x, *_] if x > 1`."""
    return f"case {pattern_text(pattern)}" + ("" if guard is None else f" if {expression(guard)}")


def pattern_text(pattern: p.Pattern, nested: bool = False) -> str:
    """A pattern as Python would write it; `nested`: inside another one, where `|` and `as` need parentheses."""
    match pattern:
        case p.EitherPattern(options):
            text = " | ".join(pattern_text(option, nested=True) for option in options)
        case p.CapturePattern(pattern=None, name=name):
            return name or "_"
        case p.CapturePattern(pattern=part, name=name) if part is not None:
            text = pattern_text(part, nested=not isinstance(part, p.EitherPattern)) + ("" if name is None else f" as {name}")
        case _:
            return _structure(pattern)
    return f"({text})" if nested else text


def _structure(pattern: p.Pattern) -> str:
    match pattern:
        case p.ValuePattern(value):
            return expression(value)
        case p.SingletonPattern(single):
            return repr(single)
        case p.StarPattern(name):
            return f"*{name or '_'}"
        case p.SequencePattern(items):
            return f"[{', '.join(map(pattern_text, items))}]"
        case p.MappingPattern(keys, values, rest):
            pairs = [f"{expression(key)}: {pattern_text(value)}" for key, value in zip(keys, values, strict=True)]
            return f"{{{', '.join([*pairs, *([] if rest is None else [f'**{rest}'])])}}}"
        case p.ClassPattern(cls, whole, names, values):
            named = [f"{name}={pattern_text(value)}" for name, value in zip(names, values, strict=True)]
            return f"{cls}({', '.join([*([] if whole is None else [pattern_text(whole)]), *named])})"
        case _:
            raise TypeError(f"not a pattern: {pattern!r}")


# --- statements

Lines = Iterator[str]


def statement(op: s.Statement) -> Lines:
    """A native statement, one string a line, indented by two."""
    match op:
        case s.Assign(targets, value):
            yield " = ".join([*map(target_text, targets), expression(value)])
        case s.Augment(target, operator, value):
            yield f"{expression(target)} {operator}= {expression(value)}"
        case s.Evaluate(value):
            yield expression(value)
        case s.Delete(name, missing_ok):
            yield f"del {name}{' if bound' if missing_ok else ''}"
        case s.Throw(exception, cause):
            yield f"raise {expression(exception)}{from_cause(cause)}"
        case s.Rethrow():
            yield "raise"
        case s.BreakLoop():
            yield "break"
        case s.ContinueLoop():
            yield "continue"
        case _:
            yield from _compound(op)


def _compound(op: s.Statement) -> Lines:
    match op:
        case s.If(test, body, orelse):
            yield from suite(f"if {expression(test)}", body, statement)
            yield from optional("else", orelse, statement)
        case s.Match(subject, cases):
            yield f"match {expression(subject)}:"
            for each in cases:
                inner = [*suite(case_text(each.pattern, each.guard), each.body, statement)]
                yield from (f"  {line}" for line in inner)
        case s.While(test, body, orelse):
            yield from suite(f"while {expression(test)}", body, statement)
            yield from optional("else", orelse, statement)
        case s.For(target, iterable, body, orelse):
            yield from suite(f"for {target_text(target)} in {expression(iterable)}", body, statement)
            yield from optional("else", orelse, statement)
        case s.Try(body, handlers, orelse, final):
            yield from suite("try", body, statement)
            for clause in handlers:
                yield from suite(except_clause(clause.names, clause.variable), clause.body, statement)
            yield from optional("else", orelse, statement)
            yield from optional("finally", final, statement)
        case _:
            raise TypeError(f"not a statement: {op!r}")


def from_cause(cause: e.Expr | None) -> str:
    """The end of a `raise` statement."""
    return "" if cause is None else f" from {expression(cause)}"


def except_clause(names: tuple[str, ...], variable: str | None) -> str:
    """The head of an `except` clause."""
    return f"except {' | '.join(names)}" + (f" as {variable}" if variable else "")


def suite(header: str, body: Iterable[Any], lines: Callable[[Any], Lines]) -> Lines:
    """A header with an indented body, each part of which `lines` writes."""
    inner = [line for part in body for line in lines(part)]
    yield f"{header}:"
    yield from (f"  {line}" for line in inner or ["pass"])


def optional(header: str, body: tuple[Any, ...], lines: Callable[[Any], Lines]) -> Lines:
    """A suite that is left out when the body is empty."""
    if body:
        yield from suite(header, body, lines)
