"""One look at texts that an editor shows, as a program: `python -m flowgraph_runtime.editor.analysis` with a question on stdin.

A process of its own for each look, because modules are imported for it: they are the user's code, which may print, loop or exit,
and an import cannot be undone. The question and the answer are one JSON document each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flowgraph_compiler import report
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.line_states import line_states
from flowgraph_compiler.pipeline import compile_targets
from flowgraph_compiler.source import TargetError, files_of
from flowgraph_runtime.cli.choosing import choice
from flowgraph_runtime.cli.console import Failure, stdout_to_stderr
from flowgraph_runtime.cli.settings import layered
from flowgraph_runtime.settings import CheckSettings

_OF_ALL_MODULES = ("FG221", "FG222")
"""Rules that see what no module does: pointless over one module alone."""


@dataclass(frozen=True)
class Question:
    """Look at `file`, where `texts` (by path) stand in for files; `whole`: look at all targets of the project with it."""

    file: str
    texts: dict[str, str]
    whole: bool


@dataclass(frozen=True)
class Answer:
    """Findings by resolved file, the Markdown for each line of the file asked for, and why nothing could be found out."""

    findings: dict[str, list[dict[str, Any]]]
    states: dict[str, str]
    files: list[str]
    failure: str | None = None


def answer(question: Question) -> Answer:
    """Compile and tell. What keeps the modules from being compiled is in `failure`."""
    try:
        asked = layered(CheckSettings)
        targets, whole = _targets(question, asked.targets)
        texts = {Path(file).resolve(): text for file, text in question.texts.items()}
        with stdout_to_stderr():
            compiled = compile_targets(targets, texts)
    except (TargetError, Failure) as error:
        return Answer({}, {}, [question.file], str(error))
    found = [one for one in choice(asked).shown(compiled.diagnostics) if whole or one.rule.code not in _OF_ALL_MODULES]
    shown = _shown(question.file)
    states = {str(line): text for line, text in line_states(compiled, shown).items()}
    files = [str(Path(module.file).resolve()) for module in compiled.application.modules] if whole else [question.file]
    return Answer(_by_file(found), states, sorted({*files, question.file}))


def _targets(question: Question, configured: tuple[str, ...]) -> tuple[list[str], bool]:
    """The project's targets when the file is one of them, else the file alone."""
    if question.whole and configured:
        inside = {file for target in configured for file in files_of(target)}
        if Path(question.file).resolve() in inside:
            return list(configured), True
    return [question.file], False


def _by_file(found: list[Diagnostic]) -> dict[str, list[dict[str, Any]]]:
    by_file: dict[str, list[dict[str, Any]]] = {}
    for one in report.in_order(found):
        by_file.setdefault(str(Path(one.span.file).resolve()), []).append(report.as_data(one))
    return by_file


def _shown(file: str) -> str:
    try:
        return str(Path(file).resolve().relative_to(Path.cwd()))
    except ValueError:
        return file


def encoded(question: Question) -> bytes:
    """A question for the program's stdin."""
    return json.dumps(asdict(question)).encode()


def decoded(output: bytes) -> Answer:
    """The answer that the program has printed. Raises `ValueError` when it is none."""
    data: Mapping[str, Any] = json.loads(output)
    return Answer(**data)


def main() -> None:
    """Answer the question on stdin."""
    question = Question(**json.loads(sys.stdin.buffer.read()))
    sys.stdout.write(json.dumps(asdict(answer(question))))


if __name__ == "__main__":
    main()
