"""`flowgraph explain` and `flowgraph rules`."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

import typer

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
    place = files("flowgraph_compiler") / "rules" / f"{rule.code}.md"
    if not place.is_file():
        raise Failure(f"{rule.code} {rule.name} has no page: this version does not report it yet", code=Exit.USAGE)
    return place.read_text(encoding="utf-8")


def rules(as_json: Annotated[bool, typer.Option("--json", help="A list of JSON objects.")] = False) -> None:
    """List all rules: code, level, name."""
    if as_json:
        show_json([{"code": rule.code, "name": rule.name, "level": rule.level.value} for rule in RULES.values()])
        return
    for rule in RULES.values():
        show(f"{rule.code}  {rule.level.value:7}  {rule.name}")
