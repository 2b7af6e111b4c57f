"""Concurrency limits on the real engine in this process."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from flowgraph_compiler import Compilation, compile_module
from flowgraph_runtime.inspection import history_of, reason_of
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.reopening import retry
from flowgraph_runtime.storage.invariants import violations
from tests.runtime import limited
from tests.runtime.conftest import ended, engine, until


@cache
def _compiled() -> Compilation:
    return compile_module(limited)


@pytest.fixture
def stage():
    limited.STAGE = limited.Stage()
    yield limited.STAGE
    limited.STAGE.thread_gate.set()


def _engine(**more):
    return engine(compiled=_compiled(), **more)


async def _send(service, name, *data):
    results = await service.intake.send([Posted(name, given) for given in data])
    return [run for result in results for run in result.run_ids]


async def _ended(service, runs):
    return [await ended(service, run) for run in runs]


async def _slots(service):
    """What is held and waited for when nothing is under way any more."""
    await _settled(service)
    assert violations(service.store) == []
    return service.store.read(lambda db: [tuple(row) for row in db.exec_driver_sql("SELECT run, held FROM fg_limit_slot")])


async def _settled(service):
    """Wait until all that can be written has been; steps may execute meanwhile."""
    await until(lambda: service.worker is not None and all(part.idle for part in service.worker._parts))


@pytest.mark.feature(17)
def test_no_more_steps_of_a_key_execute_at_once_than_its_limit(run, stage):
    async def scenario():
        async with _engine() as service:
            runs = await _send(service, "batch", *({"org": org, "n": n} for n in range(12) for org in "ab"))
            rows = await _ended(service, runs)
            return Counter(row.status for row in rows), await _slots(service)

    statuses, slots = run(scenario())
    assert statuses == {"completed": 24}
    assert (stage.most["a"], stage.most["b"]) == (2, 2)
    assert len(stage.order) == 24 * 4
    assert slots == []


@pytest.mark.feature(17)
def test_steps_of_one_key_execute_in_the_order_in_which_they_were_ready(run, stage):
    stage.open = False

    async def scenario():
        async with _engine() as service:
            runs = []
            for n in range(5):
                runs += await _send(service, "turn", {"org": "a", "n": n})
                await _settled(service)
            (other,) = await _send(service, "turn", {"org": "b", "n": 0})
            await until(lambda: stage.now["b"] == 1)
            for n in range(5):
                await until(lambda n=n: stage.order[-1] in (f"a{n}", "b0"))
                stage.gates[f"a{n}"].set()
            stage.gates["b0"].set()
            return await _ended(service, [*runs, other])

    assert {row.status for row in run(scenario())} == {"completed"}
    assert [what for what in stage.order if what != "b0"] == [f"a{n}" for n in range(5)]
    assert stage.most == {"a": 1, "b": 1}


@pytest.mark.feature(17)
def test_several_limits_hold_together_and_one_key_does_not_block_the_others(run, stage):
    stage.open = False

    async def scenario():
        async with _engine() as service:
            runs = await _send(service, "nightly", *({"org": org, "n": n} for org in "abc" for n in (0, 1)))
            await until(lambda: stage.order == ["a0", "b0"])
            stage.gates["b0"].set()
            await until(lambda: stage.order == ["a0", "b0", "b1"])
            stage.open = True
            for what in ("a0", "b1"):
                stage.gates[what].set()
            return await _ended(service, runs), await _slots(service)

    rows, slots = run(scenario())
    assert {row.status for row in rows} == {"completed"}
    assert (stage.most["a"], stage.most["b"], stage.most["c"]) == (1, 1, 1)
    assert slots == []


def test_a_retry_holds_no_slot_while_it_waits_and_queues_again(run, stage):
    stage.fail["a0"] = 1
    stage.open = False

    async def scenario():
        async with _engine() as service:
            first, second = await _send(service, "flaky", {"org": "a", "n": 0}, {"org": "a", "n": 1})
            await until(lambda: stage.order == ["a0"])
            stage.gates["a0"].set()
            await until(lambda: stage.order == ["a0", "a1"])  # the first one is in its backoff
            stage.gates["a1"].set()
            return await _ended(service, [first, second]), await _slots(service)

    rows, slots = run(scenario())
    assert [row.status for row in rows] == ["completed", "completed"]
    assert stage.order == ["a0", "a1", "a0"]
    assert slots == []


def test_a_step_that_timed_out_keeps_its_slot_until_its_thread_ends(run, stage):
    async def scenario():
        async with _engine(skip_time=False) as service:
            first, second = await _send(service, "slow", {"org": "a", "n": 0}, {"org": "a", "n": 1})
            row = await ended(service, first)
            assert row.result == "-1"
            await _settled(service)
            assert violations(service.store) == []
            assert stage.order == ["a0"], "the thread is still at work"
            stage.thread_gate.set()
            other = await ended(service, second)
            return other, await _slots(service)

    other, slots = run(scenario())
    assert other.result == "1"
    assert stage.most["a"] == 1
    assert slots == []


def test_a_run_that_waits_for_a_slot_is_cancelled_at_once_and_its_clean_up_needs_none(run, stage):
    stage.open = False
    stage.gates["tidy b1"].set()

    async def scenario():
        async with _engine() as service:
            first, second = await _send(service, "tidied", {"org": "a", "n": 0}, {"org": "b", "n": 1})
            await until(lambda: stage.order == ["a0"])
            await _settled(service)
            await service.store.ask_cancel(second, "by hand")
            row = await ended(service, second)
            assert stage.order == ["a0", "tidy b1"]
            stage.open = True
            stage.gates["a0"].set()
            return row, await ended(service, first), await _slots(service)

    cancelled, completed, slots = run(scenario())
    assert (cancelled.status, completed.status) == ("cancelled", "completed")
    assert slots == []


def test_a_step_that_waits_for_a_slot_is_not_begun_for_a_group_that_has_failed(run, stage):
    stage.open = False

    async def scenario():
        async with _engine() as service:
            holders = [(await service.intake.start("shares", {"n": n}))[0] for n in (0, 1)]
            await until(lambda: sorted(stage.order) == ["s0", "s1"])
            run_id, _ = await service.intake.start("siblings", {"org": "a"})
            await until(lambda: "boom a" in stage.order)
            await _settled(service)
            stage.gates["boom a"].set()
            row = await ended(service, run_id)
            stage.open = True
            stage.gates["s0"].set()
            stage.gates["s1"].set()
            await _ended(service, holders)
            return row, await _slots(service)

    row, slots = run(scenario())
    assert (row.status, row.failed_step) == ("failed", "boom")
    assert sorted(stage.order) == ["boom a", "s0", "s1"]
    assert slots == []


def test_a_failed_run_that_is_retried_waits_for_a_slot_like_a_new_one(run, stage):
    stage.fail["a0"] = 1
    stage.open = False
    stage.gates["a0"].set()

    async def scenario():
        async with _engine() as service:
            (first,) = await _send(service, "visit", {"org": "a", "n": 0})
            assert (await ended(service, first)).status == "failed"
            (second,) = await _send(service, "visit", {"org": "a", "n": 1})
            await until(lambda: stage.order == ["a0", "a1"])
            await retry(await service.store.run(first), service)
            await _settled(service)
            assert stage.order == ["a0", "a1"]
            stage.gates["a1"].set()
            return [(await ended(service, id)).status for id in (second, first)], await _slots(service)

    assert run(scenario()) == (["completed", "completed"], [])
    assert stage.order == ["a0", "a1", "a0"]


def test_a_limit_of_a_step_counts_all_workflows_that_call_it(run, stage):
    async def scenario():
        async with _engine() as service:
            runs = [(await service.intake.start(name, {"n": n}))[0] for n in range(6) for name in ("shares", "shares_too")]
            return await _ended(service, runs), await _slots(service)

    rows, slots = run(scenario())
    assert {row.status for row in rows} == {"completed"}
    assert stage.most["scarce"] == 2
    assert slots == []


@pytest.mark.feature(17)
def test_runs_wait_in_the_queue_while_as_many_live_as_may(run, stage):
    async def scenario():
        async with _engine(skip_time=False) as service:
            runs = await _send(service, "stay", *({"org": org, "n": n} for n in range(3) for org in "ab"))
            await until(lambda: len(stage.order) == 2)
            await _settled(service)
            assert violations(service.store) == []
            assert sorted(stage.order) == ["a0", "b0"]
            rows = [await service.store.run(id) for id in runs]
            assert [row.status for row in rows] == ["sleeping"] * 2 + ["queued"] * 4
            assert all(row.started_at is None and row.epoch is None for row in rows[2:])
            await service.store.ask_cancel(runs[0], "by hand")
            await ended(service, runs[0])
            await until(lambda: "a1" in stage.order)
            await service.store.ask_cancel(runs[5], "by hand")
            row = await ended(service, runs[5])
            await _settled(service)
            assert violations(service.store) == []
            return row.status, sorted(stage.order)

    assert run(scenario()) == ("cancelled", ["a0", "a1", "b0"])


def test_all_queued_runs_live_in_the_end(run, stage):
    async def scenario():
        async with _engine() as service:
            runs = await _send(service, "stay", *({"org": org, "n": n} for n in range(4) for org in "ab"))
            return await _ended(service, runs), await _slots(service)

    rows, slots = run(scenario())
    assert {row.status for row in rows} == {"completed"}
    for org in "ab":
        assert [what for what in stage.order if what.startswith(org)] == [f"{org}{n}" for n in range(4) for _ in range(2)]
    assert slots == []


def test_a_run_whose_key_raises_fails_and_says_why(run, stage):
    async def scenario():
        async with _engine() as service:
            (bad,) = await _send(service, "stay", {"org": "a", "n": 0, "nights": 0})
            return await ended(service, bad), await _slots(service)

    row, slots = run(scenario())
    assert row.status == "failed"
    assert "ZeroDivisionError" in row.error
    assert "concurrency=" in row.error
    assert slots == []


def test_a_restart_frees_the_slots_of_attempts_and_keeps_those_of_runs(run, stage, tmp_path):
    url = f"sqlite:///{tmp_path}/limits.db"
    stage.open = False

    async def first_life():
        async with _engine(url=url, skip_time=False) as service:
            await _send(service, "turn", {"org": "a", "n": 0}, {"org": "a", "n": 1})
            await _send(service, "stay", {"org": "r", "n": 0}, {"org": "r", "n": 1})
            stage.gates["r0"].set()
            await until(lambda: sorted(stage.order) == ["a0", "r0"])
            await _settled(service)

    async def second_life():
        async with _engine(url=url, skip_time=False) as service:
            rows, _ = await service.store.runs(workflow="in_turn")
            await _ended(service, [row.id for row in rows])
            held = await _slots(service)
            return held, Counter(stage.order)

    run(first_life())
    stage.open = True
    held, order = run(second_life())
    assert order == {"a0": 2, "a1": 1, "r0": 1}
    assert sorted(state for _, state in held) == [0, 1], "one run lives and one waits for it"


def test_a_step_that_waits_for_a_slot_is_pending_and_says_why(run, stage):
    stage.open = False

    async def scenario():
        async with _engine() as service:
            _, second = await _send(service, "turn", {"org": "a", "n": 0}, {"org": "a", "n": 1})
            await until(lambda: stage.order == ["a0"])
            await _settled(service)
            row = await service.store.run(second)
            (waiting,) = (await history_of(row, service)).steps()
            stage.open = True
            stage.gates["a0"].set()
            row = await ended(service, second)
            (done,) = (await history_of(row, service)).steps()
            return waiting, done

    waiting, done = run(scenario())
    assert waiting.status == "pending"
    (instance,) = waiting.instances
    assert instance.reason == "waits for a slot of workflow 'in_turn': 1 is taken for key 'a'"
    assert instance.attempts == []
    assert (done.status, done.instances[0].reason) == ("completed", None)


def test_a_queued_run_says_what_it_waits_for(run, stage):
    async def scenario():
        async with _engine(skip_time=False) as service:
            first, second = await _send(service, "stay", {"org": "a", "n": 0}, {"org": "a", "n": 1})
            await until(lambda: stage.order == ["a0"])
            await _settled(service)
            return [await reason_of(await service.store.run(id), service) for id in (first, second)]

    assert run(scenario()) == [None, "waits for a slot of workflow 'one_at_a_time': 1 is taken for key '(s:a,n:10)'"]


def _both_asked_and_one_has_it(service):
    """Of two runs that want the only slot, and nobody else does."""
    held = service.store.read(lambda db: [bool(row[0]) for row in db.exec_driver_sql("SELECT held FROM fg_limit_slot")])
    return sorted(held) == [False, True]


@pytest.mark.feature(17)
@pytest.mark.ci
@pytest.mark.postgres
def test_a_fleet_keeps_a_limit_together(run, stage, postgres_url):
    """Three workers on one database. Of the two that stay each may be claimed by another one; who asks first gets the slot."""

    async def scenario():
        async with (
            _engine(url=postgres_url, skip_time=False) as service,
            _engine(url=postgres_url, skip_time=False),
            _engine(url=postgres_url, skip_time=False),
        ):
            batches = [{"org": org, "n": n} for n in range(10) for org in "ab"]
            runs = await _send(service, "batch", *batches) + await _send(service, "stay", *({"org": "r", "n": n} for n in (0, 1)))
            rows = [await ended(service, id, patience=25) for id in runs[:-2]]
            await until(lambda: _both_asked_and_one_has_it(service) and "r" in {what[0] for what in stage.order})
            epochs = service.store.read(lambda db: db.exec_driver_sql("SELECT COUNT(*) FROM fg_epoch").scalar_one())
            return Counter(row.status for row in rows), epochs

    statuses, epochs = run(scenario())
    assert statuses == {"completed": 20}
    assert (stage.most["a"], stage.most["b"], stage.most["r"]) == (2, 2, 1)
    assert stage.order.count("r0") + stage.order.count("r1") == 1
    assert epochs == 3
