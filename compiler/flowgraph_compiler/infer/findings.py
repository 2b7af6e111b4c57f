"""The findings of the inference, each reported once."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from flowgraph_compiler.diagnostics import Diagnostic, Related
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import NOWHERE, Span
from flowgraph_compiler.types import show, without_none


class Findings:
    """Collects diagnostics of one workflow; the same code at the same place counts once."""

    def __init__(self, workflow: str) -> None:
        self.workflow = workflow
        self.found: dict[tuple[str, Span], Diagnostic] = {}

    def add(self, code: str, span: Span, message: str, help_: str | None = None, related: tuple[Related, ...] = ()) -> None:
        """Report a rule at a place."""
        finding = Diagnostic(RULES[code], span, message, help_, related, self.workflow)
        self.found.setdefault((code, span), finding)

    def possibly_none(self, span: Span, name: str, wait: Span | None) -> None:
        """FG174: a value is used where it may be None."""
        reason = f"{name} is None when the wait times out" if wait else f"{name} may be None here"
        related = (Related(wait, "this wait gives None at its timeout"),) if wait else ()
        written = name.strip("'") if name.startswith("'") else "value"
        self.add("FG174", span, reason, f"if {written} is None: ...", related)

    def no_method(self, span: Span, name: str, receiver: Any) -> None:
        """FG112: a method that values of this type do not have."""
        shown = show(receiver)
        self.add("FG112", span, f"'{shown}' has no method '{name}'", f"call one of '{shown}', or narrow the value first")

    def argument_type(self, span: Span, what: str, wanted: Any, given: Any, declared: Span) -> None:
        """FG170: `what` is "argument 'amount' of step 'charge'"."""
        related = (Related(declared, "declared here"),) if declared != NOWHERE else ()
        self.add("FG170", span, f"{what} takes '{show(wanted)}', got '{show(given)}'", f"pass a '{show(wanted)}'", related)

    def none_argument(self, span: Span, what: str, wanted: Any, path: str | None, wait: Span | None) -> None:
        """FG174 for an argument that is fine but for None."""
        name = f"'{path}'" if path and not path.startswith("$") else "the value"
        reason = f"{name} is None when the wait times out" if wait else f"{name} may be None here"
        related = (Related(wait, "this wait gives None at its timeout"),) if wait else ()
        help_ = f"if {path if name.startswith(chr(39)) else 'value'} is None: ..."
        self.add("FG174", span, f"{reason}, and {what} takes '{show(without_none(wanted))}'", help_, related)


def meant(name: str, known: list[str], shape: str = "{}") -> str:
    """What to write for a name that is not known: the nearest one in a shape such as `{}=...`, or all of them."""
    near = get_close_matches(name, known, n=1)
    return shape.format(near[0]) if near else f"one of: {', '.join(known)}" if known else "no argument at all"
