"""`executor="dask"`: steps on a cluster of two worker processes, which may be lost."""

from __future__ import annotations

import asyncio
import json

import pytest

from flowgraph.codec import loads
from flowgraph_compiler import compile_module
from flowgraph_runtime.errors import StartupRefused
from flowgraph_runtime.executors import deployment
from tests.runtime import dask_flows
from tests.runtime.conftest import ended, engine, reaches, until

PATIENCE = 120


@pytest.fixture
def run():
    """Run a coroutine to its end. Processes that start beside other tests may take their time to be ready."""

    async def within(coroutine):
        async with asyncio.timeout(PATIENCE):
            return await coroutine

    return lambda coroutine: asyncio.run(within(coroutine))


@pytest.fixture(scope="module")
def compiled():
    return compile_module(dask_flows)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="needs the extra: flowgraph-engine[dask]")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as made:
        yield made


@pytest.fixture
def dask(run, compiled, cluster):
    """Run a scenario with an engine on the cluster."""

    def scenario(body, **settings):
        async def within():
            async with engine(compiled=compiled, dask_address=cluster.scheduler_address, **settings) as service:
                return await body(service)

        return run(within())

    return scenario


async def _result(service, workflow, given):
    run_id, _ = await service.intake.start(workflow, given)
    row = await ended(service, run_id, PATIENCE)
    assert row.status == "completed", row.error
    return loads(row.result, service.registry.types)


@pytest.mark.ci
def test_a_fan_out_runs_on_the_cluster_and_its_state_stays_here(dask):
    parts = dask(lambda service: _result(service, "counting", {"parts": 20, "below": 2000}))
    assert [(part.number, part.primes) for part in parts] == [(number, 303) for number in range(20)]
    assert len({part.process for part in parts}) == 2
    assert len({part.key for part in parts}) == 20


@pytest.mark.ci
def test_errors_come_back_as_from_a_step_here(dask):
    assert dask(lambda service: _result(service, "disliking", {"number": 3})) == "3 is odd"


@pytest.mark.ci
def test_a_lost_worker_is_a_failed_attempt_that_is_retried(dask, tmp_path):
    async def body(service):
        run_id, _ = await service.intake.start("breaking", {"place": str(tmp_path)})
        return await ended(service, run_id, PATIENCE), await service.store.journal(run_id)

    row, entries = dask(body)
    assert (row.status, row.result) == ("completed", "2")
    (failure,) = [json.loads(entry.payload) for entry in entries if entry.kind == "failed"]
    assert "StepInterrupted" in str(failure)
    assert "was lost before the step ended" in str(failure)
    assert {line.split()[0] for line in (tmp_path / "attempts").read_text().splitlines()} == {"1", "2"}


@pytest.mark.ci
def test_a_timeout_counts_from_where_the_worker_begins(dask, tmp_path):
    async def body(service):
        run_id, _ = await service.intake.start("holding", {"place": str(tmp_path), "parts": 2})
        await until(lambda: len(list(tmp_path.glob("begun-*"))) == 2, PATIENCE)
        late, _ = await service.intake.start("dawdling", {"place": str(tmp_path / "late")})
        await asyncio.sleep(0.5)
        assert (await service.store.run(late)).ended_at is None, "it waits for a worker, its time has not begun"
        (tmp_path / "enough").touch()
        row, ended_late = await ended(service, run_id, PATIENCE), await ended(service, late, PATIENCE)
        return row, ended_late

    row, late = dask(body, skip_time=False)
    assert row.result == "[1,1]"
    assert json.loads(late.result) == "step 'dawdle' timed out after 200ms"
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "enough").touch()


@pytest.mark.ci
def test_a_cancelled_run_takes_its_tasks_back(dask, cluster, tmp_path):
    async def body(service):
        run_id, _ = await service.intake.start("holding", {"place": str(tmp_path), "parts": 20})
        await until(lambda: bool(list(tmp_path.glob("begun-*"))), PATIENCE)
        await service.store.ask_cancel(run_id, "enough")
        await reaches(service, run_id, "cancelled", PATIENCE)
        await until(lambda: not cluster.scheduler.tasks, PATIENCE)
        (tmp_path / "enough").touch()
        assert await _result(service, "disliking", {"number": 5}) == "5 is odd"

    dask(body, skip_time=False)
    assert len(list(tmp_path.glob("begun-*"))) <= 4, "the tasks that no worker had begun were never begun"


@pytest.mark.ci
def test_a_scheduler_that_does_not_answer_is_named(run, compiled, monkeypatch):
    monkeypatch.setattr("flowgraph_runtime.executors.on_dask.CONNECT_WITHIN", 0.2)

    async def scenario():
        async with engine(compiled=compiled, dask_address="tcp://127.0.0.1:1") as service:
            run_id, _ = await service.intake.start("holding", {"place": "/", "parts": 1})
            return await ended(service, run_id, PATIENCE)

    row = run(scenario())
    assert row.status == "failed"
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in row.error


def test_a_missing_address_or_package_is_refused_at_the_start(run, compiled, monkeypatch):
    async def scenario(**settings):
        async with engine(compiled=compiled, **settings):
            pass

    monkeypatch.setattr(deployment, "find_spec", lambda name: None)
    with pytest.raises(StartupRefused, match=r"needs the package 'distributed': pip install 'flowgraph-engine\[dask\]'"):
        run(scenario(dask_address="tcp://127.0.0.1:1"))
    monkeypatch.setattr(deployment, "find_spec", lambda name: name)
    with pytest.raises(StartupRefused, match='has executor="dask", which needs the address of a Dask scheduler: set FLOWGRAPH_D'):
        run(scenario())
    run(scenario(worker=False))
