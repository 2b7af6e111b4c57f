"""Values to a self-describing JSON tree.

Scalars, lists and dicts with ordinary text keys stand for themselves; everything else is an object whose first key is a tag
(`$tuple`, `$model`, ...). A mutable object that is reachable twice is written once, as `{"$id": n, "v": ...}`, and referred to
by `{"$ref": n}`, cycles included, so that aliases survive.
"""

from __future__ import annotations

import base64
import dataclasses
import inspect
import json
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from functools import cached_property
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import TzInfo

from flowgraph.errors import CodecError, error_names
from flowgraph.events import Event, meta_of
from flowgraph.exception_parts import ErrorParts, parts_of, text_of
from flowgraph.type_arguments import arguments_tree, origin_of
from flowgraph.zones import beside_text, zone_tree

T = TypeVar("T")
Handler = Callable[["Encoder", Any, int], Any]

MAX_DEPTH = 200
"""How many containers may be nested in one value; a chain of calls, not a size."""

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


class Encoder:
    """Encodes the values of one document; an object that several of them share is written once.

    Call `encode` for each value, then `finish` once on what holds all the trees. `classes` collects the classes met, by bare
    name.
    """

    def __init__(self) -> None:
        self.classes: dict[str, type] = {}
        self._memo: dict[int, tuple[object, Any]] = {}
        self._shared: dict[int, int] = {}

    def encode(self, value: object, *, by: str = "value") -> Any:
        """Return `value` as a tree.

        Raises `CodecError` with the path, starting at the name `by`, of the part that cannot be stored.
        """
        try:
            return self.visit(value, 0)
        except CodecError as error:
            raise error.under(by) from None
        except RecursionError:
            raise CodecError(f"nested deeper than {MAX_DEPTH} containers", by) from None

    def finish(self, document: Any) -> Any:
        """Mark in `document`, in place, the objects that are referred to; returns the document. Free when there are none."""
        if not self._shared:
            return document
        holder = [document]
        pending: list[Any] = [holder]
        while pending:
            node = pending.pop()
            slots: Iterable[Any] = range(len(node)) if type(node) is list else list(node)  # pyright: ignore[reportUnknownArgumentType]
            for slot in slots:
                child: Any = node[slot]  # pyright: ignore[reportUnknownVariableType]
                kind: type[Any] = type(child)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                if kind is list or kind is dict:
                    pending.append(child)
                    number = self._shared.get(id(child))  # pyright: ignore[reportUnknownArgumentType]
                    if number is not None:
                        node[slot] = {"$id": number, "v": child}
        return holder[0]

    def visit(self, value: Any, depth: int) -> Any:
        """Encode one value nested `depth` deep (for the handlers of this package)."""
        kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind is str:
            return value if value.isascii() else _text(value)
        if kind is int:
            return value if _SMALLEST <= value <= _LARGEST else _big_int(value)
        if value is None or kind is bool:
            return value
        handler = _HANDLERS.get(kind) or _handler_for(kind)
        return handler(self, value, depth + 1)

    def visit_all(self, values: Iterable[Any], out: list[Any], depth: int) -> None:
        """Encode `values` into `out`."""
        try:
            for value in values:
                out.append(self.visit(value, depth))  # noqa: PERF401  # the length of `out` is the index an error names
        except CodecError as error:
            raise error.under(f"[{len(out)}]") from None

    def visit_fields(self, values: Mapping[str, Any], names: Iterable[str], depth: int) -> dict[str, Any]:
        """Encode those of `values` that `names` lists."""
        out: dict[str, Any] = {}
        name = ""
        try:
            for name in names:
                if name in values:
                    out[name] = self.visit(values[name], depth)
        except CodecError as error:
            raise error.under(f".{name}") from None
        return out

    def reference(self, value: object) -> dict[str, int] | None:
        """Return a reference to `value` when it has been written before."""
        found = self._memo.get(id(value))
        if found is None:
            return None
        return {"$ref": self._shared.setdefault(id(found[1]), len(self._shared) + 1)}

    def remember(self, value: object, out: Any) -> None:
        """Note that `out` stands for the mutable object `value`; before its parts are visited, so that cycles end."""
        self._memo[id(value)] = (value, out)

    def class_name(self, cls: type) -> str:
        """Return the persisted name of `cls`. Raises `CodecError` when another class in this document has it."""
        if not self.takes_name(cls):
            raise CodecError(f"two classes are called '{cls.__name__}': stored values name their class, so rename one of them")
        return cls.__name__

    def takes_name(self, cls: type) -> bool:
        """Note that `cls` is met; False when another class in this document has its name."""
        return self.classes.setdefault(cls.__name__, cls) is cls

    def attempt(self, value: object, depth: int) -> tuple[bool, Any]:
        """Encode `value` if it can be stored: (True, tree) or (False, None), then with nothing left behind."""
        written, shared = len(self._memo), len(self._shared)
        try:
            return True, self.visit(value, depth)
        except (CodecError, RecursionError):
            _cut(self._memo, written)
            _cut(self._shared, shared)
            return False, None

    def attempt_alone(self, values: Iterable[object], depth: int) -> tuple[bool, list[Any]]:
        """Encode `values` if they can be stored and hold nothing that is referred to: (True, trees) or (False, []), then with
        nothing left behind."""
        written, shared = len(self._memo), len(self._shared)
        try:
            trees = [self.visit(value, depth) for value in values]
        except (CodecError, RecursionError):
            trees = None
        if trees is not None and (len(self._memo), len(self._shared)) == (written, shared):
            return True, trees
        _cut(self._memo, written)
        _cut(self._shared, shared)
        return False, []


def _cut(entries: dict[int, Any], length: int) -> None:
    while len(entries) > length:
        entries.popitem()


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise CodecError("text with a lone surrogate cannot be stored: decode the bytes with errors='replace' first") from None
    return value


def _big_int(value: int) -> dict[str, str]:
    try:
        return {"$int": str(value)}
    except ValueError:
        raise CodecError(f"an integer of {value.bit_length():,} bits is too large to be stored") from None


def _float(_: Encoder, value: float, __: int) -> Any:
    if math.isfinite(value):
        return value
    return {"$float": "nan" if value != value else "inf" if value > 0 else "-inf"}  # noqa: PLR0124  # NaN is the only value unequal to itself


def _nested(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CodecError(f"nested deeper than {MAX_DEPTH} containers")


def _list(encoder: Encoder, value: list[Any], depth: int) -> Any:
    _nested(depth)
    again = encoder.reference(value)
    if again is not None:
        return again
    out: list[Any] = []
    encoder.remember(value, out)
    encoder.visit_all(value, out, depth)
    return out


def _dict(encoder: Encoder, value: dict[Any, Any], depth: int) -> Any:
    _nested(depth)
    again = encoder.reference(value)
    if again is not None:
        return again
    out: dict[str, Any] = {}
    encoder.remember(value, out)
    if all(type(key) is str and key[:1] != "$" for key in value):
        _object(encoder, value, out, depth)
    else:
        out["$dict"] = _pairs(encoder, value, depth)
    return out


def _object(encoder: Encoder, value: dict[str, Any], out: dict[str, Any], depth: int) -> None:
    key = ""
    try:
        for key, item in value.items():
            out[key if key.isascii() else _text(key)] = encoder.visit(item, depth)
    except CodecError as error:
        raise error.under(f".{key}" if key.isidentifier() else f"[{key!a}]") from None


def _pairs(encoder: Encoder, value: dict[Any, Any], depth: int) -> list[list[Any]]:
    out: list[list[Any]] = []
    key: Any = None
    try:
        for key, item in value.items():
            out.append([encoder.visit(key, depth), encoder.visit(item, depth)])
    except CodecError as error:
        raise error.under(f"[{key!a}]") from None
    return out


def _tuple(encoder: Encoder, value: tuple[Any, ...], depth: int) -> Any:
    _nested(depth)
    out: list[Any] = []
    encoder.visit_all(value, out, depth)
    return {"$tuple": out}


def _named(encoder: Encoder, value: tuple[Any, ...], depth: int) -> Any:
    _nested(depth)
    out: list[Any] = []
    encoder.visit_all(value, out, depth)
    return {"$named": encoder.class_name(type(value)), "v": out}


def _set(encoder: Encoder, value: set[Any], depth: int) -> Any:
    _nested(depth)
    again = encoder.reference(value)
    if again is not None:
        return again
    out: dict[str, Any] = {"$set": []}
    encoder.remember(value, out)
    out["$set"] = _members(encoder, value, depth)
    return out


def _frozenset(encoder: Encoder, value: frozenset[Any], depth: int) -> Any:
    _nested(depth)
    return {"$frozenset": _members(encoder, value, depth)}


def _members(encoder: Encoder, values: Iterable[Any], depth: int) -> list[Any]:
    """Encode the members of a set in the order of their texts: hash order differs from process to process, stored texts may not.

    Members that share mutable objects are put in order first, because the first one met is the one that holds the object."""
    alone, trees = encoder.attempt_alone(values, depth)
    if alone:
        return sorted(trees, key=json.dumps)
    out: list[Any] = []
    encoder.visit_all(sorted(values, key=lambda value: json.dumps(Encoder().encode(value, by=""))), out, depth)
    return out


def _moment(tag: str) -> Handler:
    def encode(_: Encoder, value: datetime | time, __: int) -> Any:
        zone = beside_text(value.tzinfo)
        out: dict[str, Any] = {tag: value.isoformat(), **zone}
        if value.fold:
            out["fold"] = 1
        return out

    return encode


def _enum(encoder: Encoder, value: Enum, _: int) -> Any:
    name = encoder.class_name(type(value))
    if isinstance(value, Flag) and value.name not in type(value).__members__:
        return {"$enum": [name, None, value.value]}
    return {"$enum": [name, value.name]}


def _model(encoder: Encoder, value: BaseModel, depth: int) -> Any:
    _nested(depth)
    again = encoder.reference(value)
    if again is not None:
        return again
    kind: type[BaseModel] = type(value)
    out = _model_head(encoder, kind)
    if not is_frozen_class(kind):
        encoder.remember(value, out)
    if kind.__private_attributes__:
        raise CodecError(f"model '{kind.__name__}' has private attributes, which are not stored: make them fields")
    out["v"] = encoder.visit_fields(value.__dict__, kind.model_fields, depth)
    if value.__pydantic_fields_set__ != out["v"].keys():
        out["set"] = sorted(value.__pydantic_fields_set__)
    if value.__pydantic_extra__:
        out["extra"] = encoder.visit_fields(value.__pydantic_extra__, value.__pydantic_extra__, depth)
    meta = meta_of(value) if isinstance(value, Event) else None
    if meta is not None:
        out["meta"] = {"id": meta.id, "name": meta.name, "ts": meta.ts.isoformat(), "source": meta.source}
    return out


def _model_head(encoder: Encoder, kind: type[BaseModel]) -> dict[str, Any]:
    """Name the class; `Box[int]` by what it was made of, because the process that reads it may not have made it yet."""
    origin, arguments = origin_of(kind)
    of = arguments_tree(arguments, encoder.class_name) if arguments else None
    if of is None:
        return {"$model": encoder.class_name(kind)}
    return {"$model": encoder.class_name(origin), "of": of}


def _data(encoder: Encoder, value: Any, depth: int) -> Any:
    _nested(depth)
    again = encoder.reference(value)
    if again is not None:
        return again
    kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]
    out: dict[str, Any] = {"$data": encoder.class_name(kind)}
    if not is_frozen_class(kind):
        encoder.remember(value, out)
    names = [field.name for field in dataclasses.fields(kind)]
    undeclared = undeclared_attributes(value, names)
    if undeclared:
        raise CodecError(
            f"dataclass '{kind.__name__}' has the attribute '{undeclared[0]}', which is no field and would be lost: declare it"
        )
    out["v"] = encoder.visit_fields({name: getattr(value, name) for name in names if hasattr(value, name)}, names, depth)
    return out


def _error(encoder: Encoder, value: BaseException, depth: int) -> Any:
    _nested(depth)
    again = encoder.reference(value)
    if again is not None:
        return again
    parts = parts_of(value)
    out: dict[str, Any] = {"$error": parts.name, "mro": list(parts.type_names)}
    if parts.name_taken if parts.cls is None else not encoder.takes_name(parts.cls):
        out["other"] = True
    encoder.remember(value, out)
    out["args"] = [_or_text(encoder, arg, depth) for arg in parts.args]
    _error_extras(encoder, parts, out, depth)
    return out


def _error_extras(encoder: Encoder, parts: ErrorParts, out: dict[str, Any], depth: int) -> None:
    if parts.text is not None:
        out["text"] = parts.text
    attempts = {name: encoder.attempt(value, depth) for name, value in parts.attributes.items()}
    attributes = {name: tree for name, (storable, tree) in attempts.items() if storable}
    if attributes:
        out["attrs"] = attributes
    if parts.cause is not None:
        storable, tree = encoder.attempt(parts.cause, depth)
        out["cause"] = tree if storable else _in_brief(parts.cause)
    if parts.notes:
        out["notes"] = list(parts.notes)
    if parts.traceback:
        out["traceback"] = parts.traceback
    if parts.failure is not None:
        out["flowgraph"] = dataclasses.asdict(parts.failure)


def _or_text(encoder: Encoder, value: Any, depth: int) -> Any:
    """Encode an exception's argument, or its text: an error must be storable whatever it carries."""
    storable, tree = encoder.attempt(value, depth)
    return tree if storable else ascii(value)[:1000]


def _in_brief(error: BaseException) -> dict[str, Any]:
    """Return the form of a cause that cannot be stored as it is (nested too deeply): its names and text."""
    names = error_names(error)
    return {"$error": names[0], "mro": names, "args": [text_of(error)[:1000]]}


def is_frozen_class(cls: type[Any]) -> bool:
    """Say whether instances of a model or dataclass cannot be changed; their identity then does not matter."""
    if issubclass(cls, BaseModel):
        return bool(cls.model_config.get("frozen"))
    parameters: Any = getattr(cls, "__dataclass_params__", None)
    return parameters is not None and bool(parameters.frozen)


def undeclared_attributes(value: Any, fields: Iterable[str]) -> list[str]:
    """Return the attributes of a dataclass instance that are no fields and that nothing can make again."""
    own: dict[str, Any] = getattr(value, "__dict__", {})
    extra = own.keys() - set(fields)
    return sorted(name for name in extra if name != "__orig_class__" and not _is_cached(type(value), name))  # pyright: ignore[reportUnknownArgumentType]


def _is_cached(cls: type[Any], name: str) -> bool:
    return isinstance(inspect.getattr_static(cls, name, None), cached_property)


def _refuse(_: Encoder, value: Any, __: int) -> Any:
    raise CodecError(_why_not(value))


def _why_not(value: Any) -> str:
    name = type(value).__name__
    if isinstance(value, (FunctionType, BuiltinFunctionType, MethodType, type)):
        return f"a {name} cannot be stored: keep data, and call the function where it is needed"
    if isinstance(value, (Iterator, Generator)):
        return f"an iterator ({name}) cannot be stored: write list(...)"
    if isinstance(value, (SecretStr, SecretBytes)):
        return f"a secret ({name}) is never stored: read it inside the step that needs it"
    return f"a value of type {name} cannot be stored: use a pydantic model, a dataclass, or the built-in types"


def _handler_for(kind: type[Any]) -> Handler:
    """Find the handler of a class that is not built in, once per class."""
    handler: Handler = _refuse
    if issubclass(kind, Enum):
        handler = _enum
    elif issubclass(kind, BaseException):
        handler = _error
    elif issubclass(kind, BaseModel):
        handler = _model
    elif issubclass(kind, tuple) and hasattr(kind, "_fields"):  # pyright: ignore[reportUnknownArgumentType]
        handler = _named
    elif dataclasses.is_dataclass(kind) and not issubclass(kind, type):  # pyright: ignore[reportUnknownArgumentType]
        handler = _data
    if handler is not _refuse:
        _HANDLERS[kind] = handler
    return handler


_HANDLERS: dict[type, Handler] = {
    float: _float,
    list: _list,
    dict: _dict,
    tuple: _tuple,
    set: _set,
    frozenset: _frozenset,
    datetime: _moment("$datetime"),
    time: _moment("$time"),
    date: lambda _, value, __: {"$date": value.isoformat()},
    timedelta: lambda _, value, __: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    timezone: lambda _, value, __: zone_tree(value),
    TzInfo: lambda _, value, __: zone_tree(value),
    ZoneInfo: lambda _, value, __: zone_tree(value),
    Decimal: lambda _, value, __: {"$decimal": str(value)},
    UUID: lambda _, value, __: {"$uuid": str(value)},
    bytes: lambda _, value, __: {"$bytes": base64.b64encode(value).decode()},
    range: lambda encoder, value, depth: {"$range": [encoder.visit(n, depth) for n in (value.start, value.stop, value.step)]},
}
