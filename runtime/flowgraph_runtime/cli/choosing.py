"""Which findings of `flowgraph check` are shown and which of them fail it: flags, `FLOWGRAPH_*`, `[tool.flowgraph]`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePath
from typing import TYPE_CHECKING

from flowgraph_compiler.diagnostics import Diagnostic, Level
from flowgraph_compiler.rulebook import RULES
from flowgraph_runtime.cli.console import Exit, Failure

if TYPE_CHECKING:
    from flowgraph_runtime.settings import CheckSettings


@dataclass(frozen=True)
class Choice:
    """Codes or their prefixes; `per_file` has a pattern of paths and what is ignored in the files that fit."""

    select: tuple[str, ...]
    ignore: tuple[str, ...]
    per_file: tuple[tuple[str, tuple[str, ...]], ...]
    warnings_as_errors: bool

    def shown(self, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
        """The findings that are asked for; errors cannot be ignored, because nothing runs with them."""
        return [found for found in diagnostics if self._selected(found) and not self._ignored(found)]

    def fails(self, found: Sequence[Diagnostic]) -> bool:
        """Whether the findings make the check fail."""
        worst = (Level.ERROR, Level.WARNING) if self.warnings_as_errors else (Level.ERROR,)
        return any(one.severity in worst for one in found)

    def _selected(self, found: Diagnostic) -> bool:
        return not self.select or found.rule.code.startswith(self.select)

    def _ignored(self, found: Diagnostic) -> bool:
        if found.severity is Level.ERROR:
            return False
        here = [codes for pattern, codes in self.per_file if _fits(found.span.file, pattern)]
        return any(found.rule.code.startswith(codes) for codes in (self.ignore, *here) if codes)


def choice(chosen: CheckSettings) -> Choice:
    """What the settings ask for. Raises `Failure` (exit 2) for a code that no rule has."""
    per_file = tuple((pattern, codes(given)) for pattern, given in chosen.per_file_ignores.items())
    return Choice(codes(chosen.select), codes(chosen.ignore), per_file, chosen.warnings_as_errors)


def codes(given: str | Sequence[str]) -> tuple[str, ...]:
    """Codes or prefixes from a list, or from text with commas. Raises `Failure` (exit 2) where no rule begins so."""
    found = [code.strip().upper() for code in (given.split(",") if isinstance(given, str) else given) if code.strip()]
    for code in found:
        if not any(known.startswith(code) for known in RULES):
            raise Failure(f"no rule has the code '{code}'", "'flowgraph rules' lists them", Exit.USAGE)
    return tuple(found)


def _fits(file: str, pattern: str) -> bool:
    """A pattern fits a path from the current folder, or a file's name; `*` also stands for folders."""
    path = PurePath(file).as_posix()
    return fnmatch(path, pattern) or fnmatch(PurePath(file).name, pattern)
