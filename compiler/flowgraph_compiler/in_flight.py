"""FG400 to FG406: what machines that are deployed already need of the code, and the code as it is now no longer has.

A run ends on the machine that it started with, but calls the steps and builds the values of the code that is deployed when it
gets there. Each gap is one finding: in the code where something is left of the thing, else where the machine is written down.
"""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowgraph import Event, errors
from flowgraph_compiler.assignability import assignable
from flowgraph_compiler.declarations import Application, Parameter, StepDecl
from flowgraph_compiler.declared_at import class_line
from flowgraph_compiler.diagnostics import Diagnostic, Related
from flowgraph_compiler.expressions import Matches, New
from flowgraph_compiler.machine import Fail, Machine, Manifest, StepNeed
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.serialize import fingerprint
from flowgraph_compiler.spans import NOWHERE, Span
from flowgraph_compiler.traversal import parts
from flowgraph_compiler.type_texts import UnknownType, type_of_text
from flowgraph_compiler.types import UNKNOWN, fields, is_model, is_namedtuple, show


@dataclass(frozen=True)
class Deployed:
    """A machine that runs may still be on: what it needs, the exceptions that it names, and where that is written down.

    `who` goes into messages ("flowgraph.lock", "12 live runs"); `places` has the line of each name, by itself and under
    "" for the machine as a whole."""

    workflow: str
    fingerprint: str
    manifest: Manifest
    exceptions: tuple[str, ...]
    who: str
    places: Mapping[str, Span]


def exceptions_of(machine: Machine) -> tuple[str, ...]:
    """The exception classes that a machine handles or raises by name, without those of Python and of flowgraph."""
    found = set[str]()
    waiting: list[Any] = [*machine.functions]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Matches):
            found.update(part.names)
        if isinstance(part, Fail) and isinstance(part.exception, New):
            found.add(part.exception.cls)
        if dataclasses.is_dataclass(part) and not isinstance(part, type):
            waiting.extend(parts(part))
    return tuple(sorted(name for name in found if not hasattr(builtins, name) and not hasattr(errors, name)))


def deployed_as(machine: Machine, who: str) -> Deployed:
    """A machine that is at hand; `who` has it."""
    return Deployed(machine.workflow, fingerprint(machine), machine.manifest, exceptions_of(machine), who, {})


def live_findings(deployed: Deployed, app: Application) -> list[Diagnostic]:
    """Every gap between a deployed machine and the code."""
    check = _Gaps(deployed, app)
    return [*check.steps(), *check.values(), *check.exceptions(), *check.workflows()]


class _Gaps:
    """One machine against one application."""

    def __init__(self, deployed: Deployed, app: Application) -> None:
        self._deployed = deployed
        self._app = app
        self._classes: dict[str, type] = {**app.classes, **app.events}
        self._steps = {name: step for step in app.steps.values() for name in (step.name, *step.aliases)}
        self._events = {name: cls for cls in app.events.values() for name in (cls.event_name, *cls.event_aliases)}

    def steps(self) -> Iterator[Diagnostic]:
        """FG400 to FG403."""
        for need in self._deployed.manifest.steps:
            step = self._steps.get(need.name)
            if step is None:
                message = f"step '{need.name}' is gone, and {self._who()} may still call it"
                yield self._found("FG400", need.name, message, f"put it back, or @step(aliases=('{need.name}',)) on its new name")
            else:
                yield from self._parameters(need, step)
                yield from self._result(need, step)

    def _parameters(self, need: StepNeed, step: StepDecl) -> Iterator[Diagnostic]:
        now = {parameter.name: parameter for parameter in step.parameters}
        given = {name: text for name, text, _ in need.parameters}
        for name, parameter in now.items():
            if name not in given and not parameter.has_default:
                message = f"step '{need.name}' has a new parameter '{name}', which {self._who()} does not give"
                yield self._found("FG401", need.name, message, f"{name}: {show(parameter.type)} = ...", parameter.span)
        for name, text in given.items():
            if name not in now:
                message = f"step '{need.name}' has no parameter '{name}' any more, which {self._who()} gives"
                yield self._found("FG402", need.name, message, f"{name}: {text} | None = None", step.span)
            elif not self._fits(text, now[name].type):
                message = (
                    f"parameter '{name}' of step '{need.name}' takes '{show(now[name].type)}', and {self._who()} gives '{text}'"
                )
                yield self._found("FG402", need.name, message, f"{name}: {_wider(text, now[name])}", now[name].span)

    def _result(self, need: StepNeed, step: StepDecl) -> Iterator[Diagnostic]:
        old = self._type(need.result)
        if old is not UNKNOWN and step.result is not None and not assignable(step.result, old):
            message = f"step '{need.name}' gives '{show(step.result)}', and {self._who()} goes on with '{need.result}'"
            yield self._found("FG403", need.name, message, f"-> {need.result}, or a new step under another name", step.span)

    def values(self) -> Iterator[Diagnostic]:
        """FG404 and FG405: events and stored classes."""
        manifest = self._deployed.manifest
        for name, old in manifest.events:
            yield from self._fields("event", name, dict(old), self._events.get(name))
        for name, old in manifest.classes:
            if name not in self._deployed.exceptions:
                yield from self._fields("class", name, dict(old), self._classes.get(name))

    def _fields(self, kind: str, name: str, old: dict[str, str], cls: Any) -> Iterator[Diagnostic]:
        if cls is None:
            message = f"{kind} '{name}' is gone, and {self._who()} may hold one"
            yield self._found(
                "FG405", name, message, "put it back" if kind == "class" else f"aliases=('{name}',) on its new name"
            )
            return
        place = class_line(cls, self._app)
        now = fields(cls) or {}
        for field in now:
            if field not in old and _is_required(cls, field):
                message = f"{kind} '{name}' has a new field '{field}' without a default, which those of {self._who()} lack"
                yield self._found("FG404", name, message, f"{field}: {show(now[field])} = ...", place)
        for field, text in old.items():
            if field not in now:
                message = f"{kind} '{name}' has no field '{field}' any more, which {self._who()} may read"
                yield self._found("FG405", name, message, f"{field}: {text}", place)

    def exceptions(self) -> Iterator[Diagnostic]:
        """FG406."""
        for name in self._deployed.exceptions:
            if name not in self._classes:
                message = f"exception '{name}' is gone, and {self._who()} handles or raises it by this name"
                yield self._found("FG406", name, message, f"class {name}(...): put it back")

    def workflows(self) -> Iterator[Diagnostic]:
        """FG400 for workflows that are called or started."""
        known = {name for flow in self._app.workflows.values() for name in (flow.name, *flow.target.aliases)}
        for name in self._deployed.manifest.workflows:
            if name not in known:
                message = f"workflow '{name}' is gone, and {self._who()} may still start it"
                yield self._found("FG400", name, message, f"put it back, or aliases=('{name}',) on its new name")

    def _who(self) -> str:
        return f"'{self._deployed.workflow}' in {self._deployed.who}"

    def _type(self, text: str) -> Any:
        """The type of a printed one; unknown where it names a class that is gone, which has a finding of its own."""
        try:
            return type_of_text(text, self._classes)
        except UnknownType:
            return UNKNOWN

    def _fits(self, text: str, now: Any) -> bool:
        old = self._type(text)
        return old is UNKNOWN or now is None or assignable(old, now)

    def _found(self, code: str, name: str, message: str, help_: str, here: Span = NOWHERE) -> Diagnostic:
        written = self._deployed.places.get(name, self._deployed.places.get("", NOWHERE))
        flow = self._app.workflows.get(self._deployed.workflow)
        span = next((one for one in (here, written, NOWHERE if flow is None else flow.span) if one != NOWHERE), NOWHERE)
        related = (Related(written, "deployed so"),) if written not in (span, NOWHERE) else ()
        return Diagnostic(RULES[code], span, message, help_, related, self._deployed.workflow)


def _wider(text: str, parameter: Parameter) -> str:
    now = show(parameter.type)
    return text if now in text.split(" | ") else f"{text} | {now}"


def _is_required(cls: Any, field: str) -> bool:
    if is_model(cls) or issubclass(cls, Event):
        return bool(cls.model_fields[field].is_required())
    if dataclasses.is_dataclass(cls):
        declared = {one.name: one for one in dataclasses.fields(cls)}[field]
        return declared.default is dataclasses.MISSING and declared.default_factory is dataclasses.MISSING
    return not is_namedtuple(cls) or field not in cls._field_defaults
