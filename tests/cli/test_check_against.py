"""`flowgraph check --against`: what a deployment means for the runs of a database."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import psycopg
import pytest

from tests.cli.program import Program
from tests.conftest import PostgresServer
from tests.integration.harness import PRELUDE, engine

SHOP = """
from flowgraph import Event, step, wait_for, workflow

class Paid(Event, name="paid"):
    order: str

@step(retries=3)
async def charge(order: str) -> str:
    return order

@step
async def ship(order: str) -> str:
    return order

@workflow
async def pay(order: str) -> str:
    receipt = await charge(order)
    await wait_for(Paid, where=lambda p: p.order == order, timeout="30d")
    return await ship(receipt)

@workflow
async def quick(order: str) -> str:
    return await charge(order)
"""
PRELUDE_LINES = PRELUDE.count("\n")
WITHOUT_SHIP = SHOP.replace("ship", "send_off")
OPTIONS = SHOP.replace("retries=3", "retries=5")
LONGER = SHOP.replace('"30d"', '"60d"')


async def start_runs(url: str, text: str, count: int) -> list[str]:
    """Runs of `pay` that wait, and one of `quick` that is over, on the machines of a text."""
    async with engine(text, url, skip_time=False) as served:
        ids = [await served.start("pay", order=f"o-{number}") for number in range(count)]
        for id in ids:
            await served.reaches(id, "waiting")
        await served.reaches(await served.start("quick", order="o"), "completed")
    return ids


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.ci])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/runs of a shop.db"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS against")
        connection.execute("CREATE DATABASE against")
    return server.url("against")


def test_the_plan_tells_what_becomes_of_the_live_runs(program: Program, url: str) -> None:
    """Three deployments have live runs; the fourth is checked."""
    same = asyncio.run(start_runs(url, SHOP, 4))
    longer = asyncio.run(start_runs(url, LONGER, 1))
    options = asyncio.run(start_runs(url, OPTIONS, 2))
    program.write("shop.py", SHOP)
    done = program("check", "shop.py", "--against", url, "--format", "json")
    assert (done.code, done.stdout) == (0, "[]\n")
    lines = done.stderr.splitlines()
    assert lines[0] == "pay: 7 live runs"
    assert lines[1].startswith("  4 unaffected (m_")
    assert lines[1].endswith(f": the same machine: {', '.join(same[:3])}, ...")
    at = f":{PRELUDE_LINES + SHOP[: SHOP.index('await wait_for')].count(chr(10)) + 1}, wait for 'Paid')"
    assert lines[2].endswith(f"{at}: the new code goes on from there: {', '.join(options)}")
    why = "the wait for 'Paid' that it is at changed"
    assert lines[3].endswith(f"{at}: ends on its own machine, because {why}: {longer[0]}")
    assert [line.split("(")[0] for line in lines[1:4]] == ["  4 unaffected ", "  2 can move ", "  1 stays pinned "]
    assert len(lines) == 5, "a workflow whose runs are over is not in the plan"


def test_what_breaks_live_runs_fails_the_check(program: Program, url: str) -> None:
    ids = asyncio.run(start_runs(url, SHOP, 2))
    program.write("shop.py", WITHOUT_SHIP)
    done = program("check", "shop.py", "--against", url, "--format", "json")
    assert done.code == 1
    (found,) = json.loads(done.stdout)
    assert found["code"] == "FG400"
    assert found["message"] == "step 'ship' is gone, and 'pay' in 2 live runs may still call it"
    assert (found["file"], WITHOUT_SHIP.splitlines()[found["line"] - 1]) == ("shop.py", "async def pay(order: str) -> str:")
    line = done.stderr.splitlines()[1]
    assert line.startswith("  2 breaks (m_")
    assert line.endswith(f", wait for 'Paid'): FG400, but can move: {', '.join(ids)}")
    program.write("shop.py", WITHOUT_SHIP.replace("@step\nasync def send_off", "@step(aliases=('ship',))\nasync def send_off"))
    assert program("check", "shop.py", "--against", url).code == 0


def test_the_check_reads_beside_a_running_server_and_writes_nothing(program: Program, url: str) -> None:
    program.write("shop.py", SHOP)

    async def beside() -> None:
        async with engine(SHOP, url, skip_time=False) as served:
            await served.reaches(await served.start("pay", order="o"), "waiting")
            done = await asyncio.to_thread(program, "check", "shop.py", "--against", url)
            assert (done.code, done.stderr.splitlines()[0]) == (0, "pay: 1 live run")

    asyncio.run(beside())


def test_a_database_without_live_runs(program: Program, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    asyncio.run(start_runs(url, SHOP, 0))
    program.write("shop.py", SHOP)
    assert program("check", "shop.py", "--against", url).stderr.startswith("no run is under way\n")


@pytest.mark.parametrize(
    "database", ["sqlite:///missing.db", "sqlite:///empty.db", "sqlite:///text.db", "mysql://x", "postgresql://localhost:1/x"]
)
def test_a_database_that_cannot_be_read_exits_with_2(program: Program, database: str) -> None:
    program.write("shop.py", SHOP)
    program.write("text.db", "this is no database " * 100)
    sqlite3.connect(program.folder / "empty.db").close()
    (program.folder / "empty.db").touch()
    done = program("check", "shop.py", "--against", database)
    assert (done.code, "--against: " in done.stderr) == (2, True)
    assert not (program.folder / "missing.db").exists()
