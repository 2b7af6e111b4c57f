"""FG231, FG320-FG324: options of decorators and durations in calls."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from flowgraph import Backoff, resource
from flowgraph.durations import DurationError, parse_duration
from flowgraph_compiler.declarations import Application, FlowDecl, StepDecl
from flowgraph_compiler.declared_at import decorator, function, option
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.types import items_of

EXECUTED = {
    "step": frozenset(
        ["name", "aliases", "retries", "backoff", "timeout", "idempotent", "raises", "concurrency", "compensate", "executor"]
    ),
    "workflow": frozenset(
        ["name", "aliases", "on", "where", "retries", "backoff", "on_failure", "on_cancel", "cancel_on", "concurrency"]
    ),
}
"""The options that the present version carries out."""

EXCLUDING = (("debounce", "batch"), ("singleton", "batch"), ("rate_limit", "debounce"), ("transactional", "executor"))
EXECUTORS = ("process", "dask")
DEFAULT_RETRIES = 4

_Decl = StepDecl | FlowDecl
Report = Callable[[str, str, str, str], Diagnostic]
"""Code, option, message, help."""


def check(app: Application) -> Iterator[Diagnostic]:
    """The options of every step and workflow."""
    for step in app.steps.values():
        yield from _decl(step, "step", step.step.options.given(), app)
        yield from _repeated(step, app)
        yield from _out_of_reach(step, app)
    for flow in app.workflows.values():
        yield from _decl(flow, "workflow", flow.target.options.given(), app)


def _decl(decl: _Decl, kind: str, given: dict[str, Any], app: Application) -> Iterator[Diagnostic]:
    title = f"{kind} '{decl.name}'"
    workflow = decl.name if kind == "workflow" else None

    def report(code: str, name: str, message: str, help_: str) -> Diagnostic:
        return Diagnostic(RULES[code], option(decl, name, app), f"{title}: {message}", help_, (), workflow)

    for name, value in given.items():
        yield from values(name, value, report)
        if name not in EXECUTED[kind]:
            yield report("FG323", name, f"this version does not carry out '{name}='", f"leave out '{name}='")
        elif name == "cancel_on" and not _has_event(given.get("on")):
            message = "'cancel_on=' compares with the event that started the run, and no event starts one"
            yield report("FG106", name, message, "on=SomeEvent")
    yield from _excluding(given, report)


def _excluding(given: dict[str, Any], report: Report) -> Iterator[Diagnostic]:
    for one, other in EXCLUDING:
        if one in given and other in given:
            yield report("FG322", other, f"'{other}=' and '{one}=' exclude each other", f"leave out '{one}=' or '{other}='")
    if given.get("at_most_once") and _is_positive(given.get("retries", 0)):
        yield report("FG322", "retries", "'retries=' and 'at_most_once=True' exclude each other", "retries=0")
    if given.get("pure") and "compensate" in given:
        yield report("FG322", "compensate", "'compensate=' and 'pure=True' exclude each other", "leave out 'pure=True'")


def _has_event(on: Any) -> bool:
    return any(isinstance(trigger, type) for trigger in _each(on))


def _each(value: Any) -> tuple[Any, ...]:
    return tuple(items_of(value))


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and value > 0


# --- values


def values(name: str, value: Any, report: Report) -> Iterator[Diagnostic]:
    """What is wrong with the value of an option."""
    if name == "retries" and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        yield report("FG320", name, f"'retries={value!r}' is no whole number from 0 on", "retries=0")
    elif name == "name" and (not isinstance(value, str) or not value):
        yield report("FG320", name, f"'name={value!r}' is no text, or an empty one", 'name="charge"')
    elif name == "executor" and value not in EXECUTORS:
        yield report("FG320", name, f"'executor={value!r}' is unknown", 'executor="process" or "dask"')
    elif name in ("timeout", "schedule_to_start", "heartbeat"):
        yield from _duration(name, name, value, report)
    elif name == "backoff":
        yield from _backoff(value, report)
    elif name in ("concurrency", "throttle", "rate_limit", "debounce", "batch", "idempotency"):
        for policy in _each(value):
            yield from _policy(name, policy, report)


def _duration(option_name: str, label: str, value: Any, report: Report, *, zero: bool = False) -> Iterator[Diagnostic]:
    if value is None:
        return
    wrong = duration_error(value)
    if wrong is not None:
        yield report("FG321", option_name, f"'{label}={value!r}' is no duration: {wrong}", f'{label}="30s"')
    elif not zero and parse_duration(value) <= timedelta(0):
        yield report("FG320", option_name, f"'{label}={value!r}' is not positive", f'{label}="30s"')


def duration_error(value: Any) -> str | None:
    """What is wrong with a duration; None when it is one."""
    if not isinstance(value, str | timedelta):
        return "it is a text such as '30s' or a timedelta, never a bare number"
    try:
        parse_duration(value)
    except DurationError as error:
        return (str(error).rpartition(": ")[2] or str(error)).replace("write ", "it is written ", 1)
    return None


def _backoff(value: Any, report: Report) -> Iterator[Diagnostic]:
    if not isinstance(value, Backoff):
        yield report("FG320", "backoff", f"'backoff={value!r}' is no 'Backoff'", 'backoff=Backoff("1s", factor=2, max="1h")')
        return
    yield from _duration("backoff", "delay", value.delay, report, zero=True)
    yield from _duration("backoff", "max", value.max, report, zero=True)
    if value.kind not in ("exponential", "linear", "fixed"):
        yield report("FG320", "backoff", f"'kind={value.kind!r}' is unknown", 'kind="exponential", "linear" or "fixed"')
    if not _is_number(value.factor) or value.factor < 1:
        yield report("FG320", "backoff", f"'factor={value.factor!r}' is less than 1", "factor=2")
    if not _is_number(value.jitter) or not 0 <= value.jitter <= 1:
        yield report("FG320", "backoff", f"'jitter={value.jitter!r}' is not between 0 and 1", "jitter=0.1")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _policy(name: str, policy: Any, report: Report) -> Iterator[Diagnostic]:
    """Limits and durations of a policy, by the names of its fields."""
    for field in fields(policy) if hasattr(policy, "__dataclass_fields__") else ():
        value = getattr(policy, field.name)
        if field.name in ("limit", "size") and (not isinstance(value, int) or value < 1):
            yield report("FG320", name, f"'{field.name}={value!r}' is no whole number from 1 on", f"{field.name}=1")
        elif field.name in ("per", "period", "timeout", "max"):
            yield from _duration(name, field.name, value, report)


# --- FG231


def _repeated(step: StepDecl, app: Application) -> Iterator[Diagnostic]:
    given = step.step.options.given()
    if given.get("idempotent") is not False or given.get("retries", DEFAULT_RETRIES) == 0 or given.get("at_most_once"):
        return
    message = f"step '{step.name}' is not idempotent and is retried: a repeated attempt may have its effect twice"
    help_ = "retries=0, or make it idempotent by 'step_context().idempotency_key'"
    yield Diagnostic(RULES["FG231"], decorator(step, app), message, help_)


# --- FG324


def _out_of_reach(step: StepDecl, app: Application) -> Iterator[Diagnostic]:
    """Calls of `resource(...)` that stand in the body of a step which runs in another process."""
    given = step.step.options.given()
    written = function(step, app) if "executor" in given else None
    if written is None:
        return
    places, tree = written
    scopes = [vars(module.module) for module in app.modules if module.name == step.module]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and any(_stands_for(node.func, scope) is resource for scope in scopes):
            message = f"step '{step.name}' runs in another process, where 'resource(...)' finds nothing"
            help_ = "open what it needs in the step, or leave out 'executor='"
            yield Diagnostic(RULES["FG324"], places.span(node), message, help_)


def _stands_for(node: ast.expr, scope: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name(id=name):
            return scope.get(name)
        case ast.Attribute(value=ast.Name(id=name), attr=attr):
            return getattr(scope.get(name), attr, None)
        case _:
            return None
