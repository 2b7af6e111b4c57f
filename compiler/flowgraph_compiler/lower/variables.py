"""Which variables of the frame a statement or expression reads and writes: the ground of liveness.

Reads are never missed; a write counts only where it surely happens. Exceptions need no care here: what a handler reads is
live throughout the blocks that it guards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flowgraph_compiler import statements
from flowgraph_compiler.expressions import (
    Assigned,
    Attribute,
    Compare,
    Comprehension,
    Conditional,
    Expr,
    Lambda,
    ListOf,
    Local,
    Logical,
    Matches,
    Starred,
    Subscript,
    Target,
    TupleOf,
)
from flowgraph_compiler.patterns import Pattern, captures
from flowgraph_compiler.statements import Statement
from flowgraph_compiler.subexpressions import inside
from flowgraph_compiler.traversal import parts

Names = frozenset[str]
NONE: Names = frozenset()


def reads(tree: Any) -> Names:
    """Every variable that an expression, clause, keyword or action reads anywhere."""
    return _names(inside(tree)) if hasattr(tree, "__dataclass_fields__") else NONE


def _names(found: Iterable[Any]) -> Names:
    """The variables that forms read by themselves."""
    return frozenset(
        part.name if isinstance(part, Local) else part.variable for part in found if isinstance(part, Local | Matches)
    )


def every(found: Iterable[Names]) -> Names:
    """The union."""
    return NONE.union(*found)


def binds(tree: Any) -> Names:
    """The variables that `:=` surely binds wherever the expression is evaluated."""
    match tree:
        case Assigned(name, value):
            return binds(value) | {name}
        case Logical(_, operands):
            return binds(operands[0])
        case Conditional(test):
            return binds(test)
        case Compare(left, _, operands):
            return binds(left) | binds(operands[0])
        case Comprehension() | Lambda():
            return NONE
        case _:
            return every(binds(part) for part in parts(tree)) if hasattr(tree, "__dataclass_fields__") else NONE


def evaluated(tree: Any, live: Names) -> Names:
    """What is live before an expression, given what is live after it."""
    found = list(inside(tree))
    bound = binds(tree) if any(isinstance(part, Assigned) for part in found) else NONE
    return (live - bound) | _names(found)


def chosen(subject: Expr, cases: Sequence[tuple[Pattern, Expr | None, Names]], otherwise: Names) -> Names:
    """What is live before a `match`: `cases` hold what is live before each body, `otherwise` is live where no case matches.

    A pattern that matches binds its names even if the guard then fails."""
    live = otherwise
    for pattern, guard, body in reversed(cases):
        matched = body if guard is None else evaluated(guard, body | live)
        live = reads(pattern) | (matched - frozenset(captures(pattern))) | live
    return evaluated(subject, live)


def writes(target: Target) -> Names:
    """The variables that an assignment to the target binds."""
    match target:
        case Local(name):
            return frozenset({name})
        case Starred(value):
            return writes(value)  # type: ignore[arg-type]
        case TupleOf(items) | ListOf(items):
            return every(writes(item) for item in items)  # type: ignore[arg-type]
        case _:
            return NONE


def target_reads(target: Target) -> Names:
    """The variables that an assignment to the target reads: containers and indices."""
    match target:
        case Attribute() | Subscript():
            return reads(target)
        case Starred(value):
            return target_reads(value)  # type: ignore[arg-type]
        case TupleOf(items) | ListOf(items):
            return every(target_reads(item) for item in items)  # type: ignore[arg-type]
        case _:
            return NONE


@dataclass(frozen=True, slots=True)
class After:
    """What is live after the end of a native loop and at the start of its next round."""

    leave: Names = NONE
    again: Names = NONE


def before(ops: Iterable[Statement], live: Names, loop: After = After()) -> Names:
    """What is live before statements, given what is live after them."""
    for op in reversed(tuple(ops)):
        live = _before(op, live, loop)
    return live


def _before(op: Statement, live: Names, loop: After) -> Names:
    match op:
        case statements.Assign(targets, value):
            bound = every(writes(target) for target in targets)
            return evaluated(value, live - bound) | every(target_reads(target) for target in targets)
        case statements.Augment(target, _, value):
            return evaluated(value, live) | reads(target)  # the target is read before a `:=` in the value binds it
        case statements.Evaluate(value):
            return evaluated(value, live)
        case statements.Delete(name, missing_ok):
            return live - {name} if missing_ok else live | {name}
        case statements.Throw(exception, cause):
            return reads(exception) | reads(cause)
        case statements.Rethrow():
            return NONE
        case statements.BreakLoop():
            return loop.leave
        case statements.ContinueLoop():
            return loop.again
        case _:
            return _before_compound(op, live, loop)


def _before_compound(op: Statement, live: Names, loop: After) -> Names:
    match op:
        case statements.If(test, body, orelse):
            return evaluated(test, before(body, live, loop) | before(orelse, live, loop))
        case statements.Match(subject, cases):
            ways = [(case.pattern, case.guard, before(case.body, live, loop)) for case in cases]
            return chosen(subject, ways, live)
        case statements.While(test, body, orelse):
            return _before_loop(body, reads(test) | before(orelse, live, loop), NONE, live)
        case statements.For(target, iterable, body, orelse):
            done = target_reads(target) | before(orelse, live, loop)
            return reads(iterable) | _before_loop(body, done, writes(target), live)
        case statements.Try():
            return _before_try(op, live, loop)
        case _:
            raise TypeError(f"not a statement: {op!r}")


def _before_loop(body: tuple[Statement, ...], done: Names, bound: Names, leave: Names) -> Names:
    head = done
    while (found := head | (before(body, head, After(leave, head)) - bound)) != head:
        head = found
    return head


def _before_try(op: statements.Try, live: Names, loop: After) -> Names:
    after = before(op.final, live, loop) | live
    loop = After(loop.leave | before(op.final, loop.leave), loop.again | before(op.final, loop.again))
    caught = every(before(clause.body, after, loop) - {clause.variable or ""} for clause in op.handlers)
    return before(op.body, before(op.orelse, after, loop), loop) | caught | before(op.final, NONE)
