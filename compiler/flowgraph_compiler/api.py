"""What programs call: modules or targets in, a compilation or findings out."""

from __future__ import annotations

from types import ModuleType

from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.pipeline import Compilation, compile_application, compile_targets
from flowgraph_compiler.source import TargetError, source_of


def compile_module(target: ModuleType | str) -> Compilation:
    """Compile a module that is imported already, or a target as the command line takes it (`"orders.py"`, `"shop.orders:pay"`).

    Raises `TargetError` for what cannot be found, imported or read."""
    if isinstance(target, str):
        return compile_targets([target])
    module = source_of(target)
    if module is None:
        raise TargetError(f"module '{target.__name__}' has no source that can be read")
    return compile_application([module])


def check(*targets: str) -> list[Diagnostic]:
    """Every finding in the targets, by place. Raises `TargetError` for what cannot be found or imported."""
    return list(compile_targets(targets).diagnostics)
