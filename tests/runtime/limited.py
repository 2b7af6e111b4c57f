"""Limited workflows for the runtime's tests. Steps stand on a stage that counts how many execute at once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, defaultdict

from flowgraph import Concurrency, Event, NonRetriable, RetryAfter, parallel, sleep, step, step_context, subflow, workflow


class Batch(Event, name="batch"):
    org: str
    n: int = 0


class Nightly(Event, name="nightly"):
    org: str
    n: int = 0


class Stage:
    """What executes now and the most that ever did, by name; a closed gate holds steps back until it is opened."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.order: list[str] = []
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.thread_gate = threading.Event()
        self.fail: Counter[str] = Counter()
        self.open = True

    def enter(self, name: str, what: str) -> None:
        with self.lock:
            self.order.append(what)
            self.now[name] += 1
            self.most[name] = max(self.most[name], self.now[name])

    def leave(self, name: str) -> None:
        with self.lock:
            self.now[name] -= 1


STAGE = Stage()


async def on_stage(name: str, what: str) -> None:
    STAGE.enter(name, what)
    try:
        await asyncio.sleep(0)
        if not STAGE.open:
            await STAGE.gates[what].wait()
    finally:
        STAGE.leave(name)


@step(retries=0)
async def work(org: str, n: int) -> int:
    await on_stage(org, f"{org}{n}")
    return n


@step(retries=3)
async def flaky(org: str, n: int) -> int:
    await on_stage(org, f"{org}{n}")
    if STAGE.fail[f"{org}{n}"] >= step_context().attempt:
        raise RetryAfter("1h")
    return n


@step(retries=0)
async def tidy(org: str, n: int) -> None:
    await on_stage("tidy", f"tidy {org}{n}")


@step(retries=0, timeout="50ms")
def blocking(org: str, n: int) -> int:
    STAGE.enter(org, f"{org}{n}")
    STAGE.thread_gate.wait(20)
    STAGE.leave(org)
    return n


@step(concurrency=Concurrency(2))
async def scarce(n: int) -> int:
    await on_stage("scarce", f"s{n}")
    return n


@subflow
async def twice(org: str, n: int) -> int:
    return await work(org, n) + await work(org, n)


@workflow(on=Batch, concurrency=Concurrency(2, key=lambda e: e.org))
async def keyed(event: Batch) -> int:
    a, b, c = await parallel(work(event.org, event.n), twice(event.org, event.n), work(event.org, event.n))
    return a + b + c


@workflow(on=Nightly, concurrency=[Concurrency(1, key=lambda e: e.org), Concurrency(2)])
async def several(event: Nightly) -> int:
    return await work(event.org, event.n)


class Turn(Event, name="turn"):
    org: str
    n: int


@workflow(on=Turn, concurrency=Concurrency(1, key=lambda e: e.org))
async def in_turn(event: Turn) -> int:
    return await work(event.org, event.n)


class Flaky(Event, name="flaky"):
    org: str
    n: int


@workflow(on=Flaky, concurrency=Concurrency(1, key=lambda e: e.org))
async def retrying(event: Flaky) -> int:
    return await flaky(event.org, event.n)


class Slow(Event, name="slow"):
    org: str
    n: int


@workflow(on=Slow, concurrency=Concurrency(1, key=lambda e: e.org))
async def slow(event: Slow) -> int:
    try:
        return await blocking(event.org, event.n)
    except TimeoutError:
        return -1


class Tidied(Event, name="tidied"):
    org: str
    n: int


@workflow(on=Tidied, concurrency=Concurrency(1))
async def tidied(event: Tidied) -> int:
    try:
        return await work(event.org, event.n)
    finally:
        await tidy(event.org, event.n)


@workflow
async def shares(n: int) -> int:
    return await scarce(n)


@workflow
async def shares_too(n: int) -> int:
    return await scarce(n) + 1


class Stay(Event, name="stay"):
    org: str
    n: int
    nights: int = 1


@workflow(on=Stay, concurrency=Concurrency(1, key=lambda e: (e.org, 10 // e.nights), scope="run"))
async def one_at_a_time(event: Stay) -> int:
    await work(event.org, event.n)
    await sleep("30d")
    return await work(event.org, event.n)


@step(retries=0)
async def boom(org: str) -> int:
    await on_stage(org, f"boom {org}")
    raise NonRetriable("no")


@workflow
async def siblings(org: str) -> int:
    a, b = await parallel(boom(org), scarce(9))
    return a + b


class Visit(Event, name="visit"):
    org: str
    n: int


@workflow(on=Visit, concurrency=Concurrency(1, key=lambda e: e.org, scope="run"))
async def fails_first(event: Visit) -> int:
    await sleep("1s")
    return await picky(event.org, event.n)


@step(retries=0)
async def picky(org: str, n: int) -> int:
    await on_stage(org, f"{org}{n}")
    if STAGE.fail[f"{org}{n}"]:
        STAGE.fail[f"{org}{n}"] -= 1
        raise NonRetriable("not yet")
    return n
