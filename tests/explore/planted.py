"""Workflows with an invariant that does not hold, each with the shortest trace that breaks it, and some that hold.

A line that the trace names is marked `# N: text`, the number being its place in the trace; several are separated by `;`.
"""

from __future__ import annotations

HEAD = """\
from enum import Enum
from flowgraph import *
from flowgraph.invariants import *

class Paid(Event, name="paid"):
    order: str

class Declined(Exception): ...

class Size(Enum):
    SMALL = "small"
    LARGE = "large"

@step
async def charge(n: int) -> int: ...
@step(timeout="3s")
async def refund(n: int) -> None: ...
@step(compensate=refund)
async def buy(n: int) -> None: ...
@step
async def ship(n: int) -> None: ...
@step
async def notify(n: int) -> bool: ...
@step
async def measure(n: int) -> Size: ...

"""

BROKEN = {
    "charged twice in a row": """
once = at_most_once(charge)
@workflow
async def flow(n: int) -> None:
    await charge(n)  # 1: step 'charge' completed
    await charge(n)  # 2: step 'charge' completed
""",
    "charged again after a wait that timed out": """
once = at_most_once(charge)
@workflow
async def flow(n: int) -> None:
    await charge(n)  # 1: step 'charge' completed
    paid = await wait_for(Paid, timeout="1d")  # 2: event 'paid' did not come in time
    if paid is None:
        await charge(n)  # 3: step 'charge' completed
""",
    "charged for each item": """
once = at_most_once(charge)
@workflow
async def flow(ns: list[int]) -> None:
    for n in ns:  # 1: the loop takes an item; 3: the loop takes an item
        await charge(n)  # 2: step 'charge' completed; 4: step 'charge' completed
""",
    "charged in each branch": """
once = at_most_once(charge)
@workflow
async def flow(ns: list[int]) -> None:
    await fan_out(charge(n) for n in ns)  # 1: the fan-out has many elements; 2: step 'charge' completed
""",
    "charged when the error is not the one that was expected": """
once = at_most_once(charge)
@workflow
async def flow(n: int) -> None:
    await charge(n)  # 1: step 'charge' completed
    try:
        await notify(n)  # 2: step 'notify' failed for good
    except Declined:  # 3: 'except Declined' does not take the error
        await ship(n)
    except Exception:
        await charge(n)  # 4: step 'charge' completed
""",
    "shipped after a refund": """
never = never_after(ship, refund)
@workflow
async def flow(n: int) -> None:
    try:
        await charge(n)  # 1: step 'charge' failed for good
    except Exception:
        await refund(n)  # 2: step 'refund' completed
    await ship(n)  # 3: step 'ship' is called
""",
    "shipped although the charge has failed": """
never = never_after(ship, charge, "failed")
@workflow
async def flow(n: int) -> None:
    try:
        await charge(n)  # 1: step 'charge' failed for good
    finally:
        await ship(n)  # 2: step 'ship' is called
""",
    "no refund when the run is cancelled": """
back = always_compensated(charge, by=refund)
@workflow
async def flow(n: int) -> None:
    await charge(n)  # 1: step 'charge' completed
    try:
        await ship(n)  # 2: the run is cancelled here; 3: the run ends: cancelled
    except Exception:
        await refund(n)
        raise
""",
    "no refund when a sibling fails": """
back = always_compensated(charge, by=refund)
@workflow
async def flow(n: int) -> None:
    await parallel(
        charge(n),  # 1: step 'charge' completed
        ship(n),  # 2: step 'ship' failed for good; 3: the run ends: failed
    )
""",
    "no refund because of a flag": """
back = always_compensated(charge, by=refund)
@workflow
async def flow(n: int) -> None:
    charged = False
    try:
        await charge(n)  # 1: step 'charge' completed
        await notify(n)  # 2: step 'notify' failed for good
        charged = True
        await ship(n)
    finally:
        if charged:
            await refund(n)
        await measure(n)  # 3: step 'measure' completed; 4: the run ends: failed
""",
    "a receipt without a payment": """
@invariant
def receipt_needs_payment(history: History) -> bool:
    return not history.started(notify) or history.completed(charge) > 0
@workflow
async def flow(n: int) -> None:
    size = await measure(n)  # 1: step 'measure' completed
    if size == Size.SMALL:  # 2: 'size == Size.SMALL' is false
        await charge(n)
    if size == Size.LARGE:  # 3: 'size == Size.LARGE' is true
        await notify(n)  # 4: step 'notify' is called
""",
    "a subflow that charges once more": """
once = at_most_once(charge)
@workflow
async def flow(n: int) -> None:
    await charge(n)  # 1: step 'charge' completed
    await again(n, False)
    await again(n, True)
@subflow
async def again(n: int, really: bool) -> None:
    if really:
        await charge(n)  # 2: step 'charge' completed
""",
    "a result that came too late for its group": """
back = always_compensated(charge, by=refund)
@workflow
async def flow(n: int) -> None:
    await parallel(
        pay(n),
        ship(n),  # 1: step 'ship' failed for good
    )
@subflow
async def pay(n: int) -> None:
    charged = False
    try:
        await charge(n)  # 2: step 'charge' completed, unused; 3: the run ends: failed
        charged = True
        await sleep("1h")
    finally:
        if charged:
            await refund(n)
""",
    "a race whose loser had completed before": """
once = at_most_once(charge)
@workflow
async def flow(n: int) -> None:
    await race(slow(n), sleep("1h"))
    await charge(n)  # 3: step 'charge' completed
@subflow
async def slow(n: int) -> None:
    await charge(n)  # 1: step 'charge' completed
    await ship(n)  # 2: step 'ship' completed
""",
    "a timeout that is handled unlike a failure": """
never = never_after(ship, refund, "failed")
@workflow
async def flow(n: int) -> None:
    try:
        await refund(n)  # 1: step 'refund' timed out for good
    except TimeoutError:
        await ship(n)  # 2: step 'ship' is called
    except Exception:
        await notify(n)
""",
    "an effect after its saga has ended": """
back = always_compensated(buy, by=refund)
@workflow
async def flow(n: int) -> None:
    async with saga():
        await buy(n)  # 1: step 'buy' completed
    await ship(n)  # 2: step 'ship' failed for good; 3: the run ends: failed
""",
    "shipped when the time of the saga was over": """
never = never_after(ship, refund)
@workflow
async def flow(n: int) -> None:
    try:
        async with timeout("1h"):  # 2: the time of the block is over
            async with saga():
                await buy(n)  # 1: step 'buy' completed; 3: step 'refund' completed
                await sleep("1d")
    except TimeoutError:
        await ship(n)  # 4: step 'ship' is called
""",
    "undone twice": """
once = at_most_once(refund)
@workflow
async def flow(n: int) -> None:
    async with saga():
        await buy(n)  # 1: step 'buy' completed; 4: step 'refund' completed
        try:
            await ship(n)  # 2: step 'ship' failed for good
        except Exception:
            await refund(n)  # 3: step 'refund' completed
            raise
""",
    "nobody is told of a run that is cancelled before it starts": """
@invariant
def told(history: History) -> bool:
    return history.status != "cancelled" or history.started(notify) > 0
@workflow
async def flow(n: int) -> None:
    try:
        await ship(n)  # 1: the run is cancelled before it starts; 2: the run ends: cancelled
    finally:
        await notify(n)
""",
    "a case for each size, and one of them twice": """
once = at_most_once(charge)
@workflow
async def flow(n: int) -> None:
    size = await measure(n)  # 1: step 'measure' completed
    match size:  # 2: 'case Size.LARGE' is taken
        case Size.SMALL:
            await ship(n)
        case Size.LARGE:
            await charge(n)  # 3: step 'charge' completed
    match n:  # 4: 'case 3 if n > 2' is taken
        case 3 if n > 2:
            if size == Size.LARGE:
                await charge(n)  # 5: step 'charge' completed
        case _:
            await notify(n)
""",
    "sent twice": """
@invariant
def told_once(history: History) -> bool:
    return history.sent(Paid) < 2
@workflow
async def flow(n: int) -> None:
    await send(Paid(order="a"))
    if await notify(n):  # 1: step 'notify' completed; 2: the condition is true
        await send(Paid(order="b"))  # 3: 'Paid' is sent
""",
}

HOLDING = {
    "the same cases twice": """
once = at_most_once(charge)
@workflow
async def flow(n: int) -> None:
    size = await measure(n)
    match size:
        case Size.SMALL:
            await charge(1)
        case Size.LARGE:
            await sleep("1s")
    match size:
        case Size.LARGE:
            await charge(2)
        case Size.SMALL:
            await sleep("1s")
""",
    "what a case binds is not what the name was before": """
@invariant
def charged(history: History) -> bool:
    return history.status != "completed" or history.started(charge) + history.started(ship) == 1
@workflow
async def flow(ns: list[int]) -> None:
    paid = False
    for n in ns:
        match n:
            case 0:
                paid = True
            case _:
                pass
    if paid:
        await charge(1)
    else:
        await ship(1)
""",
    "a flag that is set just before an error is raised": """
back = always_compensated(charge, by=refund)
@workflow
async def flow(n: int) -> None:
    charged = False
    try:
        await charge(n)
        charged = True
        raise Declined()
    finally:
        if charged:
            await refund(n)
""",
    "sagas, one inside the other": """
back = always_compensated(buy, by=refund)
@workflow
async def flow(ns: list[int]) -> None:
    async with saga():
        await fan_out(buy(n) for n in ns)
        async with saga():
            for n in ns:
                await buy(n)
        await parallel(ship(1), notify(2))
""",
    "a deadline that no other error is taken for": """
@invariant
def told_of_delays_only(history: History) -> bool:
    return history.started(notify) == 0 or history.failed(ship) == 0
@workflow
async def flow(n: int) -> None:
    try:
        async with timeout("1h"):
            try:
                await ship(n)
            except Exception:
                return
    except TimeoutError:
        await notify(n)
""",
    "a flag that says what was done": """
back = always_compensated(charge, by=refund)
once = at_most_once(charge)
never = never_after(ship, refund)
@workflow
async def flow(n: int) -> None:
    charged = False
    shipped = False
    try:
        await charge(n)
        charged = True
        await ship(n)
        shipped = True
    finally:
        if charged and not shipped:
            await refund(n)
""",
    "the same condition twice": """
@invariant
def receipt_needs_payment(history: History) -> bool:
    return not history.started(notify) or history.completed(charge) > 0
@workflow
async def flow(n: int) -> None:
    if n > 3:
        await charge(n)
    await sleep("1h")
    if n > 3:
        await notify(n)
""",
    "one of two sizes": """
once = at_most_once(charge)
@workflow
async def flow(n: int) -> None:
    size = await measure(n)
    if size == Size.SMALL:
        await charge(n)
    if size == Size.LARGE:
        await charge(n)
""",
    "a counter with an end": """
@invariant
def three_at_most(history: History) -> bool:
    return history.completed(charge) <= 3
@workflow
async def flow() -> None:
    tries = 0
    while tries < 3:
        tries += 1
        await charge(tries)
""",
    "a wait that ends in one of two ways": """
@invariant
def shipped_or_refunded(history: History) -> bool:
    return history.started(ship) + history.started(refund) <= 1
@workflow
async def flow(n: int) -> None:
    paid = await wait_for(Paid, timeout="1d")
    if paid is not None:
        await ship(n)
    await notify(n)
    if paid is None:
        await refund(n)
""",
    "a step in every item's place, one at a time": """
never = never_after(charge, charge, "failed")
@workflow
async def flow(ns: list[int]) -> None:
    await fan_out((charge(n) for n in ns), limit=1)
""",
    "a handler that takes every error": """
@invariant
def told(history: History) -> bool:
    return history.status != "completed" or history.completed(ship) + history.completed(notify) > 0
@workflow
async def flow(n: int) -> bool:
    try:
        await ship(n)
    except Declined:
        return await notify(1)
    except Exception:
        return await notify(2)
    return True
""",
}
