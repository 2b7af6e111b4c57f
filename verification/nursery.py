"""Processes of flowgraph that are born quickly: forked from one that has imported everything except the author's modules.

Programmes that kill servers thousands of times spend most of their time on imports otherwise. What is born is a process of its
own with its own memory, files and connections; only how it came by its code is different.

`python -m verification.nursery` is the process that forks. Its input has one birth a line, its output says who was born and died.
"""

from __future__ import annotations

import asyncio
import json
import os
import pkgutil
import selectors
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

import flowgraph
import flowgraph_compiler
import flowgraph_runtime
from flowgraph_runtime.cli import main as flowgraph_program

_LEFT_OUT = (".starter", ".__main__", ".migrations", ".executors")
_GONE = 255 << 8  # the code of a child that somebody else has waited for


class Child:
    """A process that was born; the part of `asyncio.subprocess.Process` that the programmes use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._dead = asyncio.Event()

    def send_signal(self, number: int) -> None:
        """As `os.kill`, if it lives."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> int:
        """Wait for its end -> its exit code, or minus the signal that ended it."""
        await self._dead.wait()
        assert self.returncode is not None
        return self.returncode

    def died(self, code: int) -> None:
        """Its parent says so."""
        self.returncode = code
        self._dead.set()


class Nursery:
    """`async with Nursery() as nursery: await nursery.bear(...)`. At its end, or that of this process, children are killed."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._births: asyncio.Queue[Child] = asyncio.Queue()

    async def __aenter__(self) -> Nursery:
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", __name__ if __name__ != "__main__" else "verification.nursery")
        self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listening

    async def bear(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Child:
        """Start `flowgraph` with these arguments; what it prints goes to the end of `log`. One birth at a time."""
        assert self._process.stdin is not None
        order = {"arguments": list(arguments), "environment": dict(environment), "log": str(log)}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        return await self._births.get()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            pid, code = json.loads(line)
            if code is None:
                self._children[pid] = Child(pid)
                self._births.put_nowait(self._children[pid])
            else:
                self._children.pop(pid).died(code)


# --- the process that forks


class _Parent:
    """Forks for each line that comes in. `arguments` of a child are set in the child alone."""

    def __init__(self) -> None:
        self.pids: set[int] = set()
        self.arguments: list[str] | None = None
        self._said, self._dying = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._dying)

    def run(self) -> list[str] | None:
        """Until the input ends, or in each child at once."""
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin.buffer.raw, selectors.EVENT_READ)  # type: ignore[attr-defined]  # a BufferedReader
            selector.register(self._said, selectors.EVENT_READ)
            unread = b""
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._said in ready:
                    os.read(self._said, 4096)
                    self._bury()
                if sys.stdin.buffer.raw in ready:  # type: ignore[attr-defined]
                    more = os.read(0, 65536)
                    if not more:
                        return self._end()
                    *lines, unread = (unread + more).split(b"\n")
                    for line in lines:
                        if self._fork(json.loads(line)):
                            return self.arguments

    def _fork(self, order: dict[str, Any]) -> bool:
        """Whether this is the child."""
        pid = os.fork()
        if pid:
            self.pids.add(pid)
            _say(pid, None)
            return False
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(order["environment"])
        self.arguments = order["arguments"]
        return True

    def _bury(self) -> None:
        for pid in sorted(self.pids):
            found, status = _waited(pid)
            if found:
                self.pids.discard(pid)
                _say(pid, os.waitstatus_to_exitcode(status))

    def _end(self) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        while self.pids:
            self._bury()


def _waited(pid: int) -> tuple[int, int]:
    try:
        return os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return pid, _GONE


def _say(pid: int, code: int | None) -> None:
    os.write(1, json.dumps([pid, code]).encode() + b"\n")


def _import_all() -> None:
    for package in (flowgraph, flowgraph_compiler, flowgraph_runtime):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part in found.name for part in _LEFT_OUT):
                import_module(found.name)


if __name__ == "__main__":
    _import_all()
    given = _Parent().run()
    if given is not None:
        sys.argv = ["flowgraph", *given]
        flowgraph_program()
