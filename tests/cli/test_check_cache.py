"""What `flowgraph check` keeps, when it is used, and when not."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span
from flowgraph_runtime.cli import remembered
from tests.cli.program import Program

STEPS = """
from flowgraph import step

print("imported")

@step(retries=2)
async def double(n: int) -> int:
    return 2 * n
"""
FLOWS = """
from flowgraph import workflow
from steps import double

@workflow
async def doubled(n: int) -> int:
    return await double(n)
"""


@pytest.fixture(autouse=True)
def files(program: Program) -> None:
    saved(program, "steps.py", STEPS)
    saved(program, "shop/flows.py", FLOWS)


def saved(program: Program, name: str, text: str) -> None:
    """A file that was saved a minute ago: what is as new as the check itself is not kept."""
    file = program.write(name, text)
    then = time.time() - 60
    os.utime(file, (then, then))


def codes(program: Program, *arguments: str) -> tuple[list[str], bool]:
    """The codes found, and whether the modules were imported for it."""
    done = program("check", "shop", *arguments, "--format", "json")
    return [one["code"] for one in json.loads(done.stdout)], "imported" in done.stderr


def test_nothing_is_imported_while_no_file_has_changed(program: Program) -> None:
    first = program("check", "shop")
    again = program("check", "shop")
    assert ("imported" in first.stderr, "imported" in again.stderr) == (True, False)
    assert (again.code, again.stderr) == (0, "no findings; 1 workflow compiled\n")
    assert codes(program, "--no-cache") == ([], True)


def test_findings_are_kept_as_they_were(program: Program) -> None:
    saved(program, "shop/flows.py", FLOWS.replace("await double(n)", 'await double("n")'))
    first = program("check", "shop")
    again = program("check", "shop")
    assert first.code == again.code == 1
    assert first.stderr == "imported\n" + again.stderr
    assert "steps.py:7:18: " in again.stderr, "related places too"


@pytest.mark.parametrize("broken", ["await double()", "await double(n"])
def test_a_changed_file_is_checked_again(program: Program, broken: str) -> None:
    assert codes(program) == ([], True)
    saved(program, "shop/flows.py", FLOWS.replace("await double(n)", broken))
    assert codes(program)[0] in (["FG171"], ["FG001"])
    saved(program, "shop/flows.py", FLOWS)
    assert codes(program)[0] == []


def test_a_module_that_a_target_imports_counts(program: Program) -> None:
    assert codes(program) == ([], True)
    saved(program, "steps.py", STEPS.replace("retries=2", "retries=2, idempotent=False"))
    assert codes(program) == (["FG231"], True)
    assert codes(program) == (["FG231"], False)


def test_a_new_file_in_the_folder_counts(program: Program) -> None:
    assert codes(program) == ([], True)
    saved(program, "shop/more.py", FLOWS.replace("await double(n)", "double(n)").replace("doubled", "more"))
    assert codes(program) == (["FG113"], True)
    (program.folder / "shop" / "more.py").unlink()
    assert codes(program) == ([], True)


def test_a_file_as_new_as_the_check_is_not_trusted(program: Program) -> None:
    program.write("steps.py", STEPS)
    future = time.time() + 60
    os.utime(program.folder / "steps.py", (future, future))
    assert [codes(program), codes(program)] == [([], True), ([], True)]


def test_settings_choose_among_what_is_kept(program: Program) -> None:
    saved(program, "steps.py", STEPS.replace("retries=2", "retries=2, idempotent=False"))
    assert codes(program) == (["FG231"], True)
    assert codes(program, "--ignore", "FG2") == ([], False)
    program.write("pyproject.toml", "[tool.flowgraph]\ncache = false\n")
    assert codes(program) == (["FG231"], True)


def test_entries_that_cannot_be_read_are_made_anew(program: Program) -> None:
    assert codes(program) == ([], True)
    (entry,) = (program.folder / remembered.FOLDER).glob("check-*.json")
    for content in (b"", b"[]", b'{"listed": []}', entry.read_bytes()[:-20], b"\xff"):
        entry.write_bytes(content)
        assert codes(program) == ([], True), content
        assert codes(program) == ([], False), content


def test_the_folder_is_ignored_by_git_and_may_be_in_the_way(program: Program) -> None:
    codes(program)
    assert (program.folder / remembered.FOLDER / ".gitignore").read_text(encoding="utf-8") == "*\n"
    saved(program, "steps.py", STEPS + "\n")
    for file in (program.folder / remembered.FOLDER).iterdir():
        file.unlink()
    (program.folder / remembered.FOLDER).rmdir()
    (program.folder / remembered.FOLDER).write_text("a file", encoding="utf-8")
    assert [codes(program), codes(program)] == [([], True), ([], True)]


def test_checks_that_run_at_once_do_not_disturb_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "flows.py"
    target.write_text(FLOWS, encoding="utf-8")
    os.utime(target, (1, 1))
    found = tuple(Diagnostic(RULES["FG113"], Span("flows.py", n, 1, n, 2), f"finding {n}") for n in range(1, 300))

    def one(number: int) -> remembered.Checked:
        if number % 3 == 0:
            for entry in remembered.FOLDER.glob("check-*.json"):
                entry.unlink(missing_ok=True)
        return remembered.checked(["flows.py"], lambda: remembered.Checked(found, 1, frozenset({target})))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(60)))
    assert {(answer.diagnostics, answer.workflows) for answer in answers} == {(found, 1)}
    assert [file.name for file in remembered.FOLDER.iterdir() if not file.name.startswith("check-")] == [".gitignore"]


def test_old_entries_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(remembered, "KEPT", 3)
    for number in range(6):
        target = tmp_path / f"flows_{number}.py"
        target.write_text(FLOWS, encoding="utf-8")
        os.utime(target, (1, 1))
        remembered.checked([target.name], lambda: remembered.Checked((), 1))
    assert len(list(remembered.FOLDER.glob("check-*.json"))) == 3
