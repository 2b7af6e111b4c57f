"""Machines by hand: what no source text compiles to, or not yet."""

from __future__ import annotations

from flowgraph.registry import TypeRegistry
from flowgraph_compiler.expressions import Const, Expr, Local
from flowgraph_compiler.machine import (
    Action,
    Block,
    CallFlow,
    CallStep,
    Finish,
    Function,
    Machine,
    Manifest,
    Policy,
    Reraise,
    SleepFor,
    Suspend,
)
from flowgraph_compiler.statements import Statement
from flowgraph_runtime.engine.program import Program

NO_RETRY = Policy(0, "fixed", 1.0, 1.0, 1.0, 0.0, None)


def machine(*functions: Function) -> Machine:
    """A machine of functions; the first is the workflow."""
    return Machine("flow", functions, None, None, (), (), "parameters", None, (), (), Manifest((), (), (), ()))


def flow(*blocks: Block, name: str = "flow", parameters: tuple[str, ...] = ()) -> Function:
    """A function."""
    return Function(name, "workflow" if name == "flow" else "subflow", parameters, (), (), blocks)


def returns(value: Expr, *ops: Statement) -> Machine:
    """A machine that runs the ops and returns the value."""
    return machine(flow(Block(ops, Finish(value))))


def awaits(action: Action) -> Machine:
    """A machine that returns what an action gives."""
    return machine(flow(Block((), Suspend(action, "got", 1, ("got",))), Block((), Finish(Local("got")))), cleaner())


def cleaner() -> Function:
    """A subflow that sleeps for `hours` and then returns its text, and calls the step `note` on the way out."""
    return flow(
        Block((), Suspend(SleepFor("cleaner/sleep", Local("time")), None, 1, ("text",)), handler=2, caught="$e"),
        Block((), Suspend(step("note", Local("text")), None, 4, ("text",))),
        Block((), Suspend(step("note", Local("text")), None, 3, ("$e",)), shields=1),
        Block((), Reraise("$e")),
        Block((), Finish(Local("text"))),
        name="cleaner",
        parameters=("text", "time"),
    )


def step(name: str, *arguments: Expr) -> CallStep:
    """A call of a step without retries."""
    return CallStep(f"flow/{name}", name, arguments, (), NO_RETRY)


def call(text: str, time: str) -> CallFlow:
    """A call of the `cleaner`."""
    return CallFlow("flow/cleaner", "cleaner", (Const(text), Const(time)), ())


def loaded(text: Machine) -> Program:
    """The machine's program, with no classes of its own."""
    return Program.load(text, TypeRegistry())
