"""What a server checks before it starts: compile errors, and code that live runs still need."""

from __future__ import annotations

import asyncio
import json

import pytest

from flowgraph_compiler.pipeline import Compilation, compile_application
from flowgraph_compiler.source import TargetError, from_text
from flowgraph_runtime.app import compiled, create_app
from flowgraph_runtime.errors import CompilationRefused, StartupRefused
from flowgraph_runtime.inspection import history_of
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import Store
from flowgraph_runtime.views import run_view
from tests.runtime import orders
from tests.runtime.conftest import ended, reaches

BEFORE = """
from flowgraph import Event, step, wait_for, workflow

class Go(Event, name="go"):
    word: str

@step
async def shout(word: str) -> str:
    return word.upper()

@step
async def whisper(word: str) -> str:
    return word.lower()

@workflow
async def talk(word: str) -> str:
    go = await wait_for(Go, timeout=None)
    return await whisper(await shout(word + go.word))
"""


def _compiled(text: str) -> Compilation:
    compilation = compile_application([from_text(text, "deployed_flows")])
    assert compilation.ok, compilation.diagnostics
    return compilation


def _service(url: str, text: str, **settings) -> tuple[Service, Store]:
    store = Store.open(url)
    chosen = Settings(db=url, poll_interval=0.05, **settings)
    return Service(Registry.from_compilation(_compiled(text)), store, chosen), store


async def _deploy(url: str, text: str, act, **settings):
    service, store = _service(url, text, **settings)
    try:
        async with service.running():
            return await act(service)
    finally:
        store.close()


async def _start_and_wait(service: Service) -> str:
    run_id, _ = await service.intake.start("talk", {"word": "Hi"})
    await reaches(service, run_id, "waiting")
    return run_id


@pytest.mark.feature(11)
def test_compile_errors_refuse_the_application_with_their_report():
    broken = BEFORE.replace("await whisper(", "whisper(")
    compilation = compile_application([from_text(broken, "broken_flows")])
    with pytest.raises(CompilationRefused, match="FG113") as refused:
        create_app(compilation)
    assert refused.value.diagnostics == compilation.diagnostics


@pytest.mark.feature(11)
def test_an_application_serves_the_workflows_that_it_is_given_and_no_others():
    assert set(compiled([orders.fulfil, orders.nap]).machines) == {"fulfil", "nap"}
    assert set(compiled(orders.nap).machines) == {"nap"}
    assert {"fulfil", "nap", "thank"} < set(compiled(orders).machines)
    with pytest.raises(TargetError, match="one kind only"):
        create_app([orders.fulfil, "tests.runtime.orders"])


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("async def shout", "async def cry", "step 'shout'"),
        ("async def shout(word: str)", "async def shout(text: str)", "parameter 'word' of step 'shout'"),
        ("async def shout(word: str)", "async def shout(word: str, loud: bool)", "new parameter 'loud'"),
        ('class Go(Event, name="go")', 'class Go(Event, name="gone")', "event 'go'"),
        ("    word: str\n", "    text: str\n", "field 'word' of event 'go'"),
    ],
)
def test_code_that_a_live_run_needs_must_be_there(run, tmp_path, old, new, named):
    url = f"sqlite:///{tmp_path}/x.db"
    after = BEFORE.replace(old, new).replace("await shout(word + go.word)", '"quiet"').replace("go.word", '""')

    async def scenario() -> None:
        await _deploy(url, BEFORE, _start_and_wait)
        with pytest.raises(StartupRefused, match=f"(?s)1 run.*talk.*{named}"):
            await _deploy(url, after, _start_and_wait)

    run(scenario())


def test_allow_missing_leaves_the_run_paused_until_its_code_is_back(run, tmp_path):
    url = f"sqlite:///{tmp_path}/x.db"
    after = BEFORE.replace("async def shout", "async def cry").replace("await shout(word + go.word)", '"quiet"')

    async def without_the_code(service: Service) -> None:
        (row,), _ = await service.store.runs()
        await service.intake.send([Posted("go", {"word": "!"})])
        await asyncio.sleep(0.3)
        (row,), _ = await service.store.runs()
        shown = run_view(row, service.registry.types, missing=service.registry.missing(row.machine))
        assert (shown.status, shown.reason) == ("paused", "the deployed code lacks step 'shout'")
        steps = {step.name: step.status for step in (await history_of(row, service)).steps()}
        assert steps["shout"] == "pending", "what has happened and what is to come is shown without the code, too"

    async def scenario() -> str:
        run_id = await _deploy(url, BEFORE, _start_and_wait)
        await _deploy(url, after, without_the_code, allow_missing=True)
        row = await _deploy(url, BEFORE, lambda service: ended(service, run_id))
        return row.result

    assert json.loads(run(scenario())) == "hi!"


def test_a_run_ends_on_the_machine_that_it_started_with(run, tmp_path):
    url = f"sqlite:///{tmp_path}/x.db"
    after = BEFORE.replace("await whisper(await shout(word + go.word))", "await shout(word + go.word)")

    async def finish(service: Service):
        old_runs, _ = await service.store.runs()
        new_run = await _start_and_wait(service)
        await service.intake.send([Posted("go", {"word": "!"})])
        old = await ended(service, old_runs[0].id)
        new = await ended(service, new_run)
        return old, new

    async def scenario():
        await _deploy(url, BEFORE, _start_and_wait)
        return await _deploy(url, after, finish)

    old, new = run(scenario())
    assert (json.loads(old.result), json.loads(new.result)) == ("hi!", "HI!")
    assert old.machine != new.machine
