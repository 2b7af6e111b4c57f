"""Whether a value of one type may be given where another is asked: False only where it is certainly an error.

The user's own type checker does the full check; here unknown parts, protocols and context-typed displays are accepted.
"""

from __future__ import annotations

import typing
from typing import Any, get_args, get_origin

from typing_extensions import is_typeddict

from flowgraph_compiler.types import (
    NONE,
    base,
    class_of,
    is_any,
    members,
    normal,
)

_PROMOTIONS = {int: (float, complex), float: (complex,), bool: (int, float, complex)}


def assignable(source: Any, target: Any) -> bool:
    """Whether every member of the source fits some member of the target."""
    wanted = members(target)
    if any(is_any(member) or member is object for member in wanted):
        return True
    return all(any(_fits(member, want) for want in wanted) for member in members(source))


def _fits(source: Any, target: Any) -> bool:
    if is_any(source) or is_any(target) or source == target:
        return True
    if get_origin(target) is typing.Literal:
        return _fits_literal(source, target)
    if isinstance(normal(target), typing.NewType):
        return _fits(base(source), base(target))
    if get_origin(source) is typing.Literal or isinstance(normal(source), typing.NewType):
        return assignable(base(source), target)
    return _fits_class(source, target)


def _fits_literal(source: Any, target: Any) -> bool:
    """A plain `str` may hold one of the literals: only its kind is certain."""
    if get_origin(source) is typing.Literal:
        return set(get_args(source)) <= set(get_args(target))
    cls = class_of(source)
    return cls is None or any(issubclass(type(value), cls) or isinstance(value, cls) for value in get_args(target))


def _fits_class(source: Any, target: Any) -> bool:
    have, want = class_of(source), class_of(target)
    if have is None or want is None or getattr(want, "_is_protocol", False):
        return True
    if is_typeddict(want):
        return have is dict or is_typeddict(have)
    if is_typeddict(have):
        return issubclass(dict, want)
    if want in _PROMOTIONS.get(have, ()):
        return True
    return (want is not NONE or have is NONE) and _subclass(have, want) and _fits_arguments(source, target)


def _subclass(have: type, want: type) -> bool:
    try:
        return issubclass(have, want)
    except TypeError:  # a class that refuses the question cannot be judged
        return True


def _fits_arguments(source: Any, target: Any) -> bool:
    """Arguments of generic containers, read as covariant: a display takes its context's type, so `[1]` fits `list[float]`."""
    given, asked = get_args(source), get_args(target)
    if not given or not asked:
        return True
    if class_of(source) is tuple and class_of(target) is tuple:
        return _fits_tuple(given, asked)
    if len(given) != len(asked) or Ellipsis in given or Ellipsis in asked:
        return True
    return all(assignable(one, other) for one, other in zip(given, asked, strict=True) if not isinstance(one, list))


def _fits_tuple(given: tuple[Any, ...], asked: tuple[Any, ...]) -> bool:
    if asked[-1] is Ellipsis:
        return all(assignable(one, asked[0]) for one in given if one is not Ellipsis)
    if given[-1] is Ellipsis:
        return assignable(given[0], asked[0])
    return len(given) == len(asked) and all(assignable(one, other) for one, other in zip(given, asked, strict=True))
