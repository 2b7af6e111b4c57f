"""A proxy that passes requests on and, when told so, cuts the connection instead of giving the answer back."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import httpx2


class HalfLost:
    """Stands before `url`. `lose`: how many of the next answers are swallowed; `seen`: path and seed of every request."""

    def __init__(self, url: str) -> None:
        self.lose = 0
        self.seen: list[tuple[str, str | None]] = []
        self._http = httpx2.Client(base_url=url)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._http.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                proxy.seen.append((self.path, self.headers["x-inngest-event-id-seed"]))
                kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
                answer = proxy._http.post(self.path, content=body, headers=kept)
                self.close_connection = True
                if proxy.lose:
                    proxy.lose -= 1
                    return
                self.send_response(answer.status_code)
                self.send_header("Content-Type", answer.headers["content-type"])
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def do_GET(self) -> None:
                self.send_error(404)  # the SDK asks a dev server whether it is there

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
