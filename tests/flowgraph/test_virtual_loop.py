"""The loop whose clock jumps."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from flowgraph.virtual import VirtualLoop, run_virtual

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_year_takes_no_time_and_the_clock_shows_it() -> None:
    async def main() -> datetime:
        await asyncio.sleep(365 * 86_400)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return loop.now()

    began = time.perf_counter()
    assert run_virtual(main(), start=START) - START == timedelta(days=365)
    assert time.perf_counter() - began < 5


def test_timers_fire_in_their_order() -> None:
    seen: list[int] = []

    async def after(seconds: int) -> None:
        await asyncio.sleep(seconds)
        seen.append(seconds)

    async def main() -> None:
        await asyncio.gather(after(3000), after(10), after(200))

    run_virtual(main())
    assert seen == [10, 200, 3000]


def test_the_clock_stands_while_a_thread_works() -> None:
    async def main() -> float:
        await asyncio.to_thread(time.sleep, 0.05)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 0


def test_a_program_that_can_never_go_on_is_told_so() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing can happen any more"):
        run_virtual(main())
