"""FG250: persisted names are bare, so each is unique in the application; aliases count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any

from flowgraph import Event
from flowgraph_compiler.declarations import Application, FlowDecl, SourceModule, StepDecl
from flowgraph_compiler.declared_at import class_line
from flowgraph_compiler.diagnostics import Diagnostic, Related
from flowgraph_compiler.reachable import is_storable_class
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import NOWHERE, Span

Named = tuple[str, str, Span]
"""What it is ("step 'charge'"), its name, its place."""


def check(app: Application) -> Iterator[Diagnostic]:
    """Aliases of steps and workflows, wire names of events, names of stored classes."""
    yield from _twice(_declared("step", app.steps.values()))
    yield from _twice(_declared("workflow", app.workflows.values()))
    yield from _twice(_events(app))
    yield from _twice(_classes(app))


def _declared(kind: str, decls: Iterable[StepDecl | FlowDecl]) -> Iterator[Named]:
    for decl in decls:
        target = decl.step if isinstance(decl, StepDecl) else decl.target
        for name in (decl.name, *getattr(target, "aliases", ())):
            yield f"{kind} '{decl.name}'", name, decl.span


def _events(app: Application) -> Iterator[Named]:
    for cls in app.events.values():
        if cls is not Event and cls.event_name:
            for name in (cls.event_name, *cls.event_aliases):
                yield f"event '{cls.__name__}'", name, class_line(cls, app)


def _classes(app: Application) -> Iterator[Named]:
    """The classes that the modules themselves make, so that two of one name are both seen."""
    for module in app.modules:
        for cls in _made_by(module):
            for name in (cls.__name__, *(cls.event_aliases if issubclass(cls, Event) else ())):
                yield f"class '{cls.__name__}'", name, class_line(cls, app)


def _made_by(module: SourceModule) -> list[Any]:
    values = dict.fromkeys(value for value in vars(module.module).values() if isinstance(value, type))
    return [cls for cls in values if is_storable_class(cls) and cls.__module__ == module.name and cls is not Enum]


def _twice(named: Iterable[Named]) -> Iterator[Diagnostic]:
    first: dict[str, Named] = {}
    for title, name, span in named:
        other = first.setdefault(name, (title, name, span))
        if other[2] == span or NOWHERE in (span, other[2]):
            continue
        related = (Related(other[2], f"{other[0]} has the name too"),)
        message = f"{title} has the persisted name '{name}', which is taken by {other[0]}"
        yield Diagnostic(RULES["FG250"], span, message, 'rename one, or give it a name of its own: name="..."', related)
