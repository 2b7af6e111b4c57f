"""Well-formed requests, damaged at random: a clear refusal or an answer that is true, and never anything else stored."""

from __future__ import annotations

import gzip
import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import h11
import pytest

from tests.runtime.live import live
from tests.runtime.test_hostile_bytes import ROUTES

TOKENS = (
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\n\n",
    b'"',
    b"{",
    b"}" * 9,
    b"[" * 100_000,
    b"\\ud800",
    b"\\u0000",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5_000,
    b'"name":"again",',
    b",",
    b":",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"e" * 70_000,
    b"null",
    b"\\",
    b"\t",
    b"%00",
)
HEADERS = (
    b"Content-Length: 5",
    b"Content-Length: 999999",
    b"Content-Length: -1",
    b"Content-Length: 0x10",
    b"Content-Length: 1 2",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Content-Encoding: gzip",
    b"Host: evil.example",
    b"Host: localhost",
    b"Origin: null",
    b"Content-Type: text/plain",
    b"Content-Type: application/json;charset=utf-7",
    b"Authorization: Bearer \xff",
    b"Cookie: flowgraph_key=\x00",
    b"Expect: 100-continue",
    b"Upgrade: websocket",
    b" folded: x",
    b"X" * 70_000 + b": y",
    b"No-Colon",
    b": empty",
    b"Idempotency-Key: " + b"k" * 9_000,
    b"x-inngest-event-id-seed: 1,AAAA",
)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSALS = {307, 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 421, 422, 426, 431, 501, 505}


def _head_and_body(request: bytes) -> tuple[list[bytes], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def _joined(lines: list[bytes], body: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _cut(draw: random.Random, request: bytes) -> bytes:
    return request[: draw.randrange(1, len(request))]


def _flip(draw: random.Random, request: bytes) -> bytes:
    damaged = bytearray(request)
    for _ in range(draw.randint(1, 4)):
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
    return bytes(damaged)


def _repeat(draw: random.Random, request: bytes) -> bytes:
    start = draw.randrange(len(request))
    end = draw.randrange(start, min(len(request), start + 60)) + 1
    return request[:end] + request[start:end] * draw.randint(1, 3) + request[end:]


def _insert(draw: random.Random, request: bytes) -> bytes:
    at = draw.randrange(len(request))
    return request[:at] + draw.choice(TOKENS) + request[at:]


def _in_body(draw: random.Random, request: bytes) -> bytes:
    """Damage of the body alone, announced as what it is."""
    lines, body = _head_and_body(request)
    at = draw.randrange(len(body) + 1)
    body = body[:at] + draw.choice(TOKENS) + body[at + draw.randint(0, 3) :]
    return _joined([line for line in lines if not line.startswith(b"Content-Length")] + [b"Content-Length: %d" % len(body)], body)


def _header(draw: random.Random, request: bytes) -> bytes:
    lines, body = _head_and_body(request)
    lines.insert(draw.randrange(1, len(lines) + 1), draw.choice(HEADERS))
    return _joined(lines, body)


def _line(draw: random.Random, request: bytes) -> bytes:
    lines, body = _head_and_body(request)
    method, path, version = lines[0].split(b" ")
    method = draw.choice((method, b"post", b"P\xd6ST", b"PUT", b"GET", b"", b"POST" * 20))
    path = draw.choice((path, path + b"/", path + b"?a=%ff", b"http://evil.example" + path, b"*", b"/" * 9_000, path + b"\x00"))
    version = draw.choice((version, version, b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.1 x", b""))
    return _joined([b" ".join((method, path, version)), *lines[1:]], body)


def _zipped(draw: random.Random, request: bytes) -> bytes:
    lines, body = _head_and_body(request)
    body = gzip.compress(body if draw.random() < 0.5 else b" " * 20_000_000)
    kept = [line for line in lines if not line.startswith(b"Content-Length")]
    return _joined([*kept, b"Content-Length: %d" % len(body), b"Content-Encoding: gzip"], body)


def _untouched(draw: random.Random, request: bytes) -> bytes:
    return request


ANYWHERE: tuple[Callable[[random.Random, bytes], bytes], ...] = (_cut, _flip, _repeat, _insert)
"""Those that need no request in one piece."""
MUTATIONS = (
    *ANYWHERE,
    _in_body,
    _in_body,
    _header,
    _header,
    _line,
    _zipped,
    _untouched,
)


def _requests(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    draw = random.Random(seed)
    for _ in range(count):
        route = draw.choice(sorted(ROUTES))
        path, headers, body = ROUTES[route]
        whole = b"POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s"
        request = whole % (path.encode(), headers, len(body), body)
        mutation = draw.choice(MUTATIONS)
        request = mutation(draw, request)
        if draw.random() < 0.3 and len(request) > 1:
            request = draw.choice(ANYWHERE)(draw, request)
        if _behind(request):  # a second request, whose answer nobody would read
            continue
        yield f"{route} {mutation.__name__}", request


def _is_whole(request: bytes) -> bool:
    """Whether a server has to answer these bytes without waiting for more."""
    return _behind(request) is not None


def _behind(request: bytes) -> bytes | None:
    """What follows on the first request; None where that is not whole."""
    reading = h11.Connection(h11.SERVER)
    reading.receive_data(request)
    try:
        while (event := reading.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.EndOfMessage):
                return reading.trailing_data[0]
    except h11.RemoteProtocolError:
        return b""
    return None


def _answer(client, request: bytes) -> bytes:
    """What comes back, up to the end of the first answer; bytes that are no whole request are followed by hanging up."""
    received = b""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=10) as raw:
        with suppress(OSError):
            raw.sendall(request)
            if not _is_whole(request):
                raw.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while not _is_complete(received) and (chunk := raw.recv(65536)):
                received = (received + chunk).removeprefix(CONTINUE)
    return received


def _is_complete(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
    return length is not None and len(body) >= int(length.partition(b":")[2])


def _accepted(answer: bytes) -> int:
    """How many events an answer says that it has stored."""
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    return len(body["ids"] if "ids" in body else body["events"])


def _stored(client) -> set[str]:
    ids, cursor = set(), ""
    while True:
        page = client.get(f"/v1/events?limit=200{cursor}").json()
        ids |= {item["id"] for item in page["items"]}
        if not page["next_cursor"]:
            return ids
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.parametrize(
    ("seed", "count"), [(1, 60), pytest.param(2, 300, marks=pytest.mark.ci), pytest.param(3, 5_000, marks=pytest.mark.verify)]
)
def test_damaged_requests_are_refused_or_answered_truly(tmp_path, seed: int, count: int) -> None:
    kinds: Counter[str] = Counter()
    expected = 0
    with ExitStack() as stack:
        client = stack.enter_context(live(tmp_path, body_limit=100_000))
        for number, (what, request) in enumerate(_requests(seed, count)):
            place = f"request {number} of seed {seed}, {what}: {request[:300]!r}"
            answer = _answer(client, request)
            if not answer:
                kinds["hung up"] += 1
                assert not _is_whole(request) or b"Content-Length" in request, place
                continue
            assert answer.startswith(b"HTTP/1.1 "), place
            status = int(answer.split(b" ", 2)[1])
            kinds["taken" if status == 200 else "refused"] += 1
            assert status in REFUSALS | {200, 204}, f"{place}\n{answer!r}"
            if status == 200 and (b'"events"' in answer or b'"ids"' in answer):
                expected += _accepted(answer)
        assert client.get("/readyz").status_code == 200
        assert len(_stored(client)) <= expected
    assert kinds["taken"] >= count / 20, kinds
    assert kinds["refused"] >= count / 3, kinds
