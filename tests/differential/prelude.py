"""What every generated program declares: events, models, exceptions and steps."""

from __future__ import annotations

PRELUDE = """
from __future__ import annotations
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, IntEnum
from typing import Any
from pydantic import BaseModel
from flowgraph import Cancelled, Event, NonRetriable, fan_out, now, parallel, pure, saga, send, sleep, step, subflow, timeout
from flowgraph import Err, Ok, race, settle, start, uuid, wait_for, workflow

CALLS: list[tuple[object, ...]] = []
HELD: list[Callable[[], Awaitable[None]]] = []  # what the call that a test singled out awaits

SYNC = {"negate"}

async def called(*call: object) -> None:
    CALLS.append(call)
    if HELD:
        await HELD[0]()

class Ping(Event, name="ping"):
    n: int
    text: str = ""

class Item(BaseModel):
    n: int
    tags: list[str] = []

@dataclass
class Pair:
    left: int
    right: list[int] = field(default_factory=list)

class Color(Enum):
    RED = "red"
    BLUE = "blue"

class Size(IntEnum):
    ONE = 1
    TWO = 2

class Odd(Exception):
    pass

class VeryOdd(Odd):
    pass

class Coded(VeryOdd):
    def __init__(self, n: int) -> None:
        super().__init__(f"coded {n}")
        self.n = n
        self.seen = [n]

BASE = 7
NAMES = ("ann", "bob", "cid")

@step
async def add(a: int, b: int = 1) -> int:
    await called("add", a, b)
    return a + b

@step
def negate(a: int) -> int:
    CALLS.append(("negate", a))
    return -a

@step(retries=2)
async def only_even(n: int) -> int:
    await called("only_even", n)
    if n % 2:
        raise Odd(n)
    return n // 2

@step
async def strict(n: int) -> int:
    await called("strict", n)
    if n % 3 == 1:
        raise NonRetriable(f"strict {n}")
    if n % 3 == 2:
        raise NonRetriable("two") from Coded(n)
    return n

@step(retries=0)
async def very(n: int) -> int:
    await called("very", n)
    if n % 5 == 0:
        raise Coded(n)
    return n + 1

@step
async def label(n: int) -> str:
    await called("label", n)
    return f"<{n}>"

@step
async def check(n: int) -> bool:
    await called("check", n)
    return n % 2 == 0

@step
async def spread(n: int) -> list[int]:
    await called("spread", n)
    return list(range(abs(n) % 4))

@step
async def touch(xs: list[int]) -> list[int]:
    await called("touch", tuple(xs))
    xs.append(len(xs))
    return xs

@step
async def maybe(n: int) -> int | None:
    await called("maybe", n)
    return None if n % 3 == 0 else n

@step
async def make(n: int) -> Item:
    await called("make", n)
    return Item(n=n, tags=[str(n)])

@step
async def retag(item: Item, tag: str) -> Item:
    await called("retag", item.n, tuple(item.tags), tag)
    item.tags.append(tag)
    return item

@step
async def pair(n: int) -> Pair:
    await called("pair", n)
    return Pair(n, [n])

@step
async def record(text: str) -> None:
    await called("record", text)

@step
async def tally(counts: dict[str, int]) -> int:
    await called("tally", tuple(sorted(counts.items())))
    return sum(counts.values())

@step(retries=0)
async def alert(trigger: Any, error: Exception) -> None:
    await called("alert", shown(trigger), repr(error), error.flowgraph.step, error.flowgraph.attempts)

@step(retries=0)
async def broken_alert(trigger: Any, error: Exception) -> None:
    await called("broken_alert", shown(trigger), repr(error))
    raise ValueError("no alert")

@step
async def slow(n: int) -> int:
    await called("slow", n)
    await asyncio.sleep(5003)
    return n * 2

@step(retries=1)
async def slow_odd(n: int) -> int:
    await called("slow_odd", n)
    await asyncio.sleep(2503)
    if n % 2:
        raise Odd(f"slow {n}")
    return n

@step
async def give_back(n: int, tags: list[str] | None = None) -> None:
    await called("give_back", n, tuple(tags or ()))

@step(compensate=give_back)
async def take(n: int, tags: list[str] | None = None) -> int:
    await called("take", n, tuple(tags or ()))
    if tags is not None:
        tags.append("taken")
    return n + 1

@step(retries=1)
async def unpick(n: int) -> None:
    await called("unpick", n)
    if n % 3 == 0:
        raise Odd(f"unpick {n}")

@step(retries=0, compensate=unpick)
async def pick(n: int) -> int:
    await called("pick", n)
    if n % 7 == 6:
        raise Odd(f"pick {n}")
    return n - 1

@step
async def cleaned(trigger: Any) -> None:
    await called("cleaned", shown(trigger))

def shown(trigger: Any) -> str:
    return repr(trigger) if isinstance(trigger, dict) else f"ping {trigger.n} {trigger.text}"
"""

SUBFLOWS = {
    text.split("(")[0].split()[-1]: f"@subflow{text}"
    for text in """
@subflow
async def alarmed(trigger: TRIGGER, error: Exception) -> None:
    await record(f"alarm {error!r}")
    await sleep("1h")
    await alert(trigger, error)

@subflow
async def cleared(trigger: TRIGGER) -> None:
    try:
        await sleep("1h")
    finally:
        await cleaned(trigger)

@subflow
async def patient(n: int, *, nap: str = "1h") -> int:
    try:
        await sleep(nap)
        return await add(n)
    finally:
        await record(f"patient {n}")

@subflow
async def careful(n: int, text: str = "c") -> str:
    got = ""
    try:
        got = await label(n)
        await sleep("90m")
    except Cancelled:
        await record(f"careful {n} {text}")
        raise
    finally:
        await sleep("1h")
        got += text + await label(n)
    return got

@subflow
async def listening(n: int) -> bool:
    heard = await wait_for(Ping, where=lambda p: p.n == n + 20, timeout="3h")
    try:
        await record(f"heard {n} {heard is not None}")
    finally:
        await sleep("5m")
    return heard is None

@subflow
async def hurried(n: int, seconds: int = 2707) -> int:
    try:
        async with timeout(timedelta(seconds=seconds + abs(n) % 50)):
            got = await slow(n)
            await sleep("1h")
            return got
    except TimeoutError as e:
        await record(f"hurried {n} {e}")
    return n

@subflow
async def saved(n: int, *, failing: bool = False) -> int:
    try:
        async with saga():
            got = await take(n)
            await sleep("40m")
            if failing:
                await very(5)
            return got
    except Coded:
        await record(f"saved {n}")
    return n

""".split("@subflow")[1:]
}
"""Subflows by name, declared in the programs that call them."""

WORKFLOWS = {
    text.split("async def ")[1].split("(")[0]: f"@workflow{text}"
    for text in """
@workflow
async def napping(n: int, m: int = 3, *, nap: str = "1h") -> int:
    try:
        await sleep(nap)
        return await add(n, m)
    finally:
        await record(f"napping {n}")

@workflow(on=Ping, on_failure=alert, on_cancel=cleaned)
async def pinged(event: Ping) -> int:
    await sleep(event.text)
    return await very(event.n)

@workflow(on_failure=broken_alert, on_cancel=cleaned, retries=1)
async def resting(n: int, text: str = "r", *, nap: str = "1h") -> str:
    got = ""
    try:
        await sleep(nap)
        got = await label(await strict(n))
        await sleep("1h")
    except Cancelled:
        await record(f"resting {n} {text}")
        raise
    finally:
        got += text + await label(n)
    return got

""".split("@workflow")[1:]
}
"""Workflows by name, declared in the programs that call or start them."""
