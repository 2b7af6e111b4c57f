"""Await-free statements of a machine's native ops (see `expressions` for the vocabulary's rules).

`build` makes only the simple ones; `lower` makes the compound ones out of graph nodes that contain no suspension, so that
an await-free loop runs as one native op instead of one block per iteration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from flowgraph_compiler.expressions import Expr, Target
from flowgraph_compiler.patterns import Pattern
from flowgraph_compiler.spans import NOWHERE, Span


def _span() -> Span:
    return field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Assign:
    """`targets[0] = targets[1] = ... = value`: the value once, then the targets from left to right."""

    targets: tuple[Target, ...]
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Augment:
    """`target op= value`; `op` as in `Binary`."""

    target: Target
    op: str
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Evaluate:
    """An expression for its effect on local containers, or for an exception that it may raise."""

    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Delete:
    """`del name`; with `missing_ok`, the implicit one at the end of `except E as name`."""

    name: str
    missing_ok: bool = False
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Throw:
    """`raise exception from cause`, in an await-free statement that catches it."""

    exception: Expr
    cause: Expr | None = None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Rethrow:
    """A bare `raise` inside a native `except` clause."""

    span: Span = _span()


@dataclass(frozen=True, slots=True)
class BreakLoop:
    """`break` of a loop that is native itself."""

    span: Span = _span()


@dataclass(frozen=True, slots=True)
class ContinueLoop:
    """`continue` of a loop that is native itself."""

    span: Span = _span()


@dataclass(frozen=True, slots=True)
class If:
    """An await-free `if`."""

    test: Expr
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class MatchCase:
    """One `case` of an await-free `match`."""

    pattern: Pattern
    guard: Expr | None
    body: tuple[Statement, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Match:
    """An await-free `match`."""

    subject: Expr
    cases: tuple[MatchCase, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class While:
    """An await-free `while`, under the operation budget."""

    test: Expr
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class For:
    """An await-free `for`, under the operation budget."""

    target: Target
    iterable: Expr
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Except:
    """One clause: MRO names it matches (`("BaseException",)` for a bare `except`), the variable or None."""

    names: tuple[str, ...]
    variable: str | None
    body: tuple[Statement, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Try:
    """An await-free `try`."""

    body: tuple[Statement, ...]
    handlers: tuple[Except, ...]
    orelse: tuple[Statement, ...]
    final: tuple[Statement, ...]
    span: Span = _span()


Statement: TypeAlias = (
    Assign | Augment | Evaluate | Delete | Throw | Rethrow | BreakLoop | ContinueLoop | If | Match | While | For | Try
)
