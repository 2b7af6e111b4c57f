"""Await-free expressions and statements: a closed vocabulary that is data.

The names follow Python's own `ast` where the meaning is the same. `build` makes these trees from source and `lower` puts them
into the machine; the engine compiles them to Python functions from this vocabulary only, so a machine that was tampered with
can name neither `__import__` nor an attribute that starts with an underscore. Spans are for diagnostics: they take no part in
equality and are left out of the machine's JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from flowgraph_compiler.spans import NOWHERE, Span

Scalar: TypeAlias = bool | int | float | str | bytes | None


def _span() -> Span:
    return field(default=NOWHERE, compare=False, repr=False)


# --- values and names


@dataclass(frozen=True, slots=True)
class Const:
    """A literal. In JSON, bytes and numbers that JSON lacks are written with the tags of `flowgraph.codec`."""

    value: Scalar
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class EllipsisConst:
    """`...`."""

    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Local:
    """A variable of the frame; the compiler's own temporaries have names that start with `$`."""

    name: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Bound:
    """A variable of an enclosing comprehension or lambda."""

    name: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Captured:
    """A module global that was read, captured by value into `Machine.constants` under this key."""

    name: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class ClassRef:
    """A class as a value or callee: a registered one by its bare name, or one of `PURE_TYPES` (`"int"`, `"Decimal"`)."""

    name: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class NamedConstant:
    """A value of `vocabulary.PURE_CONSTANTS` by its listed name."""

    name: str
    span: Span = _span()


# --- operators


@dataclass(frozen=True, slots=True)
class Attribute:
    """`value.name`; never a private one."""

    value: Expr
    name: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Subscript:
    """`value[index]`."""

    value: Expr
    index: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Slice:
    """`lower:upper:step` as an index."""

    lower: Expr | None
    upper: Expr | None
    step: Expr | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Unary:
    """`op` is one of `- + ~ not`."""

    op: str
    operand: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Binary:
    """`op` is one of `+ - * / // % ** << >> & | ^ @`."""

    op: str
    left: Expr
    right: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Logical:
    """`op` is `and` or `or`; evaluated lazily, yields an operand as Python does."""

    op: str
    operands: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Compare:
    """A chain; each op is one of `== != < <= > >= in`, `not in`, `is`, `is not`."""

    left: Expr
    ops: tuple[str, ...]
    operands: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Conditional:
    """`body if test else orelse`."""

    test: Expr
    body: Expr
    orelse: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Assigned:
    """`name := value`; the name is a variable of the frame, also from inside a comprehension."""

    name: str
    value: Expr
    span: Span = _span()


# --- displays


@dataclass(frozen=True, slots=True)
class Starred:
    """`*value` in a display or call."""

    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b, *c]`."""

    items: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class TupleOf:
    """`(a, b, *c)`."""

    items: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class SetOf:
    """`{a, b, *c}`."""

    items: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class DictOf:
    """A key of None stands for `**value`."""

    keys: tuple[Expr | None, ...]
    values: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Formatted:
    """One `{value!conversion:spec}` of an f-string; `conversion` is "", "s", "r" or "a"."""

    value: Expr
    conversion: str
    spec: Expr | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Joined:
    """An f-string: `Const` texts and `Formatted` values."""

    parts: tuple[Expr, ...]
    span: Span = _span()


# --- scopes of their own


@dataclass(frozen=True, slots=True)
class Clause:
    """`for target in iterable if conditions`; names in the target are `Bound` in what follows."""

    target: Target
    iterable: Expr
    conditions: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Comprehension:
    """`kind` is `list`, `set`, `dict` or `generator` (only as an argument of a consuming call); `value` is given for `dict`."""

    kind: str
    element: Expr
    value: Expr | None
    clauses: tuple[Clause, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Lambda:
    """Only as an argument of a consuming call such as `sorted(xs, key=...)`; parameters are `Bound` in the body."""

    parameters: tuple[str, ...]
    body: Expr
    span: Span = _span()


# --- calls


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword argument; a name of None stands for `**value`."""

    name: str | None
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a pure function by its listed name (`flowgraph_compiler.vocabulary.PURE_FUNCTIONS`: `"len"`, `"math.floor"`)."""

    function: str
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class New:
    """A constructor call: a model, dataclass, enum, named tuple, exception (registered by bare name) or a listed pure type."""

    cls: str
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Method:
    """A listed method of a value (`vocabulary.PURE_METHODS` and, on local containers, `MUTATING_METHODS`), or a listed class
    method when `value` is a `ClassRef` (`datetime.fromisoformat`, `dict.fromkeys`)."""

    value: Expr
    name: str
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class PureCall:
    """A call of a `@pure` function, which is copied into the machine: an index into `Machine.functions`... by name."""

    function: str
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...] = ()
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A value that the run records: `what` is `now`, `uuid` or `run_info`."""

    what: str
    span: Span = _span()


# --- made by the compiler only


@dataclass(frozen=True, slots=True)
class Matches:
    """Whether the exception in a variable matches a handler: by the names in its MRO, so a class that is gone still matches."""

    variable: str
    names: tuple[str, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Cursor:
    """A storable iterator over the value, with CPython's semantics (a list is read by live index, a dict checks its size).

    `kind` is `iter`, `items`, `keys`, `values`, `enumerate`, `zip` or `reversed`; the arguments are the operands, each of which
    may be a `Cursor` again (`enumerate(zip(a, b))`)."""

    kind: str
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...] = ()
    span: Span = _span()


Expr: TypeAlias = (
    Const
    | EllipsisConst
    | Local
    | Bound
    | Captured
    | ClassRef
    | NamedConstant
    | Attribute
    | Subscript
    | Slice
    | Unary
    | Binary
    | Logical
    | Compare
    | Conditional
    | Assigned
    | Starred
    | ListOf
    | TupleOf
    | SetOf
    | DictOf
    | Formatted
    | Joined
    | Comprehension
    | Lambda
    | Call
    | New
    | Method
    | PureCall
    | Recorded
    | Matches
    | Cursor
)
Target: TypeAlias = Local | Bound | Attribute | Subscript | Starred | TupleOf | ListOf
