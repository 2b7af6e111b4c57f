"""The flowgraph compiler: source -> typed step graph -> checks -> state machine -> renderings.

The names below are loaded at their first use: `flowgraph send --help` needs a list of commands, not a compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowgraph_compiler.api import check, compile_module
    from flowgraph_compiler.diagnostics import Diagnostic
    from flowgraph_compiler.machine import Machine
    from flowgraph_compiler.pipeline import Compilation
    from flowgraph_compiler.source import TargetError

__all__ = ["Compilation", "Diagnostic", "Machine", "TargetError", "check", "compile_module"]

_PLACES = {
    "Compilation": "pipeline",
    "Diagnostic": "diagnostics",
    "Machine": "machine",
    "TargetError": "source",
    "check": "api",
    "compile_module": "api",
}


def __getattr__(name: str) -> Any:
    """Return a public name, loading its module."""
    if name not in _PLACES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
