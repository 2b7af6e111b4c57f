"""`flowgraph dev` and `serve` as real processes, and the commands that talk to them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program

SOURCE = """
from flowgraph import Event, NonRetriable, parallel, step, wait_for, workflow


class Ordered(Event, name="order.placed"):
    order_id: str


class Paid(Event, name="order.paid"):
    order_id: str


@step
async def reserve(order_id: str) -> str:
    if order_id == "o-bad":
        raise NonRetriable("sold out")
    return f"reserved {order_id}"


@step
def mail(text: str) -> str:
    return text


@workflow(on=Ordered)
async def order(event: Ordered) -> str:
    reserved = await reserve(event.order_id)
    paid = await wait_for(Paid, where=lambda p: p.order_id == event.order_id, timeout="1d")
    if paid is None:
        return "unpaid"
    first, second = await parallel(mail(reserved), mail("thanks"))
    return f"{first}, {second}"
"""
ADDRESS = re.compile(r"flowgraph is at (http://\S+)")


class Server:
    """A server process with what it wrote to stderr."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "flowgraph_runtime.cli", *arguments]
        environment = os.environ | {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, env=environment)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def stderr(self) -> str:
        return "".join(list(self.lines))

    def address(self, starts: int = 1) -> str:
        """The address, once it was said that many times."""
        until(lambda: len(ADDRESS.findall(self.stderr)) >= starts or self.process.poll() is not None, lambda: self.stderr)
        return ADDRESS.findall(self.stderr)[starts - 1]

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        code = self.process.wait(30)
        self._reader.join(30)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


def until(condition: Callable[[], Any], otherwise: Callable[[], str], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.05)


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("dev")
    (folder / "shop.py").write_text(SOURCE, encoding="utf-8")
    server = Server(folder, "dev", "shop.py", "--port", "0", "--no-reload")
    yield server
    assert server.stop() == 0


@pytest.fixture
def shop(program: Program, dev: Server, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv("FLOWGRAPH_URL", dev.address())
    program.write("shop.py", SOURCE)
    return program


def started(shop: Program, order_id: str) -> str:
    done = shop("send", "order.placed", "--data", json.dumps({"order_id": order_id}))
    assert done.code == 0, done.stderr
    event, run = done.stdout.split()
    assert event.startswith("evt_")
    assert run.startswith("run_")
    return run


def test_a_run_from_its_event_to_its_result(shop: Program) -> None:
    run = started(shop, "o-1")
    until(lambda: '"waiting"' in shop("runs", "show", run, "--json").stdout, lambda: "never waited")
    steps = {row["name"]: row["status"] for row in json.loads(shop("runs", "show", run, "--json").stdout)["steps"]}
    assert steps == {"reserve": "completed", "Paid": "running", "parallel": "pending", "mail": "pending"}
    assert shop("send", "order.paid", "--data", '{"order_id": "o-1"}', "--json").code == 0
    done = shop("runs", "watch", run)
    assert (done.code, json.loads(done.stdout)) == (0, "reserved o-1, thanks")
    assert f"order {run}: completed" in done.stderr
    shown = shop("runs", "show", run).stdout
    assert "✓ reserve" in shown
    assert 'result: "reserved o-1, thanks"' in shown


def test_a_failed_run_is_watched_to_exit_code_1(shop: Program) -> None:
    run = started(shop, "o-bad")
    done = shop("runs", "watch", run)
    assert (done.code, done.stdout) == (1, "")
    assert "NonRetriable: sold out" in done.stderr
    assert "error in step 'reserve': NonRetriable: sold out" in shop("runs", "show", run).stdout
    failed = json.loads(shop("runs", "list", "--status", "failed", "--json").stdout)
    assert run in [item["id"] for item in failed["items"]]


def test_cancelling_tells_the_truth(shop: Program) -> None:
    run = started(shop, "o-2")
    assert shop("runs", "cancel", run, "--reason", "ordered twice").stdout == "cancelling\n"
    assert shop("runs", "watch", run).code == 1
    assert shop("runs", "cancel", run).stdout == "already cancelled\n"
    assert run in shop("runs", "list").stdout


def test_a_failed_run_is_retried(shop: Program) -> None:
    run = started(shop, "o-bad")
    assert shop("runs", "watch", run).code == 1
    assert shop("runs", "retry", run).stdout == "running\n"
    assert shop("runs", "watch", run).code == 1, "it is still sold out"
    refused = shop("runs", "retry", "run_unknown")
    assert (refused.code, refused.stdout) == (1, "")


def test_an_event_id_starts_nothing_twice(shop: Program) -> None:
    send = ["send", "order.placed", "--data", '{"order_id": "o-3"}', "--id", "mine-1"]
    first = shop(*send)
    assert first.code == 0
    assert shop(*send).stdout.splitlines()[0] == first.stdout.splitlines()[0]


def test_events_are_listed_and_shown(shop: Program) -> None:
    run = started(shop, "o-4")
    assert shop("send", "nobody.knows", "--data", '{"x": 1}').code == 0
    listed = json.loads(shop("events", "list", "--status", "unknown", "--name", "nobody.knows", "--json").stdout)["items"]
    assert [(event["data"], event["runs"]) for event in listed] == [({"x": 1}, [])]
    table = shop("events", "list", "--limit", "1").stdout
    assert listed[0]["id"] in table
    assert "no event of this name is declared" in table
    event = json.loads(shop("runs", "show", run, "--json").stdout)["event_id"]
    shown = shop("events", "show", event).stdout.splitlines()
    assert shown[0].startswith(f"order.placed {event}: stored")
    assert shown[1:] == ['data: {"order_id": "o-4"}', run]
    assert "reason: no event of this name" in shop("events", "show", listed[0]["id"]).stdout
    assert json.loads(shop("events", "show", event, "--json").stdout)["runs"] == [run]
    assert shop("events", "list", "--status", "lost").code == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["events", "show", "evt_unknown"], "evt_unknown"),
        (["send", "order.placed", "--data", '{"order_id": 7}'], "order_id"),
        (["runs", "show", "run_unknown"], "run_unknown"),
        (["runs", "watch", "run_unknown"], "run_unknown"),
        (["send", "order.placed", "--url", "http://127.0.0.1:1"], "no flowgraph server answers"),
    ],
)
def test_what_the_server_refuses_exits_with_1(shop: Program, arguments: list[str], reason: str) -> None:
    done = shop(*arguments)
    assert (done.code, done.stdout) == (1, "")
    assert reason in done.stderr


def test_arguments_that_make_no_sense_exit_with_2(shop: Program) -> None:
    assert shop("send", "order.placed", "--data", "[1]").code == 2
    assert shop("send", "order.placed", "--data", "{").code == 2
    assert shop("runs", "list", "--url", "shop.example").code == 2


@pytest.mark.feature(20)
def test_the_dashboard_is_there(dev: Server) -> None:
    assert status_of(f"{dev.address()}/") == 200


def test_settings_come_from_flags_then_environment_then_the_project(shop: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    url = os.environ["FLOWGRAPH_URL"]
    shop.write("pyproject.toml", '[tool.flowgraph]\nurl = "http://127.0.0.1:1"\n')
    assert shop("runs", "list").code == 0, "the environment wins over the project"
    monkeypatch.delenv("FLOWGRAPH_URL")
    assert shop("runs", "list").code == 1
    assert shop("runs", "list", "--url", url).code == 0


def test_a_taken_port_and_a_taken_database_are_named(dev: Server, program: Program) -> None:
    program.write("shop.py", SOURCE)
    port = dev.address().rpartition(":")[2]
    done = program("serve", "shop.py", "--port", port, "--db", "sqlite:///mine.db")
    assert done.code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr


def test_a_public_address_needs_a_key(program: Program) -> None:
    program.write("shop.py", SOURCE)
    serve = ["serve", "shop.py", "--host", "0.0.0.0", "--port", "0", "--db", "sqlite:///mine.db"]
    refused = program(*serve)
    assert refused.code == 1
    assert "flowgraph keys create" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_keys_are_made_listed_and_revoked(program: Program) -> None:
    made = program("keys", "create", "shop", "--scope", "read", "--scope", "event:write", "--db", "sqlite:///mine.db")
    assert made.code == 0
    assert re.fullmatch(r"fg_\S{40,}\n", made.stdout)
    (row,) = json.loads(program("keys", "list", "--db", "sqlite:///mine.db", "--json").stdout)
    assert (row["name"], row["scopes"], row["revoked_at"]) == ("shop", ["read", "event:write"], None)
    assert made.stdout.strip() not in json.dumps(row)
    assert program("keys", "revoke", row["id"], "--db", "sqlite:///mine.db").code == 0
    assert "revoked" in program("keys", "list", "--db", "sqlite:///mine.db").stdout
    assert program("keys", "revoke", row["id"], "--db", "sqlite:///mine.db").code == 1
    assert program("keys", "create", "x", "--scope", "everything", "--db", "sqlite:///mine.db").code == 2


@pytest.mark.feature(20)
def test_the_port_is_8288_when_nothing_is_said(program: Program) -> None:
    program.write("shop.py", SOURCE)
    with socket.socket() as other, suppress(OSError):
        other.bind(("127.0.0.1", 8288))
        other.listen()
        done = program("dev", "shop.py")
    assert done.code == 1
    assert "cannot listen on 127.0.0.1:8288" in done.stderr


@pytest.mark.feature(20)
@pytest.mark.ci
def test_dev_reloads_shows_compile_errors_and_recovers(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text(SOURCE, encoding="utf-8")
    server = Server(tmp_path, "dev", "shop.py", "--port", "0")
    try:
        url = server.address()
        assert status_of(f"{url}/v1/workflows") == 200
        file.write_text(SOURCE.replace("await reserve", "reserve"), encoding="utf-8")
        assert server.address(2) == url
        assert "FG113" in server.stderr
        assert status_of(f"{url}/") == 503
        file.write_text(SOURCE, encoding="utf-8")
        assert server.address(3) == url
        assert status_of(f"{url}/v1/workflows") == 200
    finally:
        code = server.stop(signal.SIGINT)
    assert code == 0
    assert "Traceback" not in server.stderr


@pytest.mark.ci
def test_a_killed_supervisor_takes_its_server_along(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SOURCE, encoding="utf-8")
    server = Server(tmp_path, "dev", "shop.py", "--port", "0")
    url = server.address()
    server.stop(signal.SIGKILL)

    def gone() -> bool:
        try:
            return status_of(f"{url}/healthz") == 0
        except OSError:
            return True

    until(gone, lambda: "the server still answers")


def test_code_is_checked_against_the_live_runs_of_a_server(shop: Program, dev: Server) -> None:
    run = started(shop, "o-against")
    until(lambda: json.loads(shop("runs", "show", run, "--json").stdout)["status"] == "waiting", lambda: dev.stderr)
    done = shop("check", "shop.py", "--against", dev.address())
    assert (done.code, done.stderr.splitlines()[0].startswith("order: ")) == (0, True)
    assert " unaffected (m_" in done.stderr
    shop.write("shop.py", SOURCE.replace("mail", "post"))
    done = shop("check", "shop.py", "--against", dev.address(), "--format", "json")
    assert done.code == 1
    assert "FG400" in {one["code"] for one in json.loads(done.stdout)}
    assert shop("check", "shop.py", "--against", "http://127.0.0.1:1").code == 2


def test_a_worker_of_its_own_needs_postgresql(program: Program):
    program.write("shop.py", SOURCE)
    ended = program("worker", "shop.py", "--db", "sqlite:///shop.db")
    assert ended.code == 2
    assert "a worker of its own needs PostgreSQL: only one process can write to a SQLite file" in ended.stderr
