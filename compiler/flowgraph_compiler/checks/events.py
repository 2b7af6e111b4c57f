"""FG221, FG222: internal events that nobody sends, or that nobody consumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowgraph import Cron, Event
from flowgraph_compiler.declarations import Application
from flowgraph_compiler.declared_at import class_line
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.expressions import Local, New
from flowgraph_compiler.graph import FlowGraph, Send, Wait, WorkflowGraph, walk
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.types import class_of, members


def check(graphs: Mapping[str, WorkflowGraph], app: Application) -> Iterator[Diagnostic]:
    """Only when every workflow of the application has a graph: else the missing one may send or consume."""
    if set(graphs) < set(app.workflows):
        return
    sent = {cls for graph in graphs.values() for cls in _sent(graph, app)}
    consumed = {cls for graph in graphs.values() for cls in _waited(graph, app)} | set(_triggering(app))
    for cls in app.events.values():
        if not cls.internal:
            continue
        if not any(_related(cls, other) for other in sent) and any(issubclass(cls, other) for other in consumed):
            yield _unpaired("FG221", cls, app, "is consumed, but no workflow sends it", f"await send({cls.__name__}(...))")
        elif any(issubclass(other, cls) for other in sent) and not any(_related(cls, other) for other in consumed):
            yield _unpaired("FG222", cls, app, "is sent, but no workflow consumes it", f"@workflow(on={cls.__name__})")


def _unpaired(code: str, cls: type[Event], app: Application, found: str, write: str) -> Diagnostic:
    message = f"internal event '{cls.__name__}' {found}"
    return Diagnostic(RULES[code], class_line(cls, app), message, f"{write}, or leave out 'internal=True'")


def _related(one: Any, other: Any) -> bool:
    return issubclass(one, other) or issubclass(other, one)


def _triggering(app: Application) -> Iterator[Any]:
    for decl in app.workflows.values():
        yield from (trigger for trigger in decl.target.options.triggers() if not isinstance(trigger, Cron))


def _waited(graph: WorkflowGraph, app: Application) -> Iterator[Any]:
    for function in graph.functions:
        for node in walk(function.body):
            if isinstance(node, Wait) and node.event in app.events:
                yield app.events[node.event]


def _sent(graph: WorkflowGraph, app: Application) -> Iterator[Any]:
    for function in graph.functions:
        for node in walk(function.body):
            if isinstance(node, Send):
                yield from _event_classes(node, function, app)


def _event_classes(node: Send, function: FlowGraph, app: Application) -> Iterator[Any]:
    """The classes that a sent value may have; any event at all where its type is not known."""
    match node.event:
        case New(cls):
            found = [app.events.get(cls)]
        case Local(name):
            found = [class_of(member) for member in members(function.variable_types.get(name, Event))]
        case _:
            found = [Event]
    yield from (cls if cls is not None and issubclass(cls, Event) else Event for cls in found)
