"""Events between workflows, hierarchies of events, and names on the wire."""

from __future__ import annotations

from tests.integration.harness import engine

EVENTS = """
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel
from enum import Enum
from uuid import UUID

class Kind(Enum):
    OLD = "old"
    NEW = "new"

class Any_(Event, name="any"):
    key: str

class Up(Any_, name="up"):
    by: int = 1

class Down(Any_, name="down"):
    by: int = 1

class Wire(Event, name="wire"):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
    order_id: str
    unit_price: int = 0

class Typed(Event, name="typed"):
    kind: Kind
    id: UUID
    flag: bool
    maybe: str | None = None

@workflow
async def any_of(key: str) -> list[str]:
    got: list[str] = []
    for _ in range(3):
        event = await wait_for(Any_, where=lambda e: e.key == key, timeout="1h")
        if event is None:
            got.append("none")
        elif isinstance(event, Up):
            got.append(f"up {event.by}")
        else:
            got.append(event.meta.name)
    return got

@workflow
async def self_service(key: str) -> str:
    await send(Up(key=key, by=7))
    up = await wait_for(Up, where=lambda e: e.key == key, timeout="1h")
    return "none" if up is None else f"{up.by} from {up.meta.source}"

@workflow
async def ping(key: str) -> int:
    total = 0
    for n in range(20):
        await send(Up(key=key, by=n))
        down = await wait_for(Down, where=lambda e: e.key == key and e.by == n, timeout="1h")
        if down is None:
            return -1
        total += down.by
    return total

@workflow
async def pong(key: str) -> str:
    for _ in range(20):
        up = await wait_for(Up, where=lambda e: e.key == key, timeout="1h")
        if up is None:
            return "none"
        await send(Down(key=key, by=up.by))
    return "done"

@workflow(on=Wire)
async def wired(event: Wire) -> Wire:
    paid = await wait_for(Wire, where=lambda w: w.order_id == event.order_id, timeout="1h")
    return event if paid is None else paid

@workflow
async def typed(kind: Kind, id: UUID, flag: bool) -> str:
    got = await wait_for(Typed, where=lambda t: t.kind == kind and t.id == id and t.flag == flag, timeout="5s")
    if got is None:
        return "none"
    again = await wait_for(Typed, where=lambda t: t.maybe == None and t.kind is not Kind.OLD, timeout="5s")
    return f"{got.kind.value} {again is not None}"
"""


def test_a_wait_for_a_base_class_takes_every_kind(run, log, each_url):
    async def scenario():
        async with engine(EVENTS, each_url, skip_time=False) as served:
            run_id = await served.start("any_of", key="k")
            await served.reaches(run_id, "waiting")
            await served.send("up", key="other", by=1)
            for name in ("down", "any", "up"):
                await served.send(name, key="k")
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", ["down", "any", "up 1"])


def test_a_run_may_take_what_it_has_sent_itself(run, log, each_url):
    async def scenario():
        async with engine(EVENTS, each_url, skip_time=False) as served:
            run_id = await served.start("self_service", key="k")
            return run_id, await served.outcome(run_id)

    run_id, outcome = run(scenario())
    assert outcome == ("completed", f"7 from {run_id}")


def test_two_runs_talk_by_events(run, log, each_url):
    async def scenario():
        async with engine(EVENTS, each_url, skip_time=False) as served:
            pairs = [(await served.start("pong", key=str(n)), await served.start("ping", key=str(n))) for n in range(5)]
            return [(await served.outcome(ping), await served.outcome(pong)) for pong, ping in pairs]

    assert run(scenario()) == [(("completed", 190), ("completed", "done"))] * 5


def test_aliases_hold_on_the_wire_in_keys_and_in_results(run, log, url):
    async def scenario():
        async with engine(EVENTS, url, skip_time=False) as served:
            (first,) = await served.send("wire", orderId="o", unitPrice=1)
            await served.reaches(first, "waiting")
            (second,) = await served.send("wire", orderId="o", unitPrice=2)
            row = await served.ended(first)
            return row.status, row.result, await served.outcome(second) if second == first else None

    status, result, _ = run(scenario())
    assert status == "completed"
    assert "2" in result


def test_keys_of_every_type_match(run, log, each_url):
    id = "12345678-1234-5678-1234-567812345678"

    async def scenario():
        async with engine(EVENTS, each_url, skip_time=False) as served:
            run_id = await served.start("typed", kind="new", id=id, flag=True)
            await served.reaches(run_id, "waiting")
            await served.send("typed", kind="old", id=id, flag=True)
            await served.send("typed", kind="new", id=id, flag=False)
            await served.send("typed", kind="new", id=id.upper(), flag=True)
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", "new True")
