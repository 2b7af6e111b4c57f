"""What the interface and the workflow's page say about concurrency limits."""

from __future__ import annotations

import asyncio
import html

import httpx2

from flowgraph_compiler import compile_module
from flowgraph_runtime.app import create_app
from flowgraph_runtime.settings import Settings
from tests.runtime import limited


async def shown(workflow: str) -> tuple[list[dict[str, object]], str]:
    app = create_app(compile_module(limited), settings=Settings(db="sqlite://", worker=False))
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            view = (await client.get(f"/v1/workflows/{workflow}")).json()
            page = await client.get(f"/workflows/{workflow}", headers={"accept": "text/html"})
            return view["limits"], html.unescape(page.text)


def test_a_workflow_shows_its_limits_with_their_keys() -> None:
    limits, page = asyncio.run(shown("several"))
    both = [(limit["scope"], limit["limit"], limit["step"], limit["key"]) for limit in limits]
    assert both == [("step", 1, None, "e.org"), ("step", 2, None, None)]
    assert [limit["words"] for limit in limits] == ["at most 1 executing step for each e.org", "at most 2 executing steps"]
    assert all(f"<dd>{limit['words']}</dd>" in page for limit in limits)
    assert "by a function" not in page


def test_a_limit_of_a_step_or_of_runs_says_so() -> None:
    (of_step,), _ = asyncio.run(shown("shares"))
    (of_runs,), page = asyncio.run(shown("one_at_a_time"))
    assert of_step["words"] == "at most 2 executions of 'scarce'"
    assert of_runs["words"] == "at most 1 live run for each (e.org, 10 // e.nights)"
    assert f"<dd>{of_runs['words']}</dd>" in page
