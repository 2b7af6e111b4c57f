"""`flowgraph run`: the result alone on stdout, progress on stderr, the error as its last line, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowgraph_runtime.storage import Store
from tests.cli.program import Program

SOURCE = """
import os
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, Field

from flowgraph import Cron, Event, NonRetriable, now, send, sleep, step, step_context, wait_for, workflow


class Ordered(Event, name="order.placed"):
    order_id: str = Field(alias="orderId")


class Paid(Event, name="order.paid"):
    order_id: str
    amount: Decimal


class Receipt(BaseModel):
    order_id: str = Field(alias="orderId")
    amount: Decimal | None = None


@step
async def note(text: str) -> None:
    print("note:", text)
    os.write(1, b"straight to the descriptor\\n")


@step(retries=2)
async def shaky(times: int) -> int:
    if step_context().attempt <= times:
        raise ConnectionError(f"attempt {step_context().attempt}")
    return step_context().attempt


@step
async def refuse(text: str) -> str:
    raise NonRetriable(text)


@workflow(on=Ordered)
async def order(event: Ordered) -> Receipt:
    paid = await wait_for(Paid, where=lambda p: p.order_id == event.order_id, timeout="30d")
    await note(f"order {event.order_id}")
    if paid is None:
        return Receipt(orderId=event.order_id)
    return Receipt(orderId=event.order_id, amount=paid.amount)


@workflow
async def slept(days: int) -> float:
    before = now()
    for _ in range(days):
        await sleep("1d")
    return (now() - before).total_seconds()


@workflow
async def flaky(times: int) -> int:
    return await shaky(times)


@workflow
async def refused(text: str = "no") -> str:
    return await refuse(text)


@workflow
async def forever() -> str:
    paid = await wait_for(Paid, timeout=None)
    return paid.order_id


@workflow
async def pays(order_id: str) -> None:
    await send(Paid(order_id=order_id, amount=Decimal("1.50")))


@workflow(on=Cron("* * * * *"))
async def every_minute(at: datetime) -> str:
    await sleep("5m")
    return f"{at.tzname()} {(now() - at).total_seconds() >= 300}"


@workflow(on=Paid)
async def thanks(event: Paid) -> None:
    await sleep("2h")
    await note(f"thanks for {event.amount}")
"""


@pytest.fixture(autouse=True)
def files(program: Program) -> None:
    program.write("shop.py", SOURCE)


def error_of(stderr: str) -> dict[str, object]:
    error: dict[str, object] = json.loads(stderr.strip().splitlines()[-1])
    return error


def test_the_result_is_all_that_stdout_gets(program: Program) -> None:
    event = '--event=order.paid={"order_id": "o-1", "amount": "12.30"}'
    done = program("run", "shop.py:order", "--input", '{"orderId": "o-1"}', event)
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout) == {"orderId": "o-1", "amount": "12.30"}
    assert len(done.stdout.splitlines()) == 1
    assert "note: order o-1" in done.stderr
    assert "straight to the descriptor" in done.stderr
    assert "note: completed" in done.stderr


def test_a_scheduled_workflow_runs_at_once_and_once(program: Program) -> None:
    """`run` is about one run: while it sleeps, the schedules of the module start no others."""
    done = program("run", "shop.py:every_minute", "--skip-time", "--db", f"sqlite:///{program.folder}/kept.db")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout) == "UTC True"
    store = Store.open(f"sqlite:///{program.folder}/kept.db")
    runs, _ = asyncio.run(store.runs())
    store.close()
    assert [row.workflow for row in runs] == ["every_minute"]
    refused = program("run", "shop.py:every_minute", "--input", '{"at": "2027-01-01T00:00:00Z"}')
    assert refused.code == 2
    assert "it takes no input" in refused.stderr


def test_an_event_that_matches_nothing_leaves_the_wait_to_its_deadline(program: Program) -> None:
    event = '--event=order.paid={"order_id": "o-2", "amount": 1}'
    done = program("run", "shop.py:order", "--input", '{"orderId": "o-1"}', event, "--skip-time")
    assert (done.code, json.loads(done.stdout)) == (0, {"orderId": "o-1", "amount": None}), done.stderr


def test_input_from_a_file(program: Program) -> None:
    program.write("given.json", '{"times": 0}')
    done = program("run", "shop.py:flaky", "--input", "@given.json")
    assert (done.code, done.stdout) == (0, "1\n")


def test_skip_time_moves_the_clock_that_the_workflow_sees(program: Program) -> None:
    begun = time.monotonic()
    done = program("run", "shop.py:slept", "--input", '{"days": 5}', "--skip-time")
    assert done.code == 0, done.stderr
    assert 5 * 86_400 <= json.loads(done.stdout) < 5 * 86_400 + 60
    assert time.monotonic() - begun < 10


def test_retries_are_shown_and_skip_time_jumps_over_backoff(program: Program) -> None:
    done = program("run", "shop.py:flaky", "--input", '{"times": 2}', "--skip-time")
    assert (done.code, done.stdout) == (0, "3\n")
    assert "shaky: attempt 1 failed: ConnectionError: attempt 1" in done.stderr
    assert "shaky: attempt 2 failed: ConnectionError: attempt 2" in done.stderr


def test_a_failed_run_ends_with_its_error_as_json(program: Program) -> None:
    done = program("run", "shop.py:flaky", "--input", '{"times": 9}', "--skip-time")
    assert (done.code, done.stdout) == (1, "")
    assert error_of(done.stderr) == {"type": "ConnectionError", "message": "attempt 3", "step": "shaky", "attempt": 3}
    refused = program("run", "shop.py:refused", "--input", '{"text": "not with us"}')
    assert refused.code == 1
    assert error_of(refused.stderr) == {"type": "NonRetriable", "message": "not with us", "step": "refuse", "attempt": 1}


def test_a_wait_without_a_deadline_that_nobody_can_end_is_an_error(program: Program) -> None:
    done = program("run", "shop.py:forever")
    assert (done.code, done.stdout) == (1, "")
    assert error_of(done.stderr)["type"] == "Stuck"
    with_event = program("run", "shop.py:forever", "--event", 'order.paid={"order_id": "o-9", "amount": 1}', "--skip-time")
    assert (with_event.code, with_event.stdout) == (0, '"o-9"\n'), with_event.stderr


def test_runs_that_a_sent_event_starts_are_waited_for(program: Program) -> None:
    done = program("run", "shop.py:pays", "--input", '{"order_id": "o-1"}', "--skip-time")
    assert (done.code, done.stdout) == (0, "null\n")
    assert "note: thanks for 1.50" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["shop.py:order", "--input", '{"orderId": 7}'], "orderId"),
        (["shop.py:flaky", "--input", "{}"], "times"),
        (["shop.py:flaky", "--input", '{"times": 1, "typo": 2}'], "typo"),
        (["shop.py:flaky", "--input", "{times: 1}"], "--input: not JSON"),
        (["shop.py:flaky", "--input", "@missing.json"], "missing.json"),
        (["shop.py:forever", "--event", "order.paid"], "NAME=JSON"),
        (["shop.py:forever", "--event", "order.payed={}"], "no event is named 'order.payed'"),
        (["shop.py:forever", "--event", 'order.paid={"order_id": "x"}'], "amount"),
        (["shop.py:nothing"], "'order', 'slept'"),
        (["shop.py"], "several workflows"),
        (["missing.py:x"], "missing.py"),
    ],
)
def test_usage_errors_exit_with_2_and_say_what_is_wrong(program: Program, arguments: list[str], reason: str) -> None:
    done = program("run", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert reason in done.stderr


def test_compile_errors_exit_with_2(program: Program) -> None:
    program.write("wrong.py", SOURCE.replace("return await shaky(times)", "return shaky(times)"))
    done = program("run", "wrong.py:flaky", "--input", '{"times": 0}')
    assert (done.code, done.stdout) == (2, "")
    assert "FG113" in done.stderr
    program.write("unparsable.py", "def f(:\n")
    assert program("run", "unparsable.py:f").code == 2
    others = program("run", "wrong.py:slept", "--input", '{"days": 1}', "--skip-time")
    assert others.code == 0, "another workflow's error does not stop this one"


def test_a_database_that_is_named_keeps_the_run(program: Program) -> None:
    database = f"sqlite:///{program.folder}/runs/kept.db"
    assert program("run", "shop.py:flaky", "--input", '{"times": 0}', "--db", database).code == 0
    assert (program.folder / "runs" / "kept.db").stat().st_size > 0


def test_ctrl_c_exits_with_130(program: Program, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flowgraph_runtime.cli", "run", "shop.py:slept", "--input", '{"days": 1}']
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert process.stderr is not None
    assert any("sleeping" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (130, "")
