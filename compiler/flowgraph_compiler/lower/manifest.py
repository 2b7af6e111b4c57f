"""What a machine needs of the deployed code, and what the world has to know to start and feed it."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator
from typing import Any

from flowgraph import Event
from flowgraph_compiler import graph, types
from flowgraph_compiler.compensations import compensations_of
from flowgraph_compiler.declarations import Application, StepDecl
from flowgraph_compiler.expressions import ClassRef, New
from flowgraph_compiler.graph import AnyNode, WorkflowGraph
from flowgraph_compiler.lower.actions import wire_names
from flowgraph_compiler.machine import KeyPath, Manifest, StepNeed
from flowgraph_compiler.patterns import ClassPattern
from flowgraph_compiler.traversal import is_tuple, parts

Fields = tuple[tuple[str, str], ...]


def manifest(workflow: WorkflowGraph, app: Application) -> Manifest:
    """Steps with their signatures, events and stored classes with their fields, and other workflows, each sorted by name."""
    nodes = list(_nodes(workflow))
    undone = compensations_of(workflow, app).values()
    called = {node.callee for node in nodes if isinstance(node, graph.Step)} | {step.name for step in undone}
    steps = [app.steps[name] for name in sorted(called)]
    waited = {app.events[node.event] for node in nodes if isinstance(node, graph.Wait)}
    classes = _classes(workflow, steps, app)
    events = waited | {cls for cls in classes if issubclass(cls, Event)}
    return Manifest(
        tuple(_need(step) for step in steps),
        tuple(sorted((cls.event_name, _fields(cls)) for cls in events)),
        tuple(sorted((cls.__name__, _fields(cls)) for cls in classes - events)),
        tuple(sorted({node.callee for node in nodes if isinstance(node, graph.Child | graph.Start)})),
    )


def key_paths(workflow: WorkflowGraph, app: Application) -> tuple[KeyPath, ...]:
    """The event fields that the waits look up by."""
    found = {
        (name, path)
        for node in _nodes(workflow)
        if isinstance(node, graph.Wait)
        for name in wire_names(app.events[node.event], app)
        for path, _ in node.keys
    }
    return tuple(KeyPath(name, path) for name, path in sorted(found))


def _nodes(workflow: WorkflowGraph) -> Iterator[AnyNode]:
    for function in workflow.functions:
        yield from graph.walk(function.body)


def _need(step: StepDecl) -> StepNeed:
    parameters = tuple((each.name, types.show(each.type), each.has_default) for each in step.parameters)
    return StepNeed(step.name, parameters, types.show(step.result))


def _fields(cls: type) -> Fields:
    if issubclass(cls, BaseException):
        return ()
    return tuple((name, types.show(tp)) for name, tp in (types.fields(cls) or {}).items())


def _classes(workflow: WorkflowGraph, steps: Iterable[StepDecl], app: Application) -> set[Any]:
    """The application's classes whose values a run may hold: of steps, of variables, of results, and what these are made of."""
    by_name = {**app.classes, **app.events}
    waiting: list[Any] = [tp for step in steps for tp in (step.result, *(each.type for each in step.parameters))]
    for function in workflow.functions:
        waiting += [function.result_type, *function.variable_types.values()]
        waiting += [by_name[name] for name in _named(function.body) if name in by_name]
    waiting += [by_name[name] for name in _named(workflow.keys) if name in by_name]
    waiting += [app.events[node.event] for node in _nodes(workflow) if isinstance(node, graph.Wait)]
    known, found = set(by_name.values()), set[Any]()
    while waiting:
        for cls in _inside(waiting.pop()):
            if cls in known and cls not in found:
                found.add(cls)
                waiting.extend((types.fields(cls) or {}).values())
    return found


def _inside(tp: Any) -> Iterator[type]:
    if isinstance(tp, type) and not typing.get_args(tp):
        yield tp
    for argument in typing.get_args(tp):
        yield from _inside(argument)


def _named(tree: Any) -> Iterator[str]:
    """The class names that expressions anywhere in the tree mention."""
    if is_tuple(tree):
        for item in tree:
            yield from _named(item)
    elif hasattr(tree, "__dataclass_fields__"):
        yield from _mentioned(tree)
        for part in parts(tree):
            yield from _named(part)


def _mentioned(tree: Any) -> Iterator[str]:
    if isinstance(tree, New | ClassPattern):
        yield tree.cls
    elif isinstance(tree, ClassRef):
        yield tree.name
