"""Retries, failures and their handlers on a real engine."""

from __future__ import annotations

import pytest

from tests.integration.harness import engine

FAILURES = """
class Placed(Event, name="placed"):
    order: str
    how: str = ""

@step
async def before(order: str) -> str:
    LOG.enter("before")
    return order

@step(retries=3, backoff=Backoff("1s", factor=3, jitter=0.0))
async def flaky(order: str, failures: int) -> int:
    if LOG.enter("flaky") <= failures:
        raise ConnectionError(f"{order} is down")
    return failures

@step(retries=0)
async def once(order: str) -> str:
    LOG.enter("once")
    raise ConnectionError("not again")

@step(backoff=Backoff("1s", jitter=0.0))
async def inherits(order: str) -> str:
    LOG.enter("inherits")
    raise ConnectionError("still down")

@step
async def stubborn(order: str) -> str:
    LOG.enter("stubborn")
    raise ConnectionError("no answer")

@step
async def gives_up(order: str) -> str:
    LOG.enter("gives_up")
    raise NonRetriable(f"{order} is void")

@step(retries=2, backoff=Backoff("10s", jitter=0.0))
async def limited(order: str, how: str) -> str:
    if LOG.enter("limited") == 1:
        if how == "delay":
            raise RetryAfter("90s")
        if how == "moment":
            raise RetryAfter(datetime.now(UTC) + timedelta(days=2))
        if how == "past":
            raise RetryAfter(datetime(2001, 1, 1, tzinfo=UTC))
        raise RetryAfter(datetime(2001, 1, 1))
    return how

@step(retries=0)
async def tell(trigger: Any, error: Exception) -> None:
    LOG.enter("tell")
    LOG.note((trigger, error, getattr(error, "flowgraph")))

@step(retries=1, backoff=Backoff("1s", jitter=0.0))
async def tell_in_vain(trigger: Placed, error: Exception) -> None:
    LOG.enter("tell_in_vain")
    raise OSError("pager is down")

@workflow
async def retried(order: str, failures: int) -> int:
    return await flaky(await before(order), failures)

@workflow(retries=7)
async def once_only(order: str) -> str:
    return await once(order)

@workflow(retries=2)
async def inheriting(order: str) -> str:
    return await inherits(order)

@workflow
async def by_default(order: str) -> str:
    return await stubborn(order)

@workflow
async def voided(order: str) -> str:
    return await gives_up(order)

@workflow
async def rate_limited(order: str, how: str) -> str:
    return await limited(order, how)

@workflow(on=Placed, on_failure=tell)
async def told(event: Placed) -> str:
    await before(event.order)
    return await gives_up(event.order)

@workflow(on=Placed, on_failure=tell_in_vain)
async def told_in_vain(event: Placed) -> str:
    return await gives_up(event.order)

@workflow(on_failure=tell)
async def told_by_name(order: str, failures: int = 9) -> int:
    return await flaky(order, failures)

@workflow(on_failure=tell)
async def own_fault(order: str) -> int:
    return 1 // (len(order) - len(order))

@workflow
async def caught(order: str) -> str:
    try:
        await flaky(order, 9)
    except ConnectionError as error:
        await before(order)
        return str(error)
    return "fine"
"""


def _delays(journal):
    failures = [row.at for row in journal if row.kind == "failed"]
    wakes = [row.at for row in journal if row.kind == "timer"]
    return [(wake - failure) / 1e6 for failure, wake in zip(failures, wakes, strict=False)]


@pytest.mark.feature(1, 4, 7)
def test_retries_follow_the_backoff_and_never_touch_earlier_steps(run, log, each_url):
    async def scenario():
        async with engine(FAILURES, each_url) as served:
            run_id = await served.start("retried", order="o", failures=3)
            return await served.outcome(run_id), _delays(await served.journal(run_id))

    outcome, delays = run(scenario())
    assert outcome == ("completed", 3)
    assert log.calls == [("before", 1), *(("flaky", attempt) for attempt in (1, 2, 3, 4))]
    assert [int(delay) for delay in delays] == [1, 3, 9]
    assert len(set(log.keys[1:])) == 1


@pytest.mark.feature(3)
def test_the_planned_attempt_can_be_seen(run, log, url):
    async def scenario():
        async with engine(FAILURES, url, skip_time=False) as served:
            run_id = await served.start("retried", order="o", failures=3)
            await served.until(lambda row: log.count("flaky") == 1, run_id)
            row = await served.reaches(run_id, "running")
            return await served.has_timer(), row.started_at

    due, started = run(scenario())
    assert 1 <= (due - started) / 1e6 < 2


@pytest.mark.feature(3, 5, 6)
@pytest.mark.parametrize(
    ("workflow", "step", "attempts"),
    [("by_default", "stubborn", 5), ("once_only", "once", 1), ("inheriting", "inherits", 3), ("voided", "gives_up", 1)],
)
def test_how_often_a_step_is_tried(run, log, url, workflow, step, attempts):
    async def scenario():
        async with engine(FAILURES, url) as served:
            run_id = await served.start(workflow, order="o")
            await served.ended(run_id)
            return await served.row(run_id)

    row = run(scenario())
    assert (row.status, row.failed_step, row.failed_attempt) == ("failed", step, attempts)
    assert log.count(step) == attempts


@pytest.mark.feature(6)
@pytest.mark.parametrize(("how", "seconds"), [("delay", 90), ("moment", 2 * 86_400), ("past", 0)])
def test_retry_after_sets_the_next_attempt(run, log, url, how, seconds):
    async def scenario():
        async with engine(FAILURES, url) as served:
            run_id = await served.start("rate_limited", order="o", how=how)
            return await served.outcome(run_id), _delays(await served.journal(run_id))

    outcome, (delay,) = run(scenario())
    assert outcome == ("completed", how)
    assert delay == pytest.approx(seconds, abs=1)


def test_retry_after_without_a_zone_fails_with_the_reason(run, log, url):
    async def scenario():
        async with engine(FAILURES, url) as served:
            return await served.ended(await served.start("rate_limited", order="o", how="naive"))

    row = run(scenario())
    assert row.status == "failed"
    assert "time zone" in row.error
    assert log.count("limited") == 1


@pytest.mark.feature(8)
def test_the_failure_handler_gets_the_trigger_and_the_error(run, log, each_url):
    async def scenario():
        async with engine(FAILURES, each_url) as served:
            runs = await served.send("placed", order="o7", how="x")
            return {(await served.row(run)).workflow: await served.ended(run) for run in runs}

    rows = run(scenario())
    assert {name: row.status for name, row in rows.items()} == {"told": "failed", "told_in_vain": "failed"}
    ((trigger, error, info),) = log.notes
    assert (type(trigger).__name__, trigger.order, trigger.how) == ("Placed", "o7", "x")
    assert trigger.meta.id == rows["told"].event_id
    assert (str(error), info.step, info.attempts, info.run_id) == ("o7 is void", "gives_up", 1, rows["told"].id)
    assert (rows["told"].failed_step, log.count("tell_in_vain")) == ("gives_up", 2)
    both = rows["told_in_vain"].error
    assert "o7 is void" in both
    assert "pager is down" in both


@pytest.mark.feature(8)
def test_the_handler_of_a_run_without_an_event_gets_its_parameters(run, log, url):
    async def scenario():
        async with engine(FAILURES, url) as served:
            return await served.outcome(await served.start("told_by_name", order="o"))

    assert run(scenario()) == ("failed", "ConnectionError")
    ((trigger, error, info),) = log.notes
    assert trigger == {"order": "o", "failures": 9}
    assert (str(error), info.step, info.attempts) == ("o is down", "flaky", 4)


def test_a_fault_of_the_workflow_itself_is_handled_too_and_not_retried(run, log, url):
    async def scenario():
        async with engine(FAILURES, url) as served:
            return await served.outcome(await served.start("own_fault", order="o"))

    assert run(scenario()) == ("failed", "ZeroDivisionError")
    ((_, _, info),) = log.notes
    assert info.step is None


def test_a_failure_can_be_caught_and_the_run_goes_on(run, log, url):
    async def scenario():
        async with engine(FAILURES, url) as served:
            return await served.outcome(await served.start("caught", order="o"))

    assert run(scenario()) == ("completed", "o is down")
    assert log.calls[-1] == ("before", 1)


MISDEEDS = """
import os
class Bad:
    pass

class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

class Secretive(Exception):
    def __init__(self, socket: object) -> None:
        super().__init__("kept")
        self.socket = socket

class Loop(Exception):
    pass

@step(retries=0)
async def misbehave(how: str) -> str:
    LOG.enter("misbehave")
    return _deed(how)

@step(retries=0)
def misbehave_in_a_thread(how: str) -> str:
    LOG.enter("misbehave")
    return _deed(how)

def _deed(how: str) -> Any:
    if how == "exit":
        sys.exit(3)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "generator exit":
        raise GeneratorExit("out")
    if how == "stop":
        raise StopIteration("over")
    if how == "stop async":
        raise StopAsyncIteration("over")
    if how == "cancelled":
        raise asyncio.CancelledError("mine")
    if how == "rude":
        raise Rude()
    if how == "secretive":
        raise Secretive(threading.Lock())
    if how == "cyclic":
        error = Loop("round")
        error.__cause__ = error
        raise error
    if how == "group":
        raise ExceptionGroup("two", [ValueError("a"), OSError("b")])
    if how == "nul error":
        raise ValueError("a\\0b")
    if how == "surrogate error":
        raise ValueError("a\\ud800b")
    if how == "huge error":
        raise ValueError("x" * 3_000_000)
    if how == "recursion":
        return _deed(how)
    if how == "memory":
        raise MemoryError
    return {"unstorable": Bad(), "nul": "a\\0b", "surrogate": "a\\ud800b", "large": "x" * 1_000_100, "nan": float("nan"),
        "big": 10 ** 5000, "deep": _deep(), "lambda": lambda: 1, "surrogate key": {"\\udc00": 1}}[how]

def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value

@step
async def name_of(error: Exception) -> str:
    return type(error).__name__

@workflow
async def risky(how: str) -> str:
    return await misbehave(how)

@workflow
async def risky_thread(how: str) -> str:
    return await misbehave_in_a_thread(how)

@workflow
async def careful(how: str) -> str:
    try:
        return str(len(await misbehave(how)))
    except Exception as error:
        kept = error
        await sleep("1h")
        return await name_of(kept)
"""

_DEEDS = {
    "exit": "SystemExit",
    "interrupt": "KeyboardInterrupt",
    "generator exit": "GeneratorExit",
    "stop": "RuntimeError",  # as from everything that is awaited
    "stop async": "StopAsyncIteration",
    "cancelled": "CancelledError",
    "rude": "Rude",
    "secretive": "Secretive",
    "cyclic": "Loop",
    "group": "ExceptionGroup",
    "nul error": "ValueError",
    "surrogate error": None,
    "huge error": "RuntimeError",
    "recursion": "RecursionError",
    "memory": "MemoryError",
    "unstorable": "CodecError",
    "surrogate": "CodecError",
    "surrogate key": "CodecError",
    "large": "LimitExceeded",
    "deep": "CodecError",
    "lambda": "CodecError",
    "big": None,
    "nan": None,
    "nul": None,
}


@pytest.mark.parametrize("workflow", ["risky", "risky_thread"])
def test_nothing_that_a_step_does_keeps_its_run_or_the_next_from_ending(run, log, each_url, workflow):
    async def scenario():
        outcomes = {}
        async with engine(MISDEEDS, each_url) as served:
            runs = {how: await served.start(workflow, how=how) for how in _DEEDS}
            for how, run_id in runs.items():
                outcomes[how] = await served.outcome(run_id)
        return outcomes

    outcomes = run(scenario())
    for how, expected in _DEEDS.items():
        status, result = outcomes[how]
        if expected is not None:
            assert (status, result) == ("failed", expected), how
        assert status in {"failed", "completed"}, how


def test_errors_that_a_workflow_keeps_survive_a_wait(run, log, url):
    async def scenario():
        async with engine(MISDEEDS, url) as served:
            hows = ("cyclic", "group", "nul error", "surrogate error", "rude", "secretive")
            return {how: await served.outcome(await served.start("careful", how=how)) for how in hows}

    outcomes = run(scenario())
    assert {status for status, _ in outcomes.values()} == {"completed"}, outcomes
    assert outcomes["cyclic"][1] == "Loop"
    assert outcomes["group"][1] == "ExceptionGroup"


CALLS = (
    FAILURES
    + """
@workflow(retries=9)
async def at_the_call(order: str, failures: int) -> int:
    first = await flaky.with_(retries=4, backoff=Backoff("1h", kind="fixed", jitter=0.0))(order, failures)
    try:
        await flaky.with_(retries=0, name="once_more")(order, 99)
    except ConnectionError:
        return first
    return -1
"""
)


@pytest.mark.feature(5)
def test_a_call_may_say_how_it_is_retried(run, log, url):
    async def scenario():
        async with engine(CALLS, url) as served:
            run_id = await served.start("at_the_call", order="o", failures=4)
            row = await served.ended(run_id)
            return row, [entry.site for entry in await served.journal(run_id) if entry.site is not None]

    row, sites = run(scenario())
    assert (row.status, row.result) == ("completed", "4")
    assert row.ended_at - row.started_at >= 4 * 3_600_000_000
    assert sites[-1] == "at_the_call/once_more"
    assert log.count("flaky") == 6
