"""Parameters and results of declared functions: FG106, FG108, FG160, FG161."""

from __future__ import annotations

import ast
import inspect
import types
import typing
from collections.abc import Iterator
from datetime import datetime
from types import FunctionType
from typing import Any

from flowgraph import Cron, Event, Workflow
from flowgraph.options import UNSET
from flowgraph_compiler.constants import is_constant
from flowgraph_compiler.declarations import Parameter
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.places import Places
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_TYPING = ("typing", "types", "typing_extensions")
_LONE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def read(
    fn: FunctionType, node: FunctionNode, places: Places, kind: str, owner: type | None = None
) -> tuple[tuple[Parameter, ...], Any, list[Diagnostic]]:
    """The parameters and the result type (None in place of a type that is missing or cannot be resolved), and the findings.

    `owner`: the class that a property stands in, whose `self` needs no annotation."""
    found: list[Diagnostic] = []
    arguments = {arg.arg: arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    parameters: list[Parameter] = []
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.kind in _LONE:
            continue
        arg = arguments[parameter.name]
        if owner is not None and not parameters and parameter.annotation is parameter.empty:
            parameters.append(Parameter(parameter.name, owner, places.span(arg)))
            continue
        kept, wrong = _parameter(fn, parameter, places.span(arg), f"{kind} '{node.name}'", is_flow=kind != "step")
        parameters.append(kept)
        found.extend(wrong)
    if "return" not in fn.__annotations__:
        found.append(
            Diagnostic(
                RULES["FG161"], places.head(node), f"{kind} '{node.name}' has no result type", "write '-> None' or its type"
            )
        )
    result, unresolved = resolve(fn, "return", places.span(node.returns) if node.returns else places.head(node))
    return tuple(parameters), result, [*found, *unresolved]


def resolve(fn: FunctionType, name: str, span: Span) -> tuple[Any, list[Diagnostic]]:
    """The type that an annotation of the function stands for, or FG160."""
    if name not in fn.__annotations__:
        return None, []
    return evaluate(fn.__annotations__[name], fn.__globals__, span)


def evaluate(annotation: Any, scope: dict[str, Any], span: Span) -> tuple[Any, list[Diagnostic]]:
    """The type that an annotation (text or object) stands for in a module's namespace, or FG160."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    shown = annotation if isinstance(annotation, str) else repr(annotation)
    try:
        tp = typing.get_type_hints(holder, globalns=scope)["it"]
    except Exception as error:  # an annotation is an arbitrary expression
        help_ = "import it at run time too, not only under 'TYPE_CHECKING'" if isinstance(error, NameError) else None
        return None, [Diagnostic(RULES["FG160"], span, f"annotation '{shown}' cannot be resolved: {error}", help_)]
    if isinstance(tp, type) or type(tp).__module__ in _TYPING or typing.get_origin(tp) is not None:
        return tp, []
    return None, [Diagnostic(RULES["FG160"], span, f"annotation '{shown}' is no type", "write a class or a form of 'typing'")]


def _parameter(
    fn: FunctionType, parameter: inspect.Parameter, span: Span, owner: str, *, is_flow: bool
) -> tuple[Parameter, list[Diagnostic]]:
    found: list[Diagnostic] = []
    if parameter.annotation is parameter.empty:
        found.append(
            Diagnostic(
                RULES["FG161"], span, f"parameter '{parameter.name}' of {owner} has no type", f"write '{parameter.name}: ...'"
            )
        )
    tp, unresolved = resolve(fn, parameter.name, span)
    has_default = parameter.default is not parameter.empty
    if has_default and is_flow and not is_constant(parameter.default):
        message = f"the default of '{parameter.name}' of {owner} is mutable or cannot be stored"
        found.append(Diagnostic(RULES["FG108"], span, message, "use None or an immutable value, and make the value in the body"))
    keyword_only = parameter.kind is parameter.KEYWORD_ONLY
    default = parameter.default if has_default else None
    return Parameter(parameter.name, tp, span, keyword_only, has_default, default), found + unresolved


# --- triggers


def trigger(obj: Workflow[..., Any], parameters: tuple[Parameter, ...], span: Span) -> Iterator[Diagnostic]:
    """FG106: whether the parameters take what the triggers give."""
    triggers = obj.options.triggers()
    if not triggers or any(parameter.type is None for parameter in parameters):
        return
    batched = obj.options.batch is not UNSET
    events: list[Any] = [given for given in triggers if not isinstance(given, Cron)]
    if any(not (isinstance(event, type) and issubclass(event, Event)) for event in events):
        yield Diagnostic(
            RULES["FG106"],
            span,
            f"'on=' of workflow '{obj.name}' takes event classes and 'Cron', found {events!r}",
            "on=SomeEvent",
        )
        return
    if not events and not parameters:
        return
    gives: list[Any] = [list[event] if batched else event for event in events]  # type: ignore[valid-type]  # a runtime type
    gives += [datetime] * (len(triggers) > len(events))
    if len(parameters) != 1 or not all(_takes(parameters[0].type, given) for given in gives):
        wanted = " | ".join(_show(given) for given in gives)
        found = ", ".join(f"{parameter.name}: {_show(parameter.type)}" for parameter in parameters) or "no parameter"
        message = f"workflow '{obj.name}' is given '{wanted}' by its trigger, found {found!r}"
        yield Diagnostic(
            RULES["FG106"], span, message, f"async def {obj.name}({'event' if events else 'scheduled_at'}: {wanted})"
        )


def _takes(annotation: Any, given: Any) -> bool:
    origin = typing.get_origin(annotation)
    if annotation is Any or annotation == given:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_takes(member, given) for member in typing.get_args(annotation))
    if typing.get_origin(given) is list:
        return origin is list and _takes(typing.get_args(annotation)[0], typing.get_args(given)[0])
    return isinstance(annotation, type) and isinstance(given, type) and issubclass(given, annotation)


def _show(tp: Any) -> str:
    if isinstance(tp, type) and typing.get_origin(tp) is None:
        return tp.__name__
    if typing.get_origin(tp) is list:
        return f"list[{_show(typing.get_args(tp)[0])}]"
    return str(tp)
