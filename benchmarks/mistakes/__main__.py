"""Which realistic mistakes each tool finds before anything runs.

    python -m benchmarks.mistakes [PYTHON WITH temporalio, dbos AND langgraph]

Each mistake is written for each tool, and beside it a program without a mistake, which every tool has to accept. `flowgraph`:
`flowgraph check` prints one of the codes expected. `mypy`: `mypy --strict` on that same module finds an error. Temporal: its
worker takes the activities and its sandbox prepares the workflow. DBOS: the decorators, and `DBOS.launch()` on SQLite.
LangGraph: `compile()`. A dash: the tool has nothing that the mistake could be made with.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.mistakes import cases, preludes

RIGHT = cases.Mistake("nothing wrong", (), *cases.CORRECT)
TOOLS = ("flowgraph", "mypy --strict", "Temporal", "DBOS", "LangGraph")


class Bench:
    """Writes the programs into a folder and asks the tools about them. `python`: one with the peers, or None."""

    def __init__(self, folder: Path, python: str | None) -> None:
        self._folder = folder
        self._python = python

    def ask(self, mistakes: Sequence[cases.Mistake]) -> list[list[str]]:
        """Return, for each mistake, a word for each of `TOOLS`: what was found, `missed`, or a dash."""
        names = [self._write(f"flow_{number}", preludes.FLOWGRAPH, each.flowgraph) for number, each in enumerate(mistakes)]
        with ThreadPoolExecutor(2) as pool:
            ours = pool.map(self._check, names, [each.codes for each in mistakes])
            peers = pool.map(self._peers, range(len(mistakes)), mistakes)
            types = self._mypy(names)
            return [[own, typed, *others] for own, typed, others in zip(ours, types, peers, strict=True)]

    def _peers(self, number: int, mistake: cases.Mistake) -> list[str]:
        asked: list[tuple[str | None, str, str]] = [
            (mistake.temporal, preludes.TEMPORAL, preludes.ASK_TEMPORAL),
            (mistake.dbos, preludes.DBOS, preludes.ASK_DBOS),
            (mistake.langgraph, preludes.LANGGRAPH, preludes.ASK_LANGGRAPH),
        ]
        return [self._peer(f"peer_{number}_{position}", *each) for position, each in enumerate(asked)]

    def _write(self, name: str, prelude: str, text: str) -> str:
        (self._folder / f"{name}.py").write_text(prelude + text, encoding="utf-8")
        return name

    def _check(self, name: str, codes: Sequence[str]) -> str:
        done = self._run([sys.executable, "-m", "flowgraph_runtime.cli", "check", f"{name}.py", "--format", "json", "--no-cache"])
        found = [finding["code"] for finding in json.loads(done.stdout)]
        wanted = [code for code in found if code in codes]
        return wanted[0] if wanted else f"other: {found[0]}" if found else "missed"

    def _mypy(self, names: Sequence[str]) -> list[str]:
        files = [f"{name}.py" for name in names]
        done = self._run([sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--no-error-summary", *files])
        errors = [line for line in done.stdout.splitlines() if ": error: " in line]
        found = [next((line for line in errors if line.startswith(f"{file}:")), None) for file in files]
        return ["missed" if line is None else line.rpartition("[")[2].rstrip("]") for line in found]

    def _peer(self, name: str, text: str | None, prelude: str, question: str) -> str:
        if text is None:
            return "-"
        if self._python is None:
            return "not run"
        self._write(name, prelude, text)
        done = self._run([self._python, "-W", "error::RuntimeWarning", "-c", question, name, f"{name}.db"])
        return (done.stderr.strip().splitlines() or ["?"])[-1].split(":")[0] if done.returncode else "missed"

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=False)


def table(rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return the answers as a Markdown table, with the sums."""
    lines = [f"| mistake | {' | '.join(TOOLS)} |", "| --- |" + " --- |" * len(TOOLS)]
    lines += [f"| {what} | {' | '.join(_cell(answer) for answer in answers)} |" for what, answers in rows]
    found = [Counter(_is_found(answers[tool]) for _, answers in rows)[True] for tool in range(len(TOOLS))]
    return "\n".join([*lines, f"| **found of {len(rows)}** | {' | '.join(f'**{count}**' for count in found)} |"])


def _cell(answer: str) -> str:
    return f"found ({answer})" if _is_found(answer) else answer


def _is_found(answer: str) -> bool:
    return answer not in ("missed", "-", "not run") and not answer.startswith("other")


def main() -> None:
    """Ask all tools about all mistakes and print the table."""
    python = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(prefix="mistakes-") as folder:
        right, *answers = Bench(Path(folder), python).ask((RIGHT, *cases.MISTAKES))
    if any(_is_found(answer) or answer.startswith("other") for answer in right):
        raise SystemExit(f"a tool refuses the program without a mistake: {dict(zip(TOOLS, right, strict=True))}")
    print(table([(mistake.what, found) for mistake, found in zip(cases.MISTAKES, answers, strict=True)]))


if __name__ == "__main__":
    main()
