"""`flowgraph explain` and `flowgraph rules`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from flowgraph_compiler import pages
from flowgraph_compiler.rulebook import RULES
from flowgraph_runtime.cli.console import Exit, Failure, show, show_json


def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A rule's code or name, as in FG113 or step-not-awaited.")],
) -> None:
    """Print the page of a rule: what it says, why, a failing and a repaired example."""
    from rich.console import Console
    from rich.markdown import Markdown

    text = page(code)
    console = Console()
    if console.is_terminal:
        console.print(Markdown(text))
    else:
        show(text)


def page(code: str) -> str:
    """The Markdown page of a rule, by code or name. Raises `Failure` (exit 2) when there is none."""
    rule = RULES.get(code.upper()) or next((rule for rule in RULES.values() if rule.name == code.lower()), None)
    if rule is None:
        raise Failure(f"no rule '{code}'", "'flowgraph rules' lists them", Exit.USAGE)
    return pages.page(rule)


class RulesFormat(Enum):
    """How `rules` prints the list."""

    TEXT = "text"
    JSON = "json"


def rules(
    format: Annotated[RulesFormat, typer.Option(help="text: a line each, json: a list of objects.")] = RulesFormat.TEXT,
) -> None:
    """List all rules: code, level, name, and what each says in one sentence."""
    if format is RulesFormat.JSON:
        show_json(
            [
                {"code": rule.code, "name": rule.name, "level": rule.level.value, "says": pages.headline(rule)}
                for rule in RULES.values()
            ]
        )
        return
    widest = max(len(rule.name) for rule in RULES.values())
    for rule in RULES.values():
        show(f"{rule.code}  {rule.level.value:7}  {rule.name:{widest}}  {pages.headline(rule)}")
