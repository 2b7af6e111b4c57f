"""Programs that are started before their database."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from flowgraph_runtime.storage.arrival import await_database
from tests.cli.program import Program
from verification.postgres import MISSING, PostgresServer, server_binaries, temporary_server

FLOWS = """
from flowgraph import step, workflow

@step
async def hello() -> str:
    return "hello"

@workflow
async def greet() -> str:
    return await hello()
"""


@pytest.fixture
def nobody() -> Iterator[str]:
    """The URL of a port that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        yield f"postgresql://who:secret@127.0.0.1:{taken.getsockname()[1]}/none"


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


def test_the_pauses_grow_until_the_time_is_over(nobody: str, caplog: pytest.LogCaptureFixture):
    time = Time()
    assert not await_database(nobody, 20.0, sleep=time.sleep, clock=lambda: time.now)
    assert time.pauses[0] == 0.1
    assert max(time.pauses) == 2.0
    assert time.pauses[:-1] == sorted(time.pauses[:-1])
    assert sum(time.pauses) == pytest.approx(20.0)
    said = [record.message for record in caplog.records]
    assert len(said) == 1
    assert re.fullmatch(r"waiting up to 20 s for the database at 127.0.0.1, port \d+", said[0])


def test_nothing_is_waited_for_without_patience_or_without_postgresql(nobody: str, caplog: pytest.LogCaptureFixture):
    time = Time()
    assert not await_database(nobody, 0.0, sleep=time.sleep, clock=lambda: time.now)
    for other in ("sqlite:///nowhere/at/all.db", "postgresql://host?no_such_option=1", "mysql://host/name"):
        assert await_database(other, 60.0, sleep=time.sleep, clock=lambda: time.now), "opening says what is wrong"
    assert (time.pauses, caplog.records) == ([], [])


@pytest.mark.parametrize("command", ["worker", "serve"])
def test_the_error_names_the_database_that_did_not_come(
    program: Program, nobody: str, command: str, monkeypatch: pytest.MonkeyPatch
):
    program.write("flows.py", FLOWS)
    monkeypatch.setenv("FLOWGRAPH_DB_WAIT", "0")
    monkeypatch.setenv("FLOWGRAPH_PORT", "0")
    ended = program(command, "flows.py", "--db", nobody)
    assert ended.code == 1
    assert "cannot reach the database" in ended.stderr
    assert "waiting" not in ended.stderr


@pytest.mark.postgres
def test_what_the_server_refuses_is_not_waited_for(program: Program, postgres_url: str, monkeypatch: pytest.MonkeyPatch):
    program.write("flows.py", FLOWS)
    monkeypatch.setenv("FLOWGRAPH_DB_WAIT", "600")
    base, query = postgres_url.split("?")
    ended = program("worker", "flows.py", "--db", f"{base}_unknown?{query}")
    assert (ended.code, "does not exist" in ended.stderr, "waiting" in ended.stderr) == (1, True, False)
    ended = program("worker", "flows.py", "--db", postgres_url.replace("postgres@", "stranger@"))
    assert (ended.code, "stranger" in ended.stderr, "waiting" in ended.stderr) == (1, True, False)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE fg_meta (key text PRIMARY KEY, value text)")
        connection.execute("INSERT INTO fg_meta VALUES ('schema', '1')")
    ended = program("worker", "flows.py", "--db", postgres_url)
    assert (ended.code, "flowgraph db upgrade" in ended.stderr, "waiting" in ended.stderr) == (1, True, False)


@pytest.fixture
def later_server() -> Iterator[PostgresServer]:
    """A server of one's own, which is down."""
    binaries = server_binaries()
    if binaries is None:
        pytest.skip(MISSING)
    with temporary_server(binaries) as server:
        server.stop("fast")
        try:
            yield server
        finally:
            server.start()  # which its end wants


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """The program as a process -> it, and the lines that it says."""
    environment = {**os.environ, "FLOWGRAPH_DB_WAIT": "300"}
    command = [sys.executable, "-m", "flowgraph_runtime.cli", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment) as process:
        assert process.stderr is not None
        patience = threading.Timer(120, process.kill)
        patience.start()
        try:
            yield process, iter(process.stderr)
        finally:
            patience.cancel()
            process.kill()


def until(lines: Iterator[str], text: str) -> list[str]:
    """Read up to a line with this text."""
    seen: list[str] = []
    for line in lines:
        seen.append(line)
        if text in line:
            return seen
    raise AssertionError(f"it ended without {text!r}: {seen}")


@pytest.mark.ci
@pytest.mark.postgres
@pytest.mark.parametrize(("command", "at_work"), [(("worker",), "is at work"), (("serve", "--port", "0"), "flowgraph is at")])
def test_a_program_waits_for_its_database(tmp_path: Path, later_server: PostgresServer, command: tuple[str, ...], at_work: str):
    (tmp_path / "flows.py").write_text(FLOWS)
    with started(tmp_path, *command, "flows.py", "--db", later_server.url("postgres")) as (process, lines):
        until(lines, "waiting up to 300 s for the database at")
        later_server.start()
        seen = until(lines, at_work)
        assert sum("the database is there" in line for line in seen) == 1
        assert not any("waiting" in line for line in seen)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    later_server.stop("fast")


@pytest.mark.ci
def test_a_program_that_waits_ends_when_it_is_told_to(tmp_path: Path, nobody: str):
    (tmp_path / "flows.py").write_text(FLOWS)
    with started(tmp_path, "worker", "flows.py", "--db", nobody) as (process, lines):
        until(lines, "waiting up to 300 s")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_command_that_reads_does_not_wait(program: Program, nobody: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLOWGRAPH_DB_WAIT", "600")
    ended = program("doctor", "--db", nobody)
    assert ended.code != 0
    assert "waiting" not in ended.stderr
