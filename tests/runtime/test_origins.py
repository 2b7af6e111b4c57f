"""Host x Origin x method x route: who is served at all, and who may write."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx2
import pytest

from flowgraph_runtime.app import create_app
from flowgraph_runtime.settings import Settings
from tests.runtime.conftest import compilation

HOSTS = {
    "127.0.0.1:8288": True,
    "localhost": True,
    "[::1]:8288": True,
    "flow.example": True,
    "evil.example": False,
    "localhost.evil.example": False,
    "127.0.0.1.nip.io": False,
    "169.254.169.254": False,
}
ORIGINS = {
    None: True,
    "https://shop.example": True,
    "null": False,
    "https://evil.example": False,
    "https://shop.example.evil.example": False,
    "https://shop.example@evil.example": False,
    "http://shop.example": False,
    "file://": False,
}
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
READING = METHODS[:3]
ROUTES = {
    "/v1/events": {"GET", "POST"},
    "/v1/runs/run_none": {"GET"},
    "/v1/runs/run_none/cancel": {"POST"},
    "/v1/workflows/none/runs": {"POST"},
    "/runs": {"GET"},
    "/runs/run_none/cancel": {"POST"},
    "/healthz": {"GET"},
    "/no-such-place": set(),
}
SETTINGS = {"allowed_hosts": ("flow.example",), "allowed_origins": ("https://shop.example",), "event_origins": ()}


def _all_answers(path: str) -> list[tuple[str, str | None, str, int]]:
    async def scenario() -> list[tuple[str, str | None, str, int]]:
        app = create_app(compilation(), settings=Settings(db="sqlite://", worker=False, **SETTINGS))
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client,
        ):
            found = []
            for host in HOSTS:
                for origin in (*ORIGINS, f"http://{host}"):
                    for method in METHODS:
                        headers = {"Host": host, **({} if origin is None else {"Origin": origin})}
                        answer = await client.request(method, path, headers=headers)
                        assert "access-control-allow-origin" not in answer.headers
                        assert "default-src 'none'" in answer.headers["content-security-policy"]
                        found.append((host, origin, method, answer.status_code))
            return found

    return asyncio.run(scenario())


QUICK = ("/v1/events", "/runs/run_none/cancel")


@pytest.mark.parametrize("path", [pytest.param(path, marks=() if path in QUICK else pytest.mark.ci) for path in ROUTES])
def test_who_is_served_and_who_may_write(path: str) -> None:
    answers = _all_answers(path)
    for host, origin, method, status in answers:
        place = (host, origin, method, path)
        if not HOSTS[host]:
            assert status == 421, place
        elif method not in READING and not ORIGINS.get(origin, origin == f"http://{host}"):
            assert status == 403, place
        elif method not in ROUTES[path] and not (method == "HEAD" and "GET" in ROUTES[path]):
            assert status == (405 if ROUTES[path] else 404), place
        else:
            assert status not in (403, 405, 421), place
            assert status < 500, place
    counts = Counter(status for *_, status in answers)
    assert counts[421] == 4 * 9 * 7
    assert counts[403] == 4 * 6 * 4, "or a rule above held for nothing"
