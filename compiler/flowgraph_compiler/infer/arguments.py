"""Arguments of a call against declared parameters: FG170, FG171, FG172 and FG174, only where the error is certain."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from flowgraph import Event
from flowgraph_compiler.assignability import assignable
from flowgraph_compiler.declarations import Parameter
from flowgraph_compiler.expressions import Expr, Keyword, Starred
from flowgraph_compiler.infer.environment import path_of
from flowgraph_compiler.infer.findings import Findings, meant
from flowgraph_compiler.spans import NOWHERE, Span
from flowgraph_compiler.types import NONE, UNKNOWN, fields, has_none, is_model, members, normal, without_none


@dataclass(frozen=True)
class Given:
    """An argument with its inferred type and the wait with a timeout that it came from, if one."""

    expr: Expr
    type: Any
    timeout: Span | None

    @property
    def span(self) -> Span:
        """Where the argument stands."""
        return self.expr.span


@dataclass(frozen=True)
class Called:
    """What is called: "step 'charge'", and how a parameter's type judges an argument's."""

    title: str
    span: Span
    parameters: Sequence[Parameter]
    fits: Callable[[Any, Any], bool] = assignable
    open_keywords: bool = False


def check_call(called: Called, positional: Sequence[Given], keywords: Sequence[tuple[str, Given]], findings: Findings) -> None:
    """Report every certain mistake of one call."""
    bound: dict[str, Given] = {}
    places = [parameter for parameter in called.parameters if not parameter.keyword_only]
    if len(positional) > len(places):
        surplus = positional[len(places)]
        message = f"{called.title} takes {len(places)} positional arguments, got {len(positional)}"
        findings.add("FG172", surplus.span, message, meant("", [parameter.name for parameter in called.parameters]))
    for parameter, given in zip(places, positional, strict=False):
        bound[parameter.name] = given
    known = [parameter.name for parameter in called.parameters]
    for name, given in keywords:
        if name in bound:
            findings.add("FG172", given.span, f"{called.title} gets argument '{name}' twice", f"leave out one '{name}'")
        elif name in known:
            bound[name] = given
        elif not called.open_keywords:
            findings.add("FG172", given.span, f"{called.title} has no parameter '{name}'", meant(name, known, "{}=..."))
    _check_missing(called, bound, findings)
    for parameter in called.parameters:
        if parameter.name in bound:
            _check_type(called, parameter, bound[parameter.name], findings)


def _check_missing(called: Called, bound: dict[str, Given], findings: Findings) -> None:
    missing = [parameter for parameter in called.parameters if not parameter.has_default and parameter.name not in bound]
    if missing:
        names = ", ".join(f"'{parameter.name}'" for parameter in missing)
        message = f"{called.title} needs argument{'s' * (len(missing) > 1)} {names}"
        findings.add("FG171", called.span, message, ", ".join(f"{parameter.name}=..." for parameter in missing))


def _check_type(called: Called, parameter: Parameter, given: Given, findings: Findings) -> None:
    wanted = UNKNOWN if parameter.type is None else normal(parameter.type)
    if called.fits(given.type, wanted):
        return
    what = f"argument '{parameter.name}' of {called.title}"
    rest = without_none(given.type)
    if has_none(given.type) and members(rest) and called.fits(rest, wanted):
        findings.none_argument(given.span, what, wanted, path_of(given.expr), given.timeout)
    else:
        findings.argument_type(given.span, what, wanted, given.type, parameter.span)


# --- constructors


def constructor(cls: type, span: Span) -> Called | None:
    """The parameters of a model's or dataclass's constructor; None where they are not certain."""
    if is_model(cls):
        return _model(cls, span)
    own = fields(cls)
    if own is None:
        return None
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError):
        return None
    parameters = [
        Parameter(name, own.get(name), NOWHERE, one.kind is one.KEYWORD_ONLY, one.default is not one.empty)
        for name, one in signature.parameters.items()
        if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    ]
    variadic = len(parameters) != len(signature.parameters)
    return None if variadic else Called(f"'{cls.__name__}'", span, parameters)


def _model(cls: Any, span: Span) -> Called | None:
    """Fields by name or alias; validators may convert, so only None and other models are judged by type."""
    if cls.__init__ not in (BaseModel.__init__, Event.__init__) or any(
        field.validation_alias is not None for field in cls.model_fields.values()
    ):
        return None
    parameters = [
        Parameter(name, field.annotation, NOWHERE, keyword_only=True, has_default=not field.is_required())
        for name, field in cls.model_fields.items()
    ]
    return Called(f"'{cls.__name__}'", span, parameters, _fits_field, open_keywords=cls.model_config.get("extra") == "allow")


def _fits_field(source: Any, target: Any) -> bool:
    return all(assignable(one, target) or not (one is NONE or is_model(one)) for one in members(source))


def has_star(arguments: Sequence[Expr], keywords: Sequence[Keyword]) -> bool:
    """Whether a call has `*xs` or `**kw`, so that its arguments are not known one by one."""
    return any(isinstance(argument, Starred) for argument in arguments) or any(keyword.name is None for keyword in keywords)
