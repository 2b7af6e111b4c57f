"""A module of workflows for the runtime's tests; what its steps do is told by `STAGE`."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from flowgraph import (
    Backoff,
    Cron,
    Event,
    NonRetriable,
    RetryAfter,
    parallel,
    resource,
    send,
    sleep,
    step,
    step_context,
    wait_for,
    workflow,
)


@dataclass
class Stage:
    """What steps saw and what they are to do: `calls` are (step, key, attempt), `fail` how often a step fails first."""

    calls: list[tuple[str, str, int]] = field(default_factory=list)
    fail: dict[str, int] = field(default_factory=dict)
    events: dict[str, asyncio.Event] = field(default_factory=dict)
    interrupted: list[str] = field(default_factory=list)

    def enter(self, name: str) -> None:
        """Note a call, and fail as long as that is asked for."""
        context = step_context()
        self.calls.append((name, context.idempotency_key, context.attempt))
        if context.attempt <= self.fail.get(name, 0):
            raise ConnectionError(f"{name} does not answer")

    def count(self, name: str) -> int:
        """How often a step was called."""
        return sum(call[0] == name for call in self.calls)


STAGE = Stage()


class Placed(Event, name="order.placed"):
    """An order."""

    order_id: str
    amount: int = 1


class Paid(Event, name="order.paid"):
    """Its payment."""

    order_id: str
    reference: str


class Shipped(Event, name="order.shipped"):
    """What the first workflow tells others."""

    order_id: str


class Receipt(BaseModel):
    """A result."""

    order_id: str
    reference: str | None


class Pool:
    """A resource."""

    answer = 42


@step
async def reserve(order_id: str) -> str:
    STAGE.enter("reserve")
    return f"res-{order_id}"


@step(retries=2, backoff=Backoff("1s", factor=2, jitter=0.0))
async def charge(order_id: str, amount: int) -> str:
    STAGE.enter("charge")
    return f"pay-{order_id}-{amount}"


@step(retries=0)
def pack(order_id: str) -> str:
    STAGE.enter("pack")
    time.sleep(0.01)
    return f"box-{order_id}"


@step
async def label(order_id: str) -> str:
    STAGE.enter("label")
    await asyncio.sleep(0.01)
    return f"label-{order_id}"


@step
async def tell(order_id: str, text: str) -> None:
    STAGE.enter(f"tell {text}")


@step
async def on_failed(event: Placed, error: Exception) -> None:
    STAGE.enter(f"on_failed {error}")


@workflow(on=Placed, on_failure=on_failed)
async def fulfil(event: Placed) -> Receipt:
    reserved = await reserve(event.order_id)
    reference = await charge(reserved, event.amount)
    await parallel(pack(event.order_id), label(event.order_id))
    await send(Shipped(order_id=event.order_id))
    return Receipt(order_id=event.order_id, reference=reference)


@workflow(on=Cron("0 9 1 1 *", tz="Europe/Paris", overlap="skip"))
async def yearly() -> None:
    """Starts on New Year's Day."""


@workflow(on=Shipped)
async def thank(event: Shipped) -> str:
    await tell(event.order_id, "thanks")
    return event.order_id


@workflow
async def await_payment(order_id: str, patience: str = "1h") -> Receipt:
    paid = await wait_for(Paid, where=lambda p: p.order_id == order_id, timeout="1h")
    if paid is None:
        await tell(order_id, "too late")
        return Receipt(order_id=order_id, reference=None)
    return Receipt(order_id=order_id, reference=paid.reference)


@workflow
async def nap(days: int) -> int:
    await tell("nap", "before")
    await sleep("30d")
    await tell("nap", "after")
    return days


@step(retries=0)
async def hang() -> None:
    STAGE.enter("hang")
    STAGE.events["hanging"].set()
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        STAGE.interrupted.append("hang")
        raise


@step
async def note_cancel(order_id: str) -> None:
    STAGE.enter("note_cancel")


@workflow(on_cancel=note_cancel)
async def stuck(order_id: str) -> None:
    try:
        await hang()
    finally:
        await tell(order_id, "clean")


@step(retries=3)
async def misbehave(how: str) -> str:
    STAGE.enter(f"misbehave {how}")
    return await MISDEEDS[how]()


async def _exit() -> str:
    sys.exit("out of here")


async def _give_up() -> str:
    raise NonRetriable("not even once more")


async def _later() -> str:
    if step_context().attempt == 1:
        raise RetryAfter("3h")
    return "later"


async def _unstorable() -> Any:
    return asyncio.sleep


async def _huge() -> str:
    return "x" * 2_000_000


async def _provided() -> str:
    return str(resource(Pool).answer)


async def _cancels_itself() -> str:
    raise asyncio.CancelledError("mine")


MISDEEDS: dict[str, Any] = {
    "exit": _exit,
    "give up": _give_up,
    "later": _later,
    "unstorable": _unstorable,
    "huge": _huge,
    "provided": _provided,
    "cancels itself": _cancels_itself,
}


@workflow
async def trial(how: str) -> str:
    return await misbehave(how)


@step(retries=1, backoff=Backoff("1s", jitter=0.0), timeout="50ms")
async def slow() -> None:
    STAGE.enter("slow")
    await asyncio.sleep(60)


@workflow
async def impatient() -> str:
    try:
        await slow()
    except TimeoutError as error:
        return str(error)
    return "in time"


@step(retries=0)
def crooked(text: str) -> str:
    STAGE.enter("crooked")
    raise StopIteration(text)


@workflow
async def stops() -> str:
    try:
        return await crooked("no")
    except Exception as error:
        return str(error)


@step
async def chatter(number: int) -> str:
    STAGE.enter("chatter")
    return "x" * 5_000


@workflow
async def talkative(times: int) -> int:
    total = 0
    for number in range(times):
        total += len(await chatter(number))
    return total
