"""An event is posted, a wait for it is registered, and its deadline comes, all in the same instant, by three stores on one
PostgreSQL. Whatever comes first: the event is offered to the wait once, the deadline fires once and never early, and an event
that was received by the deadline stands before it in the inbox.

    python -m verification.races --rounds 2000 --ledger
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from flowgraph_runtime.clock import SystemClock
from flowgraph_runtime.identifiers import Identifiers
from flowgraph_runtime.records import EventRow, InboxRow, NewRun, TimerRow, Transition, WaitRow
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.invariants import violations
from verification.ledger import enter
from verification.postgres import MISSING, server_binaries, temporary_server

NAME = "paid"
SPREAD = 0.004
"""Seconds by which the three miss each other at most."""


@dataclass
class Round:
    """One race: of `run`, over `key`. `jitter`: seconds that poster, registrar and clock wait after the barrier."""

    run: str
    key: str
    event: EventRow
    due: int
    jitter: tuple[float, float, float]


class Race:
    """Three stores, a thread each; the owner's is the registrar's."""

    def __init__(self, url: str, seed: int) -> None:
        self._chance = random.Random(seed)
        self._clock = SystemClock()
        self._ids = Identifiers(self._clock)
        self._poster, self._registrar, self._timer = (Store.open(url) for _ in range(3))
        self._runners = [asyncio.Runner() for _ in range(4)]
        self._epoch = self._do(self._prepare())

    def close(self) -> None:
        """Close the stores."""
        for store in (self._poster, self._registrar, self._timer):
            store.close()
        for runner in self._runners:
            runner.close()

    def _do(self, coroutine: Any) -> Any:
        return self._runners[3].run(coroutine)

    async def _prepare(self) -> int:
        await self._registrar.save_machine("m_1", "pay", "{}", "{}", [(NAME, "key")])
        await self._registrar.set_current("pay", "m_1")
        return await self._registrar.open_epoch("registrar")

    def violations(self) -> list[str]:
        """What the database breaks of its invariants."""
        return violations(self._registrar)

    def runs(self, count: int) -> list[str]:
        """Start runs that the registrar owns."""

        async def start() -> list[str]:
            now = self._clock.now()
            for _ in range(count):
                await self._registrar.start_run(NewRun(self._ids.run(), "pay", "m_1", "[]", now))
            claimed: list[str] = []
            while len(claimed) < count:
                claimed += [row.id for row in await self._registrar.claim(self._epoch, 100)]
            return claimed

        found: list[str] = self._do(start())
        return found

    def plan(self, run: str, number: int) -> Round:
        """A race for a run, with a deadline a moment from now."""
        now = self._clock.now()
        key = f"s:{number}"
        event = EventRow(self._ids.event(), NAME, "{}", '{"$model":"Paid","v":{}}', now, 0, keys=(("key", key),))
        jitter = tuple(self._chance.random() * SPREAD for _ in range(3))
        return Round(run, key, event, now + round(self._chance.random() * 2 * SPREAD * 1e6), jitter)  # type: ignore[arg-type]

    def go(self, race: Round) -> list[InboxRow]:
        """Let the three go at once -> the run's inbox afterwards, in order."""
        barrier = threading.Barrier(3)
        failures: list[BaseException] = []

        def one(number: int, act: Callable[[], Any]) -> None:
            barrier.wait()
            time.sleep(race.jitter[number])
            try:
                self._runners[number].run(act())
            except BaseException as error:
                failures.append(error)

        acts = (lambda: self._poster.ingest([race.event], []), lambda: self._register(race), lambda: self._fire(race.due))
        threads = [threading.Thread(target=one, args=(number, act)) for number, act in enumerate(acts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        self._runners[2].run(self._fire(race.due))  # in case the wait was registered after the clock had looked last
        rows: list[InboxRow] = self._do(self._registrar.inbox([race.run]))
        return rows

    async def _register(self, race: Round) -> None:
        wait = WaitRow(race.run, 1, (NAME,), (("key", race.key),), True)
        deadline = TimerRow(race.run, 1, race.due, "deadline")
        parked = Transition(race.run, waits=[wait], timers=[deadline], status="waiting", release=True)
        (error,) = await self._registrar.commit(self._epoch, [parked])
        if error is not None:
            raise error

    async def _fire(self, due: int) -> None:
        while self._clock.now() < due + 1000:
            await self._timer.fire_timers()
        await self._timer.fire_timers()


def judge(rows: list[InboxRow], race: Round, received_at: int) -> list[str]:
    """What is wrong with the inbox after a race."""
    kinds = Counter(row.kind for row in rows)
    faults = [f"{count} x {kind}" for kind, count in ((kind, kinds[kind]) for kind in ("event", "timer")) if count != 1]
    if faults:
        return faults
    event, timer = (next(row for row in rows if row.kind == kind) for kind in ("event", "timer"))
    if timer.at < race.due:
        faults.append(f"the deadline fired {race.due - timer.at} us early")
    if received_at <= race.due and event.position > timer.position:
        faults.append(f"the event came {race.due - received_at} us before the deadline and stands behind it")
    return faults


def programme(url: str, rounds: int, seed: int) -> dict[str, Any]:
    """Race -> the report."""
    started = time.monotonic()
    race = Race(url, seed)
    faults: Counter[str] = Counter()
    first: Counter[str] = Counter()
    try:
        with psycopg.connect(url, autocommit=True) as look:
            for number, run in enumerate(race.runs(rounds)):
                one = race.plan(run, number)
                rows = race.go(one)
                found = look.execute("SELECT received_at FROM fg_event WHERE id = %s", (one.event.id,)).fetchone()
                faults.update(judge(rows, one, int(found[0])) if found else ["the event is not stored"])
                first[rows[0].kind if rows else "nothing"] += 1
        broken = race.violations()
    finally:
        race.close()
    seconds = round(time.monotonic() - started, 1)
    return {
        "rounds": rounds, "seed": seed, "event_first": first["event"], "deadline_first": first["timer"],
        "faults": dict(faults), "violations": broken, "seconds": seconds,
    }  # fmt: skip


def sound(report: dict[str, Any]) -> bool:
    """Whether no race went wrong, and both outcomes were seen."""
    return not report["faults"] and not report["violations"] and bool(report["event_first"] and report["deadline_first"])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledger", action="store_true", help="append the report to verification/ledger.jsonl")
    args = parser.parse_args()
    binaries = server_binaries()
    if binaries is None:
        sys.exit(MISSING)
    with temporary_server(binaries) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE races")
        report = programme(server.url("races"), args.rounds, args.seed)
    print(json.dumps(report))
    if args.ledger:
        enter("event/wait/deadline races", report)
    sys.exit(0 if sound(report) else 1)


if __name__ == "__main__":
    main()
