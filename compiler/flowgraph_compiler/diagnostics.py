"""Diagnostics are data: collected, never raised one at a time. `report` renders them, `rules/FGnnn.md` explains them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from flowgraph_compiler.spans import Span


class Level(Enum):
    """How bad a finding is; errors stop the pipeline at the end of their phase."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the table: its stable code, the name that reads after "allow", and its level."""

    code: str
    name: str
    level: Level


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that explains the finding, with a label ("declared here")."""

    span: Span
    message: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: message in the user's own names (lower case, code in single quotes, no full stop), help says what to write."""

    rule: Rule
    span: Span
    message: str
    help: str | None = None
    related: tuple[Related, ...] = ()
    workflow: str | None = None
    level: Level | None = None  # only where a rule has two levels (FG223)

    @property
    def severity(self) -> Level:
        """The level in force."""
        return self.level or self.rule.level


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether any finding is an error."""
    return any(found.severity is Level.ERROR for found in diagnostics)
