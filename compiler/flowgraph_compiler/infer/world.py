"""What names mean to the inference of one function: classes, steps, flows and constants."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field
from typing import Any

import flowgraph
from flowgraph_compiler.declarations import Application, FlowDecl, Parameter
from flowgraph_compiler.graph import FlowGraph, WorkflowGraph
from flowgraph_compiler.types import UNKNOWN, normal, type_of_value, union
from flowgraph_compiler.vocabulary import PURE_TYPES


@dataclass(frozen=True)
class World:
    """The application, the graph and the function that is being inferred; `declared` are its annotated variables."""

    app: Application
    graph: WorkflowGraph
    function: FlowGraph
    declared: dict[str, Any] = field(default_factory=dict[str, Any])

    def class_named(self, name: str) -> type | None:
        """The class of a bare persisted name: a stored class, an event, a listed type or a builtin exception."""
        found = self.app.classes.get(name) or self.app.events.get(name) or PURE_TYPES.get(name)
        found = found or getattr(builtins, name, None) or getattr(flowgraph, name, None)
        return found if isinstance(found, type) else None

    def constant(self, key: str) -> Any:
        """The type of a captured module global."""
        return type_of_value(self.graph.constants[key]) if key in self.graph.constants else UNKNOWN

    def flow(self, name: str) -> FlowDecl | None:
        """The declaration of a flow by its name."""
        return self.app.subflows.get(name) or self.app.pures.get(name) or self.app.workflows.get(name)


def parameters(world: World) -> dict[str, Any]:
    """The types of the function's parameters."""
    name = world.function.name
    if name in (world.graph.on_failure, world.graph.on_cancel, *world.graph.cancel_on) and name.startswith("$"):
        return handler_parameters(world)
    decl = declaration(world)
    return {} if decl is None else {parameter.name: annotated(parameter) for parameter in decl.parameters}


def declaration(world: World) -> FlowDecl | None:
    """What the function that is being inferred was declared as."""
    tables = {"workflow": world.app.workflows, "subflow": world.app.subflows, "pure": world.app.pures}
    return tables.get(world.function.kind, {}).get(world.function.name)


def handler_parameters(world: World) -> dict[str, Any]:
    """`trigger` is the event that the workflow received (or its input object, ruling 16), `error` any exception. The parameter of
    a function of `cancel_on=` has the author's name, and is the trigger."""
    main = world.app.workflows.get(world.graph.name)
    by_event = main is not None and bool(main.target.options.triggers()) and len(main.parameters) == 1
    trigger = annotated(main.parameters[0]) if main is not None and by_event else UNKNOWN
    if world.function.name in world.graph.cancel_on:
        return dict.fromkeys(world.function.parameters, trigger)
    known: dict[str, Any] = {"trigger": trigger, "error": Exception}
    return {name: known.get(name, UNKNOWN) for name in world.function.parameters}


def annotated(parameter: Parameter) -> Any:
    """A parameter's type; unknown without an annotation (FG161)."""
    return UNKNOWN if parameter.type is None else normal(parameter.type)


def result_of(decl: Any) -> Any:
    """The declared result of a step or flow; unknown without an annotation."""
    return UNKNOWN if decl is None or decl.result is None else normal(decl.result)


def exceptions_named(world: World, names: tuple[str, ...]) -> Any:
    """The type of a handler's variable."""
    return union(world.class_named(name) or UNKNOWN for name in names)
