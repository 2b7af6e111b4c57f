"""The database goes away under a working engine and comes back: everything waits, goes on, and happens once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from flowgraph_runtime.storage.errors import Outage, OutcomeUnknown
from tests.conftest import PostgresServer
from tests.integration.harness import Engine, engine
from verification.proxy import Proxy

pytestmark = [pytest.mark.postgres]

FLOWS = """
class Go(Event, name="go"):
    key: str

@step
async def work(key: str) -> str:
    LOG.enter("work")
    await asyncio.sleep(0.002)
    return key

@workflow
async def chain(key: str) -> str:
    for _ in range(20):
        key = await work(key)
    await sleep("100ms")
    return key

@workflow
async def waits(key: str) -> str:
    go = await wait_for(Go, where=lambda g: g.key == key, timeout="1h")
    return await work(key) if go is not None else "none"
"""
KEYS = [str(number) for number in range(8)]


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[Proxy]:
    with Proxy(postgres_server.folder) as proxy:
        yield proxy


def _name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


@pytest.fixture
def proxied_url(proxy: Proxy, postgres_url: str) -> str:
    return proxy.url(_name(postgres_url))


async def _through(url: str, fault) -> tuple[list[tuple[str, object]], int]:
    """Runs are under way while `fault` does what it does -> how they ended, and how many owners they lost."""
    async with engine(FLOWS, url, skip_time=False) as served:
        runs = [await served.start("chain", key=key) for key in KEYS]
        waiting = [await served.start("waits", key=key) for key in KEYS]
        for run_id in waiting:
            await served.reaches(run_id, "waiting")
        await fault(served)
        for key in KEYS:
            await served.send("go", key=key)
        ended = [await served.outcome(run_id, 25) for run_id in [*runs, *waiting]]
        return ended, sum([(await served.row(run_id)).takeovers for run_id in runs])


EXPECTED = [("completed", key) for key in KEYS] * 2


async def _away(served: Engine) -> None:
    """Until a request is answered that the database is away."""
    while True:
        try:
            await served.start("waits", key="x")
        except (Outage, OutcomeUnknown):
            return
        await asyncio.sleep(0.01)


def test_a_database_that_takes_no_connections_is_waited_for(run, log, proxy, proxied_url):
    async def fault(served: Engine) -> None:
        proxy.refuse()
        with pytest.raises(Outage):
            await served.start("waits", key="x")
        with pytest.raises(Outage):
            await served.store.next_timer()
        proxy.welcome()

    ended, takeovers = run(_through(proxied_url, fault))
    assert (ended, takeovers) == (EXPECTED, 0)
    assert {attempt for _, attempt in log.calls} == {1}
    calls = log.count("work")  # a commit that was under way may have been lost or not: then its runs are read again, and each
    assert 21 * len(KEYS) <= calls <= 22 * len(KEYS), "no step was run again but one of each run at most"


@pytest.mark.parametrize("kind", ["before", "after"])
def test_lines_cut_around_commit_lose_nothing_and_do_nothing_twice(run, log, proxy, proxied_url, kind):
    async def fault(served: Engine) -> None:
        for count in range(4):
            proxy.arm(kind)
            while proxy.cuts[kind] <= count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    ended, takeovers = run(_through(proxied_url, fault))
    assert (ended, takeovers) == (EXPECTED, 0)
    assert proxy.cuts[kind] >= 4
    assert log.count("work") == 21 * len(KEYS)


@pytest.mark.ci
def test_a_restart_of_the_server_is_waited_for(run, log, postgres_url, postgres_server):
    async def fault(served: Engine) -> None:
        await asyncio.to_thread(postgres_server.stop)
        with pytest.raises((Outage, OutcomeUnknown)):
            await served.start("waits", key="x")
        await asyncio.to_thread(postgres_server.start)

    ended, takeovers = run(_through(postgres_url, fault))
    assert (ended, takeovers) == (EXPECTED, 0)


@pytest.mark.ci
def test_a_line_that_stalls_is_waited_for(run, log, proxy, proxied_url):
    async def fault(served: Engine) -> None:
        proxy.stall()
        await asyncio.sleep(1.5)
        proxy.flow()

    ended, takeovers = run(_through(proxied_url, fault))
    assert (ended, takeovers) == (EXPECTED, 0)
    assert log.count("work") == 21 * len(KEYS)


@pytest.mark.ci
def test_terminated_backends_and_none_left_for_new_ones_are_waited_for(run, log, postgres_url, postgres_server):
    name = _name(postgres_url)

    async def fault(served: Engine) -> None:
        with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            await _away(served)
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    ended, takeovers = run(_through(postgres_url, fault))
    assert (ended, takeovers) == (EXPECTED, 0)
