"""A process of the pool, `python -m flowgraph_runtime.executors.child SOCKET LIFE`: one attempt after the other, by text.

It ends when its worker does, whatever its step is doing then: `LIFE` is a pipe that nobody writes to and that closes with the
worker. Its standard output is the worker's standard error.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import socket
import sys
import threading
import traceback
from typing import BinaryIO

from flowgraph_runtime.executors.assignments import Code
from flowgraph_runtime.executors.frames import framed, read_frame
from flowgraph_runtime.executors.logs import forward
from flowgraph_runtime.executors.performing import Performer


def main(control: int, life: int) -> None:
    """Serve the worker at the other end of the socket until it closes."""
    end_with_worker(life)
    signal.signal(signal.SIGTERM, _left_to_the_worker)
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, line_buffering=True)
    with socket.socket(fileno=control) as connection, connection.makefile("rb") as requests:
        send = _Sender(connection)
        performer = _prepared(requests, send)
        while performer is not None and (assignment := read_frame(requests)) is not None:
            send(performer.perform(assignment))


class _Sender:
    """Sends whole texts, from any thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        with self._lock:
            self._connection.sendall(framed(text))


def _prepared(requests: BinaryIO, send: _Sender) -> Performer | None:
    """Import the code that the first text names; answer with nothing, or with why it cannot be had."""
    first = read_frame(requests)
    if first is None:
        return None
    levels, _, code_text = first.partition("\n")
    code = Code.from_json(code_text)
    sys.path[:] = code.path
    try:
        performer = Performer(code)
    except BaseException as error:
        traceback.print_exc()
        send(f"{type(error).__name__}: {error}")
        return None
    forward(json.loads(levels), send)
    send("")
    return performer


def end_with_worker(life: int) -> None:
    """Kill this process, and what its steps have started, when the pipe closes. A thread sees it while the interpreter lets it
    run; a signal, whose default is to end a process, also while a step's C code does not."""

    def watch() -> None:
        os.read(life, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="flowgraph-worker-watch", daemon=True).start()
    if hasattr(os, "O_ASYNC"):
        fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)


def _left_to_the_worker(*_: object) -> None:
    """A service manager tells every process of a service to end; this one does when the worker has let it finish its attempt. A
    handler, not `SIG_IGN`, which programs that a step starts would inherit."""


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
