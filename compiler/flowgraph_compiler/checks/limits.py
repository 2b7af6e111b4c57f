"""FG320, FG323: what `concurrency=` of workflows and steps cannot say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowgraph import Concurrency, Cron
from flowgraph.options import UNSET
from flowgraph_compiler.declarations import Application, FlowDecl, StepDecl
from flowgraph_compiler.declared_at import option
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.types import items_of

Fault = tuple[str, str, str]
"""Code, message, help."""


def check(app: Application) -> Iterator[Diagnostic]:
    """The limits of every workflow and step."""
    for flow in app.workflows.values():
        triggers = flow.target.options.triggers()
        keyed = bool(triggers) and not any(isinstance(trigger, Cron) for trigger in triggers)
        for policy in _policies(flow.target.options.concurrency):
            for fault in (*_shape(policy), *_of_workflow(policy, keyed=keyed)):
                yield _found(flow, f"workflow '{flow.name}'", flow.name, fault, app)
    for step in app.steps.values():
        given = _policies(step.step.options.concurrency)
        for fault in (fault for policy in given for fault in (*_shape(policy), *_of_step(policy, len(given)))):
            yield _found(step, f"step '{step.name}'", None, fault, app)


def _policies(given: Any) -> tuple[Any, ...]:
    return () if given is UNSET else tuple(items_of(given))


def _found(decl: StepDecl | FlowDecl, title: str, workflow: str | None, fault: Fault, app: Application) -> Diagnostic:
    code, message, help_ = fault
    return Diagnostic(RULES[code], option(decl, "concurrency", app), f"{message} of {title}", help_, (), workflow)


def _is_limit(policy: object) -> bool:
    return isinstance(policy, Concurrency)


def _shape(policy: Any) -> Iterator[Fault]:
    if not _is_limit(policy):
        yield "FG320", f"'concurrency={policy!r}' is no 'Concurrency'", "concurrency=Concurrency(10)"
    elif policy.scope not in ("step", "run"):
        yield "FG320", f"'scope={policy.scope!r}' is unknown in 'concurrency='", 'scope="step" or scope="run"'


def _of_workflow(policy: Any, *, keyed: bool) -> Iterator[Fault]:
    if _is_limit(policy) and policy.key is not None and not keyed:
        message = "a key without an event to take it from is not carried out in 'concurrency='"
        yield "FG323", message, "leave out 'key=', or start the workflow by events only: on=SomeEvent"


def _of_step(policy: Any, count: int) -> Iterator[Fault]:
    if not _is_limit(policy):
        return
    if policy.key is not None:
        message = "this version does not carry out 'key=' in 'concurrency='"
        yield "FG323", message, "give the key to the workflow: @workflow(concurrency=Concurrency(10, key=lambda e: e.customer))"
    if policy.scope == "run":
        message = "'scope=\"run\"' counts runs and is not carried out in 'concurrency='"
        yield "FG323", message, '@workflow(concurrency=Concurrency(10, scope="run"))'
    if count > 1:
        yield "FG323", "this version does not carry out several limits in 'concurrency='", "concurrency=Concurrency(10)"
