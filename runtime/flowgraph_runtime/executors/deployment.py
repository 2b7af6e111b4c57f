"""The executors that the deployed steps ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec

from flowgraph_compiler.declarations import StepDecl
from flowgraph_runtime.errors import StartupRefused
from flowgraph_runtime.executors.assignments import Code, StepExecutor
from flowgraph_runtime.executors.on_dask import DaskExecutor
from flowgraph_runtime.executors.processes import ProcessPool
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.settings import Settings


class Executors:
    """What runs the steps of a registry that do not run in this process. `by_step`: step name -> executor.

    Nothing is started before an attempt needs it. Raises `StartupRefused` when a setting or a package is missing."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        asking = {name: declared for name, declared in registry.steps.items() if _executor_of(declared) is not None}
        made: dict[str, StepExecutor] = {}
        code = code_of(registry) if asking else Code(())
        self.by_step: dict[str, StepExecutor] = {}
        for name, declared in asking.items():
            kind = str(_executor_of(declared))
            _check_file(declared, kind)
            if kind not in made:
                made[kind] = _dask(declared, settings, code) if kind == "dask" else _processes(settings, code)
            self.by_step[name] = made[kind]
        self._made = list(made.values())

    async def close(self) -> None:
        """End what was started."""
        for executor in self._made:
            await executor.close()


def code_of(registry: Registry) -> Code:
    """Return where the registry's modules are, for another process of this machine."""
    files = {source.name: getattr(source.module, "__file__", None) for source in registry.application.modules}
    modules = [(_importable(name), os.path.abspath(file)) for name, file in files.items() if file and os.path.exists(file)]
    return Code(tuple(modules), tuple(os.path.abspath(folder) for folder in sys.path))


def _importable(name: str) -> str:
    """The program itself has another name in a process that is not to run it: the one that `multiprocessing` gives it."""
    return "__mp_main__" if name == "__main__" else name


def _executor_of(declared: StepDecl) -> str | None:
    given: Mapping[str, str] = declared.step.options.given()
    return given.get("executor")


def _check_file(declared: StepDecl, kind: str) -> None:
    file = getattr(sys.modules.get(declared.module), "__file__", None)
    if file is None or not os.path.exists(file):
        raise StartupRefused(
            f"step '{declared.name}' has executor=\"{kind}\", and its module '{declared.module}' is no file that another process"
            " could import: put the step into a file, or leave out 'executor='"
        )


def _processes(settings: Settings, code: Code) -> ProcessPool:
    return ProcessPool(settings.step_processes or _cpus(), code)


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _dask(declared: StepDecl, settings: Settings, code: Code) -> DaskExecutor:
    asks = f"step '{declared.name}' has executor=\"dask\", which needs"
    if find_spec("distributed") is None:
        raise StartupRefused(f"{asks} the package 'distributed': pip install 'flowgraph-engine[dask]'")
    if not settings.dask_address:
        raise StartupRefused(
            f"{asks} the address of a Dask scheduler: set FLOWGRAPH_DASK_ADDRESS=tcp://HOST:8786, or 'dask_address' in"
            " [tool.flowgraph]"
        )
    return DaskExecutor(settings.dask_address, settings.step_slots, code)
