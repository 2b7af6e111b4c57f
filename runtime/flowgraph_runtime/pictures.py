"""SVG, PNG and PDF of a diagram in the DOT language.

The system's `dot` is used when there is one; else the pygraphviz wheel, which carries Graphviz itself, in a child process,
because a fault in that C library would otherwise take the server down with it.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import Literal

import graphviz  # type: ignore[import-untyped]  # the package carries no py.typed marker

Format = Literal["svg", "png", "pdf"]

_CHILD = """
import sys, pygraphviz
sys.stdout.buffer.write(pygraphviz.AGraph(string=sys.stdin.buffer.read().decode()).draw(format=sys.argv[1], prog="dot"))
"""
_TIMEOUT = 60  # seconds; a machine of several hundred nodes takes less than two


class NoRenderer(RuntimeError):
    """Neither the `dot` program nor the pygraphviz package is installed."""

    def __init__(self) -> None:
        super().__init__(
            "no renderer: neither the program 'dot' (package graphviz of the operating system) nor the Python package "
            "'pygraphviz' is installed; install one of them, or use the formats 'dot' or 'mermaid'"
        )


class PictureError(RuntimeError):
    """Graphviz was there and refused the diagram; the text is its own message."""


def picture(dot: str, format: Format) -> bytes:
    """Draw the DOT text. Raises `NoRenderer`, or `PictureError` when Graphviz reports an error."""
    try:
        drawn: bytes = graphviz.Source(dot).pipe(format=format, quiet=True)
    except graphviz.ExecutableNotFound:
        return _by_wheel(dot, format)
    except graphviz.CalledProcessError as error:
        raise PictureError(str(error)) from error
    return drawn


def _by_wheel(dot: str, format: Format) -> bytes:
    if find_spec("pygraphviz") is None:
        raise NoRenderer
    command = [sys.executable, "-I", "-c", _CHILD, format]
    done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=_TIMEOUT, check=False)  # noqa: S603
    if done.returncode != 0:
        raise PictureError(done.stderr.decode(errors="replace").strip())
    return done.stdout


def svg(dot: str) -> bytes:
    """The diagram as SVG."""
    return picture(dot, "svg")


def png(dot: str) -> bytes:
    """The diagram as PNG."""
    return picture(dot, "png")


def pdf(dot: str) -> bytes:
    """The diagram as PDF."""
    return picture(dot, "pdf")
