"""Stands between a program and a PostgreSQL server, and does to the line what networks do to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal

Cut = Literal["before", "after"]
_COMMIT = b"COMMIT\0"


class Proxy:
    """A context: listens on `port` of this computer for a server whose socket is in `folder`. It lives in a thread of its own.

    `cuts` counts the lines that were cut at a COMMIT, by kind."""

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / ".s.PGSQL.5432")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._lines: set[_Line] = set()
        self._flows = asyncio.Event()
        self._refuses = False
        self._armed: list[Cut] = []
        self.cuts: dict[Cut, int] = {"before": 0, "after": 0}
        self.port = 0

    def url(self, database: str) -> str:
        """The URL of a database behind it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._flows.set()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        self._flows.set()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def arm(self, cut: Cut) -> None:
        """Cut the line at the next COMMIT: `before` the server has it, or `after` it has answered, which nobody hears."""
        self._do(lambda: self._armed.append(cut))

    def stall(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        self._do(self._flows.clear)

    def flow(self) -> None:
        """What was held up gets through, and all that comes."""
        self._do(self._flows.set)

    def refuse(self) -> None:
        """Cut all lines and take no new ones."""

        def close() -> None:
            self._refuses = True
            for line in list(self._lines):
                line.close()

        self._do(close)

    def welcome(self) -> None:
        """Take new lines again."""

        def open_() -> None:
            self._refuses = False

        self._do(open_)

    def _do(self, act: Callable[[], object]) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (act(), done.set()))
        done.wait(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.close()
            return
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            writer.close()
            return
        line = _Line(writer, server_writer)
        self._lines.add(line)
        try:
            await asyncio.gather(self._up(line, reader), self._down(line, server_reader))
        except OSError:
            pass
        finally:
            line.close()
            self._lines.discard(line)

    async def _up(self, line: _Line, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(1 << 16):
            await self._flows.wait()
            cut = self._armed.pop(0) if self._armed and _COMMIT in data else None
            if cut is not None:
                self.cuts[cut] += 1
            if cut == "before":
                break
            line.deaf = line.deaf or cut == "after"
            line.server.write(data)
            await line.server.drain()
        line.close()

    async def _down(self, line: _Line, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(1 << 16):
            await self._flows.wait()
            if line.deaf:
                break
            line.client.write(data)
            await line.client.drain()
        line.close()


class _Line:
    """A client's line and the server's. `deaf`: the server's next answer is not passed on, the line is cut instead."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.deaf = False

    def close(self) -> None:
        self.client.close()
        self.server.close()
