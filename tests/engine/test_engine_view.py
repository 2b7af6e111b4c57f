"""Where a run stands."""

from __future__ import annotations

from flowgraph_runtime.engine.view import positions
from tests.engine.driver import START
from tests.engine.sources import Hand, compiled


def test_every_token_has_a_node_and_what_it_waits_for() -> None:
    hand = Hand(
        compiled(
            """
@subflow
async def nap() -> None:
    await sleep("1h")

@workflow
async def flow() -> None:
    await parallel(add(1), nap(), flaky(9), wait_for(Ping, timeout=None))
"""
        )
    )
    hand.failed("flaky", ValueError("x"))
    found = {position.node: position for position in positions(hand.state, hand.program)}
    nodes = {node.id for node in hand.program.machine.nodes}
    assert set(found) <= nodes
    assert {node: position.waits_for for node, position in found.items()} == {
        "flow/parallel": "children",
        "flow/add": "executing",
        "nap/sleep": "sleep",
        "flow/flaky": "backoff",
        "flow/wait_for.Ping": "wait",
    }
    assert found["nap/sleep"].due == START + 3_600_000_000
    assert found["flow/flaky"].since == START + 1_000_000
    assert (found["flow/flaky"].visit, found["flow/flaky"].attempt) == (1, 1)
