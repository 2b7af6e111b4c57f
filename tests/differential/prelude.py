"""What generated programs declare: events, types, exceptions, constants, steps and some subflows; each what it uses of them."""

from __future__ import annotations

import re
from functools import cache

PRELUDE = """
from __future__ import annotations
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo
import json
import math
from pydantic import BaseModel
from flowgraph import Cancelled, Err, Event, NonRetriable, Ok, fan_out, now, parallel, pure, race, run_info, saga, send, settle
from flowgraph import sleep, sleep_until, start, step, subflow, timeout, uuid, wait_for, workflow

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

class Point(NamedTuple):
    x: int
    y: float

class Row(TypedDict):
    n: int
    tag: str

@dataclass(frozen=True)
class Seal:
    code: str
    ids: tuple[int, ...] = ()

class Order(BaseModel):
    item: Item
    count: int = 1
    price: Decimal | None = None
    color: Color = Color.RED

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

LIMITS = (1, 2, 5)

TOPICS = frozenset({"a", "xyz"})

PRICE = Decimal("2.50")

PAUSE = timedelta(minutes=90)

FAVOURITE = Color.BLUE

ORIGIN = Point(0, 0.0)

SEAL = Seal("k", (7,))

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

@step(retries=1)
async def spoil(xs: list[int]) -> int:
    await called("spoil", tuple(xs))
    xs.append(1)
    if len(xs) < 4:
        raise Odd(len(xs))
    return len(xs)

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

@step
async def dedupe(xs: list[int]) -> set[int]:
    await called("dedupe", tuple(xs))
    return set(xs)

@step
async def topics(text: str) -> frozenset[str]:
    await called("topics", text)
    return frozenset(text)

@step
async def turn(couple: tuple[int, str]) -> tuple[int, str]:
    await called("turn", couple)
    return -couple[0], couple[1][::-1]

@step
async def price(n: int) -> Decimal:
    await called("price", n)
    return Decimal(n % 1000) / 8

@step
async def later(at: datetime) -> datetime:
    await called("later", at.isoformat(), at.fold)
    return at + timedelta(hours=1)

@step
async def pause(n: int) -> timedelta:
    await called("pause", n)
    return timedelta(seconds=n % 100, microseconds=1)

@step
async def holiday(day: date) -> date:
    await called("holiday", day)
    return day + timedelta(days=1)

@step
async def paint(n: int) -> Color:
    await called("paint", n)
    return Color.BLUE if n % 2 else Color.RED

@step
async def move(point: Point) -> Point:
    await called("move", point, type(point).__name__)
    return Point(point.x + 1, -point.y)

@step
async def half(n: int) -> float:
    await called("half", n)
    return n % 1000 / 2

@step
async def file(row: Row) -> Row:
    await called("file", tuple(row.items()))
    row["n"] += 1
    return row

@step
async def digest(raw: bytes) -> bytes:
    await called("digest", raw)
    return raw[::-1] + b"!"

@step
async def identify(n: int) -> UUID:
    await called("identify", n)
    return UUID(int=n % 2**64)

@step
async def regroup(table: dict[tuple[int, str], int]) -> dict[tuple[int, str], int]:
    await called("regroup", tuple(table.items()))
    return {(v, k[1]): k[0] for k, v in table.items()}

@step
async def transpose(rows: list[list[int]]) -> list[list[int]]:
    await called("transpose", repr(rows))
    rows[0].append(len(rows))
    return [*rows, rows[0]]

@step
async def place(order: Order) -> Order:
    await called("place", order.model_dump_json())
    order.item.tags.append("p")
    return order

@step
async def reseal(seal: Seal) -> Seal:
    await called("reseal", repr(seal))
    return Seal(seal.code + "+", (*seal.ids, len(seal.ids)))

@step
async def describe(error: Exception) -> str:
    await called("describe", repr(error), tuple(getattr(error, "__notes__", ())))
    return f"{type(error).__name__}: {error}"

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

@step(retries=0)
async def alert(trigger: Any, error: Exception) -> None:
    await called("alert", shown(trigger), repr(error), error.flowgraph.step, error.flowgraph.attempts)

@step(retries=0)
async def broken_alert(trigger: Any, error: Exception) -> None:
    await called("broken_alert", shown(trigger), repr(error))
    raise ValueError("no alert")

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
async def sharing(xs: list[int], ys: list[int]) -> int:
    xs.append(5)
    await record(f"sharing {xs} {ys}")
    return len(ys)

@subflow
async def clumsy(n: int) -> int:
    try:
        await sleep("1h")
    finally:
        await very(5)
    return n

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


@cache
def _chunks() -> list[tuple[frozenset[str], frozenset[str], str]]:
    """The top-level parts of both texts: the names that each defines, the words in it, the text."""
    parts = [*PRELUDE.strip().split("\n\n"), *(text.strip() for text in (*SUBFLOWS.values(), *WORKFLOWS.values()))]
    defines = re.compile(r"^(?:async def |def |class )?(\w+)(?=[(:]| = )", re.MULTILINE)
    return [(frozenset(defines.findall(part)), frozenset(re.findall(r"\w+", part)), part) for part in parts]


def declarations(text: str, trigger: str) -> str:
    """What a program of this text needs of all that is above. `trigger`: the type that a handler of the workflow gets."""
    words = {"CALLS", "HELD", "SYNC", "called", "Ping", *re.findall(r"\w+", text)}
    kept: list[bool] = []
    chunks, before = _chunks()[1:], 0
    while len(words) > before:
        before = len(words)
        kept = [not defines.isdisjoint(words) for defines, _, _ in chunks]
        words.update(*(inner for keep, (_, inner, _) in zip(kept, chunks, strict=True) if keep))
    found = [_chunks()[0][2], *(part for keep, (_, _, part) in zip(kept, chunks, strict=True) if keep)]
    return "\n\n".join(found).replace("TRIGGER", trigger) + "\n\n"
