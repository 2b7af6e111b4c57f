"""Console blocks, typed for real: commands in a folder, and what they print held against what the page shows."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.blocks import Block

PATIENCE = 120  # seconds until a shown state must have come
PORT = "8288"
_ID = re.compile(r"\b(run|evt|key)_[0-9A-Za-z]{20,}")
_SHORT_ID = re.compile(r"\b(run|evt|key)_\w*\.\.\.")
_LOOKS = ("flowgraph runs show", "flowgraph runs list", "flowgraph events", "curl -s http")


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the lines that the page shows under it."""

    text: str
    shown: str


def commands(block: Block) -> list[Command]:
    """Return the commands of a block; a line that ends with a backslash goes on."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"{block.place}: output before the first command"
    found = [re.match(r"((?:[^\n]*\\\n)*[^\n]*\n?)(.*)", part, re.DOTALL) for part in parts[1:]]
    return [Command(match[1].strip(), match[2].rstrip()) for match in found if match]


def fits(shown: str, printed: str) -> bool:
    """Whether an output is what the page shows. `...` is anything in its line, alone in a line any number of lines."""
    pattern = ""
    for line in shown.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part.rstrip()) for part in line.split("...")) + r"[ ]*\n"
    return re.fullmatch(pattern, printed if printed.endswith("\n") or not printed else printed + "\n") is not None


@dataclass
class Shell:
    """A reader's terminal in a folder: it keeps a free port for 8288, the last ids seen, and the server in the background."""

    folder: Path
    port: int = 0
    ids: dict[str, str] = field(default_factory=dict)
    server: subprocess.Popen[bytes] | None = None
    bin: Path = Path()

    def __enter__(self) -> Self:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def type(self, block: Block) -> None:
        """Type a block's commands. Raises `AssertionError` where the page shows something else."""
        typed = commands(block)
        if "server" in block.words:
            self.start(typed.pop(0), block)
        for number, command in enumerate(typed, start=1):
            last = number == len(typed)
            self._typed(command, int(block.options.get("exit", "0")) if last else 0, block)

    def _typed(self, command: Command, wanted: int, block: Block) -> None:
        until = time.monotonic() + PATIENCE
        text = self._resolved(command.text)
        while True:
            code, printed = self._run(text)
            good = code == wanted and (not command.shown or fits(command.shown, printed))
            if good or not text.startswith(_LOOKS) or time.monotonic() > until:
                break
            time.sleep(0.2)
        assert good, f"{block.place}\n$ {text}\nexit code {code}, the page says {wanted}\n{printed}--- shown\n{command.shown}"

    def _run(self, text: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", text],
            check=False,
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
        )
        printed = done.stdout.decode()
        self.ids |= {found[1]: found[0] for found in _ID.finditer(printed)}
        return done.returncode, printed.replace(str(self.port), PORT)

    def _resolved(self, text: str) -> str:
        """Put the free port and the last ids where the page has 8288 and `run_01...`."""
        return _SHORT_ID.sub(lambda found: self.ids.get(found[1], found[0]), text.replace(PORT, str(self.port)))

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("FLOWGRAPH_")}
        url = f"http://127.0.0.1:{self.port}"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        more = {"FLOWGRAPH_URL": url, "FLOWGRAPH_PORT": str(self.port), "NO_COLOR": "1", "COLUMNS": "140"}
        return (
            own | more | {"PATH": path, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        )

    def start(self, command: Command, block: Block) -> None:
        """Start a server and wait until it has printed what the page shows."""
        self.stop()
        log = self.folder / ".server.log"
        with log.open("wb") as output:
            text = f"exec {self._resolved(command.text)}"
            self.server = subprocess.Popen(
                ["bash", "-c", text], cwd=self.folder, env=self._environment(), stdout=output, stderr=subprocess.STDOUT
            )
        until = time.monotonic() + PATIENCE
        while not fits(command.shown + "\n...", self._log(log)):
            late = self.server.poll() is not None or time.monotonic() > until
            assert not late, f"{block.place}\n$ {command.text}\n{self._log(log)}--- shown\n{command.shown}"
            time.sleep(0.1)

    def _log(self, log: Path) -> str:
        return log.read_text(encoding="utf-8").replace(str(self.port), PORT)

    def stop(self) -> None:
        """End the server, as Ctrl-C does."""
        if self.server is not None and self.server.poll() is None:
            self.server.terminate()
            try:
                self.server.wait(30)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
        self.server = None


def missing(block: Block) -> str | None:
    """The program that a block needs and this machine does not have."""
    needed = [name for name in ("curl", "dot") if re.search(rf"^\$ {name}\b", block.text, re.MULTILINE)]
    return next((name for name in needed if shutil.which(name) is None), None)
