"""Every commit of a scenario, with every fate: the scenario must end as if nothing had been.

python -m tests.simulation.crash_points [SCENARIO [COMMIT FATE]]      # prints how many commits each scenario has
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator

from flowgraph_runtime.storage.writer import Fate
from tests.simulation.simulator import Simulation, Violation

FATES = (Fate.REJECTED, Fate.APPLIED_ERROR, Fate.CRASH_BEFORE, Fate.CRASH_AFTER)
Action = tuple[str, float] | tuple[str, str, int]

SHORT: dict[str, tuple[Action, ...]] = {
    "steps with retries": (("start", "chain", 2),),
    "parallel branches": (("start", "forked", 1),),
    "an error that is caught": (("start", "caught", 1),),
    "fan-outs": (("start", "fanned", 1),),
    "a sleep": (("start", "sleepy", 1),),
    "a saga": (("start", "undone", 1),),
    "a timeout": (("start", "hurried", 1),),
    "children": (("start", "outer", 0),),
    "an event that is waited for": (("start", "patient", 3), ("pause", 1), ("ping", 3)),
    "a run that an event starts": (("kick", 3), ("ping", 3)),
    "a cancel": (("start", "sleepy", 1), ("pause", 40), ("cancel", 0)),
}
"""Scenarios by name: what the outside does, one after the other."""


def _more() -> Iterator[tuple[str, tuple[Action, ...]]]:
    for workflow in ("chain", "forked", "fanned", "undone", "hurried", "outer"):
        for seconds in (0.005, 2, 150):
            yield f"{workflow} cancelled after {seconds} s", (("start", workflow, 2), ("pause", seconds), ("cancel", 0))
    for first, second in (("chain", "forked"), ("sleepy", "outer"), ("undone", "hurried"), ("fanned", "caught")):
        yield f"{first} beside {second}", (("start", first, 0), ("start", second, 4))
    yield "an event before its wait", (("ping", 3), ("start", "patient", 3), ("ping", 3))
    yield "a wait that nobody ends", (("start", "patient", 4), ("ping", 3))
    yield "two waits, two events", (("start", "attentive", 2), ("pause", 1), ("ping", 2), ("ping", 2))
    yield "two waits, one event", (("start", "attentive", 2), ("pause", 1300), ("ping", 2))
    yield "two runs and one event", (("start", "patient", 1), ("start", "attentive", 1), ("pause", 1), ("ping", 1))
    yield "a wait that is cancelled", (("start", "patient", 1), ("pause", 30), ("cancel", 0), ("ping", 1))
    yield "a child that fails", (("start", "outer", 2),)


LONG: dict[str, tuple[Action, ...]] = dict(_more())
SCENARIOS = SHORT | LONG


class CrashPoint(Simulation):
    """One scenario; commit number `at`, counted from 1 while it lasts, has a fate, all others are stored."""

    def __init__(self, scenario: str, at: int = 0, fate: Fate = Fate.OK) -> None:
        super().__init__(seed=0)
        self.starts_at_workers = True
        self.fault_rate = 0.0
        self.scenario = scenario
        self.at = at
        self.fate = fate
        self.commits = 0

    def _fate(self) -> Fate:
        if self.calm:
            return Fate.OK
        self.commits += 1
        if self.commits != self.at:
            return Fate.OK
        if self.fate in (Fate.CRASH_BEFORE, Fate.CRASH_AFTER):
            self.crashing.set()
        return self.fate

    async def _load(self) -> None:
        for number, action in enumerate(SCENARIOS[self.scenario]):
            await self._act(number, action)
        await self._until_all_ended()

    async def _act(self, number: int, action: Action) -> None:
        match action:
            case ("start", workflow, n):
                await self.client.start(number, workflow, n)
            case ("ping" | "kick" as name, n):
                await self.client.send(number, str(name), int(n))
            case ("cancel", index):
                await self.client.cancel(list(self.told.runs)[int(index)])
            case (_, seconds):
                await asyncio.sleep(seconds)

    def _text(self, what: str) -> str:
        return f"{self.scenario}: {what} (reproduce: {command(self.scenario, self.at, self.fate)})"


def command(scenario: str, at: int, fate: Fate) -> str:
    """What runs one of them again."""
    return f"python -m tests.simulation.crash_points '{scenario}' {at} {fate.value}"


def commits(scenario: str) -> int:
    """How many commits a scenario has when nothing goes wrong."""
    point = CrashPoint(scenario)
    point.run()
    return point.commits


def main() -> None:
    """Run one crash point, all of a scenario, or all of all."""
    logging.disable(logging.CRITICAL)
    if len(sys.argv) == 4:
        CrashPoint(sys.argv[1], int(sys.argv[2]), Fate(sys.argv[3])).run()
        return
    for scenario in sys.argv[1:] or SCENARIOS:
        count = commits(scenario)
        print(f"{scenario}: {count} commits", flush=True)
        for at in range(1, count + 1):
            for fate in FATES:
                try:
                    CrashPoint(scenario, at, fate).run()
                except Violation as violation:
                    print(violation, flush=True)


if __name__ == "__main__":
    main()
