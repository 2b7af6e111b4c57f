"""FG301: what `key=` of a policy gives must be a key: `str`, `int`, `Enum`, `UUID` or a tuple of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, get_args, get_origin
from uuid import UUID

from flowgraph import Cron, Event
from flowgraph_compiler.declarations import Application, FlowDecl
from flowgraph_compiler.declared_at import option_node
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.infer.findings import meant
from flowgraph_compiler.infer.members import attribute
from flowgraph_compiler.results import binary
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.types import UNKNOWN, class_of, fields, is_any, members, show, union

_KEYED = ("concurrency", "throttle", "rate_limit", "debounce", "batch", "singleton", "idempotency")
_KEY_TYPES = (str, int, Enum, UUID)


def check(app: Application) -> Iterator[Diagnostic]:
    """The key lambdas that are written out in decorators of workflows with an event trigger."""
    for flow in app.workflows.values():
        events = [trigger for trigger in flow.target.options.triggers() if not isinstance(trigger, Cron)]
        for option in _KEYED if events else ():
            yield from _option(flow, option, events, app)


def _option(flow: FlowDecl, option: str, events: Sequence[type[Event]], app: Application) -> Iterator[Diagnostic]:
    found = option_node(flow, option, app)
    for node in ast.walk(found[1]) if found is not None else ():
        if not isinstance(node, ast.keyword) or node.arg != "key" or not isinstance(node.value, ast.Lambda):
            continue
        for name, place in _unknown_fields(node.value, events):
            if found is not None:
                message = f"the key of '{option}=' of workflow '{flow.name}' reads a field that its event does not have: '{name}'"
                known = [field for event in events for field in fields(event) or {}]
                yield Diagnostic(RULES["FG301"], found[0].span(place), message, meant(name, known), (), flow.name)
        for part, tp in _parts(node.value, union(events)):
            if found is not None and not is_key(tp):
                message = f"a key of '{option}=' of workflow '{flow.name}' is '{show(tp)}'"
                help_ = "give a str, int, Enum, UUID or a tuple of them, never None"
                yield Diagnostic(RULES["FG301"], found[0].span(part), message, help_, (), flow.name)


def _unknown_fields(function: ast.Lambda, events: Sequence[type[Event]]) -> Iterator[tuple[str, ast.expr]]:
    """Attributes of the lambda's parameter that one of the events lacks."""
    parameter = function.args.args[0].arg if len(function.args.args) == 1 else None
    for node in ast.walk(function.body):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name == parameter:
                if any(not hasattr(event, attr) and attr not in (fields(event) or {}) for event in events):
                    yield attr, node
            case _:
                pass


def _parts(function: ast.Lambda, event: Any) -> Iterator[tuple[ast.expr, Any]]:
    """The values that a key lambda gives, with their types."""
    parameter = function.args.args[0].arg if len(function.args.args) == 1 else None
    for part in function.body.elts if isinstance(function.body, ast.Tuple) else [function.body]:
        yield part, _type(part, parameter, event)


def _type(node: ast.expr, parameter: str | None, event: Any) -> Any:
    match node:
        case ast.Name(id=name) if name == parameter:
            return event
        case ast.Attribute(value=value, attr=name):
            owner = _type(value, parameter, event)
            return UNKNOWN if owner is UNKNOWN else attribute(owner, name)
        case ast.Constant(value=constant):
            return type(constant)
        case ast.JoinedStr():
            return str
        case ast.BinOp(left, ast.Div(), right):
            sides = _type(left, parameter, event), _type(right, parameter, event)
            return UNKNOWN if UNKNOWN in sides else binary("/", *sides)
        case _:
            return UNKNOWN


def is_key(tp: Any) -> bool:
    """Whether every value of a type may be a key; unknown types may."""
    return all(is_any(member) or _is_tuple_of_keys(member) or _is_key_class(class_of(member)) for member in members(tp))


def _is_tuple_of_keys(tp: Any) -> bool:
    return get_origin(tp) is tuple and all(part is Ellipsis or is_key(part) for part in get_args(tp))


def _is_key_class(cls: type | None) -> bool:
    return cls is None or issubclass(cls, _KEY_TYPES)
