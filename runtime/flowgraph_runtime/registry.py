"""What the deployed code offers by name: steps, events, stored classes, and the machines that run on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from flowgraph import Event
from flowgraph.codec import TypeRegistry
from flowgraph_compiler import Compilation
from flowgraph_compiler.declarations import Application, StepDecl
from flowgraph_compiler.machine import Machine, Manifest, StepNeed
from flowgraph_compiler.serialize import fingerprint, from_json, to_json
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.limits import MachineLimits
from flowgraph_runtime.predicates import Predicate


class Registry:
    """Names to deployed things. Machines of earlier deployments are added as their runs turn up (`add_machine`).

    `current`: workflow name -> fingerprint that new runs take. `key_paths`: event name -> field paths that waits look up by."""

    def __init__(self, application: Application, machines: Mapping[str, Machine]) -> None:
        self.application = application
        self.types = TypeRegistry()
        self.steps: dict[str, StepDecl] = {}
        self.events: dict[str, type[Event]] = {}
        self.current: dict[str, str] = {}
        self._renamed: dict[str, str] = {}
        self.machines: dict[str, Machine] = {}
        self.texts: dict[str, str] = {}
        self.key_paths: defaultdict[str, set[str]] = defaultdict(set)
        self._programs: dict[str, Program] = {}
        self._limits: dict[str, MachineLimits] = {}
        self._missing: dict[str, list[str]] = {}
        self._register()
        for machine in machines.values():
            self._add(fingerprint(machine), machine)
            self.current[machine.workflow] = fingerprint(machine)
        self._triggers: dict[str, list[tuple[str, Predicate | None]]] = {}
        for workflow in sorted(self.current):
            self._add_triggers(workflow)

    @classmethod
    def from_compilation(cls, compilation: Compilation) -> Registry:
        """Build the registry of a compilation without errors."""
        return cls(compilation.application, compilation.machines)

    def _register(self) -> None:
        for cls in {**self.application.classes, **self.application.events}.values():
            self.types.register(cls, *(cls.event_aliases if issubclass(cls, Event) else ()))
        for event in self.application.events.values():
            self.events.update(dict.fromkeys((event.event_name, *event.event_aliases), event))
        for step in self.application.steps.values():
            for name in (step.name, *step.aliases):
                self.steps[name] = step
        for workflow in self.application.workflows.values():
            self._renamed.update(dict.fromkeys(workflow.target.aliases, workflow.name))

    def _add(self, print_: str, machine: Machine) -> None:
        self.machines[print_] = machine
        self.texts[print_] = to_json(machine)
        self.add_key_paths((path.event, path.path) for path in machine.key_paths)

    def add_key_paths(self, paths: Iterable[tuple[str, str]]) -> None:
        """Register further (event name, field path) pairs, of machines that only the database knows."""
        for event, path in paths:
            self.key_paths[event].add(path)

    def names_of(self, event: str) -> tuple[str, ...]:
        """Return every name of the event that has this one on the wire, the present one first; only this one when unknown."""
        cls = self.events.get(event)
        return (event,) if cls is None else (cls.event_name, *cls.event_aliases)

    def paths_of(self, names: Iterable[str]) -> list[str]:
        """Return the field paths that waits for an event look up by, which has these names."""
        return sorted({path for name in names for path in self.key_paths.get(name, ())})

    def add_machine(self, print_: str, text: str) -> list[str]:
        """Add a machine of an earlier deployment; return the names that it needs and the deployed code lacks.

        Raises `MachineError` for a text that is no machine."""
        if print_ not in self.machines:
            self._add(print_, from_json(text))
        return self.missing(print_)

    def missing(self, print_: str) -> list[str]:
        """Return what the machine needs of the deployed code and does not find, by name."""
        if print_ not in self._missing:
            self._missing[print_] = missing_names(self.machines[print_].manifest, self)
        return self._missing[print_]

    def satisfied(self) -> list[str]:
        """Return the fingerprints of the machines that the deployed code can run."""
        return [print_ for print_ in self.machines if not self.missing(print_)]

    def unsatisfied(self) -> list[str]:
        """Return the fingerprints of the known machines that it cannot run."""
        return [print_ for print_ in self.machines if self.missing(print_)]

    def program(self, print_: str) -> Program:
        """Return the executable form of a known machine. Raises KeyError for one that was never added."""
        if print_ not in self._programs:
            self._programs[print_] = Program.load(self.machines[print_], self.types)
        return self._programs[print_]

    def limits(self, print_: str) -> MachineLimits | None:
        """Return the concurrency limits of a known machine, None when it has none."""
        if not self.machines[print_].limits:
            return None
        if print_ not in self._limits:
            self._limits[print_] = MachineLimits(self.machines[print_], self.types)
        return self._limits[print_]

    def names_of_workflow(self, name: str) -> tuple[str, ...]:
        """Return every name that runs of the workflow of this name or alias are stored under, the present one first; only this
        one when it is unknown."""
        found = self.application.workflows.get(self._renamed.get(name, name))
        return (name,) if found is None else (found.name, *found.target.aliases)

    def workflow_named(self, name: str) -> str | None:
        """Return the name of the served workflow that has this name or alias, None when there is none."""
        found = self._renamed.get(name, name)
        return found if found in self.current else None

    def machine_of(self, workflow: str) -> Machine:
        """Return the machine that new runs of a workflow take. Raises KeyError."""
        return self.machines[self.current[workflow]]

    def _add_triggers(self, workflow: str) -> None:
        machine = self.machine_of(workflow)
        for trigger in machine.triggers:
            predicate = None
            if trigger.where is not None and trigger.parameter is not None:
                predicate = Predicate(machine, trigger.parameter, trigger.where, self.types)
            for event in trigger.names if trigger.kind == "event" else ():
                self._triggers.setdefault(event, []).append((workflow, predicate))

    def starts_runs(self, event: str) -> bool:
        """Return whether an event of this name, or alias, may start a run."""
        cls = self.events.get(event)
        return cls is not None and cls.event_name in self._triggers

    def judges(self, event: str) -> bool:
        """Return whether a predicate decides which runs the event of this name starts."""
        return any(holds is not None for _, holds in self._triggers.get(event, ()))

    def triggered(self, event: Event) -> list[tuple[str, str]]:
        """Return (workflow, fingerprint) of every workflow that this event starts, each once."""
        candidates = self._triggers.get(event.event_name, ())
        started = dict.fromkeys(workflow for workflow, holds in candidates if holds is None or holds(event))
        return [(workflow, self.current[workflow]) for workflow in started]


def missing_names(manifest: Manifest, registry: Registry) -> list[str]:
    """Return what a manifest names that the registry does not have, in words for the report."""
    missing = [text for need in manifest.steps for text in _step_gaps(need, registry.steps.get(need.name))]
    for name, fields in manifest.events:
        missing += _field_gaps("event", name, fields, registry.events.get(name))
    for name, fields in manifest.classes:
        missing += _field_gaps("class", name, fields, registry.types.lookup(name))
    missing += [f"workflow '{name}'" for name in manifest.workflows if registry.workflow_named(name) is None]
    return missing


def _step_gaps(need: StepNeed, found: StepDecl | None) -> list[str]:
    if found is None:
        return [f"step '{need.name}'"]
    have = {parameter.name for parameter in found.parameters}
    asked = {name for name, _, _ in need.parameters}
    gaps = [f"parameter '{name}' of step '{need.name}'" for name, _, _ in need.parameters if name not in have]
    gaps += [
        f"step '{need.name}' without its new parameter '{parameter.name}' (give it a default)"
        for parameter in found.parameters
        if not parameter.has_default and parameter.name not in asked
    ]
    return gaps


def _field_gaps(what: str, name: str, fields: tuple[tuple[str, str], ...], cls: type[Any] | None) -> list[str]:
    if cls is None:
        return [f"{what} '{name}'"]
    have: Any = getattr(cls, "model_fields", None) or getattr(cls, "__dataclass_fields__", None)
    if have is None:
        return []
    return [f"field '{field}' of {what} '{name}'" for field, _ in fields if field not in have]
