"""Suspending nodes to actions: what a token, or one branch of a group, waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flowgraph import Event
from flowgraph.options import WorkflowOptions
from flowgraph_compiler import graph, machine
from flowgraph_compiler.compensations import compensation_site, compensations_of
from flowgraph_compiler.declarations import Application
from flowgraph_compiler.graph import AnyNode, WorkflowGraph
from flowgraph_compiler.lower.errors import NotLowerable
from flowgraph_compiler.lower.policies import policy
from flowgraph_compiler.lower.variables import reads
from flowgraph_compiler.machine import Action, Compensation, Policy


@dataclass(frozen=True)
class Actions:
    """Makes the actions of one machine: the site of each node by its id, the policy of a step call, the wire names of an event
    class by its bare name (its own first), the parameters of a workflow by its name, what undoes a step by its name and the site
    of the call."""

    sites: Mapping[str, str]
    policy: Callable[[graph.Step], Policy]
    wires: Callable[[str], tuple[str, tuple[str, ...]]]
    parameters: Callable[[str], tuple[str, ...]]
    undo: Callable[[str, str], Compensation | None] = lambda _, __: None

    def of(self, node: AnyNode) -> Action:
        """The action of a suspending node."""
        site = self.sites[node.id]
        match node:
            case graph.Step(callee=callee, arguments=arguments, keywords=keywords):
                return machine.CallStep(site, callee, arguments, keywords, self.policy(node), self.undo(callee, site))
            case graph.Subflow(callee=callee, arguments=arguments, keywords=keywords):
                return machine.CallFlow(site, callee, arguments, keywords)
            case graph.Child() | graph.Start():
                return self._run(node, site)
            case graph.Sleep(duration=duration):
                return machine.SleepFor(site, duration)
            case graph.SleepUntil(when=when):
                return machine.SleepTill(site, when)
            case graph.Wait():
                return self._wait(node, site)
            case graph.Send(event=event):
                return machine.SendEvent(site, event)
            case _:
                return self._group(node, site)

    def _run(self, node: graph.Child | graph.Start, site: str) -> Action:
        keywords = (*node.keywords, *node.defaults)
        known = self.parameters(node.callee)
        unknown = [keyword.name for keyword in keywords if keyword.name not in known]
        if unknown:  # where no value ever comes, by the types, nothing has looked at the arguments before
            raise NotLowerable(
                node.span, f"workflow '{node.callee}' has no parameter '{unknown[0]}'", "remove the call, or mend it"
            )
        order = tuple(name for name in known if name in {keyword.name for keyword in keywords})
        kind = machine.CallChild if isinstance(node, graph.Child) else machine.StartRun
        return kind(site, node.callee, node.arguments, keywords, order)

    def _wait(self, node: graph.Wait, site: str) -> Action:
        name, names = self.wires(node.event)
        frozen = tuple(sorted(reads(node.residual)))
        return machine.WaitFor(
            site, name, node.event, names, node.parameter, node.keys, node.residual, frozen, node.timeout, node.since
        )

    def _group(self, node: AnyNode, site: str) -> Action:
        match node:
            case graph.Parallel(kind=kind, branches=branches):
                return machine.Group(site, kind, tuple(self.of(branch) for branch in branches))
            case graph.Scope(kind=kind, duration=duration):
                return machine.OpenScope(site, kind, duration)
            case graph.FanOut(kind=kind, clauses=clauses, branch=branch, limit=limit):
                return machine.FanOutGroup(site, kind, clauses, self.of(branch), limit)
            case _:
                raise NotLowerable(
                    node.span, f"'{type(node).__name__}' cannot be waited for", "call a step, subflow or primitive"
                )


def actions_of(workflow: WorkflowGraph, app: Application, sites: Mapping[str, str]) -> Actions:
    """The actions of a workflow of the application."""
    options: WorkflowOptions = app.workflows[workflow.name].target.options

    def wires(event: str) -> tuple[str, tuple[str, ...]]:
        return app.events[event].event_name, wire_names(app.events[event], app)

    def parameters(name: str) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in app.workflows[name].parameters)

    compensations = compensations_of(workflow, app)

    def undo(step: str, site: str) -> Compensation | None:
        found = compensations.get(step)
        own = None if found is None else policy(graph.CallOverrides(), found.step.options, options)
        return None if found is None or own is None else Compensation(compensation_site(site), found.name, own)

    return Actions(
        sites, lambda node: policy(node.overrides, app.steps[node.callee].step.options, options), wires, parameters, undo
    )


def wire_names(cls: type[Event], app: Application) -> tuple[str, ...]:
    """Every wire name whose events are instances of the class: its own and those of its subclasses (a base is a wildcard)."""
    return tuple(sorted({cls.event_name, *(other.event_name for other in app.events.values() if issubclass(other, cls))}))
