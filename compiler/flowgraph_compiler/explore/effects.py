"""What the await-free statements of a block do to the facts of its frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flowgraph_compiler import expressions as e
from flowgraph_compiler import patterns as p
from flowgraph_compiler import statements as s
from flowgraph_compiler.explore.reading import Reader
from flowgraph_compiler.explore.values import NO_FACTS, UNKNOWN, Facts, Record, Value
from flowgraph_compiler.subexpressions import bound_by, walruses
from flowgraph_compiler.traversal import parts

_VOCABULARY = (e.__name__, s.__name__, p.__name__)


def after_all(statements: Iterable[s.Statement], facts: Facts, reader: Reader, read: frozenset[str]) -> Facts:
    """The facts after the statements. `read`: the variables that conditions depend on; no others are tracked."""
    for statement in statements:
        facts = _after(statement, facts, reader, read)
    return facts


def forgotten(statements: Iterable[Any], facts: Facts, reader: Reader) -> Facts:
    """The facts that hold at any moment of the statements, wherever an exception may have ended them."""
    for statement in statements:
        if not _is_known(statement):
            return NO_FACTS
        for name in _assigned(statement):
            facts = reader.without(facts, name)
        facts = reader.mutated(facts)
    return facts


def assign(target: e.Target, value: Value, facts: Facts, reader: Reader, read: frozenset[str]) -> Facts:
    """The facts after an assignment."""
    match target:
        case e.Local(name):
            facts = reader.without(facts, name)
            return facts.with_(name, value) if name in read else facts
        case e.TupleOf(items) | e.ListOf(items):
            values = value.items if isinstance(value, Record) and len(value.items) == len(items) else (UNKNOWN,) * len(items)
            for item, part in zip(items, values, strict=True):
                facts = assign(item, part, facts, reader, read)  # type: ignore[arg-type]  # targets hold targets
            return facts
        case e.Starred(value=inner):
            return assign(inner, UNKNOWN, facts, reader, read)  # type: ignore[arg-type]
        case _:
            return reader.mutated(facts)


def _after(statement: s.Statement, facts: Facts, reader: Reader, read: frozenset[str]) -> Facts:
    match statement:
        case s.Assign(targets, expr):
            value = reader.value(expr, facts)
            facts = reader.after(expr, facts)
            for target in targets:
                facts = assign(target, value, facts, reader, read)
            return facts
        case s.Augment(e.Local() as target, op, expr):
            value = reader.value(e.Binary(op, target, expr), facts)
            return assign(target, value, reader.mutated(reader.after(expr, facts)), reader, read)
        case s.Evaluate(expr):
            return reader.after(expr, facts)
        case s.Delete(name):
            return reader.without(facts, name)
        case s.If(test, body, orelse):
            return _after_if(test, body, orelse, facts, reader, read)
        case _:
            return forgotten((statement,), facts, reader)


def _after_if(
    test: e.Expr,
    body: tuple[s.Statement, ...],
    orelse: tuple[s.Statement, ...],
    facts: Facts,
    reader: Reader,
    read: frozenset[str],
) -> Facts:
    holds, facts = reader.truth(test, facts), reader.after(test, facts)
    ways = [way for way in (True, False) if holds is not (not way)]
    outcomes = [after_all(body if way else orelse, reader.assuming(test, way, facts), reader, read) for way in ways]
    return outcomes[0] if len(outcomes) == 1 else outcomes[0].common(outcomes[1])


def _is_known(tree: Any) -> bool:
    """Whether everything in a statement is of the vocabulary of expressions and statements, so that it is known what binds."""
    if not hasattr(tree, "__dataclass_fields__"):
        return True
    return type(tree).__module__ in _VOCABULARY and all(map(_is_known, parts(tree)))


def _assigned(tree: Any) -> Iterator[str]:
    """Every variable that something in a statement binds."""
    match tree:
        case s.Assign(targets):
            yield from (local.name for target in targets for local in bound_by(target))
        case s.Augment(target) | s.For(target):
            yield from (local.name for local in bound_by(target))
        case s.Delete(name):
            yield name
        case s.MatchCase(pattern):
            yield from p.captures(pattern)
        case s.Except(_, variable) if variable is not None:
            yield variable
        case e.Assigned():
            yield from walruses(tree)
        case _:
            pass
    for part in parts(tree) if hasattr(tree, "__dataclass_fields__") else ():
        yield from _assigned(part)
