"""JSON trees back to values: types by bare name, no validation, no constructor or validator of the author's is run."""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
from collections.abc import Callable, Container
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from flowgraph.errors import TRACEBACK_ATTRIBUTE, CodecError, FailureInfo, ForeignError
from flowgraph.events import Event, EventMeta, attach_meta
from flowgraph.exception_parts import build_shell, default_text, fill
from flowgraph.registry import TypeRegistry
from flowgraph.type_arguments import arguments_of, is_generic
from flowgraph.zones import offset_zone, with_zone

Tree = Any
Reader = Callable[["Decoder", dict[str, Any], int | None], Any]

_SAFE_FACTORIES: tuple[Any, ...] = (list, dict, set, tuple, frozenset)


class Decoder:
    """Decodes the values of one document in the order in which they were encoded; references reach across them."""

    def __init__(self, types: TypeRegistry) -> None:
        self._types = types
        self._known: dict[int, Any] = {}

    def decode(self, tree: Tree) -> Any:
        """Return the value of `tree`.

        Raises `CodecError` for a tree that `encode` did not make, or a class that is not registered.
        """
        try:
            return self.visit(tree, None)
        except CodecError:
            raise
        except RecursionError:
            raise CodecError("a stored value is nested too deeply") from None
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise CodecError(f"not a stored value: {type(error).__name__}: {error}") from error

    def visit(self, tree: Tree, number: int | None) -> Any:
        """Decode one node; `number` is what other nodes refer to it by."""
        kind: type[Any] = type(tree)  # pyright: ignore[reportUnknownVariableType]
        if kind is list:
            return self._list(tree, number)
        if kind is not dict:
            return tree
        tag: str = next(iter(tree), "")
        if tag[:1] != "$":
            return self._dict(tree, number)
        reader = _READERS.get(tag)
        if reader is None:
            raise CodecError(f"unknown tag '{tag}' in a stored value")
        return reader(self, tree, number)

    def name(self, number: int | None, value: Any) -> None:
        """Note what references to `number` mean; before the parts of a mutable value are decoded, so that cycles close."""
        if number is not None:
            self._known[number] = value

    def known(self, number: int) -> Any:
        """Return what `number` refers to."""
        if number not in self._known:
            raise CodecError(f"reference {number} in a stored value comes before its object")
        return self._known[number]

    def class_of(self, name: str, base: type, tag: str) -> Any:
        """Return the registered class `name`, which must be a `base`."""
        cls = self._types.lookup(name)
        if cls is None:
            raise CodecError(
                f"class '{name}' of a stored value is not known: restore it, or give its successor the old name as an alias"
            )
        if not issubclass(cls, base):
            raise CodecError(f"class '{name}' is stored as {tag} but is no {base.__name__} any more")
        return cls

    def error_class(self, name: str) -> type[BaseException] | None:
        """Return the exception class `name`, or None when it is gone."""
        cls = self._types.lookup(name)
        return cls if cls is not None and issubclass(cls, BaseException) else None

    def _list(self, tree: list[Any], number: int | None) -> list[Any]:
        out: list[Any] = []
        self.name(number, out)
        visit = self.visit
        out.extend(visit(item, None) if isinstance(item, (dict, list)) else item for item in tree)
        return out

    def _dict(self, tree: dict[str, Any], number: int | None) -> dict[str, Any]:
        out: dict[str, Any] = {}
        self.name(number, out)
        for key, item in tree.items():
            out[key] = self.visit(item, None)
        return out


def _numbered(decoder: Decoder, tree: dict[str, Any], _: int | None) -> Any:
    value = decoder.visit(tree["v"], tree["$id"])
    decoder.name(tree["$id"], value)
    return value


def _pairs(decoder: Decoder, tree: dict[str, Any], number: int | None) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    decoder.name(number, out)
    for key, item in tree["$dict"]:
        key_value = decoder.visit(key, None)
        out[key_value] = decoder.visit(item, None)
    return out


def _set(decoder: Decoder, tree: dict[str, Any], number: int | None) -> set[Any]:
    out: set[Any] = set()
    decoder.name(number, out)
    out.update(decoder.visit(item, None) for item in tree["$set"])
    return out


def _datetime(_: Decoder, tree: dict[str, Any], __: int | None) -> datetime:
    value: datetime = with_zone(datetime.fromisoformat(tree["$datetime"]), tree)
    return value.replace(fold=1) if "fold" in tree else value


def _time(_: Decoder, tree: dict[str, Any], __: int | None) -> time:
    value: time = with_zone(time.fromisoformat(tree["$time"]), tree)
    return value.replace(fold=1) if "fold" in tree else value


def _enum(decoder: Decoder, tree: dict[str, Any], _: int | None) -> Any:
    name, member, *number = tree["$enum"]
    cls = decoder.class_of(name, Enum, "an enum member")
    if member is None:
        return cls(number[0])
    if member not in cls.__members__:
        raise CodecError(f"enum '{name}' has no member '{member}' any more")
    return cls[member]


def _named(decoder: Decoder, tree: dict[str, Any], _: int | None) -> Any:
    cls = decoder.class_of(tree["$named"], tuple, "a named tuple")
    items = [decoder.visit(item, None) for item in tree["v"]]
    names: tuple[str, ...] = cls._fields
    missing = [name for name in names[len(items) :] if name not in cls._field_defaults]
    if len(items) > len(names) or missing:
        raise CodecError(f"a stored '{cls.__name__}' has {len(items)} items, the class {len(names)}: give new fields defaults")
    items += [copy.deepcopy(cls._field_defaults[name]) for name in names[len(items) :]]
    return tuple.__new__(cls, items)  # pyright: ignore[reportUnknownMemberType]


def _data(decoder: Decoder, tree: dict[str, Any], number: int | None) -> Any:
    cls = decoder.class_of(tree["$data"], object, "a dataclass")
    if not hasattr(cls, "__dataclass_fields__"):
        raise CodecError(f"class '{cls.__name__}' is stored as a dataclass but is none any more")
    value = object.__new__(cls)
    decoder.name(number, value)
    stored = _kept(decoder, tree["v"], {field.name for field in dataclasses.fields(cls)})
    for name, item in stored.items():
        object.__setattr__(value, name, item)
    for field in dataclasses.fields(cls):
        if field.name not in stored:
            _give_default(value, field)
    return value


def _give_default(value: Any, field: dataclasses.Field[Any]) -> None:
    """Give a field that is newer than the stored value its constant default."""
    if field.default_factory in _SAFE_FACTORIES:
        factory: Any = field.default_factory
        object.__setattr__(value, field.name, factory())
    elif field.default is not dataclasses.MISSING:
        object.__setattr__(value, field.name, copy.deepcopy(field.default))


def _kept(decoder: Decoder, tree: dict[str, Any], names: Container[str]) -> dict[str, Any]:
    """Decode stored fields. One that the class has no more is read, too: others may refer to what it holds."""
    kept: dict[str, Any] = {}
    for name, item in tree.items():
        if name in names:
            kept[name] = decoder.visit(item, None)
        else:
            with contextlib.suppress(CodecError):
                decoder.visit(item, None)
    return kept


def _model(decoder: Decoder, tree: dict[str, Any], number: int | None) -> Any:
    cls = decoder.class_of(tree["$model"], BaseModel, "a model")
    if "of" in tree and is_generic(cls):
        cls = cls[arguments_of(tree["of"], lambda name: decoder.class_of(name, object, "a type argument"))]
    value = object.__new__(cls)
    decoder.name(number, value)
    fields: dict[str, Any] = {}
    put = object.__setattr__
    put(value, "__dict__", fields)
    if not issubclass(cls, RootModel):  # that has both on the class
        put(value, "__pydantic_private__", None)
        put(value, "__pydantic_extra__", {} if cls.model_config.get("extra") == "allow" else None)
    fields.update(_kept(decoder, tree["v"], cls.model_fields))
    put(value, "__pydantic_fields_set__", set(tree.get("set", fields)))
    for name, field in cls.model_fields.items():
        if name not in fields:
            _fill_default(fields, name, field)
    if "extra" in tree:
        put(value, "__pydantic_extra__", {name: decoder.visit(item, None) for name, item in tree["extra"].items()})
    if "meta" in tree and isinstance(value, Event):
        attach_meta(value, _meta(tree["meta"]))
    return value


def _fill_default(fields: dict[str, Any], name: str, field: FieldInfo) -> None:
    """Give a field that is newer than the stored value its constant default; other factories are code of the author's."""
    if field.default_factory in _SAFE_FACTORIES:
        fields[name] = field.get_default(call_default_factory=True, validated_data={})
    elif field.default_factory is None and not field.is_required():
        fields[name] = copy.deepcopy(field.default)


def _meta(tree: dict[str, Any]) -> EventMeta:
    return EventMeta(tree["id"], tree["name"], datetime.fromisoformat(tree["ts"]), tree["source"])


def _error(decoder: Decoder, tree: dict[str, Any], number: int | None) -> BaseException:
    cls = None if "other" in tree else decoder.error_class(tree["$error"])
    is_group = cls is not None and issubclass(cls, BaseExceptionGroup)
    args = tuple(decoder.visit(arg, None) for arg in tree["args"]) if is_group else ()
    shell = build_shell(cls, args) if cls is not None else None  # pyright: ignore[reportUnknownArgumentType]
    error = shell if shell is not None else ForeignError(tree["$error"], tuple(tree["mro"]), "")
    decoder.name(number, error)
    if not is_group:
        args = tuple(decoder.visit(arg, None) for arg in tree["args"])
    attributes = {name: decoder.visit(item, None) for name, item in tree.get("attrs", {}).items()}
    if isinstance(error, ForeignError) and shell is None:
        error.original_args = args
        error.name_taken = "other" in tree
        error.text = tree["text"] if "text" in tree else default_text(args)
        vars(error).update(attributes)
    else:
        fill(error, args, attributes)
    return _finish_error(decoder, error, tree)


def _finish_error(decoder: Decoder, error: BaseException, tree: dict[str, Any]) -> BaseException:
    if "cause" in tree:
        object.__setattr__(error, "__cause__", decoder.visit(tree["cause"], None))  # its class may be frozen
    if "notes" in tree:
        vars(error)["__notes__"] = list(tree["notes"])
    if "traceback" in tree:
        vars(error)[TRACEBACK_ATTRIBUTE] = tree["traceback"]
    if "flowgraph" in tree:
        vars(error)["flowgraph"] = FailureInfo(**tree["flowgraph"])
    return error


_READERS: dict[str, Reader] = {
    "$id": _numbered,
    "$ref": lambda decoder, tree, _: decoder.known(tree["$ref"]),
    "$dict": _pairs,
    "$tuple": lambda decoder, tree, _: tuple([decoder.visit(item, None) for item in tree["$tuple"]]),
    "$set": _set,
    "$frozenset": lambda decoder, tree, _: frozenset([decoder.visit(item, None) for item in tree["$frozenset"]]),
    "$datetime": _datetime,
    "$time": _time,
    "$date": lambda _, tree, __: date.fromisoformat(tree["$date"]),
    "$timedelta": lambda _, tree, __: timedelta(*tree["$timedelta"]),
    "$zone": lambda _, tree, __: ZoneInfo(tree["$zone"]),
    "$offset": lambda _, tree, __: offset_zone(tree),
    "$decimal": lambda _, tree, __: Decimal(tree["$decimal"]),
    "$uuid": lambda _, tree, __: UUID(tree["$uuid"]),
    "$bytes": lambda _, tree, __: base64.b64decode(tree["$bytes"], validate=True),
    "$float": lambda _, tree, __: float(tree["$float"]),
    "$int": lambda _, tree, __: int(tree["$int"]),
    "$range": lambda decoder, tree, _: range(*[decoder.visit(n, None) for n in tree["$range"]]),
    "$enum": _enum,
    "$named": _named,
    "$data": _data,
    "$model": _model,
    "$error": _error,
}
