"""The fixed pool: all attempts run, at most so many at once, interrupted ones leave no trace."""

from __future__ import annotations

import asyncio

from flowgraph_runtime.engine.commands import RunStep
from flowgraph_runtime.engine.inputs import StepDone
from flowgraph_runtime.worker.live import Attempt, LiveRun
from flowgraph_runtime.worker.pool import BURST, StepPool
from tests.runtime.conftest import until


def _live() -> LiveRun:
    return LiveRun("r", None, None, None, 0, "running")  # type: ignore[arg-type]  # the pool looks at its attempts only


def _attempt(live: LiveRun, serial: int) -> Attempt:
    return Attempt(live, RunStep(serial, 0, "s", "s", 1, 1, (), {}))


def test_attempts_that_wait_run_side_by_side_up_to_the_size(run):
    running, most, done = 0, 0, []

    async def work(attempt: Attempt) -> StepDone:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return StepDone(attempt.command.serial, 1, "null")

    async def scenario() -> LiveRun:
        pool = StepPool(8, work, lambda attempt, outcome: done.append(outcome.serial))
        live = _live()
        for serial in range(50):
            pool.submit(_attempt(live, serial))
        assert pool.busy == 50
        await until(lambda: not pool.busy)
        await pool.close()
        return live

    live = run(scenario())
    assert sorted(done) == list(range(50))
    assert most == 8
    assert live.attempts == {}


def test_attempts_that_do_not_wait_are_run_in_bursts_in_order(run):
    done = []

    def work(attempt: Attempt) -> StepDone:
        return StepDone(attempt.command.serial, 1, "null")

    async def scenario() -> int:
        pool = StepPool(1000, work, lambda attempt, outcome: done.append(outcome.serial))
        pool.emptied = lambda: emptied.append(len(done))
        live = _live()
        for serial in range(500):
            pool.submit(_attempt(live, serial))
        assert pool.has_queued
        await until(lambda: not pool.busy)
        assert not pool.has_queued
        tasks = len(pool._tasks)
        await pool.close()
        return tasks

    emptied: list[int] = []
    assert run(scenario()) <= 500 // BURST + 1, "no coroutine per attempt"
    assert done == list(range(500))
    assert set(emptied) == {500}, "it has heard of the end, and of nothing before"


def test_an_interrupted_attempt_ends_without_an_outcome_and_its_place_is_used_again(run):
    done, interrupted = [], []

    async def work(attempt: Attempt) -> StepDone:
        try:
            await asyncio.sleep(60 if attempt.command.serial == 1 else 0)
        except asyncio.CancelledError:
            interrupted.append(attempt.command.serial)
            raise
        return StepDone(attempt.command.serial, 1, "null")

    async def scenario() -> None:
        pool = StepPool(1, work, lambda attempt, outcome: done.append(outcome.serial))
        live = _live()
        stuck, queued = _attempt(live, 1), _attempt(live, 2)
        for attempt in (stuck, queued, _attempt(live, 3)):
            pool.submit(attempt)
        await asyncio.sleep(0.01)
        pool.abandon(queued, interrupt=True)
        pool.abandon(stuck, interrupt=True)
        await until(lambda: not pool.busy)
        await pool.close()

    run(scenario())
    assert (interrupted, done) == ([1], [3])


def test_the_outcome_of_a_step_that_swallows_its_interruption_is_dropped(run):
    done = []

    async def work(attempt: Attempt) -> StepDone:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return StepDone(attempt.command.serial, 1, "null")

    async def scenario() -> None:
        pool = StepPool(1, work, lambda attempt, outcome: done.append(outcome.serial))
        attempt = _attempt(_live(), 1)
        pool.submit(attempt)
        await asyncio.sleep(0.01)
        pool.abandon(attempt, interrupt=True)
        await until(lambda: not pool.busy)
        await pool.close()

    run(scenario())
    assert done == []


def test_a_held_pool_finishes_what_runs_and_starts_nothing(run):
    done, started = [], []
    gate = asyncio.Event()

    async def work(attempt: Attempt) -> StepDone:
        started.append(attempt.command.serial)
        await gate.wait()
        return StepDone(attempt.command.serial, 1, "null")

    async def scenario() -> None:
        pool = StepPool(2, work, lambda attempt, outcome: done.append(outcome.serial))
        live = _live()
        for serial in range(4):
            pool.submit(_attempt(live, serial))
        await asyncio.sleep(0.01)
        pool.hold()
        await pool.drain(0.01)
        assert (started, done) == ([0, 1], [])
        asyncio.get_running_loop().call_later(0.01, gate.set)
        await pool.drain(5)
        assert (started, sorted(done)) == ([0, 1], [0, 1])
        await pool.close()

    run(scenario())
