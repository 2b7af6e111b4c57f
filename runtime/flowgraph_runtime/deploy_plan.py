"""What a deployment means for the runs that are under way: PURE, from the machines that they are on, where they stand on them,
and the code to come.

A run stays on its machine whatever is deployed. So it is *unaffected* when the new code gives the same machine, *can move* when
it is proven that the new machine can go on from where it stands ('flowgraph migrate' moves it), and *stays pinned* when it is not
and the new code still has all that its machine needs; else it *breaks*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flowgraph_compiler.declarations import Application
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.in_flight import deployed_as, live_findings
from flowgraph_compiler.machine import Machine
from flowgraph_compiler.safe_points import NotProven, Position, prove
from flowgraph_compiler.serialize import MachineError, fingerprint, from_json
from flowgraph_runtime.positions import Standings, spot
from flowgraph_runtime.storage.deployed import EXAMPLES, LiveMachine

OUTCOMES = ("unaffected", "can move", "stays pinned", "breaks")
"""What may become of runs, from the best to the worst."""


@dataclass(frozen=True)
class Fate:
    """What becomes of some runs of a workflow. `outcome`: one of `OUTCOMES`; `to`: the fingerprint of the machine to come, if
    there is one; `at`: where the runs stand, as a text; `why` they cannot move, None when they can."""

    workflow: str
    machine: str
    to: str | None
    outcome: str
    runs: int
    examples: tuple[str, ...]
    at: str = ""
    why: str | None = None
    findings: tuple[Diagnostic, ...] = ()
    codes: tuple[str, ...] = ()


def plan(live: Iterable[LiveMachine], machines: Mapping[str, Machine], app: Application) -> list[Fate]:
    """The fates of all runs, by workflow. `machines`: those of the code to come, by workflow."""
    renamed = {name: flow.name for flow in app.workflows.values() for name in (flow.name, *flow.target.aliases)}
    return [fate for one in live for fate in _fates(one, machines.get(renamed.get(one.workflow, one.workflow)), app)]


def _fates(live: LiveMachine, now: Machine | None, app: Application) -> Iterator[Fate]:
    to = None if now is None else fingerprint(now)
    if to == live.fingerprint:
        yield Fate(live.workflow, live.fingerprint, to, "unaffected", live.runs, live.examples)
        return
    try:
        old = from_json(live.text)
    except MachineError:
        why = "this version cannot read its machine"
        yield Fate(live.workflow, live.fingerprint, to, "breaks", live.runs, live.examples, why=why)
        return
    found = tuple(live_findings(deployed_as(old, f"{live.runs} live run{'' if live.runs == 1 else 's'}"), app))
    codes = tuple(dict.fromkeys(each.rule.code for each in found))
    for standing in _gathered(live.standings, old, now):
        outcome = "breaks" if found else "can move" if standing.why is None else "stays pinned"
        runs, examples = standing.runs, tuple(standing.examples)
        yield Fate(live.workflow, live.fingerprint, to, outcome, runs, examples, standing.at, standing.why, found, codes)


@dataclass
class _Standing:
    at: str
    why: str | None
    runs: int
    examples: list[str]


def _gathered(standings: Standings, old: Machine, now: Machine | None) -> list[_Standing]:
    """The places where runs stand, those of which the same is to be said as one."""
    gathered: dict[tuple[str, str | None], _Standing] = {}
    for one in standings:
        at = "on their way" if one.position is None else spot(old, one.position)
        why = "something of them is running" if one.position is None else not_proven(old, now, one.position)
        known = gathered.setdefault((at, why), _Standing(at, why, 0, []))
        known.runs += one.runs
        known.examples = [*known.examples, *one.examples][:EXAMPLES]
    return sorted(gathered.values(), key=lambda each: (each.why is not None, -each.runs, each.at))


def not_proven(old: Machine, now: Machine | None, position: Position) -> str | None:
    """Why a run at a position cannot move to the machine to come; None: it can."""
    if now is None:
        return "the workflow is gone"
    try:
        prove(old, now, position)
    except NotProven as why:
        return str(why)
    return None


def plan_text(fates: Iterable[Fate]) -> str:
    """A line for each workflow, and below it one for each fate, with the number of runs, where they stand, and examples."""
    by_workflow: dict[str, list[Fate]] = {}
    for fate in fates:
        by_workflow.setdefault(fate.workflow, []).append(fate)
    lines: list[str] = []
    for workflow, of_it in by_workflow.items():
        count = sum(fate.runs for fate in of_it)
        lines.append(f"{workflow}: {count} live run{'' if count == 1 else 's'}")
        lines += [_line(fate) for fate in sorted(of_it, key=lambda fate: OUTCOMES.index(fate.outcome))]
    return "\n".join(lines) or "no run is under way"


def _line(fate: Fate) -> str:
    more = ", ..." if fate.runs > len(fate.examples) else ""
    told = ", ".join(part for part in (fate.machine, fate.at) if part)
    return f"  {fate.runs} {fate.outcome} ({told}): {_reason(fate)}: {', '.join(fate.examples)}{more}"


def _reason(fate: Fate) -> str:
    match fate.outcome:
        case "unaffected":
            return "the same machine"
        case "can move":
            return "the new code goes on from there"
        case "stays pinned":
            return f"ends on its own machine, because {fate.why}"
        case _:
            codes = ", ".join(fate.codes)
            return (codes or str(fate.why)) + (", but can move" if codes and fate.why is None else "")
