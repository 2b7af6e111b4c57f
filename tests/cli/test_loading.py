"""Commands that talk to a server, and all help, start without the compiler, the web framework and the database."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROBE = """
import sys
from flowgraph_runtime.cli import call
call({arguments!r})
heavy = {{"flowgraph_compiler.pipeline", "flowgraph_compiler.machine", "sqlalchemy", "starlette", "uvicorn", "flowgraph.codec"}}
print("loaded:", sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["send", "--help"], ["runs", "list", "--help"], ["serve", "--help"]])
def test_help_loads_only_what_it_needs(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(arguments=arguments)], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Usage: flowgraph" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded: []"
