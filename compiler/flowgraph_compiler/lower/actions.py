"""Suspending nodes to actions: what a token, or one branch of a group, waits for."""

from __future__ import annotations

from dataclasses import dataclass

from flowgraph import Event
from flowgraph.options import StepOptions, WorkflowOptions
from flowgraph_compiler import graph, machine
from flowgraph_compiler.declarations import Application
from flowgraph_compiler.graph import AnyNode
from flowgraph_compiler.lower.errors import NotLowerable
from flowgraph_compiler.lower.policies import policy
from flowgraph_compiler.lower.variables import reads
from flowgraph_compiler.machine import Action


@dataclass(frozen=True)
class Actions:
    """Makes the actions of one machine: `options` are the workflow's, `sites` the identity of each node."""

    app: Application
    options: WorkflowOptions
    sites: dict[str, str]

    def of(self, node: AnyNode) -> Action:
        """The action of a suspending node."""
        site = self.sites[node.id]
        match node:
            case graph.Step(callee=callee, arguments=arguments, keywords=keywords):
                own = self.app.steps[callee].step.options
                assert isinstance(own, StepOptions)
                return machine.CallStep(site, callee, arguments, keywords, policy(node.overrides, own, self.options))
            case graph.Subflow(callee=callee, arguments=arguments, keywords=keywords):
                return machine.CallFlow(site, callee, arguments, keywords)
            case graph.Child(callee=callee, arguments=arguments, keywords=keywords):
                return machine.CallChild(site, callee, arguments, keywords)
            case graph.Start(callee=callee, arguments=arguments, keywords=keywords):
                return machine.StartRun(site, callee, arguments, keywords)
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

    def _wait(self, node: graph.Wait, site: str) -> Action:
        cls = self.app.events[node.event]
        frozen = tuple(sorted(reads(node.residual)))
        return machine.WaitFor(
            site, cls.event_name, node.event, wire_names(cls, self.app), node.parameter, node.keys, node.residual, frozen,
            node.timeout, node.since,
        )  # fmt: skip

    def _group(self, node: AnyNode, site: str) -> Action:
        match node:
            case graph.Parallel(kind=kind, branches=branches):
                return machine.Group(site, kind, tuple(self.of(branch) for branch in branches))
            case graph.FanOut(kind=kind, clauses=clauses, branch=branch, limit=limit):
                return machine.FanOutGroup(site, kind, clauses, self.of(branch), limit)
            case _:
                raise NotLowerable(
                    node.span, f"'{type(node).__name__}' cannot be waited for", "call a step, subflow or primitive"
                )


def wire_names(cls: type[Event], app: Application) -> tuple[str, ...]:
    """Every wire name whose events are instances of the class: its own and those of its subclasses (a base is a wildcard)."""
    return tuple(sorted({cls.event_name, *(other.event_name for other in app.events.values() if issubclass(other, cls))}))
