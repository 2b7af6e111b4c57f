"""Whether a class may be made inside a workflow: its constructor must not run the user's code, which the machine cannot pin."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from flowgraph_compiler.vocabulary import PURE_TYPES

_LIBRARIES = ("pydantic", "pydantic_core", "flowgraph", "builtins", "enum", "typing", "_typing", "abc", "collections")
_FACTORIES: tuple[Any, ...] = tuple(PURE_TYPES.values())
_SLOTS = ("field_validators", "validators", "root_validators", "model_validators")


def user_code(cls: type[Any]) -> str | None:
    """What of the user's own a constructor call would run, in words, or None."""
    return next(_user_code(cls, set()), None)


def _user_code(cls: type[Any], seen: set[type[Any]]) -> Iterator[str]:
    seen.add(cls)
    if issubclass(cls, BaseModel):
        yield from _of_model(cls, seen)
    elif issubclass(cls, Enum):
        if _is_users(cls, "_missing_"):
            yield f"'{cls.__name__}._missing_'"
    elif dataclasses.is_dataclass(cls):
        yield from _of_dataclass(cls)
    elif issubclass(cls, BaseException):
        yield from (f"'{cls.__name__}.{name}'" for name in ("__init__", "__new__") if _is_users(cls, name))
    elif _is_users(cls, "__init__"):
        yield f"'{cls.__name__}.__init__'"


def _of_model(cls: type[BaseModel], seen: set[type]) -> Iterator[str]:
    for name in ("__init__", "__new__", "model_post_init"):
        if _is_users(cls, name):
            yield f"'{cls.__name__}.{name}'"
    decorators = cls.__pydantic_decorators__
    yield from (f"validator '{cls.__name__}.{name}'" for slot in _SLOTS for name in getattr(decorators, slot))
    for name, field in cls.model_fields.items():
        yield from _of_field(f"{cls.__name__}.{name}", field)
        for inner in _models_in(field.annotation):
            if inner not in seen:
                yield from _user_code(inner, seen)
    for name, private in cls.__private_attributes__.items():
        if private.default_factory not in (None, PydanticUndefined, *_FACTORIES):
            yield f"the default factory of '{cls.__name__}.{name}'"


def _of_field(name: str, field: FieldInfo) -> Iterator[str]:
    if field.default_factory is not None and field.default_factory not in _FACTORIES:
        yield f"the default factory of '{name}'"
    if any("Validator" in type(extra).__name__ for extra in field.metadata):
        yield f"the validator of '{name}'"


def _of_dataclass(cls: type) -> Iterator[str]:
    if "__post_init__" in _names(cls):
        yield f"'{cls.__name__}.__post_init__'"
    init = getattr(cls, "__init__", None)
    code = getattr(init, "__code__", None)
    if code is not None and code.co_filename != "<string>":
        yield f"'{cls.__name__}.__init__'"
    for field in dataclasses.fields(cls):
        if field.default_factory is not dataclasses.MISSING and field.default_factory not in _FACTORIES:
            yield f"the default factory of '{cls.__name__}.{field.name}'"


def _names(cls: type) -> set[str]:
    return {name for base in cls.__mro__ for name in vars(base)}


def _is_users(cls: type, name: str) -> bool:
    """Whether a special method is Python code of the user's."""
    for base in cls.__mro__:
        if name in vars(base):
            member = vars(base)[name]
            function = getattr(member, "__func__", member)
            home = str(getattr(function, "__module__", None) or "builtins").partition(".")[0]
            generated = getattr(getattr(function, "__code__", None), "co_filename", "").startswith("<")
            return hasattr(function, "__code__") and home not in _LIBRARIES and not generated
    return False


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
