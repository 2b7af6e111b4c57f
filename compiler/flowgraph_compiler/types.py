"""Operations on Python's own typing objects (`int`, `list[Payment]`, `Payment | None`), which are the compiler's types.

`UNKNOWN` stands for what the inference does not know; every operation is silent about it. `NEVER` is the empty union.
Types are compared after `normal`, which strips what does not change the set of values (`Annotated`, `Final`, aliases).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable
from datetime import date, datetime
from enum import Enum, Flag
from functools import lru_cache, reduce
from typing import Any, TypeVar, cast, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, EmailStr, FutureDate, FutureDatetime, NaiveDatetime, PastDate, PastDatetime
from typing_extensions import is_typeddict  # knows those of `typing_extensions`, too, which pydantic wants before Python 3.12


class Unknown:
    """The class behind `UNKNOWN`: a class, so that `list[UNKNOWN]` and unions with it can be written."""


UNKNOWN: Any = Unknown
NONE: Any = type(None)
NEVER: Any = typing.Never

_MARKERS: dict[Any, Any] = {
    **dict.fromkeys((AwareDatetime, NaiveDatetime, PastDatetime, FutureDatetime), datetime),
    **dict.fromkeys((PastDate, FutureDate), date),
    EmailStr: str,
}
"""Classes of pydantic that only stand in annotations, with the type of the values that such a field holds."""

_WRAPPERS = (typing.Annotated, typing.Final, typing.ClassVar, typing.Required, typing.NotRequired)


def normal(tp: Any) -> Any:
    """The type without `Annotated`, `Final`, type aliases and the like; `None` becomes `NONE`, a type variable its bound."""
    if isinstance(tp, type):
        return _MARKERS.get(tp, tp)
    if tp is None:
        return NONE
    if isinstance(tp, typing.ForwardRef | str):
        return UNKNOWN
    if isinstance(tp, TypeVar):
        return UNKNOWN if tp.__bound__ is None else normal(tp.__bound__)
    if type(tp).__name__ == "TypeAliasType":
        return normal(tp.__value__)
    if get_origin(tp) in _WRAPPERS:
        return normal(get_args(tp)[0])
    return tp


def base(tp: Any) -> Any:
    """`normal`, then a `NewType` becomes what it wraps and a `Literal` the union of its values' types."""
    if isinstance(tp, type):
        return _MARKERS.get(tp, tp)
    tp = normal(tp)
    if isinstance(tp, typing.NewType):
        return base(tp.__supertype__)
    if get_origin(tp) is typing.Literal:
        return union(kind(value) for value in get_args(tp))
    return tp


def kind(value: object) -> Any:
    """The class of a value, as a type."""
    return type(value)


def items_of(value: object) -> list[Any]:
    """The items of a tuple, list or frozenset; anything else is its only item."""
    if not isinstance(value, tuple | list | frozenset):
        return [value]
    return list(cast("Iterable[Any]", value))


def is_union(tp: Any) -> bool:
    """Whether the type is a union of several."""
    return get_origin(tp) in (typing.Union, types.UnionType)


def members(tp: Any) -> tuple[Any, ...]:
    """The members of a union, flattened; a type that is none is its only member; `NEVER` has none."""
    if isinstance(tp, type):
        return (_MARKERS.get(tp, tp),)
    tp = normal(tp)
    if tp in (NEVER, typing.NoReturn):
        return ()
    if is_union(tp):
        return tuple(inner for arg in get_args(tp) for inner in members(arg))
    return (tp,)


def union(parts: Iterable[Any]) -> Any:
    """The union of types without the members that another one covers; literals are one member, all those of an enum or of `bool`
    the class."""
    flat = list(dict.fromkeys(member for part in parts for member in members(part)))
    if len(flat) == 1:
        return flat[0]
    return _union_of_classes(tuple(flat)) if all(isinstance(tp, type) for tp in flat) else _united(_contracted(flat))


@lru_cache(maxsize=4096)
def _union_of_classes(flat: tuple[type, ...]) -> Any:
    return _united(list(flat))


def _united(flat: list[Any]) -> Any:
    kept = [tp for i, tp in enumerate(flat) if not any(covers(other, tp) for j, other in enumerate(flat) if j != i)]
    return reduce(lambda left, right: typing.Union[left, right], kept) if kept else NEVER  # noqa: UP007  (works on classes of any metaclass)


def _contracted(flat: list[Any]) -> list[Any]:
    literals = [tp for tp in flat if get_origin(tp) is typing.Literal]
    if not literals:
        return flat
    plain = [tp for tp in flat if tp not in literals]
    values = [value for tp in literals for value in get_args(tp) if not any(covers(one, typing.Literal[value]) for one in plain)]
    if not values:
        return plain
    merged: Any = typing.Literal[tuple(values)]
    complete = [cls for cls in dict.fromkeys(map(kind, get_args(merged))) if _is_complete(cls, get_args(merged))]
    left = tuple(value for value in get_args(merged) if type(value) not in complete)
    whole = [*complete, *([typing.Literal[left]] if left else [])]
    at = flat.index(literals[0])
    return [*flat[:at], *whole, *(tp for tp in flat[at:] if tp not in literals)]


def _is_complete(cls: Any, values: tuple[Any, ...]) -> bool:
    every: Iterable[Any] = (True, False) if cls is bool else cls if is_enum(cls) and not issubclass(cls, Flag) else ()
    return bool(tuple(every)) and all(any(one is value for value in values) for one in every)


def joined_items(parts: Iterable[Any]) -> Any:
    """The type of the items of a display: a union, in which `float` stands for `int`, too."""
    joined = union(parts)
    return without(joined, lambda tp: tp in (int, bool)) if float in members(joined) else joined


def covers(wide: Any, narrow: Any) -> bool:
    """Whether every value of `narrow` is one of `wide`, by class and literal only (members that a union may leave out)."""
    if wide == narrow:
        return True
    if get_origin(narrow) is typing.Literal:
        return isinstance(wide, type) and all(isinstance(value, wide) for value in get_args(narrow))
    if isinstance(wide, type) and isinstance(narrow, type) and UNKNOWN not in (wide, narrow):
        return wide is not object and not typing.is_typeddict(wide) and issubclass(narrow, wide)
    same = get_origin(wide) is not None and get_origin(wide) is get_origin(narrow)
    return same and partial(narrow) and len(get_args(wide)) == len(get_args(narrow))


def partial(tp: Any) -> bool:
    """Whether some part of the type is unknown (`list[UNKNOWN]`, the type of `[]`)."""
    tp = normal(tp)
    if get_origin(tp) is typing.Literal:
        return False
    return tp is UNKNOWN or any(partial(arg) for arg in get_args(tp) if arg is not Ellipsis and not isinstance(arg, list))


def without(tp: Any, unwanted: Callable[[Any], bool]) -> Any:
    """The type without the members that the predicate rejects."""
    return union(member for member in members(tp) if not unwanted(member))


def without_none(tp: Any) -> Any:
    """`T | None` -> `T`."""
    return without(tp, lambda member: member is NONE)


def has_none(tp: Any) -> bool:
    """Whether None is certainly among the values."""
    return NONE in members(tp)


def class_of(tp: Any) -> type | None:
    """The class of a type's values: `list` for `list[int]`; None where there is no single class."""
    tp = base(tp)
    if isinstance(tp, type):
        return None if tp is Unknown else tp
    origin = get_origin(tp)
    found = origin if origin is not None else tp
    return found if isinstance(found, type) and found is not Unknown else None


def generic(origin: Any, *arguments: Any) -> Any:
    """`generic(dict, str, int)` is `dict[str, int]`, for arguments that are computed."""
    return origin[arguments[0] if len(arguments) == 1 and origin is not tuple else arguments]


def is_any(tp: Any) -> bool:
    """Whether the type says nothing: `Any` or unknown."""
    return normal(tp) in (Any, UNKNOWN)


def is_model(tp: Any) -> bool:
    """A pydantic model class."""
    return isinstance(tp, type) and issubclass(tp, BaseModel)


def is_namedtuple(tp: Any) -> bool:
    """A named tuple class."""
    return isinstance(tp, type) and _is_tuple(tp) and hasattr(tp, "_fields")


def _is_tuple(cls: type) -> bool:
    return issubclass(cls, tuple)


def is_enum(tp: Any) -> bool:
    """An enum class."""
    return isinstance(tp, type) and issubclass(tp, Enum)


def fields(tp: Any) -> dict[str, Any] | None:
    """The stored fields of a class of the user's with their types; None for a class that has no declared fields."""
    cls = class_of(tp)
    if cls is None:
        return None
    if is_model(cls):
        return {name: field.annotation for name, field in cls.model_fields.items()}  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(cls):
        known, own = declared(tp), dataclasses.fields(cast("Any", cls))
        return {field.name: known.get(field.name, UNKNOWN) for field in own}
    if is_namedtuple(cls):
        known = declared(tp)
        return {name: known.get(name, UNKNOWN) for name in cls._fields}  # type: ignore[attr-defined]
    return declared(tp) if is_typeddict(cast("Any", cls)) else None


def declared(tp: Any) -> dict[str, Any]:
    """The annotations of a class and its bases, those of `Box[int]` with the type variables of `Box` replaced."""
    cls = class_of(tp)
    if cls is None:
        return {}
    variables: tuple[Any, ...] = getattr(cls, "__parameters__", ())
    given: dict[Any, Any] = dict(zip(variables, get_args(normal(tp)), strict=False))
    found: dict[str, Any] = {}
    for parent in reversed(vars(cls).get("__orig_bases__", cls.__bases__)):
        if get_origin(parent) is not typing.Generic:
            found |= declared(substituted(parent, given))
    known = hints(cls)
    return found | {name: substituted(known[name], given) for name in vars(cls).get("__annotations__", ()) if name in known}


def substituted(tp: Any, given: dict[Any, Any]) -> Any:
    """A type with its type variables replaced."""
    if isinstance(tp, TypeVar):
        return given.get(tp, tp)
    variables = getattr(tp, "__parameters__", ()) if get_origin(tp) is not None else ()
    return tp[tuple(given.get(one, one) for one in variables)] if variables else tp


def hints(cls: Any) -> dict[str, Any]:
    """`get_type_hints`, empty where an annotation does not resolve (FG160 reports it where it matters)."""
    try:
        return typing.get_type_hints(cls)
    except Exception:  # annotations are user code: they may raise anything
        return {}


def element(tp: Any) -> Any:
    """The type of the items that iterating over a value gives."""
    parts = [_element(member) for member in members(tp)]
    return union(parts) if parts else UNKNOWN


_ELEMENTS: dict[type, Any] = {str: str, bytes: int, range: int}


def _element(tp: Any) -> Any:
    cls, args = class_of(tp), [arg for arg in get_args(tp) if arg is not Ellipsis]
    if cls is None:
        return UNKNOWN
    if is_namedtuple(cls):
        return union(hints(cls).values())
    if _is_tuple(cls):
        return union(args) if args else UNKNOWN
    if get_origin(tp) is not None:
        return args[0] if args else UNKNOWN
    return _ELEMENTS.get(cls, UNKNOWN)


def mapping_of(tp: Any) -> tuple[Any, Any] | None:
    """Key and value type of a dict type."""
    args = get_args(tp)
    return (args[0], args[1]) if class_of(tp) is dict and len(args) == 2 else None


def type_of_value(value: object) -> Any:
    """The type of a captured constant: what a checker infers for the literal."""
    if isinstance(value, type):
        return generic(type, value)
    cls: Any = kind(value)
    if _is_tuple(cls) and not is_namedtuple(cls):
        return generic(tuple, *(type_of_value(item) for item in items_of(value)))
    if issubclass(cls, frozenset):
        return generic(frozenset, union(type_of_value(item) for item in items_of(value)) if value else UNKNOWN)
    return cls


def show(tp: Any) -> str:
    """The type as an author writes it: `Payment | None`, `dict[str, int]`."""
    tp = normal(tp)
    if tp in (NONE, NEVER, UNKNOWN):
        return {NONE: "None", NEVER: "Never", UNKNOWN: "unknown"}[tp]
    if is_union(tp):
        return _shown_union(members(tp))
    origin, args = get_origin(tp), get_args(tp)
    if origin is typing.Literal:
        return f"Literal[{', '.join(_literal(value) for value in args)}]"
    if origin is not None:
        shown = ", ".join(_argument(arg) for arg in args)
        return f"{getattr(origin, '__name__', str(origin))}[{shown or '()'}]"
    return getattr(tp, "__name__", None) or str(tp)


def _shown_union(parts: tuple[Any, ...]) -> str:
    """All literals together, where the first of them stands; None last."""
    literals = [part for part in parts if get_origin(part) is typing.Literal]
    values = [value for part in literals for value in get_args(part)]
    rest = [part for part in parts if part not in literals[1:] and part is not NONE]
    shown = [f"Literal[{', '.join(map(_literal, values))}]" if part in literals else show(part) for part in rest]
    return " | ".join(shown + ["None"] * (NONE in parts))


def _argument(arg: Any) -> str:
    """`...`, the parameters of a `Callable`, or a type."""
    if kind(arg) is list:
        return f"[{', '.join(show(part) for part in items_of(arg))}]"
    return "..." if arg is Ellipsis else show(arg)


def _literal(value: object) -> str:
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)
