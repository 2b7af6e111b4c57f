"""The iterable of a `for` that becomes blocks, as a cursor that can be stored.

::

    for i, x in enumerate(xs): await f(x)   ->   $it1 = Cursor("enumerate", (Cursor("iter", (xs,)),)); Advance($it1, (i, x))
"""

from __future__ import annotations

from flowgraph_compiler.expressions import Call, Comprehension, Cursor, Expr, Method, New
from flowgraph_compiler.lower.errors import NotLowerable

_VIEWS = frozenset({"items", "keys", "values"})


def cursor(iterable: Expr) -> Cursor:
    """A cursor with the meaning of `iter(iterable)`. Raises `NotLowerable` for iterators that cannot be stored."""
    match iterable:
        case Call("enumerate", (first, *rest), keywords):
            return Cursor("enumerate", (cursor(first), *rest), keywords, iterable.span)
        case Call("enumerate", (), keywords) if keywords and keywords[0].name == "iterable":
            return Cursor("enumerate", (cursor(keywords[0].value),), keywords[1:], iterable.span)
        case Call("zip", arguments, keywords):
            return Cursor("zip", tuple(cursor(argument) for argument in arguments), keywords, iterable.span)
        case Call("reversed", (operand,)):
            return Cursor("reversed", (_sequence(operand),), (), iterable.span)
        case Method(value, name, ()) if name in _VIEWS:
            return Cursor(name, (value,), (), iterable.span)
        case Call("map" | "filter" as name):
            raise NotLowerable(iterable.span, f"'{name}' drives a loop that awaits or returns", _LIST)
        case Comprehension("generator"):
            raise NotLowerable(iterable.span, "a generator drives a loop that awaits or returns", _LIST)
        case _:
            return Cursor("iter", (iterable,), (), iterable.span)


_LIST = "for x in [... for ... in ...]: a list can be stored, an iterator cannot"


def _sequence(operand: Expr) -> Expr:
    """What `reversed` reads by index; the view of a dict has no index, so its list stands in."""
    if isinstance(operand, Method) and operand.name in _VIEWS:
        return New("list", (operand,), (), operand.span)
    return operand
