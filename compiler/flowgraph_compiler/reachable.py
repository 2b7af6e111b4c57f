"""Which modules and classes belong to an application: what its modules import, and what their annotations name."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import site
import sys
import sysconfig
import typing
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any, TypeGuard, cast

from pydantic import BaseModel

from flowgraph import Step, Subflow, Workflow
from flowgraph_compiler import syntax
from flowgraph_compiler.declarations import FlowDecl, SourceModule, StepDecl
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.source import source_of

_OURS = ("flowgraph", "flowgraph_compiler", "flowgraph_runtime")
_INSTALLED = tuple(
    {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
)


# --- modules


def modules_of(given: Sequence[SourceModule]) -> list[SourceModule]:
    """The modules given, then the user's own ones that these import names from (steps and flows also from installed packages)."""
    found = {module.name: module for module in given}
    files = {module.file for module in given}
    waiting = list(given)
    while waiting:
        for name in _imported(waiting.pop(0).module):
            module = sys.modules.get(name)
            if name in found or module is None:
                continue
            source = source_of(module)
            if source is not None and source.file not in files:
                found[name] = source
                files.add(source.file)
                waiting.append(source)
    return list(found.values())


def _imported(module: ModuleType) -> Iterator[str]:
    for value in list(vars(module).values()):
        if isinstance(value, ModuleType):
            if _is_users(value):
                yield value.__name__
            continue
        home = getattr(value, "__module__", None)
        if not isinstance(home, str) or home == module.__name__:
            continue
        if isinstance(value, Step | Subflow | Workflow) or (
            isinstance(value, type | FunctionType) and _is_users(sys.modules.get(home))
        ):
            yield home


def _is_users(module: ModuleType | None) -> bool:
    if module is None or module.__name__.partition(".")[0] in (*_OURS, "pydantic", "typing_extensions"):
        return False
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and (not file.startswith(_INSTALLED) or module.__name__.startswith("tests"))


# --- classes


def classes_of(modules: Iterable[SourceModule], declarations: Iterable[StepDecl | FlowDecl]) -> dict[str, type]:
    """Every storable class by bare name: those in the modules' namespaces, and those that annotations lead to."""
    found: dict[str, type] = {}
    waiting: list[Any] = [value for module in modules for value in vars(module.module).values() if is_storable_class(value)]
    for decl in declarations:
        waiting += [parameter.type for parameter in decl.parameters] + [decl.result]
    while waiting:
        for cls in _classes_in(waiting.pop(0)):
            if (
                is_storable_class(cls)
                and cls.__name__ not in found
                and cls.__module__.partition(".")[0] not in (*_OURS, "builtins")
            ):
                found[cls.__name__] = cls
                waiting.extend(_annotations(cls).values())
                waiting.extend(cls.__bases__)
    return found


def shadowing_classes(modules: Iterable[SourceModule]) -> Iterator[Diagnostic]:
    """FG250: handlers match by bare names and values are stored under them, so some names are taken: those of Python's own
    exceptions, `Ok` and `Err`."""
    for module in modules:
        for node in syntax.nodes(module.tree):
            if not isinstance(node, ast.ClassDef):
                continue
            own = getattr(builtins, node.name, None)
            if isinstance(own, type) and issubclass(own, BaseException):
                message = f"class '{node.name}' has the name of an exception of Python"
                yield Diagnostic(RULES["FG250"], module.places.line(node.lineno), message, "handlers match by names: rename it")
            elif node.name in ("Ok", "Err"):
                message = f"class '{node.name}' has the name of what 'settle' gives"
                yield Diagnostic(
                    RULES["FG250"], module.places.line(node.lineno), message, "values are stored by names: rename it"
                )


def is_storable_class(cls: object) -> TypeGuard[type[Any]]:
    """Whether values of the class are stored under its name: models, dataclasses, enums, named tuples and exceptions."""
    if not isinstance(cls, type) or typing.get_origin(cls) is not None:
        return False
    if issubclass(cls, BaseModel | Enum | BaseException):
        return cls not in (BaseModel, Enum) and cls.__module__ != "pydantic.main"
    made = cast(type[Any], cls)
    return dataclasses.is_dataclass(made) or (tuple in made.__mro__ and hasattr(made, "_fields"))


def _classes_in(tp: Any) -> Iterator[type]:
    if typing.get_origin(tp) is None:
        if isinstance(tp, type):
            yield tp
        return
    for argument in typing.get_args(tp):
        yield from _classes_in(argument)


def _annotations(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except Exception:  # what cannot be resolved is reported where it is used
        return {}
