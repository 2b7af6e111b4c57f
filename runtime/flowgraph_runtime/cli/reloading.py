"""`flowgraph dev` as two processes: this one watches the files, its child serves and is started anew when one changes.

The listening socket is bound here and inherited, so that a request that comes while the child restarts waits instead of failing.
The old child has ended, and given up the database, before the new one starts.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from watchfiles import PythonFilter, watch

from flowgraph_runtime.cli.console import Exit, Failure, tell

_LOOK = 300  # milliseconds between two looks at the child
_END_WITHIN = 15.0  # seconds: a little more than the server gives its running steps


def listening_socket(host: str, port: int) -> socket.socket:
    """Bind and listen. Raises `Failure` when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is given because asyncio sets TCP_NODELAY only on connections of sockets that name it; without, an answer's
    # second packet waits 40 ms for the client's delayed acknowledgement of the first.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host.strip("[]"), port))
    except OSError as error:
        bound.close()
        raise Failure(f"cannot listen on {host}:{port}: {error.strerror}", "choose another port with --port") from error
    bound.listen(2048)
    return bound


def supervise(command: Sequence[str], targets: Sequence[str], bound: socket.socket) -> int:
    """Keep a child with this command and the socket running until Ctrl-C or SIGTERM; the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    child = _start(command, bound)
    first = True
    try:
        for changes in watch(*roots(targets), watch_filter=PythonFilter(), rust_timeout=_LOOK, yield_on_timeout=True):
            if changes:
                tell(f"changed: {', '.join(sorted(_shown(path) for _, path in changes))}; reloading", style="cyan")
                _end(child)
                child, first = _start(command, bound), False
            elif child.poll() is not None and first:
                return child.returncode
    except KeyboardInterrupt:
        pass
    finally:
        _end(child)
    return Exit.OK


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _start(command: Sequence[str], bound: socket.socket) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "flowgraph_runtime.cli", *command, "--socket", str(bound.fileno())]
    return subprocess.Popen(arguments, pass_fds=[bound.fileno()])  # noqa: S603


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(_END_WITHIN)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def roots(targets: Sequence[str]) -> list[Path]:
    """The folders to watch: the outermost package of each target, so that what it imports beside it counts, too."""
    found = {_outermost(_folder(target)) for target in targets}
    return sorted(folder for folder in found if not any(other in folder.parents for other in found))


def _folder(target: str) -> Path:
    where = target if Path(target).exists() else target.rpartition(":")[0] or target
    path = Path(where)
    if path.exists():
        return path.resolve() if path.is_dir() else path.resolve().parent
    try:
        spec = importlib.util.find_spec(where)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise Failure(f"no file, folder or module '{where}'", code=Exit.USAGE)
    return Path(spec.origin).resolve().parent


def _outermost(folder: Path) -> Path:
    while (folder / "__init__.py").exists() and (folder.parent / "__init__.py").exists():
        folder = folder.parent
    return folder


def _shown(path: str) -> str:
    return os.path.relpath(path)


def end_with_parent() -> None:
    """End this process in good order when its supervisor is gone (killed: it could not say so)."""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, daemon=True, name="flowgraph-supervisor").start()
