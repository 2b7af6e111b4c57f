"""`executor="process"`: a pool of processes for steps that need a CPU to themselves.

The processes are started when they are first needed, by exec and never by fork alone: the worker has threads and an open
database. Each runs one attempt at a time, so ending an attempt is ending its process, which costs no other attempt anything.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from flowgraph.errors import StepInterrupted
from flowgraph_runtime.executors.assignments import Code
from flowgraph_runtime.executors.frames import framed, receive
from flowgraph_runtime.executors.logs import PREFIX, levels, show

_LOG = logging.getLogger("flowgraph.processes")
START_WITHIN = 60.0
"""Seconds that a process may take to import the author's modules."""
END_WITHIN = 2.0
"""Seconds that an idle process may take to end in good order."""


class ProcessPool:
    """Runs attempts in at most `slots` processes."""

    def __init__(self, slots: int, code: Code) -> None:
        self.slots = slots
        self._code = code
        self._room = asyncio.Semaphore(slots)
        self._idle: list[_Process] = []

    async def run(self, step: str, assignment: str, started: Callable[[], None]) -> str:
        """Return the text of the outcome. A cancelled call kills the process that makes the attempt.

        Raises `StepInterrupted` when the process ends before the step does, or cannot import the step's module."""
        async with self._room:
            process = await self._take(step)
            started()
            try:
                reply = await process.ask(assignment)
            except (EOFError, ConnectionError):
                how = _how(await process.kill())
                raise StepInterrupted(f"the process that ran step '{step}' {how} before the step had ended") from None
            except BaseException:
                await process.kill()
                raise
            self._idle.append(process)
            return reply

    async def close(self) -> None:
        """End the processes; those that are busy were killed with their attempts."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(process.end() for process in idle))

    async def _take(self, step: str) -> _Process:
        while self._idle:
            process = self._idle.pop()
            if process.is_alive:
                return process
            await process.kill()
        return await self._start(step)

    async def _start(self, step: str) -> _Process:
        process = await _Process.start()
        try:
            async with asyncio.timeout(START_WITHIN):
                refusal = await process.ask(json.dumps(levels()) + "\n" + self._code.to_json())
        except (EOFError, ConnectionError):
            refusal = f"it {_how(await process.kill())} while it imported the modules"
        except TimeoutError:
            refusal = f"it has not imported the modules within {START_WITHIN:g} s"
        except BaseException:
            await process.kill()
            raise
        if refusal:
            await process.kill()
            raise StepInterrupted(f"step '{step}' was not begun: the process that should run it cannot: {refusal}")
        _LOG.debug("process %d is ready", process.pid)
        return process


@dataclass(slots=True)
class _Process:
    """A running child. `life`: the end of the pipe whose closing it would notice; `ended`: done, with its exit code, once it has
    been waited for."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    life: int
    ended: asyncio.Future[int]

    @classmethod
    async def start(cls) -> Self:
        ours, theirs = socket.socketpair()
        seen, life = os.pipe()
        command = [sys.executable, "-P", "-m", "flowgraph_runtime.executors.child", str(theirs.fileno()), str(seen)]
        try:
            popen = subprocess.Popen(  # noqa: ASYNC220, S603  (returns when the program is loaded; asyncio's own does the same)
                command, stdin=subprocess.DEVNULL, stdout=2, pass_fds=(theirs.fileno(), seen), start_new_session=True
            )
        except BaseException:
            ours.close()
            os.close(life)
            raise
        finally:
            theirs.close()
            os.close(seen)
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(popen.pid, reader, writer, life, _end_of(popen, writer))

    @property
    def is_alive(self) -> bool:
        return not self.ended.done() and not self.reader.at_eof()

    async def ask(self, text: str) -> str:
        """Return the answer; show the log records that come before it. Raises EOFError or ConnectionError when it has ended."""
        self.writer.write(framed(text))
        await self.writer.drain()
        while (answer := await receive(self.reader)).startswith(PREFIX):
            show(answer)
        return answer

    async def kill(self) -> int:
        """Kill it with what its step has started -> its exit code."""
        if not self.ended.done():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        code = await asyncio.shield(self.ended)
        self._release()
        return code

    async def end(self) -> None:
        """Let it end in good order, or kill it."""
        self.writer.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN):
                await asyncio.shield(self.ended)
        await self.kill()

    def _release(self) -> None:
        self.writer.transport.abort()
        if self.life >= 0:
            os.close(self.life)
            self.life = -1


def _end_of(popen: subprocess.Popen[bytes], writer: asyncio.StreamWriter) -> asyncio.Future[int]:
    """Wait for the end in a thread: the socket alone does not tell, as what a step has started may hold it open."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def tell(code: int) -> None:
        writer.transport.abort()
        if not ended.done():
            ended.set_result(code)

    def wait() -> None:
        code = popen.wait()
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, code)

    threading.Thread(target=wait, name=f"flowgraph-process-{popen.pid}", daemon=True).start()
    return ended


def _how(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed by SIGKILL (by hand, or because memory ran out)"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
