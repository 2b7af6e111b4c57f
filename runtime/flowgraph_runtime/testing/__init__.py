"""Tests of workflows on the real engine: compiled machine, worker and journal, SQLite in memory, and a clock that stands still.

    def test_unpaid_orders_are_cancelled() -> None:
        assert testing.run(pay_order, OrderPlaced(...), steps={mail: None}) == "cancelled"

    async def scenario() -> None:
        async with testing.engine(shop, steps={ship: "parcel-1", mail: None}) as app:
            run = await app.start(pay_order, OrderPlaced(...))
            await app.advance("23h")
            await app.send(PaymentCompleted(...))
            assert await run.result() == "parcel-1"
            assert app.calls(ship) == [("o-1", "pay-1")]

Time passes only by `advance`, or with `skip_time=True` whenever a result is awaited, so thirty days of sleep cost a millisecond.
"""

from flowgraph_runtime.errors import RunCancelled
from flowgraph_runtime.testing.app import App, engine, run
from flowgraph_runtime.testing.fakes import BadFake, Fakes, in_turn
from flowgraph_runtime.testing.runs import NotEnded, Run, RunCrashed
from flowgraph_runtime.testing.surroundings import resources
from flowgraph_runtime.testing.time import StillRunning

__all__ = [
    "App",
    "BadFake",
    "Fakes",
    "NotEnded",
    "Run",
    "RunCancelled",
    "RunCrashed",
    "StillRunning",
    "engine",
    "in_turn",
    "resources",
    "run",
]
