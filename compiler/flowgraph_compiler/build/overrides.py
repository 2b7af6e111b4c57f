"""`.with_(...)` at a call of a step: constants only, so that the retries of every call are known before anything runs."""

from __future__ import annotations

import ast
from datetime import timedelta
from typing import Any

from flowgraph import Backoff
from flowgraph_compiler.build.callees import static
from flowgraph_compiler.build.context import MISSING, Context
from flowgraph_compiler.graph import CallOverrides

_OPTIONS = ("name", "retries", "backoff", "timeout")
_MADE = (Backoff, timedelta)
_KEPT = (str, int, float, type(None), *_MADE)


def overrides(context: Context, node: ast.Call) -> CallOverrides:
    """What `.with_(...)` was given; what is no option or no constant has its finding and is left out."""
    for argument in node.args:
        context.report("FG172", argument, "'.with_(...)' takes its options by name only", "retries=3")
    given: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg not in _OPTIONS:
            text = f"'{keyword.arg}='" if keyword.arg else f"'**{ast.unparse(keyword.value)}'"
            context.report("FG172", keyword, f"'.with_(...)' has no option {text}", f"its options are {', '.join(_OPTIONS)}")
            continue
        value = _constant(context, keyword.value)
        if value is MISSING:
            text = f"'{keyword.arg}={ast.unparse(keyword.value)}', which is no constant,"
            context.refuse(keyword.value, text, "write the value, or the name of a constant of the module")
        else:
            given[keyword.arg] = value
    return CallOverrides(**given)


def _constant(context: Context, node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Call(func=function):
            return _made(context, node, function)
        case _:
            found = static(context, node)
            return found.value if found is not None and isinstance(found.value, _KEPT) else MISSING


def _made(context: Context, node: ast.Call, function: ast.expr) -> Any:
    """A `Backoff` or a `timedelta` of constants."""
    found = static(context, function)
    arguments = [_constant(context, argument) for argument in node.args]
    named = {keyword.arg or "**": _constant(context, keyword.value) for keyword in node.keywords}
    if found is None or found.value not in _MADE or MISSING in (*arguments, *named.values()):
        return MISSING
    try:
        return found.value(*arguments, **named)
    except (TypeError, OverflowError):
        return MISSING
