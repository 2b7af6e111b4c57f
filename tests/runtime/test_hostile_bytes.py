"""Bytes that no client library would send, straight to the routes that take events: a clear answer, nothing stored, no harm."""

from __future__ import annotations

import gzip
import json
import socket
from contextlib import suppress

import pytest

from tests.runtime.live import live
from tests.runtime.test_api_problems import BROKEN

GOOD = json.dumps({"name": "hostile", "data": {"a": 1}}).encode()
CLOUD = json.dumps({"specversion": "1.0", "id": "1", "source": "s", "type": "hostile", "data": {}}).encode()
ROUTES = {
    "inngest": ("/e/NO_EVENT_KEY_SET", b"", GOOD),
    "events": ("/v1/events", b"Content-Type: application/json\r\n", GOOD),
    "structured": ("/v1/events", b"Content-Type: application/cloudevents+json\r\n", CLOUD),
    "batch": ("/v1/events", b"Content-Type: application/cloudevents-batch+json\r\n", b"[" + CLOUD + b"]"),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with live(tmp_path_factory.mktemp("hostile"), body_limit=1_000_000) as client:
        yield client


def _raw(client, *parts: bytes, leave: bool = False) -> bytes:
    """Send the bytes; return all that comes back until the server hangs up. `leave`: hang up first."""
    received = b""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as raw:
        with suppress(ConnectionError):  # it may hang up as soon as it has seen enough
            for part in parts:
                raw.sendall(part)
            if leave:
                raw.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while chunk := raw.recv(65536):
                received += chunk
    return received


def _request(path: str, headers: bytes, body: bytes, length: bytes | None = None) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if length is None else length
    return b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s%s\r\n%s" % (path.encode(), headers, length, body)


def _refusal(answer: bytes, path: str, *statuses: int) -> None:
    """The answer is an error of the route's own form (h11 and httptools refuse some bytes in theirs, before us)."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split(b" ", 2)[1]) in statuses, answer
    if b"Invalid HTTP request" in body:
        return
    media = b"application/json" if path.startswith("/e/") else b"application/problem+json"
    assert b"content-type: " + media in head.lower()
    assert json.loads(body)["status"] in statuses


def _stored(client) -> int:
    return len(client.get("/v1/events").json()["items"])


@pytest.mark.parametrize("route", ROUTES)
def test_well_formed_bytes_are_taken(client, route):
    path, headers, body = ROUTES[route]
    assert _raw(client, _request(path, headers, body)).startswith(b"HTTP/1.1 200"), "or the other tests would show nothing"


@pytest.mark.parametrize("route", ROUTES)
def test_bodies_that_are_no_json_are_refused(client, route):
    path, headers, body = ROUTES[route]
    before = _stored(client)
    bombs = {"gzip": gzip.compress(b" " * 50_000_000), "UTF-16": body.decode().encode("utf-16"), "overlong": b'{"a": "\xc0\xaf"}'}
    for bad in (*BROKEN.values(), *bombs.values()):
        _refusal(_raw(client, _request(path, headers + b"Content-Encoding: gzip\r\n", bad)), path, 400)
    assert _stored(client) == before


@pytest.mark.parametrize("route", ROUTES)
def test_bodies_that_are_not_as_announced_are_not_stored(client, route):
    path, headers, body = ROUTES[route]
    before = _stored(client)
    twice = b"Content-Length: %d\r\nContent-Length: %d\r\n" % (len(body), len(body) - 2)
    _refusal(_raw(client, _request(path, headers, body, twice)), path, 400)
    for length in (b"Content-Length: -1\r\n", b"Content-Length: 1x\r\n", b"Transfer-Encoding: chunked\r\n"):
        _refusal(_raw(client, _request(path, headers, body + b"\r\n", length)), path, 400)
    _refusal(_raw(client, _request(path, headers, body, b"Content-Length: 100000000\r\n")), path, 413)
    _refusal(_raw(client, _request(path, headers, b"", b"Content-Length: 0\r\n")), path, 400)
    truncated = _raw(client, _request(path, headers, body[:-5], b"Content-Length: %d\r\n" % len(body)), leave=True)
    assert not truncated.startswith(b"HTTP/1.1 200")
    chunks = (b"%x\r\n%s\r\n" % (50_000, b" " * 50_000) for _ in range(40))
    endless = _raw(client, _request(path, headers, b"", b"Transfer-Encoding: chunked\r\n"), *chunks)
    assert endless.startswith(b"HTTP/1.1 413") or not endless
    assert _stored(client) == before


PATHS = ("/e/%00", "/e/%0d%0aSet-Cookie:x", "/e/%ff", "/e/\xff", "/e/" + "k" * 30_000, "/e/a/../b", "/e/", "/e//", "/e/a?%00=1")


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_keys_that_are_none_do_no_harm(client, path):
    answer = _raw(client, _request(path, b"", GOOD))
    assert int(answer.split(b" ", 2)[1]) in (200, 400, 404, 431)  # no key is asked for here: any printable text is one
    assert b"set-cookie" not in answer.lower()
    assert client.get("/healthz").status_code == 200


def test_headers_of_the_event_routes_may_hold_anything(client):
    path, _, body = ROUTES["inngest"]
    for value in (b"\xff\xfe", b"1," + b"A" * 20_000, b"1,\x01", b"NaN,AAAA", b",", b"1,AAAAAAAAAAAAAA="):
        answer = _raw(client, _request(path, b"x-inngest-event-id-seed: " + value + b"\r\n", body))
        _refusal(answer, path, 400, 431)
    for value in (b"\xff" * 10, b"a\x80b", b"x" * 20_000):
        answer = _raw(client, _request(path, b"x-inngest-env: " + value + b"\r\n", body))
        assert int(answer.split(b" ", 2)[1]) in (200, 400, 431)
    assert client.get("/healthz").status_code == 200
