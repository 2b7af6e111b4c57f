"""Where output goes: what was asked for to stdout, everything else to stderr. Exit codes have names here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from enum import IntEnum
from pathlib import Path

from rich.console import Console


class Exit(IntEnum):
    """Exit codes, as the reference of the command line gives them."""

    OK = 0
    FAILED = 1  # findings, a failed run, a refusal by the server
    USAGE = 2  # arguments that make no sense, a target that cannot be imported
    NO_RENDERER = 3
    INTERRUPTED = 130


class Failure(Exception):
    """Ends the program: one line that names the thing, a second one that says what to do, and the exit code."""

    def __init__(self, message: str, help: str | None = None, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.help = help
        self.code = code


def messages() -> Console:
    """The console on stderr, made at each use: tests and `redirect_stderr` replace the stream."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def tell(text: str, style: str | None = None) -> None:
    """Write a line to stderr; the text is not markup."""
    messages().print(text, style=style, markup=False)


def complain(failure: Failure) -> None:
    """Write a failure to stderr."""
    console = messages()
    console.print("[bold red]error:[/] ", end="")
    console.print(str(failure), markup=False)
    if failure.help:
        console.print("[bold]help:[/]  ", end="")
        console.print(failure.help, markup=False)


def show(text: str) -> None:
    """Write what was asked for to stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def show_json(value: object) -> None:
    """Write a JSON document to stdout."""
    show(json.dumps(value, ensure_ascii=False, indent=2))


def write_file(path: Path, content: bytes) -> None:
    """Write a file, making its folder. Raises `Failure` (exit 2) when the place cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise Failure(f"cannot write '{path}': {error.strerror}", "give another place with -o", Exit.USAGE) from error
    tell(f"wrote {path}", style="dim")


@contextmanager
def stdout_to_stderr() -> Generator[None, None, None]:
    """While the user's own code runs, what it prints, or its child processes write, goes to stderr: stdout is for the result."""
    first = sys.stdout
    first.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stderr.flush()
        first.flush()  # what was written to it directly is still in its buffer and belongs to stderr
        os.dup2(kept, 1)
        os.close(kept)
