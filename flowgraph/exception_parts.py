"""Exceptions taken apart into data and put together again without running a constructor of the author's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

from flowgraph.errors import TRACEBACK_ATTRIBUTE, FailureInfo, ForeignError, error_names

_KEPT_APART = {"__notes__", TRACEBACK_ATTRIBUTE, "flowgraph"}
_OF_FOREIGN = {"type_name", "mro_names", "text", "original_args", "name_taken"}
_NOT_STORED = {"obj", "exceptions", "message", "print_file_and_line"}
"""Slots of built-in exceptions that hold foreign objects (`AttributeError.obj`) or repeat the arguments (groups)."""


@dataclass(frozen=True)
class ErrorParts:
    """An exception as data; `cls` is None when the original's class is not known here (`name_taken`: because another one has its
    name).

    `text` is None when it is what Python makes of the arguments: written again it could differ (the order of a set is by hash).
    """

    cls: type[BaseException] | None
    name_taken: bool
    name: str
    type_names: tuple[str, ...]
    args: tuple[Any, ...]
    text: str | None
    attributes: Mapping[str, Any]
    cause: BaseException | None
    notes: tuple[str, ...]
    traceback: str
    failure: FailureInfo | None


def parts_of(error: BaseException) -> ErrorParts:
    """Take `error` apart. Its `__str__` is called; a failing one counts as empty."""
    foreign = isinstance(error, ForeignError)
    apart = _KEPT_APART | _OF_FOREIGN if foreign else _KEPT_APART
    own = {text_of(name): value for name, value in vars(error).items() if name not in apart}
    failure = getattr(error, "flowgraph", None)
    args = error.original_args if isinstance(error, ForeignError) else error.args
    text = text_of(error)
    return ErrorParts(
        cls=None if foreign else type(error),
        name_taken=isinstance(error, ForeignError) and error.name_taken,
        name=error.type_name if isinstance(error, ForeignError) else type(error).__name__,
        type_names=tuple(error_names(error)),
        args=args,
        text=None if text == default_text(args) else text,
        attributes=own if foreign else _slots(error) | own,
        cause=error.__cause__,
        notes=tuple(text_of(note) for note in getattr(error, "__notes__", ())),
        traceback=text_of(getattr(error, TRACEBACK_ATTRIBUTE, "")),
        failure=failure if isinstance(failure, FailureInfo) else None,
    )


def build_shell(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException | None:
    """Make an instance of `cls` by the nearest built-in `__new__` alone; None when the class cannot be made like that."""
    builtin = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    new: Callable[..., Any] = builtin.__new__
    try:
        shell = new(cls, *args)
    except TypeError:
        return None
    return shell if isinstance(shell, BaseException) else None


def fill(error: BaseException, args: tuple[Any, ...], attributes: Mapping[str, Any]) -> None:
    """Give a shell its arguments and attributes."""
    object.__setattr__(error, "args", args)
    for name, value in attributes.items():
        if name in vars(error) or not _is_slot(type(error), name):
            vars(error)[name] = value
        else:
            object.__setattr__(error, name, value)


def default_text(args: tuple[Any, ...]) -> str:
    """Return the text of an exception with these arguments whose class has no `__str__` of its own."""
    return text_of(args[0] if len(args) == 1 else args or "")


def text_of(value: object) -> str:
    """Return `str(value)` as text that can be stored; empty when it fails."""
    try:
        text = str(value)
    except Exception:  # a broken __str__ must not hide the failure that it describes
        return ""
    return text.encode(errors="backslashreplace").decode()


def _slots(error: BaseException) -> dict[str, Any]:
    """Return what an exception keeps outside `__dict__`: built-in ones (`OSError.errno`, `StopIteration.value`, ...) where it is
    not None, the author's `__slots__` where they are set."""
    found: dict[str, Any] = {}
    for base in type(error).__mro__[:-2]:
        is_builtin = base.__module__ == "builtins"
        for name in vars(base):
            if _is_slot(base, name) and hasattr(error, name) and not (is_builtin and getattr(error, name) is None):
                found[name] = getattr(error, name)
    return dict(sorted(found.items()))


def _is_slot(cls: type, name: str) -> bool:
    if name.startswith("__") or name in _NOT_STORED:
        return False
    return isinstance(getattr(cls, name, None), (MemberDescriptorType, GetSetDescriptorType))
