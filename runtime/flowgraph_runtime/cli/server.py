"""uvicorn, on a socket that is bound already, with start-up errors as exceptions instead of log lines."""

from __future__ import annotations

import signal
import socket

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from flowgraph_runtime.cli.console import tell


class Watched:
    """An application; `failure` is what its lifespan raised, at the start or at the end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; remember what ends the lifespan."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if scope["type"] == "lifespan":
                self.failure = error
            raise


class Server(uvicorn.Server):
    """Says its address once it answers. `grace`: seconds that open requests get at the end.

    uvicorn itself logs nothing: the application logs what fails in a request, and `Watched` keeps the rest."""

    def __init__(self, app: ASGIApp, address: str, grace: int) -> None:
        # h11 also where httptools is installed: that has no limit to the size of a request's head
        options = {
            "http": "h11",
            "lifespan": "on",
            "access_log": False,
            "log_level": "critical",
            "timeout_graceful_shutdown": grace,
        }
        super().__init__(uvicorn.Config(app, **options))  # type: ignore[arg-type]  # one dict for options of several types
        self._address = address

    def serve_on(self, bound: socket.socket) -> None:
        """Serve until SIGINT or SIGTERM, or return at once when the application does not start."""
        before = signal.signal(signal.SIGTERM, _end)
        try:
            self.run([bound])
        except (SystemExit, KeyboardInterrupt):  # a failed start, or the signal that uvicorn raises again after its good end
            return
        finally:
            signal.signal(signal.SIGTERM, before)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        tell(f"flowgraph is at {self._address}", style="bold green")


def _end(*_: object) -> None:
    raise SystemExit
