"""What can go wrong when the runtime is asked for something. Structured fields; the text is built from them."""

from __future__ import annotations

from collections.abc import Sequence

from flowgraph_compiler.diagnostics import Diagnostic


class RuntimeProblem(Exception):
    """Base of the errors that the runtime raises for its callers."""


class StartupRefused(RuntimeProblem):
    """The server does not start; the message names what is missing and what to do."""


class CompilationRefused(StartupRefused):
    """The workflows have compile errors. `diagnostics` are all findings, `report` their text."""

    def __init__(self, diagnostics: Sequence[Diagnostic], report: str) -> None:
        self.diagnostics = tuple(diagnostics)
        self.report = report
        super().__init__(report)


class UnknownWorkflow(RuntimeProblem, LookupError):
    """No workflow of this name is served."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(f"no workflow is named '{name}' (served: {', '.join(sorted(known)) or 'none'})")


class InputRejected(RuntimeProblem, ValueError):
    """Data from outside that does not fit. `faults` are (JSON pointer, reason)."""

    def __init__(self, message: str, faults: Sequence[tuple[str, str]] = ()) -> None:
        self.faults = tuple(faults)
        detail = "; ".join(f"{pointer or '/'}: {reason}" for pointer, reason in faults[:5])
        super().__init__(f"{message}: {detail}" if detail else message)


class TooLarge(RuntimeProblem):
    """A named limit of the promises page is exceeded, checked before the effect."""

    def __init__(self, what: str, size: int, limit: int, unit: str = "bytes") -> None:
        self.what, self.size, self.limit = what, size, limit
        super().__init__(f"{what} has {size:,} {unit}, the limit is {limit:,}")


class MissingCode(RuntimeProblem):
    """The deployed code lacks what a machine needs; `names` lists it."""

    def __init__(self, machine: str, names: Sequence[str]) -> None:
        self.machine = machine
        self.names = tuple(names)
        super().__init__(f"machine {machine} needs {', '.join(names)}, which the deployed code does not have")


class KeyRefused(Exception):
    """The key of a concurrency limit cannot be had from the event that started the run."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the key of 'concurrency=' has no value for this run: {why}")


class RunFailed(RuntimeProblem):
    """A run that was waited for has failed: `type` and `message` of its error, `step` and `attempt` when a step raised it."""

    def __init__(self, run: str, type: str, message: str, step: str | None = None, attempt: int | None = None) -> None:
        self.run, self.type, self.message, self.step, self.attempt = run, type, message, step, attempt
        where = f" in step '{step}', attempt {attempt}" if step is not None else ""
        super().__init__(f"run {run} failed{where}: {type}: {message}")


class RunCancelled(RuntimeProblem):
    """A run that was waited for has been cancelled, so it has no result."""

    def __init__(self, run: str, reason: str | None) -> None:
        self.run, self.reason = run, reason
        super().__init__(f"run {run} was cancelled" + (f": {reason}" if reason else ""))
