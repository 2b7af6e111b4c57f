"""`executor="process"`: steps in a pool of processes, which may be killed at any time."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path

import psutil
import pytest

from flowgraph.codec import loads
from flowgraph_compiler import compile_module
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.source import from_text
from flowgraph_runtime import testing
from flowgraph_runtime.errors import StartupRefused
from flowgraph_runtime.executors.assignments import Code
from flowgraph_runtime.executors.processes import ProcessPool
from tests.runtime import executor_flows
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
    return compile_module(executor_flows)


async def _result(service, workflow, given):
    run_id, _ = await service.intake.start(workflow, given)
    row = await ended(service, run_id, PATIENCE)
    assert row.status == "completed", row.error
    return loads(row.result, service.registry.types)


def _begun(place: Path) -> list[int]:
    file = place / "begun"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def _gone(pids: list[int]) -> bool:
    return not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _children() -> list[int]:
    return [child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


def test_a_step_sees_in_its_process_what_it_would_see_here(run, compiled, caplog, capfd):
    before = _children()

    async def scenario():
        async with engine(compiled=compiled, step_processes=1) as service:
            assert _children() == before, "nothing is started before it is needed"
            with caplog.at_level(logging.WARNING):
                return await _result(service, "looking", {"price": "1.10"})

    first, second = run(scenario())
    assert first.process == second.process != os.getpid(), "one process does one attempt after the other"
    assert (first.price, second.price) == (executor_flows.Decimal("1.10"), executor_flows.Decimal("2.10"))
    assert (first.step, second.step, first.attempt, first.thread) == ("look", "look_async", 1, "MainThread")
    assert first.key.startswith("run_")
    assert first.key != second.key
    assert not first.in_run
    assert [(record.name, record.getMessage()) for record in caplog.records if "look" in record.getMessage()] == [
        ("flowgraph.step.look", "looking for 1.10")
    ]
    assert "not asked for" not in caplog.text, "the levels are those of this process"
    output = capfd.readouterr()
    assert ("printed" in output.err, "printed" in output.out) == (True, False)
    assert _children() == before, "the pool ends with the engine"


def test_errors_and_delays_come_back_as_from_a_step_here(run, compiled):
    async def scenario():
        async with engine(compiled=compiled, step_processes=1) as service:
            code, process = await _result(service, "refusing", {"code": 7})
            begun = service.clock.now()
            assert await _result(service, "putting_off", {"n": 0}) == 2
            return code, process, service.clock.now() - begun

    code, process, passed = run(scenario())
    assert code == 7
    assert process != os.getpid()
    two_days = 2 * 86_400 * 1_000_000
    assert two_days <= passed < two_days + 3_600_000_000


def test_a_process_that_dies_is_a_failed_attempt_and_the_worker_goes_on(run, compiled):
    async def scenario():
        async with engine(compiled=compiled, step_processes=2) as service:
            runs = {how: (await service.intake.start("breaking", {"how": how}))[0] for how in ("exit", "kill")}
            rows = {how: await ended(service, run_id, PATIENCE) for how, run_id in runs.items()}
            assert [row.status for row in rows.values()] == ["completed", "completed"]
            entries = {how: await service.store.journal(run_id) for how, run_id in runs.items()}
            text = await _result(service, "giving_up", {"n": 5})
            return entries, text

    entries, text = run(scenario())
    failures = {how: [json.loads(e.payload) for e in rows if e.kind == "failed"] for how, rows in entries.items()}
    assert "ended with exit code 3 before" in str(failures["exit"])
    assert "killed by SIGKILL" in str(failures["kill"])
    assert [len(found) for found in failures.values()] == [1, 1]
    assert text == "the process that ran step 'hopeless' ended with exit code 5 before the step had ended"


def test_a_timeout_ends_the_process_and_what_it_has_started_and_nothing_else(run, compiled, tmp_path):
    late, other = tmp_path / "late", tmp_path / "other"
    late.mkdir()
    other.mkdir()

    async def scenario():
        async with engine(compiled=compiled, step_processes=2, skip_time=False) as service:
            beside, _ = await service.intake.start("holding", {"place": str(other)})
            text = await _result(service, "timing_out", {"place": str(late)})
            await until(lambda: _gone(_begun(late)), PATIENCE)
            await until(lambda: bool(_begun(other)), PATIENCE)
            (other / "enough").touch()
            row = await ended(service, beside, PATIENCE)
            return text, row

    text, row = run(scenario())
    assert text == "step 'hold_shortly' timed out after 1s"
    assert (row.status, json.loads(row.result)) == ("completed", _begun(other)[0]), "the process beside it went on"
    assert _begun(late), "the step had begun before its time was over"


def test_a_cancel_ends_a_busy_process(run, compiled, tmp_path):
    async def scenario():
        async with engine(compiled=compiled, step_processes=1, skip_time=False) as service:
            run_id, _ = await service.intake.start("holding", {"place": str(tmp_path)})
            await until(lambda: bool(_begun(tmp_path)), PATIENCE)
            await service.store.ask_cancel(run_id, "enough")
            await reaches(service, run_id, "cancelled", PATIENCE)
            await until(lambda: _gone(_begun(tmp_path)), PATIENCE)
            return await _result(service, "spreading", {"count": 2})

    assert not set(run(scenario())) & {os.getpid(), *_begun(tmp_path)}, "another process has taken its place"


def test_steps_that_wait_for_a_process_hold_up_no_others(run, compiled, tmp_path):
    async def scenario():
        async with engine(compiled=compiled, step_processes=1, step_slots=1, skip_time=False) as service:
            run_id, _ = await service.intake.start("holding", {"place": str(tmp_path)})
            await service.intake.start("spreading", {"count": 5})
            await until(lambda: bool(_begun(tmp_path)), PATIENCE)
            assert await _result(service, "hurrying", {"n": 4}) == 4
            (tmp_path / "enough").touch()
            return await ended(service, run_id, PATIENCE)

    assert run(scenario()).status == "completed"


def test_a_process_that_cannot_import_the_modules_says_why(run, tmp_path):
    broken = tmp_path / "broken_here.py"
    broken.write_text("raise LookupError('no such table')")

    async def scenario():
        pool = ProcessPool(1, Code((("broken_here", str(broken)),), (str(tmp_path), *executor_flows.sys.path)))
        try:
            await pool.run("charge", "[]", lambda: None)
        finally:
            await pool.close()

    with pytest.raises(executor_flows.StepFailed, match=r"step 'charge' was not begun: .* LookupError: no such table"):
        run(scenario())


def test_a_test_runs_the_steps_in_its_own_process():
    first, second = testing.run(executor_flows.looking, executor_flows.Decimal(3))
    assert (first.process, second.process) == (os.getpid(), os.getpid())


def test_a_step_without_a_file_is_refused_at_the_start(run):
    source = from_text(
        'from flowgraph import step, workflow\n\n@step(executor="process")\ndef work(n: int) -> int:\n    return n\n\n'
        "@workflow\nasync def working(n: int) -> int:\n    return await work(n)\n",
        "made_of_text",
    )

    async def scenario():
        async with engine(compiled=compile_application([source])):
            pass

    with pytest.raises(StartupRefused, match=r"step 'work' has executor=\"process\", and its module 'made_of_text' is no file"):
        run(scenario())
