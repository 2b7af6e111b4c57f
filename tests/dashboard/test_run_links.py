"""A run and the runs that it has called or started lead to each other: in the interface and on the pages."""

from __future__ import annotations

import asyncio

import httpx2

from flowgraph_compiler import compile_module
from flowgraph_runtime.app import create_app
from flowgraph_runtime.settings import Settings
from tests.dashboard import calling
from tests.dashboard.conftest import Site


def test_a_run_and_the_runs_that_it_calls_lead_to_each_other():
    async def visitor() -> None:
        app = create_app(compile_module(calling), settings=Settings(db="sqlite://", poll_interval=0.05, grace=0.2))
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                await look(Site(client, app.state.service))

    asyncio.run(visitor())


async def look(site: Site) -> None:
    run_id = await site.ended("trip", guest="g")
    steps = (await site.client.get(f"/v1/runs/{run_id}/steps")).json()["items"]
    called = {step["kind"]: [visit["run_id"] for visit in step["instances"]] for step in steps}
    assert called["step"] == [None]
    (hotel,), (newsletter,) = called["child"], called["start"]
    page = await site.page(f"/runs/{run_id}")
    assert {f"/runs/{hotel}", f"/runs/{newsletter}"} <= {link.get("href") for link in page.all("a")}
    for other, words in ((hotel, "called by a run"), (newsletter, "started by a run")):
        await site.reached(other, "completed")
        assert (await site.client.get(f"/v1/runs/{other}")).json()["parent_id"] == run_id
        page = await site.page(f"/runs/{other}")
        assert words in page.text
        assert f"/runs/{run_id}" in [link.get("href") for link in page.all("a")]
    assert (await site.client.get(f"/v1/runs/{run_id}")).json()["parent_id"] is None
