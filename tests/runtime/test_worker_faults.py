"""A database that refuses, a connection lost while committing, an epoch taken over: no run is lost, none is done twice."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from flowgraph_runtime.clock import ManualClock, SystemClock
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.records import Decided, transition_of
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.reopening import retry
from flowgraph_runtime.service import Service
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import Fate, Store
from flowgraph_runtime.storage.errors import NotFailed
from flowgraph_runtime.storage.invariants import violations
from flowgraph_runtime.timers import SkippingClock
from tests.runtime.conftest import compilation, ended, engine, reaches


class Fates:
    """Decides over commits once it is armed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.armed = False
        self.drawn: list[Fate] = []

    def __call__(self) -> Fate:
        if not self.armed:
            return Fate.OK
        fate = self.random.choices([Fate.OK, Fate.REJECTED, Fate.APPLIED_ERROR], [0.6, 0.2, 0.2])[0]
        self.drawn.append(fate)
        return fate


@asynccontextmanager
async def _faulty(fates: Fates):
    store = Store.open("sqlite://", clock=SkippingClock(SystemClock()), inline=True, fate=fates)
    settings = Settings(db="sqlite://", poll_interval=0.02, grace=1.0, heartbeat_interval=60.0)
    try:
        async with Service(Registry.from_compilation(compilation()), store, settings).running() as service:
            await asyncio.sleep(0.05)
            yield service
            fates.armed = False
    finally:
        store.close()


@pytest.mark.parametrize("seed", range(4))
def test_refused_and_unclear_commits_lose_nothing(run, stage, seed):
    fates = Fates(seed)
    stage.fail["charge"] = 1

    async def scenario():
        async with _faulty(fates) as service:
            results = await service.intake.send([Posted("order.placed", {"order_id": f"o{number}"}) for number in range(8)])
            fates.armed = True
            rows = [await ended(service, result.run_ids[0], 25) for result in results]
            fates.armed = False
            thanks, _ = await service.store.runs(workflow="thank", limit=100)
            rows += [await ended(service, row.id, 25) for row in thanks]
            return rows, violations(service.store)

    rows, found = run(scenario())
    assert [row.status for row in rows] == ["completed"] * 16
    assert found == []
    assert fates.drawn.count(Fate.REJECTED) > 0
    assert fates.drawn.count(Fate.APPLIED_ERROR) > 0


def test_a_transition_that_is_always_refused_parks_its_run_and_no_other(run, stage, monkeypatch):
    commit = Store.commit

    async def refusing(self, epoch, transitions):
        bad = {index for index, transition in enumerate(transitions) if _is_poison(transition)}
        good = [transition for index, transition in enumerate(transitions) if index not in bad]
        answers = iter(await commit(self, epoch, good) if good else [])
        return [ValueError("poison") if index in bad else next(answers) for index in range(len(transitions))]

    def _is_poison(decided: Decided) -> bool:
        return any(row.site == "trial/misbehave" for row in transition_of(decided).rows)

    monkeypatch.setattr(Store, "commit", refusing)

    async def scenario():
        async with engine() as service:
            poisoned, _ = await service.intake.start("trial", {"how": "give up"})
            healthy, _ = await service.intake.start("thank", {"order_id": "x"})
            return await ended(service, poisoned), await ended(service, healthy), service.worker.idle

    poisoned, healthy, _ = run(scenario())
    assert (poisoned.status, healthy.status) == ("crashed", "completed")
    assert poisoned.reason == "ValueError: poison"
    assert stage.count("misbehave give up") == 5


def test_a_worker_whose_epoch_was_taken_over_drops_its_runs_and_begins_anew(run, stage):
    async def scenario():
        stage.events["hanging"] = asyncio.Event()
        async with engine(skip_time=False) as service:
            waiting, _ = await service.intake.start("await_payment", {"order_id": "o1"})
            await reaches(service, waiting, "waiting")
            held, _ = await service.intake.start("stuck", {"order_id": "o2"})
            await stage.events["hanging"].wait()
            before = service.worker.epoch
            await service.store.take_over(await service.store.open_epoch("another"))
            stage.events["hanging"].clear()
            await service.intake.send([Posted("order.placed", {"order_id": "o3"})])
            async with asyncio.timeout(10):
                await stage.events["hanging"].wait()
            after = service.worker.epoch
            await service.intake.send([Posted("order.paid", {"order_id": "o1", "reference": "r"})])
            done = await ended(service, waiting)
            await service.store.ask_cancel(held, "enough")
            return before, after, done, await ended(service, held), violations(service.store)

    before, after, done, held, found = run(scenario())
    assert after > before
    assert (done.status, held.status) == ("completed", "cancelled")
    assert stage.interrupted[0] == "hang", "the fenced worker stopped its attempt"
    assert [call for call in stage.calls if call[0] == "hang"] == [("hang", f"{held.id}:stuck/hang:1", 1)] * 2
    assert found == []


def test_a_run_that_took_its_owners_down_is_crashed_and_shown_as_such(run, stage, tmp_path):
    url = f"sqlite:///{tmp_path}/x.db"

    clock = ManualClock(SystemClock().now())

    async def doomed() -> str:
        store = Store.open(url, clock=clock)
        epoch = await store.open_epoch("doomed")
        await store.take_over(epoch)
        clock.advance(60_000_000)  # a quiet minute, so that whoever is suspected is tried
        claimed = await store.claim(epoch, 10)
        store.close()
        return claimed[0].status if claimed else "none"

    async def scenario():
        async with engine(url, worker=False) as service:
            run_id, _ = await service.intake.start("thank", {"order_id": "x"})
        clock.set(max(clock.now(), SystemClock().now()))
        statuses = [await doomed() for _ in range(4)]
        async with engine(url) as service:
            row = await ended(service, run_id)
            with pytest.raises(NotFailed, match=r"is crashed.*: the engine gave this one up, .*; start a new run with its input"):
                await retry(row, service)
            return statuses, row

    statuses, row = run(scenario())
    assert statuses == ["queued"] * 4
    assert row.status == "crashed"
    assert stage.calls == []
