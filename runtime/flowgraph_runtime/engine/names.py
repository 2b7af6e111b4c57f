"""What generated code may refer to: the objects behind a machine's names, looked up once, in the namespace of its functions."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from flowgraph.codec import loads
from flowgraph.registry import TypeRegistry
from flowgraph_compiler import vocabulary
from flowgraph_runtime.engine import cursors, guards
from flowgraph_runtime.engine.errors import Exhausted, ProgramError
from flowgraph_runtime.engine.variables import Variables

_FORBIDDEN_PREFIXES = ("_", "gi_", "cr_", "ag_", "tb_", "co_", "func_")
_FORBIDDEN_NAMES = frozenset(
    {"f_back", "f_builtins", "f_code", "f_globals", "f_locals", "mro", "with_traceback", "model_validate", "model_construct"}
)

END = object()
"""What `next` returns at the end of a cursor."""

_GIVEN: dict[str, object] = {
    "check_power": guards.check_power,
    "check_product": guards.check_product,
    "check_shift": guards.check_shift,
    "consume": guards.consume,
    "byte_source": guards.byte_source,
    "END": END,
    "Exhausted": Exhausted,
    "BaseException": BaseException,
    "KeyboardInterrupt": KeyboardInterrupt,
    "matches": guards.matches,
    "method": guards.method,
    "multiply": guards.multiply,
    "next": next,
    "open_cursor": cursors.open_cursor,
    "own_attributes": guards.own_attributes,
    "power": guards.power,
    "shift_left": guards.shift_left,
    "Variables": Variables,
    "each": guards.each,
    "width": guards.width,
}


def load(name: str) -> ast.Name:
    """Return an expression that reads a name of the generated code."""
    return ast.Name(name, ast.Load())


def call(function: str, *arguments: ast.expr) -> ast.Call:
    """Return a call of a name of the generated code."""
    return ast.Call(load(function), list(arguments), [])


def checked_attribute(name: str) -> str:
    """Return an attribute's name. Raises `ProgramError` for one that no workflow may touch."""
    if not name.isidentifier() or name.startswith(_FORBIDDEN_PREFIXES) or name in _FORBIDDEN_NAMES:
        raise ProgramError(f"the machine names the attribute '{name}', which is outside the vocabulary")
    return name


def bound(name: str) -> str:
    """Return the generated name of a variable of a comprehension or lambda."""
    if not f"b_{name}".isidentifier():
        raise ProgramError(f"the machine names a variable {name!r}, which is no identifier")
    return f"b_{name}"


_IMPORTED = frozenset({"_strptime", "time"})
"""What methods of the standard library import when they are called, on behalf of the code that calls them."""


def _import_for_methods(name: str, *_: object) -> Any:
    if name not in _IMPORTED:
        raise ImportError(f"a machine imports nothing, least of all '{name}'")
    return importlib.import_module(name)


class Held:
    """The values that a machine's functions name, as attributes: for patterns, which take no plain names."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace

    def __getattr__(self, name: str) -> Any:
        return self._namespace[name]


class Names:
    """The namespace of one machine's generated functions."""

    def __init__(self, types: TypeRegistry, constants: Mapping[str, str]) -> None:
        self.namespace: dict[str, Any] = {"__builtins__": {"__import__": _import_for_methods}, **_GIVEN}
        self.namespace["HELD"] = Held(self.namespace)
        self._types = types
        self._constants = constants
        self._added: dict[tuple[str, object], str] = {}

    def add(self, prefix: str, key: object, value: object) -> str:
        """Give a value a name of its own, once per (prefix, key)."""
        name = self._added.get((prefix, key))
        if name is None:
            name = self._added[(prefix, key)] = f"{prefix}_{len(self._added)}"
            self.namespace[name] = value
        return name

    def known(self, prefix: str, key: object) -> str | None:
        """Return the name that `add` gave, or None."""
        return self._added.get((prefix, key))

    def cls(self, name: str) -> type:
        """Return a registered class or a listed type by its bare name. Raises `ProgramError` when there is none."""
        found = vocabulary.PURE_TYPES.get(name) or self._types.lookup(name)
        if not isinstance(found, type):
            raise ProgramError(f"the machine names the class '{name}', which the deployed code does not have")
        return found

    def class_name(self, name: str) -> str:
        """Return the generated name of a class."""
        return self.known("t", name) or self.add("t", name, self.cls(name))

    def function(self, name: str) -> str:
        """Return the generated name of a listed function. Raises `ProgramError` for any other."""
        found: Callable[..., Any] | None = guards.GUARDED_FUNCTIONS.get(name)
        found = found or vocabulary.PURE_FUNCTIONS.get(name) or vocabulary.LAZY_FUNCTIONS.get(name)
        if found is None:
            raise ProgramError(f"the machine calls '{name}', which is outside the vocabulary")
        return self.add("f", name, found)

    def constant(self, name: str) -> str:
        """Return the generated name of a captured constant, decoded once: captured values are immutable."""
        if name not in self._constants:
            raise ProgramError(f"the machine reads the constant '{name}', which it does not hold")
        return self.known("k", name) or self.add("k", name, loads(self._constants[name], self._types))

    def named_constant(self, name: str) -> str:
        """Return the generated name of a listed constant. Raises `ProgramError` for any other."""
        if name not in vocabulary.PURE_CONSTANTS:
            raise ProgramError(f"the machine names the constant '{name}', which is outside the vocabulary")
        return self.add("n", name, vocabulary.PURE_CONSTANTS[name])
