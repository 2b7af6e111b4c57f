"""Exploration of a whole compilation: its findings as diagnostics, and a report of each workflow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flowgraph.durations import format_duration
from flowgraph_compiler.declarations import Application, FlowDecl, SourceModule
from flowgraph_compiler.diagnostics import Diagnostic, Related
from flowgraph_compiler.explore.declared import Declared, declared_in
from flowgraph_compiler.explore.plan import Place, Plan
from flowgraph_compiler.explore.search import Outcome, Verdict, search
from flowgraph_compiler.explore.work import Bounds, Entry
from flowgraph_compiler.explore.worst import Attempts, WallTime, Worst
from flowgraph_compiler.pipeline import Compilation
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import NOWHERE, Span
from flowgraph_compiler.suppress import apply

_DEFAULT = Bounds()


@dataclass(frozen=True)
class Explored:
    """What exploration says of one workflow. `unknown`: why it has not seen everything, empty when it has."""

    workflow: str
    states: int
    verdicts: tuple[Verdict, ...]
    unknown: tuple[str, ...]
    attempts: tuple[Attempts, ...]
    wall_time: WallTime


def explore(compilation: Compilation, bounds: Bounds = _DEFAULT) -> tuple[list[Explored], list[Diagnostic]]:
    """Explore every workflow that has a machine, against the invariants of its module: reports, and FG500 and FG501."""
    app = compilation.application
    modules = {module.name: module for module in app.modules}
    reports = list[Explored]()
    found = list[Diagnostic]()
    for name, machine in compilation.machines.items():
        module = modules.get(app.workflows[name].module)
        declared = [] if module is None else declared_in(module)
        plan = Plan(machine, app.classes)
        outcome = search(plan, {one.name: one.predicate for one in declared}, _names(app), bounds)
        reports.append(_report(plan, outcome))
        found += _Findings(app, plan, modules).about(declared, outcome)
    return reports, apply(found, app.modules)


def _names(app: Application) -> frozenset[str]:
    """What an invariant may ask about."""
    return frozenset(app.steps) | {event.__name__ for event in app.events.values()}


def _report(plan: Plan, outcome: Outcome) -> Explored:
    worst = Worst(plan)
    return Explored(
        plan.machine.workflow,
        outcome.states,
        outcome.verdicts,
        outcome.unknown,
        tuple(worst.attempts()),
        worst.wall_time(),
    )


# --- diagnostics


@dataclass(frozen=True)
class _Findings:
    app: Application
    plan: Plan
    modules: Mapping[str, SourceModule]

    def about(self, declared: Sequence[Declared], outcome: Outcome) -> Iterator[Diagnostic]:
        workflow = self.plan.machine.workflow
        for invariant, verdict in zip(declared, outcome.verdicts, strict=True):
            if verdict.trace is not None:
                yield self._broken(invariant, verdict.trace, workflow)
            elif verdict.unknown is not None:
                message = f"whether '{workflow}' keeps invariant '{invariant.name}' is unknown: {verdict.unknown}"
                help_ = "flowgraph check --explore --max-states N goes further; flowgraph explain FG501 says what is not explored"
                yield Diagnostic(RULES["FG501"], invariant.span, message, help_, workflow=workflow)

    def _broken(self, invariant: Declared, trace: Sequence[Entry], workflow: str) -> Diagnostic:
        message = f"invariant '{invariant.name}' does not hold in every run of '{workflow}': it is broken here"
        told = [Related(self._span(entry.place), f"{number}. {entry.text}") for number, entry in enumerate(trace, 1)]
        where = told[-1].span if told else invariant.span
        related = (Related(invariant.span, f"'{invariant.name}' is declared here; the shortest way to break it:"), *told)
        help_ = "code that rules this way out, or an invariant that allows it"
        return Diagnostic(RULES["FG500"], where, message, help_, related, workflow)

    def _span(self, place: Place) -> Span:
        flow = self._flow(place.function)
        module = None if flow is None else self.modules.get(flow.module)
        if flow is None or module is None:
            return NOWHERE
        return module.places.line(place.line) if place.line else flow.span

    def _flow(self, function: str) -> FlowDecl | None:
        return (
            self.app.workflows.get(function)
            or self.app.subflows.get(function)
            or self.app.workflows.get(self.plan.machine.workflow)
        )


# --- reports


def report_text(explored: Iterable[Explored]) -> str:
    """What was explored, for people."""
    return "".join(f"{line}\n" for one in explored for line in _lines(one))


def _lines(one: Explored) -> Iterator[str]:
    yield f"explored '{one.workflow}': {one.states:,} states{''.join(f'; {why}' for why in one.unknown)}"
    for verdict in one.verdicts:
        yield f"  invariant {verdict.name}: {verdict.word}{f' ({verdict.unknown})' if verdict.word == 'unknown' else ''}"
    yield f"  worst wall time: {_time(one.wall_time)}"
    for step in one.attempts:
        most = f"unbounded ({step.each} a call)" if step.most is None else str(step.most)
        yield f"  attempts of {step.site}: {most}"


def _time(time: WallTime) -> str:
    if time.seconds is None:
        return f"unbounded ({time.why})"
    return format_duration(timedelta(seconds=time.seconds))


def report_json(explored: Iterable[Explored]) -> str:
    """The same for programs, as one line: a list with an object for each workflow; None stands for unbounded."""
    return json.dumps([_data(one) for one in explored])


def _data(one: Explored) -> dict[str, Any]:
    return {
        "workflow": one.workflow,
        "states": one.states,
        "unknown": list(one.unknown),
        "invariants": [{"name": verdict.name, "verdict": verdict.word, "unknown": verdict.unknown} for verdict in one.verdicts],
        "wall_time": {"seconds": one.wall_time.seconds, "why": one.wall_time.why},
        "attempts": [
            {"site": step.site, "step": step.step, "line": step.line, "each": step.each, "calls": step.calls, "most": step.most}
            for step in one.attempts
        ],
    }
