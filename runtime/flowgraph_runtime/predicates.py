"""Evaluates what decorators say about events: as a machine of one block, so that the engine's vocabulary, budget and caps hold
for it too.

where=lambda e: e.amount > 100     ->     return [True for e in [event] if e.amount > 100]
key=lambda e: e.customer           ->     return [e.customer for e in [event]]
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import Any
from uuid import UUID

from flowgraph import Event
from flowgraph.codec import TypeRegistry, dumps, loads
from flowgraph.errors import error_names
from flowgraph_compiler.expressions import Bound, Clause, Comprehension, Const, Expr, ListOf, Local
from flowgraph_compiler.machine import Block, Finish, Function, Machine
from flowgraph_runtime.engine.commands import EndRun
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.inputs import Started
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.run_state import RunState
from flowgraph_runtime.errors import KeyRefused
from flowgraph_runtime.keys import key_text


class _EventFunction:
    """`return [element for parameter in [event] if condition]` as a program."""

    def __init__(
        self, machine: Machine, parameter: str, element: Expr, conditions: tuple[Expr, ...], types: TypeRegistry
    ) -> None:
        clause = Clause(Bound(parameter), ListOf((Local("event"),)), conditions)
        block = Block((), Finish(Comprehension("list", element, None, (clause,))))
        function = Function("of_event", "workflow", ("event",), (), (), (block,))
        pures = tuple(function for function in machine.functions if function.kind == "pure")
        self._program = Program.load(
            replace(machine, functions=(function, *pures), on_failure=None, on_cancel=None, cancel_on=()), types
        )

    def end(self, input_: str, at: int) -> EndRun:
        """Evaluate it for the codec text of a list that holds the event."""
        decision = decide(self._program, RunState.new("of_event"), Started(input_), at)
        return next(command for command in decision.commands if isinstance(command, EndRun))


class Predicate:
    """A `where` of one machine, called with an event. False when it raises: it cannot keep the event from other workflows."""

    def __init__(self, machine: Machine, parameter: str, where: Expr, types: TypeRegistry) -> None:
        self._function = _EventFunction(machine, parameter, Const(True), (where,), types)

    def __call__(self, event: Event, at: int = 0) -> bool:
        """Whether the predicate holds for the event."""
        end = self._function.end(dumps([event]), at)
        return end.status == "completed" and end.payload == "[true]"


class KeyOf:
    """A `key` of one machine, called with the input of a run: the codec text of a list that holds its event."""

    def __init__(self, machine: Machine, parameter: str, key: Expr, types: TypeRegistry) -> None:
        self._function = _EventFunction(machine, parameter, key, (), types)
        self._types = types

    def __call__(self, input_: str, at: int = 0) -> str:
        """Return the key's canonical text. Raises `KeyRefused` when the lambda raises or gives what is no key."""
        end = self._function.end(input_, at)
        value = loads(end.payload, self._types)
        if end.status != "completed":
            raise KeyRefused(f"it raised {error_names(value)[0]}: {value}")
        (key,) = value
        if not _is_key(key):
            raise KeyRefused(f"it gave {key!r}; a key is a str, int, Enum or UUID, or a tuple of them")
        return _storable(key_text(key))


def _storable(text: str) -> str:
    if "\0" in text or (not text.isascii() and text.encode(errors="ignore").decode() != text):
        raise KeyRefused(f"it gave {text!r}, which no database can store")
    return text


def _is_key(value: Any) -> bool:
    if issubclass(type(value), tuple):
        return all(_is_key(part) for part in value)
    return isinstance(value, str | int | Enum | UUID)
