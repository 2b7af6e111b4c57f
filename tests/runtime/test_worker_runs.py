"""What runs do on the real engine in this process: SQLite in memory, time skipped."""

from __future__ import annotations

import asyncio
import json

import pytest

from flowgraph_runtime.intake import Posted
from flowgraph_runtime.storage.invariants import violations
from tests.runtime.conftest import ended, engine, reaches, until
from tests.runtime.orders import Pool


async def _start(service, workflow, **given):
    run_id, created = await service.intake.start(workflow, given)
    assert created
    return run_id


def test_an_event_runs_its_workflow_and_what_that_sends_starts_the_next(run, stage):
    async def scenario():
        async with engine() as service:
            (result,) = await service.intake.send([Posted("order.placed", {"order_id": "o1", "amount": 7})])
            row = await ended(service, result.run_ids[0])
            thanks, _ = await service.store.runs(workflow="thank")
            other = await ended(service, thanks[0].id)
            return row, other, violations(service.store)

    row, other, found = run(scenario())
    assert (row.status, json.loads(row.result)["v"]) == ("completed", {"order_id": "o1", "reference": "pay-res-o1-7"})
    assert (other.status, other.result) == ("completed", '"o1"')
    assert sorted(name for name, _, _ in stage.calls) == ["charge", "label", "pack", "reserve", "tell thanks"]
    assert found == []


@pytest.mark.feature(3, 7)
def test_a_failing_step_is_retried_with_the_same_key_and_earlier_steps_are_not_run_again(run, stage):
    stage.fail["charge"] = 2

    async def scenario():
        async with engine() as service:
            (result,) = await service.intake.send([Posted("order.placed", {"order_id": "o1"})])
            row = await ended(service, result.run_ids[0])
            return row, await service.store.journal(row.id)

    row, journal = run(scenario())
    assert row.status == "completed"
    charges = [(key, attempt) for name, key, attempt in stage.calls if name == "charge"]
    assert charges == [(f"{row.id}:fulfil/charge:1", attempt) for attempt in (1, 2, 3)]
    assert stage.count("reserve") == 1
    failures = [entry.at for entry in journal if entry.kind == "failed"]
    wakes = [entry.at for entry in journal if entry.kind == "timer"]
    delays = [wake - failure for failure, wake in zip(failures, wakes, strict=True)]
    assert [round(delay / 1_000_000) for delay in delays] == [1, 2]
    assert all(delay >= seconds * 1_000_000 for delay, seconds in zip(delays, (1, 2), strict=True))


def test_when_retries_are_used_up_the_failure_handler_runs_and_the_run_fails_with_the_step_named(run, stage):
    stage.fail["charge"] = 99

    async def scenario():
        async with engine() as service:
            (result,) = await service.intake.send([Posted("order.placed", {"order_id": "o1"})])
            return await ended(service, result.run_ids[0])

    row = run(scenario())
    assert (row.status, row.failed_step, row.failed_attempt) == ("failed", "charge", 3)
    assert stage.count("on_failed charge does not answer") == 1
    assert stage.count("pack") == 0


@pytest.mark.feature(15)
@pytest.mark.parametrize("early", [True, False])
def test_a_wait_takes_its_event_whether_it_comes_before_or_after(run, stage, early):
    async def scenario():
        async with engine(skip_time=False) as service:
            paid = [Posted("order.paid", {"order_id": order, "reference": f"r-{order}"}) for order in ("other", "o1")]
            run_id = await _start(service, "await_payment", order_id="o1")
            if not early:
                await reaches(service, run_id, "waiting")
            await service.intake.send(paid)
            row = await ended(service, run_id)
            event = await service.store.event((await service.store.events(name="order.paid"))[0][0].id)
            return row, event, violations(service.store)

    row, event, found = run(scenario())
    assert json.loads(row.result)["v"]["reference"] == "r-o1"
    assert event.taken_by == (row.id,)
    assert found == []


@pytest.mark.feature(15)
def test_a_wait_without_its_event_ends_at_its_deadline(run, stage):
    async def scenario():
        async with engine() as service:
            row = await ended(service, await _start(service, "await_payment", order_id="o1"))
            return row, await service.store.journal(row.id)

    row, journal = run(scenario())
    assert json.loads(row.result)["v"]["reference"] is None
    assert stage.count("tell too late") == 1
    assert journal[0].at - row.started_at >= 3_600_000_000


@pytest.mark.feature(2, 14)
def test_a_sleeping_run_leaves_memory_and_goes_on_after_thirty_days(run, stage):
    async def scenario():
        async with engine(skip_time=False) as service:
            run_id = await _start(service, "nap", days=30)
            await reaches(service, run_id, "sleeping")
            await asyncio.sleep(0.05)
            owned = dict(service.worker.owned)
            due = await service.store.next_timer()
            row = await service.store.run(run_id)
        async with engine() as service:
            run_id = await _start(service, "nap", days=30)
            later = await ended(service, run_id)
        return owned, due, row, later

    owned, due, row, later = run(scenario())
    assert owned == {}
    assert due - row.started_at >= 30 * 86_400_000_000
    assert (row.epoch, later.status, later.result) == (None, "completed", "30")


@pytest.mark.ci
@pytest.mark.feature(14)
def test_thousands_of_sleepers_are_rows_and_nothing_else(run, stage):
    async def scenario():
        async with engine(skip_time=False) as service:
            for number in range(2_000):
                await service.intake.start("nap", {"days": number})
            count = service.store.read
            sleeping = "SELECT COUNT(*) FROM fg_run WHERE status = 'sleeping' AND epoch IS NULL"
            await until(lambda: count(lambda db: db.exec_driver_sql(sleeping).scalar_one()) == 2_000, 25)
            await until(lambda: not service.worker.owned)
            return count(lambda db: db.exec_driver_sql("SELECT COUNT(*) FROM fg_timer").scalar_one())

    assert run(scenario()) == 2_000


@pytest.mark.feature(8)
def test_cancel_interrupts_an_asynchronous_step_then_cleans_up_then_tells_the_handler(run, stage):
    async def scenario():
        stage.events["hanging"] = asyncio.Event()
        async with engine() as service:
            run_id = await _start(service, "stuck", order_id="o1")
            await stage.events["hanging"].wait()
            first = await service.store.ask_cancel(run_id, "by test")
            row = await ended(service, run_id)
            return first, row, await service.store.ask_cancel(run_id, "again")

    first, row, again = run(scenario())
    assert (first, row.status, again) == ("cancelling", "cancelled", "already cancelled")
    assert stage.interrupted == ["hang"]
    assert [name for name, _, _ in stage.calls] == ["hang", "tell clean", "note_cancel"]


def test_a_sleeping_run_can_be_cancelled(run, stage):
    async def scenario():
        async with engine(skip_time=False) as service:
            run_id = await _start(service, "nap", days=1)
            await reaches(service, run_id, "sleeping")
            await service.store.ask_cancel(run_id, "by test")
            return await ended(service, run_id), await service.store.next_timer()

    row, due = run(scenario())
    assert (row.status, due) == ("cancelled", None)
    assert stage.count("tell after") == 0


@pytest.mark.parametrize(
    ("how", "error", "attempts"),
    [
        ("exit", "SystemExit", 1),
        ("give up", "NonRetriable", 1),
        ("unstorable", "CodecError", 1),
        ("huge", "LimitExceeded", 1),
        ("cancels itself", "CancelledError", 1),
        ("provided", "NotInStep", 4),
    ],
)
def test_what_a_step_does_wrong_fails_its_run_and_nothing_else(run, stage, how, error, attempts):
    async def scenario():
        async with engine() as service:
            row = await ended(service, await _start(service, "trial", how=how))
            other = await ended(service, await _start(service, "trial", how="later"))
            return row, other

    row, other = run(scenario())
    assert row.status == "failed"
    assert json.loads(row.error)["$error"] == error
    assert stage.count(f"misbehave {how}") == attempts
    assert (other.status, other.result) == ("completed", '"later"')


def test_retry_after_sets_the_delay(run, stage):
    async def scenario():
        async with engine() as service:
            row = await ended(service, await _start(service, "trial", how="later"))
            return await service.store.journal(row.id)

    journal = run(scenario())
    assert journal[1].at - journal[0].started_at >= 3 * 3_600_000_000, "the delay is counted from the error, not from its record"


def test_resources_reach_the_steps(run, stage):
    async def scenario():
        async with engine(resources={Pool: Pool()}) as service:
            return await ended(service, await _start(service, "trial", how="provided"))

    assert run(scenario()).result == '"42"'


def test_a_step_timeout_is_retried_and_then_a_timeout_error(run, stage):
    async def scenario():
        async with engine() as service:
            return await ended(service, await _start(service, "impatient"))

    assert run(scenario()).result == "\"step 'slow' timed out after 50ms\""
    assert stage.count("slow") == 2


def test_a_thread_may_raise_stop_iteration(run, stage):
    async def scenario():
        async with engine() as service:
            return await ended(service, await _start(service, "stops"))

    assert run(scenario()).result == '"coroutine raised StopIteration"', "as of an async step"


def test_many_runs_at_once_all_end(run, stage):
    async def scenario():
        async with engine() as service:
            events = [Posted("order.placed", {"order_id": f"o{number}"}) for number in range(100)]
            results = await service.intake.send(events)
            rows = [await ended(service, result.run_ids[0], 20) for result in results]
            return rows, violations(service.store)

    rows, found = run(scenario())
    assert {row.status for row in rows} == {"completed"}
    assert stage.count("charge") == 100
    assert found == []


@pytest.mark.parametrize("pause", [0, 0.001, 0.01, 0.03])
def test_a_service_may_be_stopped_while_it_starts(run, stage, pause):
    async def scenario():
        async with engine():
            await asyncio.sleep(pause)

    run(scenario())


def test_an_orderly_stop_finishes_the_attempts_that_run(run, stage, tmp_path):
    url = f"sqlite:///{tmp_path}/x.db"

    async def scenario():
        async with engine(url) as service:
            run_id, _ = await service.intake.start("thank", {"order_id": "o"})
            results = await service.intake.send([Posted("order.placed", {"order_id": f"o{n}"}) for n in range(20)])
            await until(lambda: stage.count("label") > 2)
        first = stage.calls.copy()
        async with engine(url) as service:
            rows = [await ended(service, run_id) for run_id in (run_id, *(result.run_ids[0] for result in results))]
            return rows, first, violations(service.store)

    rows, _, found = run(scenario())
    assert {row.status for row in rows} == {"completed"}
    assert len({call[1] for call in stage.calls}) == len(stage.calls), "no attempt was burned: each step was called once"
    assert found == []


def test_the_long_journal_of_a_run_is_cut_short_by_snapshots(run, stage):
    async def scenario():
        async with engine() as service:
            row = await ended(service, await _start(service, "talkative", times=60), 20)
            loaded = await service.store.load(row.id)
            return row, loaded, len(await service.store.journal(row.id))

    row, loaded, length = run(scenario())
    assert (row.status, length) == ("completed", 60)
    assert 0 < loaded.snapshot_seq < 60
    assert len(loaded.journal) == 60 - loaded.snapshot_seq
