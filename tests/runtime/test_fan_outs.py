"""Fan-outs on the real engine: limits, failures, cancels, what they write, what they show."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flowgraph_compiler.pipeline import Compilation, compile_targets
from flowgraph_runtime.inspection import history_of
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.records import Decided, Transition, transition_of
from flowgraph_runtime.service import Service
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.invariants import violations
from tests.runtime import fans
from tests.runtime.conftest import ended, engine, reaches, until


@pytest.fixture(scope="module")
def compiled() -> Compilation:
    compilation = compile_targets([fans.__name__])
    assert compilation.ok, compilation.diagnostics
    return compilation


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fans.CALLS.clear()
    fans.GATE.clear()
    fans.RUNNING.update(now=0, most=0)


async def started(service: Service, workflow: str, **given: Any) -> str:
    run_id, _ = await service.intake.start(workflow, given)
    return run_id


@pytest.mark.feature(16)
@pytest.mark.parametrize("limit", [None, 1, 7])
def test_results_come_together_and_the_limit_holds(run, compiled, limit):
    async def scenario():
        async with engine(compiled=compiled) as service:
            row = await ended(service, await started(service, "scores", items=60, limit=limit))
            return row.status, row.result, violations(service.store)

    assert run(scenario()) == ("completed", str(60 * 59), [])
    assert dict.fromkeys(range(60), 1) == fans.CALLS
    assert fans.RUNNING["most"] <= (limit or 60)


def test_nothing_to_do_does_not_wait(run, compiled):
    async def scenario():
        async with engine(compiled=compiled) as service:
            return (await ended(service, await started(service, "nothing"))).result

    assert run(scenario()) == "0"


def test_the_first_failure_drops_what_has_not_started(run, compiled):
    async def scenario():
        async with engine(compiled=compiled) as service:
            row = await ended(service, await started(service, "failing", items=1000, most=30, limit=10))
            return row, violations(service.store)

    row, found = run(scenario())
    assert (row.status, row.failed_step) == ("failed", "only_small")
    assert max(fans.CALLS) < 50
    assert found == []


def test_a_cancel_in_the_middle_ends_every_branch_with_its_clean_up(run, compiled):
    async def scenario():
        async with engine(compiled=compiled, skip_time=False) as service:
            run_id = await started(service, "cleaned", items=200)
            await reaches(service, run_id, "sleeping")
            assert await service.store.ask_cancel(run_id, "enough") == "cancelling"
            row = await ended(service, run_id)
            return row.status, violations(service.store)

    assert run(scenario()) == ("cancelled", [])
    assert dict.fromkeys(range(200), 1) == fans.CALLS


def test_a_cancel_drops_the_branches_that_a_limit_holds_back(run, compiled):
    fans.GATE["5"] = asyncio.Event()

    async def scenario():
        async with engine(compiled=compiled) as service:
            run_id = await started(service, "scores", items=10_000, limit=1)
            await until(lambda: fans.CALLS[5] == 1)
            await service.store.ask_cancel(run_id, "enough")
            return (await ended(service, run_id)).status

    assert run(scenario()) == "cancelled"
    assert sorted(fans.CALLS) == list(range(6))


def test_each_branch_gets_its_event(run, compiled):
    async def scenario():
        async with engine(compiled=compiled, skip_time=False) as service:
            run_id = await started(service, "payments", items=20)
            await reaches(service, run_id, "waiting")
            for number in reversed(range(20)):
                await service.intake.send([Posted("fans.paid", {"number": number})])
            return (await ended(service, run_id)).result

    assert run(scenario()) == str(sum(range(20)))


class Written:
    """Counts what the worker hands to the database."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.snapshots: list[int] = []
        self.rows: list[int] = []  # bytes of journal rows, roughly
        self.loads = 0
        commit, load = Store.commit, Store.load

        async def counting(store: Store, epoch: int, group: list[Decided], *, again: bool = False) -> Any:
            for one in group:
                rows = transition_of(one).rows
                self.rows += [len(row.payload) + 100 for row in rows]
                if isinstance(one, Transition) and one.snapshot is not None:
                    self.snapshots.append(len(one.snapshot[1]))
            return await commit(store, epoch, group, again=again)

        async def loading(store: Store, run_id: str) -> Any:
            self.loads += 1
            return await load(store, run_id)

        patch.setattr(Store, "commit", counting)
        patch.setattr(Store, "load", loading)


@pytest.mark.feature(16)
@pytest.mark.parametrize(("workflow", "limit"), [("scores", 20), ("scores", None), ("retried", None), ("rests", None)])
def test_what_is_written_for_an_item_does_not_grow_with_their_number(run, compiled, monkeypatch, workflow, limit):
    """Branches that sleep or back off park the run again and again: its state must not be written, nor read, each time."""

    async def snapshots(items: int) -> tuple[float, int]:
        written = Written(monkeypatch)
        given = {"scores": {"limit": limit}, "rests": {"until": (datetime.now(UTC) + timedelta(days=1)).isoformat()}}
        async with engine(compiled=compiled) as service:
            run_id = await started(service, workflow, items=items, **given.get(workflow, {}))
            assert (await ended(service, run_id, 25)).status == "completed"
        return sum(written.snapshots) / items, written.loads

    few, _ = run(snapshots(100))
    many, loads = run(snapshots(2000))
    assert many < max(3 * few, 500)
    assert loads < 20


def test_a_large_state_that_waits_leaves_memory_after_a_while_and_comes_back(run, compiled):
    async def scenario():
        async with engine(compiled=compiled) as service:
            clock: Any = service.clock
            later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
            run_id = await started(service, "rests", items=300, until=later)
            row = await ended(service, run_id)
            assert clock.now() > row.created_at + 86_000_000_000
            return row.status, violations(service.store)

    assert run(scenario()) == ("completed", [])


def test_a_waiting_run_with_a_large_state_stays_for_a_minute(run, compiled, monkeypatch):
    monkeypatch.setattr("flowgraph_runtime.worker.resting.LONGEST", 200_000)

    async def scenario():
        async with engine(compiled=compiled, skip_time=False) as service:
            run_id = await started(service, "cleaned", items=300)
            await reaches(service, run_id, "sleeping")
            assert service.worker is not None
            assert run_id in service.worker.owned
            await until(lambda: run_id not in service.worker.owned)
            row = await service.store.run(run_id)
            assert (row.status, row.epoch) == ("sleeping", None)
            await service.store.ask_cancel(run_id, "enough")
            return (await ended(service, run_id)).status

    assert run(scenario()) == "cancelled"
    assert dict.fromkeys(range(300), 1) == fans.CALLS


def test_the_steps_of_a_wide_fan_out_are_shown_page_by_page(run, compiled):
    async def scenario():
        async with engine(compiled=compiled) as service:
            row = await ended(service, await started(service, "scores", items=500, limit=None))
            history = await history_of(row, service)
            assert await history_of(row, service) is history
            pages, cursor = [], None
            while True:
                page = history.step("scores/score", cursor, 120)
                pages.append([one.visit for one in page.instances])
                if page.next_cursor is None:
                    return history.steps(), pages
                cursor = int(page.next_cursor)

    (group, score), pages = run(scenario())
    assert (group.kind, group.status, group.count) == ("fan_out", "completed", 1)
    assert (score.parent, score.count, len(score.instances), score.next_cursor) == ("scores/fan_out", 500, 50, "450")
    assert [len(page) for page in pages] == [120, 120, 120, 120, 20]
    assert sorted(visit for page in pages for visit in page) == list(range(1, 501))


def test_a_history_goes_on_where_it_was(run, compiled):
    fans.GATE["150"] = asyncio.Event()

    async def scenario():
        async with engine(compiled=compiled) as service:
            run_id = await started(service, "scores", items=300, limit=10)
            await until(lambda: fans.CALLS[158] == 1)
            await asyncio.sleep(0.1)
            half = await history_of(await service.store.run(run_id), service)
            middle = [node.model_copy(deep=True) for node in half.steps()]
            fans.GATE["150"].set()
            row = await ended(service, run_id)
            whole = await history_of(row, service)
            service.histories.forget(row)
            anew = await history_of(row, service)
            return middle, half is whole, whole.steps(), anew.steps()

    middle, is_same, followed, anew = run(scenario())
    assert (middle[0].status, middle[1].status) == ("running", "running")
    assert is_same
    assert followed == anew
    assert [node.status for node in followed] == ["completed", "completed"]


def test_a_group_that_its_last_branch_has_lost_is_shown_as_failed(run, compiled):
    async def scenario():
        async with engine(compiled=compiled) as service:
            row = await ended(service, await started(service, "failing", items=3, most=2, limit=1))
            return (await history_of(row, service)).steps()

    group, branch = run(scenario())
    assert (group.status, branch.status) == ("failed", "failed")
    assert [one.status for one in branch.instances] == ["completed", "completed", "failed"]


@pytest.mark.feature(16)
@pytest.mark.ci
def test_the_bytes_written_for_an_item_do_not_grow_from_100_to_10_000(run, compiled, monkeypatch):
    """The journal has as many bytes for each item; all snapshots together are no larger than the journal."""

    async def per_item(items: int) -> tuple[float, float]:
        written = Written(monkeypatch)
        async with engine(compiled=compiled) as service:
            run_id = await started(service, "scores", items=items, limit=20)
            assert (await ended(service, run_id, 100)).status == "completed"
        return sum(written.rows) / items, sum(written.snapshots) / items

    figures = [run(per_item(items)) for items in (100, 1_000, 10_000)]
    assert max(rows for rows, _ in figures) < 1.1 * min(rows for rows, _ in figures)
    assert all(snapshots <= rows for rows, snapshots in figures), figures


@pytest.mark.feature(16)
@pytest.mark.ci
def test_ten_thousand_items(run, compiled):
    async def scenario():
        async with engine(compiled=compiled) as service:
            run_id = await started(service, "scores", items=10_000, limit=50)
            row = await ended(service, run_id, 25)
            found = (await history_of(row, service)).steps()
            return row.status, json.loads(row.result), [node.count for node in found], violations(service.store)

    assert run(scenario()) == ("completed", 10_000 * 9_999, [1, 10_000], [])
    assert dict.fromkeys(range(10_000), 1) == fans.CALLS
    assert fans.RUNNING["most"] <= 50
