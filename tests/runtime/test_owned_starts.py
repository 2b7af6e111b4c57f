"""A worker owns what is started in its process from the first moment on, where nobody loses by it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest
from msgspec import structs

from flowgraph_runtime.intake import Posted
from flowgraph_runtime.meter import Meter
from flowgraph_runtime.records import NewRun, RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.errors import Conflict, Fenced, OutcomeUnknown
from flowgraph_runtime.storage.invariants import violations
from flowgraph_runtime.worker import starts
from flowgraph_runtime.worker.starts import Starts
from tests.runtime.conftest import compilation, ended, engine, until

EPOCH = 7


@dataclass
class Surroundings:
    """What decides whether a worker takes a run."""

    has_all: bool = True
    stopped: bool = False
    workers: int = 1
    busy: int = 0
    room: int = 10
    unclear: int = 0

    @property
    def fleet(self) -> Surroundings:
        return self

    def doubt(self) -> None:
        self.unclear += 1


def _starts(around: Surroundings) -> Starts:
    registry = Registry.from_compilation(compilation())
    return Starts(around, registry, EPOCH, around, around, lambda: around.room, around.doubt, Meter())  # type: ignore[arg-type]


def _run(workflow: str = "thank", machine: str | None = None) -> NewRun:
    registry = Registry.from_compilation(compilation())
    return NewRun("run_1", workflow, machine or registry.current[workflow], "[]", 1)


async def _owner(around: Surroundings, run: NewRun) -> int | None:
    async def store() -> int | None:
        return run.owner

    return await _starts(around).create([run], store)


@pytest.mark.parametrize(
    ("around", "owner"),
    [
        (Surroundings(), EPOCH),
        (Surroundings(has_all=False), None),
        (Surroundings(room=0), None),
        (Surroundings(busy=500), EPOCH),
        (Surroundings(workers=2), EPOCH),
        (Surroundings(workers=2, busy=starts.QUIET), None),
    ],
    ids=["has room", "older ones wait", "full", "busy, alone", "of several", "busy, of several"],
)
def test_a_worker_takes_what_is_started_while_it_can(run, around, owner):
    assert run(_owner(around, _run())) == owner


def test_a_machine_that_the_code_cannot_run_is_left_alone(run):
    assert run(_owner(Surroundings(), _run(machine="m_unknown"))) is None


def test_no_more_are_taken_than_there_is_room_for(run):
    runs = [structs.replace(_run(), id=f"run_{number}") for number in range(5)]
    around = Surroundings(room=3)

    async def scenario():
        made, go = _starts(around), asyncio.Event()
        under_way = [asyncio.ensure_future(made.create([one], go.wait)) for one in runs]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*under_way)
        return [one.owner for one in runs]

    assert run(scenario()) == [EPOCH] * 3 + [None] * 2


def test_a_worker_that_lost_its_epoch_leaves_the_run_to_others(run):
    around, new = Surroundings(), _run()

    async def store() -> str:
        if new.owner is not None:
            raise Fenced(EPOCH)
        return "stored"

    assert run(_starts(around).create([new], store)) == "stored"
    assert around.unclear == 0


@pytest.mark.parametrize(("error", "doubts"), [(OutcomeUnknown("cut off"), 1), (Conflict("key", "k", "run_0"), 0)])
def test_a_worker_looks_for_its_own_runs_when_it_cannot_know(run, error, doubts):
    around = Surroundings()

    async def store() -> str:
        raise error

    with pytest.raises(type(error)):
        run(_starts(around).create([_run()], store))
    assert around.unclear == doubts


def test_runs_of_others_and_those_in_memory_are_not_begun(run):
    del run
    around, begun = Surroundings(), []
    rows = [RunRow(f"run_{number}", "w", "m", "queued", "[]", 1, 1, epoch=epoch) for number, epoch in enumerate((7, 8, 7))]
    made = _starts(around)
    made.created({"run_0"}, begun.append, lambda row, error: None, rows)
    assert [row.id for row in begun] == ["run_2"]
    around.stopped = True
    made.created((), begun.append, lambda row, error: None, rows)
    assert len(begun) == 1


# --- on the engine


@dataclass
class Commits:
    """What a service heard of."""

    created: int = 0
    owned: int = 0
    commits: int = 0


def _listening(service) -> Commits:
    heard, spread = Commits(), service.store.on_commit

    def hear(news):
        heard.commits += 1
        heard.created += len(news.created)
        heard.owned += len(news.owned)
        spread(news)

    service.store.on_commit = hear
    return heard


def test_a_run_of_one_step_is_two_commits(run, stage):
    """Its start, and the outcome of its step with its end."""

    async def scenario():
        async with engine() as service:
            await until(lambda: service.worker is not None and service.worker.idle)
            heard = _listening(service)
            by_hand, _ = await service.intake.start("thank", {"order_id": "a"})
            await ended(service, by_hand)
            first = replace(heard)
            (result,) = await service.intake.send([Posted("order.shipped", {"order_id": "b"})])
            await ended(service, result.run_ids[0])
            return first, heard, violations(service.store)

    first, both, found = run(scenario())
    assert (first.created, first.owned, first.commits) == (1, 1, 2)
    assert (both.created, both.owned, both.commits) == (2, 2, 4)
    assert found == []


def test_a_node_without_a_worker_owns_nothing(run, stage):
    async def scenario():
        async with engine(worker=False) as service:
            started, _ = await service.intake.start("thank", {"order_id": "a"})
            return await service.store.run(started)

    assert run(scenario()).epoch is None


def test_a_start_whose_answer_was_lost_is_found_and_run(run, stage, monkeypatch):
    start = Store.start_run

    async def cut_off(self, new):
        tell, self.on_commit = self.on_commit, lambda news: None
        await start(self, new)
        self.on_commit = tell
        raise OutcomeUnknown("the connection was lost while committing")

    async def scenario():
        async with engine() as service:
            await until(lambda: service.worker is not None and service.worker.idle)
            monkeypatch.setattr(Store, "start_run", cut_off)
            with pytest.raises(OutcomeUnknown):
                await service.intake.start("thank", {"order_id": "a"})
            ((row,), _) = await service.store.runs()
            return await ended(service, row.id)

    assert run(scenario()).status == "completed"


def test_a_run_that_is_cancelled_right_after_its_start_is_cancelled(run, stage):
    """Its worker has not asked for its inbox: the request's own commit tells of it."""
    stage.events["hanging"] = asyncio.Event()

    async def scenario():
        async with engine(poll_interval=3600) as service:
            await until(lambda: service.worker is not None and service.worker.idle)
            started, _ = await service.intake.start("stuck", {"order_id": "a"})
            answer = await service.store.ask_cancel(started, "by hand")
            row = await ended(service, started)
            return answer, row.status

    assert run(scenario()) == ("cancelling", "cancelled")
