"""Evaluates a trigger's `where`: as a machine of one block, so that the engine's vocabulary, budget and caps hold for it too.

where=lambda e: e.amount > 100     ->     return [True for e in [event] if e.amount > 100]
"""

from __future__ import annotations

from dataclasses import replace

from flowgraph import Event
from flowgraph.codec import TypeRegistry, dumps
from flowgraph_compiler.expressions import Bound, Clause, Comprehension, Const, Expr, ListOf, Local
from flowgraph_compiler.machine import Block, Finish, Function, Machine
from flowgraph_runtime.engine.commands import EndRun
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.inputs import Started
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.run_state import RunState


class Predicate:
    """A `where` of one machine, called with an event. False when it raises: it cannot keep the event from other workflows."""

    def __init__(self, machine: Machine, parameter: str, where: Expr, types: TypeRegistry) -> None:
        clause = Clause(Bound(parameter), ListOf((Local("event"),)), (where,))
        block = Block((), Finish(Comprehension("list", Const(True), None, (clause,))))
        function = Function("where", "workflow", ("event",), (), (), (block,))
        pures = tuple(function for function in machine.functions if function.kind == "pure")
        self._program = Program.load(replace(machine, functions=(function, *pures), on_failure=None, on_cancel=None), types)

    def __call__(self, event: Event, at: int = 0) -> bool:
        """Whether the predicate holds for the event."""
        decision = decide(self._program, RunState.new("where"), Started(dumps([event])), at)
        return any(
            isinstance(command, EndRun) and command.status == "completed" and command.payload == "[true]"
            for command in decision.commands
        )
