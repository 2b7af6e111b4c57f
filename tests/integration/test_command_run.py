"""`flowgraph run` in a process of its own: what a script that calls it relies on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ci

LOUD = """
import asyncio, logging, os, subprocess, sys
from datetime import UTC, datetime
from decimal import Decimal
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from flowgraph import step, workflow

print("while importing")

class Out(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
    total_price: Decimal
    at: datetime

@step
def loud() -> int:
    print("printed")
    os.write(1, b"written\\n")
    subprocess.run(["echo", "by a child"])
    sys.__stdout__.write("to the first stdout\\n")
    logging.basicConfig(stream=sys.stdout)
    logging.warning("logged")
    return 1

@workflow
async def flow(n: int = 1) -> Out:
    await loud()
    return Out(total_price=Decimal("1.50"), at=datetime(2026, 1, 1, tzinfo=UTC))

@step(retries=0)
async def bad(text: str) -> None:
    print("last words")
    raise ValueError(text)

@workflow
async def fails(text: str) -> None:
    await bad(text)

@step
async def hang() -> None:
    print("hanging")
    await asyncio.sleep(100)

@workflow
async def stuck() -> None:
    await hang()
"""


@pytest.fixture
def start(tmp_path):
    (tmp_path / "loud.py").write_text(LOUD)

    def started(*arguments):
        command = [sys.executable, "-m", "flowgraph_runtime.cli", "run", *arguments]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return started


def test_only_the_result_is_on_stdout_whatever_steps_do(start):
    process = start("loud.py:flow")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)) == (0, {"totalPrice": "1.50", "at": "2026-01-01T00:00:00Z"})
    for noise in ("while importing", "printed", "written", "by a child", "to the first stdout", "logged"):
        assert noise in err


def test_the_error_is_the_last_line_whatever_it_says(start):
    text = 'line one\nline "two" \u2028 é'
    process = start("loud.py:fails", "--input", json.dumps({"text": text}))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert json.loads(err.rstrip("\n").split("\n")[-1]) == {"type": "ValueError", "message": text, "step": "bad", "attempt": 1}


def test_ctrl_c_ends_it_with_130(start):
    process = start("loud.py:stuck")
    assert process.stderr is not None
    assert any("hanging" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
