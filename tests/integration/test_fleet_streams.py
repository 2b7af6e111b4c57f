"""Event streams of a node that runs nothing: what the other processes of the fleet commit is shown as if it were its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from flowgraph_runtime.app import create_app
from flowgraph_runtime.client import Client, StreamEvent
from flowgraph_runtime.settings import Settings
from tests.integration.harness import Engine, compiled, engine
from tests.runtime.live import serving
from tests.runtime.server import Server, free_port

pytestmark = [pytest.mark.postgres, pytest.mark.ci]

FLOWS = """
class Go(Event, name="go"):
    key: str

@step(backoff=Backoff("20ms", jitter=0.0))
async def work(number: int) -> int:
    if LOG.enter("work") == 1 and number == 1:
        raise ConnectionError("down")
    return number

@workflow
async def four(key: str) -> int:
    total = await work(1)
    go = await wait_for(Go, where=lambda g: g.key == key, timeout="1h")
    a, b = await parallel(work(2), work(3))
    return total + a + b if go is not None else 0

@workflow
async def two(key: str) -> int:
    return await work(2) + await work(3)
"""


@contextmanager
def front(url: str) -> Iterator[Client]:
    """A node of the interface, without a worker."""
    port = free_port()
    app = create_app(compiled(FLOWS), settings=Settings(db=url, port=port, worker=False))
    with serving(app, port) as http, Client(str(http.base_url)) as client:
        yield client


@contextmanager
def worker(url: str, node: str) -> Iterator[Engine]:
    """A worker in a loop of its own."""
    given: list[Engine] = []
    begun = threading.Event()

    async def work() -> None:
        async with engine(FLOWS, url, skip_time=False, node=node) as served:
            given.append(served)
            begun.set()
            await asyncio.get_running_loop().run_in_executor(None, over.wait)

    over = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    try:
        assert begun.wait(120), "the worker does not start"
        yield given[0]
    finally:
        over.set()
        thread.join(30)


def steps_of(seen: list[StreamEvent]) -> list[tuple[str, int, int, str]]:
    steps = [change.data for change in seen if change.kind == "step"]
    return [(step["id"], step["visit"], step["attempt"], step["status"]) for step in steps]


def follow(client: Client, run_id: str, last: str | None = None) -> list[StreamEvent]:
    """What a stream shows up to the end of the run; when it waits for it, the event is sent."""
    seen = []
    with client.stream(run_id, last_event_id=last) as changes:
        for change in changes:
            seen.append(change)
            if change.kind == "run" and change.data["status"] == "waiting":
                client.send("go", {"key": "k"})
    return seen


def test_a_run_that_another_process_works_on_is_followed_to_its_end(log, postgres_url):
    with front(postgres_url) as client:
        run_id = client.start("four", {"key": "k"}).id
        threads = ExitStack()

        def work_soon() -> None:
            threads.enter_context(worker(postgres_url, "worker"))

        starting = threading.Timer(0.3, work_soon)  # after the stream has begun
        starting.start()
        try:
            seen = follow(client, run_id)
        finally:
            starting.join()
            threads.close()
        shown = [(step, status) for step, _, _, status in steps_of(seen)]
        sites = sorted({step for step, _ in shown})
        assert shown == [(sites[0], "retrying"), (sites[0], "completed"), *shown[2:]]
        assert sorted(shown[2:]) == [(site, "completed") for site in sites[1:]]
        assert seen[0].data["workflow"] == "four"
        assert seen[-1].data["status"] == "completed"
        assert "ended_at" in seen[-1].data
        ids = [int(change.id) for change in seen]
        assert ids == sorted(set(ids)), "each change has a place of its own"
        _resumes(client, postgres_url, run_id, seen)


def _resumes(client: Client, url: str, run_id: str, seen: list[StreamEvent]) -> None:
    """From each message on, on this node and on another one; what lies between two statuses is not stored."""
    with front(url) as other:
        for position, change in enumerate(seen):
            for node in (client, other):
                again = follow(node, run_id, change.id)
                assert steps_of(again) == steps_of(seen[position + 1 :])
                assert [each.data["status"] for each in again[-1:]] == ["completed"] * (position + 1 < len(seen))
    assert follow(client, run_id, seen[-1].id) == [], "204 tells the browser not to come back"
    assert follow(client, run_id, "12345678")[0].data["workflow"] == "four", "who was nowhere gets the run as it is"


def test_a_page_is_told_of_the_end(log, postgres_url):
    with front(postgres_url) as client, worker(postgres_url, "worker"):
        run_id = client.start("two", {"key": "k"}).id
        with httpx2.stream("GET", f"{client.url}/v1/runs/{run_id}/stream?end=event", timeout=30) as answer:
            kinds = [line.removeprefix("event: ") for line in answer.iter_lines() if line.startswith("event: ")]
    assert kinds[-2:] == ["run", "end"]


def test_all_runs_show_what_others_begin_and_end(log, postgres_url):
    """Followed on one node, started on another, worked on by a third; and who was away is told what happened meanwhile."""
    with front(postgres_url) as client, front(postgres_url) as other, worker(postgres_url, "worker"):
        before = other.start("two", {"key": "before"}, wait="20s").id
        with client.stream() as changes:
            first = other.start("two", {"key": "first"}).id
            seen = _until_ended(changes, first)
        second = other.start("two", {"key": "second"}, wait="20s").id
        with client.stream(last_event_id=seen[-1].id) as changes:
            later = _until_ended(changes, second)
        with other.stream(last_event_id=seen[-1].id) as changes:
            assert next(iter(changes)).kind == "reset", "another node counts otherwise"
    for run_id, shown in ((first, seen), (second, later)):
        assert [change.data["id"] for change in shown] == [run_id, run_id], "it began, and it ended"
        assert shown[0].data["status"] in ("queued", "running")
    assert before not in (first, second)


def _until_ended(changes: Iterator[StreamEvent], run_id: str) -> list[StreamEvent]:
    seen = []
    for change in changes:
        seen.append(change)
        if (change.data.get("id"), change.data["status"]) == (run_id, "completed"):
            break
    return seen


def test_a_worker_shows_its_own_work_in_the_same_stream(log, postgres_url):
    """Its commits are told as they come, each once, whether a look at the database or the commit itself is first."""
    port = free_port()
    app = create_app(compiled(FLOWS), settings=Settings(db=postgres_url, port=port, poll_interval=0.05))
    with serving(app, port) as http, Client(str(http.base_url)) as client:
        run_id = client.start("four", {"key": "k"}).id
        seen = [change for change in follow(client, run_id) if change.data["status"] != "running"]
    steps = steps_of(seen)  # the first may have ended before the stream began
    assert len(set(steps)) == len(steps)
    assert sorted(steps[-2:]) == [(f"four/work#{number}", 1, 1, "completed") for number in (2, 3)]
    assert [change.data["status"] for change in seen if change.kind == "run"][-2:] == ["waiting", "completed"]


KILLED = """
import asyncio, os
from flowgraph import step, workflow

@step
async def count(number: int) -> int:
    await asyncio.sleep(0.01)
    return number

@step
async def stubborn() -> int:
    if "HANG" in os.environ:
        await asyncio.sleep(600)
    return 1

@workflow
async def climbs(name: str) -> int:
    total = 0
    for number in range(20):
        total += await count(number)
    total += await stubborn()
    for number in range(20):
        total += await count(number)
    return total
"""


def test_a_stream_goes_on_when_another_worker_takes_the_run_over(tmp_path: Path, postgres_url: str):
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    first, second = (Server(folder, postgres_url, KILLED) for folder in folders)
    first.environment["HANG"] = "yes"
    seen: list[StreamEvent] = []
    with front_of(first, postgres_url) as client, ExitStack() as servers:
        run_id = client.start("climbs", {"name": "k"}).id
        with client.stream(run_id) as changes:
            servers.enter_context(first)  # once the stream is there to see its first step
            for change in changes:
                seen.append(change)
                if len(steps_of(seen)) == 20 and second.process is None:
                    servers.enter_context(second)
                    first.kill()
    expected = [("climbs/count", visit, 1, "completed") for visit in range(1, 21)]
    shown = steps_of(seen)
    assert shown[:20] == expected
    assert [status for *_, status in shown] == ["completed"] * 41
    assert len(set(shown)) == 41
    assert seen[-1].data["status"] == "completed"


@contextmanager
def front_of(server: Server, url: str) -> Iterator[Client]:
    """A node of the interface for what a server serves."""
    port = free_port()
    app = create_app(str(server.module), settings=Settings(db=url, port=port, worker=False))
    with serving(app, port) as http, Client(str(http.base_url)) as client:
        yield client
