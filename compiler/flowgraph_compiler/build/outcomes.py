"""How a body can end: `next`, `raise`, `return`, `break`, `continue`; on the structured tree, without looking at values."""

from __future__ import annotations

from flowgraph_compiler.expressions import Const
from flowgraph_compiler.graph import AnyNode, Body, Branch, Break, Continue, For, Match, Raise, Return, Scope, Try, While
from flowgraph_compiler.patterns import is_irrefutable

_ENDS: dict[type, str] = {Return: "return", Raise: "raise", Break: "break", Continue: "continue"}


def outcomes(body: Body) -> set[str]:
    """The ways in which a body can end, not counting exceptions of its expressions."""
    found = {"next"}
    for node in body:
        if "next" not in found:
            break
        found = (found - {"next"}) | _of(node)
    return found


def _of(node: AnyNode) -> set[str]:
    match node:
        case Return() | Raise() | Break() | Continue():
            return {_ENDS[type(node)]}
        case Branch():
            return outcomes(node.then) | outcomes(node.orelse)
        case Match(cases=cases):
            takes_all = any(case.guard is None and is_irrefutable(case.pattern) for case in cases)
            return set([] if takes_all else ["next"]).union(*(outcomes(case.body) for case in cases))
        case While() | For():
            return _of_loop(node)
        case Try():
            return _of_try(node)
        case Scope():
            return outcomes(node.body)
        case _:
            return {"next"}


def _of_loop(node: While | For) -> set[str]:
    inside = outcomes(node.body)
    found = inside & {"return", "raise"}
    is_endless = isinstance(node, While) and isinstance(node.test, Const) and bool(node.test.value)
    if not is_endless:
        found |= outcomes(node.orelse)
    if "break" in inside:
        found.add("next")
    return found


def _of_try(node: Try) -> set[str]:
    found = outcomes(node.body)
    if "next" in found and node.orelse:
        found = (found - {"next"}) | outcomes(node.orelse)
    for handler in node.handlers:
        found |= outcomes(handler.body)
    final = outcomes(node.final)
    return found | (final - {"next"}) if "next" in final else final
