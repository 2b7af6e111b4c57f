"""Clients that send or read a byte now and then: everybody else is served meanwhile, and nothing of theirs is stored."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.runtime.live import live

EVENT = b'{"name": "slow", "data": {}}'
HEAD = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
DRIBBLES = (
    HEAD[:30],
    HEAD + b"X-Never: ",
    HEAD + b"Content-Length: 5000\r\n\r\n" + EVENT[:10],
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50,  # the answers are never read
    b"",
)
"""How far each kind of client comes at once; it goes on by a space at a time."""


def _slow(client, stack: ExitStack, count: int) -> Iterator[socket.socket]:
    for number in range(count):
        raw = stack.enter_context(socket.socket())
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect((client.base_url.host, client.base_url.port))
        raw.sendall(DRIBBLES[number % len(DRIBBLES)])
        yield raw


@pytest.mark.parametrize(
    ("count", "seconds"), [pytest.param(60, 2, marks=pytest.mark.ci), pytest.param(500, 600, marks=pytest.mark.verify)]
)
def test_slow_clients_hold_up_nobody(tmp_path, count: int, seconds: int) -> None:
    with live(tmp_path) as client, ExitStack() as stack:
        slow = list(_slow(client, stack, count))
        sent = 0
        end = time.monotonic() + seconds
        while sent < 100 or time.monotonic() < end:
            answer = client.post("/v1/events", json={"name": "quick", "data": {"n": sent}})
            assert answer.status_code == 200
            sent += 1
            with suppress(OSError):  # the server may have given it up
                slow[sent % count].send(b" ")
        stack.close()
        stored = client.get("/v1/events?name=slow").json()["items"]
        newest = client.get("/v1/events?name=quick&limit=1").json()["items"]
    assert stored == []
    assert len(newest) == 1
