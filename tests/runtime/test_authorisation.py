"""Every route with every kind of credential, and what a server refuses before it looks at them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.routing import Route

from flowgraph_runtime.api.endpoints import Endpoint
from flowgraph_runtime.api.table import ENDPOINTS
from flowgraph_runtime.app import create_app
from flowgraph_runtime.auth import OPEN, SCOPES, KeyRing, allowed_host, allowed_origin, key_hash, new_key
from flowgraph_runtime.errors import StartupRefused
from flowgraph_runtime.settings import Settings
from tests.runtime.conftest import compilation
from tests.runtime.live import live, make_keys

KEYS = {**{scope: (scope,) for scope in SCOPES}, "old": SCOPES}
STATES = ("none", "unknown", "garbage", "basic", "old", *SCOPES)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    secrets = make_keys(folder, KEYS, revoked=("old",))
    with live(folder) as client:
        yield client, secrets


def _header(state: str, secrets: dict[str, str]) -> dict[str, str]:
    match state:
        case "none":
            return {}
        case "unknown":
            return {"Authorization": f"Bearer {new_key()}"}
        case "garbage":
            return {"Authorization": "Bearer"}
        case "basic":
            return {"Authorization": "Basic dXNlcjpwYXNz"}
    return {"Authorization": f"Bearer {secrets[state]}"}


def _path_key(state: str, secrets: dict[str, str]) -> str:
    """The same credential where a key stands in the path."""
    return secrets.get(state) or {"none": "NO_EVENT_KEY_SET", "unknown": new_key()}.get(state, "%20")


def _expected(endpoint: Endpoint, state: str) -> int | None:
    if endpoint.scope == OPEN:
        return None
    if state not in SCOPES:
        return 401
    return None if state in (endpoint.scope, "admin") else 403


@pytest.mark.parametrize("state", STATES)
def test_each_route_asks_for_exactly_its_scope(guarded, state):
    client, secrets = guarded
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{name}", "no-such").replace("{id}", "no-such").replace("{key}", _path_key(state, secrets))
        if endpoint.path == "/v1/stream" and _expected(endpoint, state) is None:
            continue  # it would never end; `test_streams` reads it
        headers = {} if endpoint.key_in_path else _header(state, secrets)
        answer = client.request(endpoint.method, path, headers=headers)
        expected = _expected(endpoint, state)
        if expected is None:
            assert answer.status_code not in (401, 403), (endpoint, state, answer.text)
        else:
            assert answer.status_code == expected, (endpoint, state, answer.text)
            problem = "application/problem+json" if endpoint.error is None else "application/json"
            assert answer.headers["content-type"] == problem
            assert ("www-authenticate" in answer.headers) is (expected == 401)


def test_a_key_in_a_path_is_the_only_credential_there(guarded):
    client, secrets = guarded
    event = {"name": "whatever", "data": {}}
    header = {"Authorization": f"Bearer {secrets['admin']}", "Cookie": f"flowgraph_key={secrets['admin']}"}
    assert client.post("/e/NO_EVENT_KEY_SET", json=event, headers=header).status_code == 401
    assert client.post(f"/e/{secrets['event:write']}", json=event).status_code == 200
    assert client.post("/v1/events", json=event, headers={"Authorization": "NO_EVENT_KEY_SET"}).status_code == 401


def test_every_route_declares_a_known_scope(guarded):
    client, _ = guarded
    assert all(endpoint.scope in (*SCOPES, OPEN) for endpoint in ENDPOINTS)
    declared = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    served = {
        (method, route.path)
        for route in create_app(compilation(), settings=Settings(db="sqlite://"), pages=None).routes
        for method in route.methods - {"HEAD"}
    }
    assert served - declared == {("GET", "/openapi.json")}
    assert client.get("/openapi.json").status_code == 200


def test_pages_are_for_readers(guarded):
    client, secrets = guarded
    app = create_app(compilation(), settings=Settings(db="sqlite://"))
    routes = [route for route in app.routes if isinstance(route, Route)]
    known = {endpoint.path for endpoint in ENDPOINTS} | {"/login", "/openapi.json"}
    pages = {route.path for route in routes if "GET" in (route.methods or ())} - known
    assert {"/", "/runs", "/runs/{id}", "/events", "/events/{id}", "/workflows/{name}", "/search"} == pages
    for path in pages:
        there = path.replace("{name}", "fulfil").replace("{id}", "run_none")
        assert client.get(there).status_code in (303, 401), path
        assert client.get(there, headers=_header("event:write", secrets)).status_code in (303, 401, 403), path
        assert client.get(there, headers=_header("read", secrets)).status_code in (200, 404), path


def test_buttons_are_for_operators(guarded):
    client, secrets = guarded
    app = create_app(compilation(), settings=Settings(db="sqlite://"))
    known = {endpoint.path for endpoint in ENDPOINTS} | {"/login"}
    buttons = {route.path for route in app.routes if isinstance(route, Route) and "POST" in (route.methods or ())} - known
    assert {"/runs/{id}/cancel", "/runs/{id}/retry"} == buttons
    own = {"Origin": str(client.base_url).rstrip("/")}
    for path in buttons:
        there = path.replace("{id}", "run_none")

        def post(*headers, there=there):
            return client.post(there, data={"reason": "x"}, headers={name: text for one in headers for name, text in one.items()})

        assert post().status_code == 401
        for scope, expected in (("read", 403), ("event:write", 403), ("operate", 404), ("admin", 404)):
            cookie = {"Cookie": f"flowgraph_key={secrets[scope]}"}
            assert post(_header(scope, secrets)).status_code == expected, (path, scope)
            assert post(cookie, own).status_code == expected, (path, scope)
            assert post(cookie).status_code == 401, "without Origin a cookie proves nothing"
            assert post(cookie, {"Origin": "null"}).status_code == 403
            assert post(cookie, {"Origin": "https://evil.example"}).status_code == 403


def test_a_cookie_is_good_for_reading_only(guarded):
    client, secrets = guarded
    cookie = {"Cookie": f"flowgraph_key={secrets['admin']}"}
    assert client.get("/v1/runs", headers=cookie).status_code == 200
    assert client.post("/v1/events", headers=cookie, json={"name": "x", "data": {}}).status_code == 401


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("127.0.0.1:8288", True),
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("[::1]:8288", True),
        ("flow.example", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("127.0.0.1@evil.example", False),
        ("evil.example/127.0.0.1", False),
        ("localhost:port", False),
        ("", False),
        ("0.0.0.0", False),
    ],
)
def test_only_our_own_names_are_served(host, good):
    assert allowed_host(host, Settings(allowed_hosts=("flow.example",), host="0.0.0.0")) is good


def test_a_page_of_another_origin_may_not_write(guarded):
    client, secrets = guarded
    key = {"Authorization": f"Bearer {secrets['admin']}"}
    event = {"name": "whatever", "data": {}}
    for origin, status in (("http://evil.example", 403), ("null", 403), (str(client.base_url).rstrip("/"), 200)):
        answer = client.post("/v1/events", json=event, headers={**key, "Origin": origin})
        assert answer.status_code == status, origin
    assert client.get("/v1/runs", headers={**key, "Origin": "http://evil.example"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421


def test_an_origin_may_be_allowed_by_the_settings():
    settings = Settings(allowed_origins=("https://shop.example",))
    assert allowed_origin("https://shop.example", "localhost", settings)
    assert not allowed_origin("https://shop.example.evil", "localhost", settings)


def test_an_open_address_without_keys_is_refused(tmp_path: Path):
    app = create_app(compilation(), settings=Settings(db=f"sqlite:///{tmp_path}/x.db", host="0.0.0.0"))

    async def start() -> None:
        async with app.router.lifespan_context(app):
            raise AssertionError("it started")

    with pytest.raises(StartupRefused, match="not a loopback address"):
        asyncio.run(start())


def test_keys_are_asked_for_as_soon_as_one_exists_but_not_in_dev(tmp_path: Path):
    with live(tmp_path) as client:
        assert client.get("/v1/runs").status_code == 200
        made = client.post("/v1/keys", json={"name": "first", "scopes": ["admin"]})
        assert made.status_code == 201
        assert client.get("/v1/runs").status_code == 401
        key = {"Authorization": f"Bearer {made.json()['key']}"}
        (listed,) = client.get("/v1/keys", headers=key).json()["items"]
        assert listed["key"] is None
        assert made.json()["key"].startswith(listed["prefix"])
        second = client.post("/v1/keys", json={"name": "second", "scopes": ["read"]}, headers=key).json()
        reading = {"Authorization": f"Bearer {second['key']}"}
        assert client.get("/v1/runs", headers=reading).status_code == 200
        assert client.delete(f"/v1/keys/{second['id']}", headers=key).status_code == 204
        assert client.get("/v1/runs", headers=reading).status_code == 401
    with live(tmp_path, dev=True) as client:
        assert client.get("/v1/runs").status_code == 200


def test_a_secret_is_stored_as_its_hash_only():
    key = new_key()
    assert key.startswith("fg_")
    assert len(key) > 40
    assert key not in key_hash(key)


def test_the_key_ring_forgets(run):
    class Clock:
        at = 0

        def now(self) -> int:
            return self.at

    listed: list[list[object]] = []

    async def list_keys() -> list[object]:
        listed.append([])
        return []

    async def scenario() -> None:
        clock = Clock()
        ring = KeyRing(list_keys, clock)  # type: ignore[arg-type]
        for at in (0, 1_999_999, 2_000_000):
            clock.at = at
            await ring.live()
        assert len(listed) == 2
        ring.forget()
        await ring.live()
        assert len(listed) == 3

    run(scenario())
