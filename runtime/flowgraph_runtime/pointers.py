"""JSON pointers into what somebody sent, for a part that fits its type and cannot be stored all the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, RootModel

_STEP = re.compile(r"""\.(?P<name>[^\W\d]\w*)|\[(?P<key>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\]]*)\]""")


def pointer(value: object, path: str) -> str:
    """Return the place that the codec's `path` names in `value` as its sender wrote it: fields by their aliases."""
    shown: list[str] = []
    for step in _steps(path):
        name, value = _into(value, step)
        shown += [] if name is None else [f"/{escaped(name)}"]
    return "".join(shown)


def escaped(part: int | str) -> str:
    """Return one part of a pointer (RFC 6901)."""
    return str(part).replace("~", "~0").replace("/", "~1")


def _steps(path: str) -> Iterator[Any]:
    for found in _STEP.finditer(path):
        if found["name"] is not None:
            yield found["name"]
            continue
        try:
            yield ast.literal_eval(found["key"])
        except (ValueError, SyntaxError):  # a key such as `Decimal('1')`: its text is all there is
            yield found["key"]


def _into(value: Any, step: Any) -> tuple[int | str | None, Any]:
    """The sender's name of a part, None for the root of a model that is one, and the part; None where it is not found."""
    if isinstance(value, BaseModel):
        field = type(value).model_fields.get(str(step))
        alias = None if field is None else field.validation_alias or field.alias
        name = None if issubclass(type(value), RootModel) else alias if isinstance(alias, str) else step
        return name, getattr(value, str(step), None)
    try:
        return step, value[step] if issubclass(type(value), dict | list | tuple) else getattr(value, str(step), None)
    except (KeyError, IndexError, TypeError):
        return step, None
