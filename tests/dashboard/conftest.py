"""The dashboard's pages, asked for in this process."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flowgraph_compiler import Compilation, compile_module
from flowgraph_runtime.app import create_app
from flowgraph_runtime.service import Service
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import ENDED
from tests.dashboard import stays
from tests.dashboard.browsing import BROWSERS, QUIET, Visitor
from tests.dashboard.markup import Markup
from tests.runtime.live import serving


@cache
def compilation() -> Compilation:
    return compile_module(stays)


class Site:
    """A client of the application, and the service behind it."""

    def __init__(self, client: httpx2.AsyncClient, service: Service) -> None:
        self.client = client
        self.service = service

    async def page(self, path: str, status: int = 200) -> Markup:
        """A page that has to look right: nothing active, all headers there."""
        answer = await self.client.get(path, headers={"accept": "text/html"})
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        markup = Markup(answer.text)
        assert markup.active() == []
        assert len(markup.all("h1")) <= 1
        return markup

    async def start(self, workflow: str, **inputs: Any) -> str:
        answer = await self.client.post(f"/v1/workflows/{workflow}/runs", json={"input": inputs})
        run_id: str = answer.json()["id"]
        return run_id

    async def reached(self, run_id: str, *statuses: str) -> None:
        async with asyncio.timeout(20):
            while (row := await self.service.store.run(run_id)) is None or row.status not in statuses:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def ended(self, workflow: str, **inputs: Any) -> str:
        run_id = await self.start(workflow, **inputs)
        await self.reached(run_id, *ENDED)
        return run_id


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[Site]:
    chosen = Settings(**{"db": "sqlite://", "poll_interval": 0.05, "grace": 0.2, **settings})
    app = create_app(compilation(), settings=chosen)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield Site(client, app.state.service)


@pytest.fixture
def visit() -> Callable[..., None]:
    """Run a visitor against a fresh site."""

    def run(visitor: Callable[[Site], Awaitable[None]], **settings: Any) -> None:
        async def visiting() -> None:
            async with asyncio.timeout(60), served(**settings) as site:
                await visitor(site)

        asyncio.run(visiting())

    return run


# --- with a browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (dependency group ci)")
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    if binary is None:
        pytest.skip(f"no browser on PATH: {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=binary, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def browsed(tmp_path: Path) -> Iterator[httpx2.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(db=f"sqlite:///{tmp_path}/pages.db", port=port, poll_interval=0.05, grace=0.5)
    with serving(create_app(compilation(), settings=settings), port) as client:
        yield client


@pytest.fixture
def closed() -> Iterator[set[str]]:
    """The steps of a booking, none of which goes on until a test says so."""
    stays.CLOSED.update({"validate", "charge", "tell"})
    yield stays.CLOSED
    stays.CLOSED.clear()


@pytest.fixture(params=["light", "dark"])
def visitor(request: pytest.FixtureRequest, chromium: Any, browsed: httpx2.Client) -> Iterator[Visitor]:
    context = chromium.new_context(viewport={"width": 1400, "height": 900}, color_scheme=request.param)
    visitor = Visitor(context.new_page(), browsed)
    yield visitor
    context.close()
    assert visitor.complaints == []
    assert all(url.startswith(str(browsed.base_url).rstrip("/")) for url in visitor.requests), visitor.requests
