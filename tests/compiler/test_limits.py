"""`concurrency=` of workflows and steps: what is refused, and the limits that a machine carries."""

from __future__ import annotations

import pytest

from flowgraph_compiler.machine import Machine
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.pretty import pretty
from flowgraph_compiler.serialize import MachineError, fingerprint, from_json, to_json
from flowgraph_compiler.source import from_text
from tests.compiler.checked import codes_by_line, marked
from tests.compiler.compiled import checked

HEAD = """\
from enum import Enum
from uuid import UUID
from flowgraph import Concurrency, Event, step, subflow, workflow

class Tier(Enum):
    FREE = 1
    PAID = 2

class Order(Event, name="order"):
    number: int
    customer: str
    tier: Tier
    ref: UUID
    amount: float
    note: str | None = None
    pair: tuple[str, int] = ("a", 1)

LIMIT = Concurrency(3, key=lambda e: e.customer)

@step(concurrency=Concurrency(2))
async def pay(n: int) -> int:
    return n

@step
async def pack(n: int) -> int:
    return n

@subflow
async def both(n: int) -> int:
    return await pay(await pack(n))

"""


def machine(options: str, body: str = "return await pack(e.number)") -> Machine:
    return checked(HEAD + f"@workflow(on=Order, {options})\nasync def flow(e: Order) -> int:\n    {body}\n")[1]


def shown(options: str, body: str = "return await pack(e.number)") -> list[str]:
    return [line for line in pretty(machine(options, body)).splitlines() if line.startswith("limit")]


def test_a_machine_carries_the_limits_of_its_workflow_with_their_keys():
    assert shown(
        "concurrency=[Concurrency(10, key=lambda e: e.customer), Concurrency(50),"
        " Concurrency(2, key=lambda o: (o.tier, o.customer.lower()), scope='run')]"
    ) == [
        "limit 10 steps of workflow 'flow' by e: e.customer",
        "limit 50 steps of workflow 'flow' (2)",
        "limit 2 runs of workflow 'flow' (3) by o: (o.tier, o.customer.lower())",
    ]


def test_a_machine_carries_the_limits_of_the_steps_that_it_calls_in_subflows_too():
    assert shown("retries=1", "return await both(e.number)") == ["limit 2 steps of step 'pay'"]
    assert shown("retries=1") == []


@pytest.mark.parametrize("key", ["number", "customer", "tier", "ref", "pair"])
def test_every_kind_of_key_is_taken(key: str):
    assert shown(f"concurrency=Concurrency(1, key=lambda e: e.{key})") == [f"limit 1 steps of workflow 'flow' by e: e.{key}"]


def test_limits_are_part_of_the_fingerprint_and_survive_being_stored():
    one, two = machine("concurrency=Concurrency(1)"), machine("concurrency=Concurrency(2)")
    assert fingerprint(one) != fingerprint(two)
    assert from_json(to_json(two)) == two


def test_a_stored_machine_whose_key_names_what_no_machine_may_name_is_refused():
    text = to_json(machine("concurrency=Concurrency(1, key=lambda e: e.customer)"))
    assert '"customer"' in text
    with pytest.raises(MachineError, match="__class__"):
        from_json(text.replace('["Attribute",["Bound","e"],"customer"]', '["Attribute",["Bound","e"],"__class__"]'))


REFUSED = """
class Asked2(Event, name="asked2"):
    guest: str
    maybe: str | None = None
    price: float
HELD = Concurrency(3, key=lambda e: e.guest)
@step(concurrency=Concurrency(0))  # error: FG320
async def s1() -> None: ...
@step(concurrency=Concurrency(1, key=lambda e: e))  # error: FG323
async def s2() -> None: ...
@step(concurrency=Concurrency(1, scope="run"))  # error: FG323
async def s3() -> None: ...
@step(concurrency=[Concurrency(1), Concurrency(2)])  # error: FG323
async def s4() -> None: ...
@step(concurrency=3)  # error: FG320
async def s5() -> None: ...
@workflow(concurrency=Concurrency(1, key=lambda n: n))  # error: FG323
async def w1(n: int) -> None: ...
@workflow(on=Asked2, concurrency=Concurrency(1, scope="page"))  # error: FG320
async def w2(event: Asked2) -> None: ...
@workflow(on=Asked2, concurrency=[Concurrency(1, key=lambda e: e.maybe), Concurrency(2)])  # error: FG301
async def w3(event: Asked2) -> None: ...
@workflow(on=Asked2, concurrency=Concurrency(1, key=lambda e: (e.guest, e.price)))  # error: FG301
async def w4(event: Asked2) -> None: ...
@workflow(on=Asked2, concurrency=Concurrency(1, key=lambda e: e.gest))  # error: FG301
async def w5(event: Asked2) -> None: ...
@workflow(concurrency=Concurrency(1))
async def w6(n: int) -> None: ...
@workflow(on=Asked2, concurrency=HELD)
async def w7(event: Asked2) -> None: ...  # error: FG100
"""


def test_limits_that_cannot_be_carried_out_are_refused():
    assert codes_by_line(REFUSED, "FG100", "FG301", "FG320", "FG323") == marked(REFUSED)


@pytest.mark.feature(10, 17)
def test_a_misspelt_field_in_a_key_is_named_with_the_nearest_one():
    text = (
        HEAD + "@workflow(on=Order, concurrency=Concurrency(1, key=lambda e: e.custmer))\nasync def flow(e: Order) -> None: ...\n"
    )
    (found,) = compile_application([from_text(text, "misspelt_key")]).diagnostics
    assert "'custmer'" in found.message
    assert found.help == "customer"
