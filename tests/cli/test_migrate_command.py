"""`flowgraph migrate`, and `check --against` a server: two deployments on one database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from flowgraph_runtime import create_app
from flowgraph_runtime.settings import Settings
from tests.cli.program import Program
from tests.cli.test_check_against import SHOP, start_runs
from tests.integration.harness import compiled
from tests.runtime.live import serving
from tests.runtime.server import free_port

PACKED = SHOP.replace("return await ship(receipt)", 'return await ship(receipt + " packed")')
CHARGED = PACKED.replace("await charge(order)\n    await", 'await charge(order + "!")\n    await')


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The database of all deployments."""
    return f"sqlite:///{tmp_path}/runs.db"


@pytest.fixture
def waiting(url: str) -> list[str]:
    """Two runs that wait on the machine of `SHOP`."""
    return asyncio.run(start_runs(url, SHOP, 2))


@contextmanager
def deployed(text: str, url: str) -> Iterator[str]:
    """A server with this code; its address."""
    port = free_port()
    app = create_app(compiled(text), settings=Settings(db=url, port=port, poll_interval=0.05, grace=0.5))
    with serving(app, port):
        yield f"http://127.0.0.1:{port}"


def test_runs_are_moved_and_go_on_with_the_new_code(program: Program, url: str, waiting: list[str]) -> None:
    program.write("shop.py", PACKED)
    beforehand = program("check", "shop.py", "--against", url).stderr.splitlines()[1]
    with deployed(PACKED, url) as address:
        plan = program("migrate", "--plan", "--url", address)
        assert plan.stdout.splitlines()[0] == "pay: 2 live runs"
        line = plan.stdout.splitlines()[1]
        assert line.startswith("  2 can move (m_")
        assert line.endswith(f", wait for 'Paid'): the new code goes on from there: {', '.join(waiting)}")
        assert line == beforehand == program("check", "shop.py", "--against", address).stderr.splitlines()[1]
        done = program("migrate", "--apply", "--url", address)
        assert (done.code, done.stdout) == (0, "moved 2 runs, 0 stay\n")
        assert program("migrate", "--apply", "--url", address).stdout == "moved 0 runs, 0 stay\n"
        assert program("migrate", "--plan", "--url", address).stdout.splitlines()[1].startswith("  2 unaffected (m_")
        (move,) = [row for row in _journal(address, waiting[0]) if row["kind"] == "move"]
        assert sorted(move["data"]) == ["from", "to"], "the state that it carries is not for readers"
        program("send", "paid", "--data", '{"order": "o-0"}', "--url", address)
        watched = program("runs", "watch", waiting[0], "--url", address)
    assert (watched.code, json.loads(watched.stdout)) == (0, "o-0 packed")


def _journal(address: str, run: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = httpx2.get(f"{address}/v1/runs/{run}/journal").json()["items"]
    return found


def test_runs_that_cannot_move_stay_and_the_plan_says_why(program: Program, url: str, waiting: list[str]) -> None:
    with deployed(CHARGED, url) as address:
        plan = program("migrate", "--plan", "--url", address, "--json")
        (fate,) = json.loads(plan.stdout)
        assert (fate["outcome"], fate["runs"], fate["examples"]) == ("stays pinned", 2, waiting)
        assert fate["why"] == "'receipt' comes about in another way"
        assert program("migrate", "--apply", "--url", address).stdout == "moved 0 runs, 0 stay\n"
        assert not any(row["kind"] == "move" for row in _journal(address, waiting[0]))


def test_one_of_plan_and_apply_is_asked_for(program: Program) -> None:
    for arguments in ((), ("--plan", "--apply")):
        done = program("migrate", *arguments)
        assert (done.code, "one of --plan and --apply is needed" in done.stderr) == (2, True)
