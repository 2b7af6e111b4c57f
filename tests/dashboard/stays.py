"""The workflows of the dashboard's tests."""

from __future__ import annotations

import asyncio

from flowgraph import Backoff, Event, NonRetriable, parallel, sleep, step, step_context, wait_for, workflow


class Booked(Event, name="stay.booked"):
    stay: str


class Paid(Event, name="stay.paid"):
    stay: str


CLOSED: set[str] = set()
"""Steps that do not go on for now."""


async def gate(name: str) -> None:
    await asyncio.sleep(0.1)
    while name in CLOSED:  # noqa: ASYNC110 - another thread opens it
        await asyncio.sleep(0.02)


@step
async def validate(stay: str) -> str:
    await gate("validate")
    return f"{stay} is fine"


@step(backoff=Backoff("8s", jitter=0.0))
async def charge(stay: str) -> int:
    await gate("charge")
    if step_context().attempt == 1:
        raise ConnectionError("payments do not answer")
    return 420


@step
async def tell(whom: str) -> None:
    await gate("tell")


@workflow(on=Booked)
async def book(event: Booked) -> str:
    checked = await validate(event.stay)
    amount = await charge(event.stay)
    await parallel(tell("guest"), tell("host"))
    return f"{checked}: {amount}"


@workflow
async def await_payment(stay: str) -> bool:
    paid = await wait_for(Paid, where=lambda p: p.stay == stay, timeout="1h")
    return paid is not None


@workflow
async def rest(stay: str) -> str:
    await sleep("1h")
    return stay


@step(retries=0)
async def repeat(text: str) -> str:
    return text


@step(retries=0)
async def fail_with(text: str) -> str:
    raise NonRetriable(text)


@workflow
async def echo(text: str) -> str:
    return await repeat(text)


@workflow
async def fail(text: str) -> str:
    return await fail_with(text)
