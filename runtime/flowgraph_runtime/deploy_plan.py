"""What a deployment means for the runs that are under way: PURE, from the machines that they are on and the code to come.

A run stays on its machine whatever is deployed. So it is *unaffected* when the new code gives the same machine, *can move* when
the new machine has the same states, and *stays pinned* when the new code still has all that its machine needs; else it *breaks*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flowgraph_compiler.declarations import Application
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.differences import moves
from flowgraph_compiler.in_flight import deployed_as, live_findings
from flowgraph_compiler.machine import Machine
from flowgraph_compiler.serialize import MachineError, fingerprint, from_json
from flowgraph_runtime.storage.deployed import LiveMachine

OUTCOMES = {
    "unaffected": "the same machine",
    "can move": "the same states, with other options",
    "stays pinned": "ends on its own machine, which this code can run",
    "breaks": "this code lacks what its machine needs",
}
"""What may become of the runs of a machine, from the best to the worst."""


@dataclass(frozen=True)
class Fate:
    """What becomes of the runs of one machine, one of `OUTCOMES`, and why when it breaks."""

    live: LiveMachine
    outcome: str
    findings: tuple[Diagnostic, ...] = ()


def plan(live: Iterable[LiveMachine], machines: Mapping[str, Machine], app: Application) -> list[Fate]:
    """The fate of each machine. `machines`: those of the code to come, by workflow."""
    renamed = {name: flow.name for flow in app.workflows.values() for name in (flow.name, *flow.target.aliases)}
    return [_fate(one, machines.get(renamed.get(one.workflow, one.workflow)), app) for one in live]


def _fate(live: LiveMachine, now: Machine | None, app: Application) -> Fate:
    if now is not None and fingerprint(now) == live.fingerprint:
        return Fate(live, "unaffected")
    try:
        old = from_json(live.text)
    except MachineError:
        return Fate(live, "breaks")
    found = live_findings(deployed_as(old, f"{live.runs} live run{'' if live.runs == 1 else 's'}"), app)
    if found:
        return Fate(live, "breaks", tuple(found))
    return Fate(live, "can move" if now is not None and moves(old, now) else "stays pinned")


def plan_text(fates: Iterable[Fate]) -> str:
    """A line for each workflow, and below it one for each machine with its fate, the number of its runs and examples."""
    by_workflow: dict[str, list[Fate]] = {}
    for fate in fates:
        by_workflow.setdefault(fate.live.workflow, []).append(fate)
    lines: list[str] = []
    for workflow, of_it in by_workflow.items():
        count = sum(fate.live.runs for fate in of_it)
        lines.append(f"{workflow}: {count} live run{'' if count == 1 else 's'}")
        lines += [_line(fate) for fate in sorted(of_it, key=lambda fate: list(OUTCOMES).index(fate.outcome))]
    return "\n".join(lines) or "no run is under way"


def _line(fate: Fate) -> str:
    codes = ", ".join(dict.fromkeys(found.rule.code for found in fate.findings))
    why = codes or OUTCOMES[fate.outcome]
    more = ", ..." if fate.live.runs > len(fate.live.examples) else ""
    return f"  {fate.live.runs} {fate.outcome} ({fate.live.fingerprint}: {why}): {', '.join(fate.live.examples)}{more}"
