"""`flowgraph check --explore`: what exploration finds, and a report on stderr."""

from __future__ import annotations

from collections.abc import Sequence

from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_runtime.cli.compiling import compile_targets
from flowgraph_runtime.cli.console import tell

MAX_STATES = 20_000
"""States of one workflow that are explored unless another number is asked for."""

EXPLORE_HELP = (
    "Also walk every path of each workflow, with each step failing or timing out and the run cancelled anywhere, and report"
    " a shortest way to break an @invariant of its module (FG500)."
)


def explored(targets: Sequence[str], as_json: bool, max_states: int) -> list[Diagnostic]:
    """Explore what has compiled, and return the findings. The report goes to stderr, as one line of JSON if asked for.

    Raises `Failure` (exit 2) for a target that cannot be used."""
    from flowgraph_compiler import explore

    reports, found = explore.explore(compile_targets(targets), explore.Bounds(states=max_states))
    if reports:
        tell(explore.report_json(reports) if as_json else explore.report_text(reports).rstrip("\n"))
    return found
