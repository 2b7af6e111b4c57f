"""`# flowgraph: allow FG231 the mail service ignores repeats`: a warning or note that the author has thought about.

The comment stands on the line of the finding, names one or more codes or rule names, and gives the reason. Errors stay: what is
refused is not in the language, or would not run. An `allow` that has no reason, names an error or no rule, or stands where the
rule has found nothing is itself reported.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flowgraph_compiler.declarations import SourceModule
from flowgraph_compiler.diagnostics import Diagnostic, Level, Rule
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span

_COMMENT = re.compile(r"#\s*flowgraph:\s*allow\b[ \t]*(?P<rest>.*)")
_BY_NAME = {rule.name: rule for rule in RULES.values()}


@dataclass(frozen=True)
class Allowance:
    """One `allow` comment: what it names, the reason, and where it stands."""

    rules: tuple[Rule, ...]
    unknown: tuple[str, ...]
    reason: str
    span: Span


def apply(diagnostics: Sequence[Diagnostic], modules: Iterable[SourceModule], complete: bool = False) -> list[Diagnostic]:
    """The findings that no comment allows, and those about the comments themselves (FG109).

    `complete`: every check has been made, so that a comment without a finding is one that nothing needs."""
    allowances = [allowance for module in modules for allowance in allowances_in(module.text, module.file)]
    lines = {(one.span.file, one.span.line): one for one in allowances if one.reason}
    kept = [found for found in diagnostics if not _allowed(found, lines.get((found.span.file, found.span.line)))]
    mistakes = [wrong for allowance in allowances for wrong in _mistakes(allowance)]
    needless = [wrong for allowance in lines.values() for wrong in _needless(allowance, diagnostics)] if complete else []
    return kept + mistakes + needless


def _allowed(found: Diagnostic, allowance: Allowance | None) -> bool:
    return allowance is not None and found.severity is not Level.ERROR and found.rule in allowance.rules


def allowances_in(text: str, file: str) -> Iterator[Allowance]:
    """The `allow` comments of a file (real comments only, not text inside strings)."""
    if "flowgraph:" not in text:
        return
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):  # FG001 is about that
        return
    for token in tokens:
        match = _COMMENT.match(token.string) if token.type == tokenize.COMMENT else None
        if match is not None:
            yield _allowance(match["rest"], Span(file, token.start[0], token.start[1] + 1, token.end[0], token.end[1] + 1))


def _allowance(rest: str, span: Span) -> Allowance:
    """Codes come first, separated by blanks or commas; the first other word begins the reason."""
    words = rest.replace(",", " ").split()
    rules: list[Rule] = []
    unknown: list[str] = []
    while words and (rule := RULES.get(words[0].upper()) or _BY_NAME.get(words[0])) is not None:
        rules.append(rule)
        words.pop(0)
    if words and re.fullmatch(r"[Ff][Gg]\d+", words[0]):
        unknown.append(words.pop(0))
    return Allowance(tuple(rules), tuple(unknown), " ".join(words), span)


def _mistakes(allowance: Allowance) -> Iterator[Diagnostic]:
    rule = RULES["FG109"]
    for name in allowance.unknown:
        yield Diagnostic(rule, allowance.span, f"'allow' names no rule: '{name}'", "'flowgraph rules' lists them")
    if not allowance.rules and not allowance.unknown:
        yield Diagnostic(rule, allowance.span, "'allow' names no rule", "# flowgraph: allow FG231 the reason")
    for named in allowance.rules:
        if named.level is Level.ERROR and named.code != "FG223":
            yield Diagnostic(rule, allowance.span, f"'{named.code}' is an error and cannot be allowed", "repair it")
    if allowance.rules and not allowance.reason:
        codes = " ".join(named.code for named in allowance.rules)
        yield Diagnostic(rule, allowance.span, f"'allow {codes}' gives no reason", f"# flowgraph: allow {codes} the reason")


def _needless(allowance: Allowance, diagnostics: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    here = {one.rule for one in diagnostics if (one.span.file, one.span.line) == (allowance.span.file, allowance.span.line)}
    for named in allowance.rules:
        if named not in here and (named.level is not Level.ERROR or named.code == "FG223"):
            message = f"'allow {named.code}' stands where nothing is found: '{named.name}' is not reported in this line"
            yield Diagnostic(RULES["FG109"], allowance.span, message, "remove the comment")
