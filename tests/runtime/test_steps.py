"""One attempt of one step: the outcome of everything that a step's code can do."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given

from flowgraph import NonRetriable, RetryAfter, resource, run_info, step, step_context
from flowgraph.codec import dumps, loads
from flowgraph.errors import NotInRun
from flowgraph_compiler.declarations import Parameter, StepDecl
from flowgraph_compiler.spans import NOWHERE
from flowgraph_runtime.clock import ManualClock
from flowgraph_runtime.engine.commands import RunStep
from flowgraph_runtime.engine.inputs import NOT_KEPT, StepDone, StepFailed
from flowgraph_runtime.steps import StepRunner, _done, retry_moment
from tests.engine.test_engine_values import TYPES, VALUES

NOTE: contextvars.ContextVar[str] = contextvars.ContextVar("note", default="untouched")


@step
async def facts(word: str) -> list[str]:
    context = step_context()
    NOTE.set("touched")
    await asyncio.sleep(0)
    return [word, context.idempotency_key, str(context.attempt), context.run_id, context.step, NOTE.get()]


@step
async def note() -> str:
    return NOTE.get()


@step
def in_thread() -> list[str]:
    NOTE.set("touched in a thread")
    return [threading.current_thread().name.split("_")[0], step_context().step]


@step
async def asks_for_the_run() -> str:
    return run_info().id


@step
async def asks_for(kind: str) -> int:
    return resource(int)


@step
async def raises(how: str) -> None:
    raise ERRORS[how]


@step
async def nested_type_error() -> None:
    int([])  # type: ignore[call-overload]


@step
async def swallows() -> str:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "swallowed"
    return "slept"


class Unstorable(Exception):
    """Carries what is no data."""

    def __init__(self) -> None:
        super().__init__("text of it")
        self.lock = threading.Lock()


class Endless(Exception):
    """Its text is longer than anything that is stored."""

    def __str__(self) -> str:
        return "x" * 3_000_000


ERRORS: dict[str, BaseException] = {
    "endless": Endless("y" * 3_000_000),
    "plain": ValueError("bad", 7),
    "final": NonRetriable("no"),
    "later": RetryAfter(timedelta(minutes=2)),
    "naive": RetryAfter(datetime(2026, 1, 1)),
    "timeout": TimeoutError("the step's own"),
    "unstorable": Unstorable(),
    "exit": SystemExit(3),
    "generator": GeneratorExit(),
}


def _declared(target) -> StepDecl:
    is_async = asyncio.iscoroutinefunction(target.fn)
    return StepDecl(target.name, (), (Parameter("x", str, NOWHERE),), None, is_async, target, NOWHERE)


async def _ended(runner: StepRunner, run_id: str, command: RunStep) -> StepDone | StepFailed:
    begun = runner.begin(run_id, command)
    return begun if isinstance(begun, StepDone | StepFailed) else await begun


@pytest.fixture
def attempt(run):
    """Run one attempt of a step."""

    def attempted(target, *arguments, timeout=None, resources=None, attempt=1):
        async def scenario():
            with ThreadPoolExecutor(1, thread_name_prefix="steps") as executor:
                runner = StepRunner({target.name: _declared(target)}, ManualClock(1_000_000), executor, resources)
                command = RunStep(5, 0, f"flow/{target.name}", target.name, 2, attempt, arguments, {}, timeout)
                outcome = await _ended(runner, "run_1", command)
                assert runner.busy is None
                return outcome

        return run(scenario())

    return attempted


def test_the_step_knows_its_attempt(attempt):
    done = attempt(facts, "word", attempt=3)
    assert (done.serial, done.attempt) == (5, 3)
    assert json.loads(done.payload) == ["word", "run_1:flow/facts:2", "3", "run_1", "facts", "touched"]


def test_what_a_step_sets_in_its_context_stays_there(attempt):
    attempt(facts, "word")
    assert attempt(note) == StepDone(5, 1, '"untouched"')
    assert json.loads(attempt(in_thread).payload) == ["steps", "in_thread"]
    assert NOTE.get() == "untouched"


def test_a_step_is_not_in_the_workflow_body(attempt):
    failed = attempt(asks_for_the_run)
    assert json.loads(failed.payload)["$error"] == NotInRun.__name__


def test_resources_by_type(attempt):
    assert attempt(asks_for, "x", resources={int: 7}).payload == "7"
    assert "the application's lifespan provides nothing" in attempt(asks_for, "x").payload


@pytest.mark.parametrize(
    ("how", "name", "final"),
    [
        ("plain", "ValueError", False),
        ("final", "NonRetriable", True),
        ("timeout", "TimeoutError", False),
        ("exit", "SystemExit", True),
        ("generator", "GeneratorExit", True),
    ],
)
def test_an_exception_travels_as_data(attempt, how, name, final):
    failed = attempt(raises, how)
    assert isinstance(failed, StepFailed)
    tree = json.loads(failed.payload)
    assert (tree["$error"], failed.final, failed.retry_at) == (name, final, None)
    assert "steps.py" not in tree["traceback"].replace("test_steps.py", ""), "only the author's frames are shown"
    assert "raise ERRORS[how]" in tree["traceback"]


def test_an_error_that_is_no_data_keeps_its_name_and_text(attempt):
    tree = json.loads(attempt(raises, "unstorable").payload)
    assert (tree["$error"], tree["args"]) == ("Unstorable", ["text of it"])


def test_an_endless_error_is_cut(attempt):
    failed = attempt(raises, "endless")
    tree = json.loads(failed.payload)
    assert len(failed.payload) < 20_000
    assert tree["args"][0].startswith("Endless: xxx")
    assert "larger than 1 MB" in tree["notes"][0]


def test_retry_after_names_the_moment(attempt):
    assert attempt(raises, "later").retry_at == 121_000_000
    assert retry_moment(datetime(1970, 1, 1, tzinfo=UTC), 50) == 50
    naive = attempt(raises, "naive")
    assert (naive.final, naive.retry_at) == (True, None)
    assert "time zone" in naive.payload


def test_arguments_that_do_not_fit_are_final_but_a_type_error_inside_is_not(attempt):
    assert attempt(facts, "a", "b").final
    assert attempt(in_thread, "a").final
    assert not attempt(nested_type_error).final


def test_a_step_that_is_gone_is_named(attempt, run):
    async def scenario():
        return await _ended(StepRunner({}, ManualClock(), None), "r", RunStep(1, 0, "s", "gone", 1, 1, (), {}))

    failed = run(scenario())
    assert failed.final
    assert "no step is named 'gone'" in failed.payload


def test_a_timeout_is_ours_only_when_it_is_ours(attempt):
    ours = json.loads(attempt(swallows_not, timeout=0.01).payload)
    assert ours["$error"] == "StepTimeout"
    assert json.loads(attempt(raises, "timeout", timeout=60).payload)["$error"] == "TimeoutError"


@step
async def swallows_not() -> None:
    await asyncio.sleep(60)


def test_only_our_own_interruption_passes_through(run):
    async def scenario(target):
        runner = StepRunner({target.name: _declared(target)}, ManualClock(), None)
        task = asyncio.create_task(_ended(runner, "r", RunStep(1, 0, "s", target.name, 1, 1, (), {})))
        await asyncio.sleep(0.01)
        task.cancel()
        return await task

    with pytest.raises(asyncio.CancelledError):
        run(scenario(swallows_not))
    assert run(scenario(swallows)).payload == '"swallowed"'


@given(VALUES)
@example({"a": 2**64})
@example({"a": 1, "b": None, "c": "x", "d": True})
def test_what_is_kept_beside_the_text_is_what_the_text_says(value: Any) -> None:
    done = _done(RunStep(1, 0, "flow/charge", "charge", 1, 1, (), {}), value)
    text, kept = done.payload, done.value
    assert text == dumps(value)
    if kept is not NOT_KEPT:
        assert repr(kept) == repr(loads(text, TYPES))
        assert kept is not value or not isinstance(value, dict), "the step may still hold and change its own"
