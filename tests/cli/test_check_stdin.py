"""`flowgraph check --stdin-filename`: what an editor has not saved yet."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest

from tests.cli.program import Ended, Program

STEPS = """
from flowgraph import step

@step
async def double(n: int) -> int:
    return 2 * n
"""
FLOWS = """
from flowgraph import workflow
from shop.steps import double

@workflow
async def doubled(n: int) -> int:
    return await double(n)
"""


@pytest.fixture(autouse=True)
def files(program: Program) -> None:
    program.write("shop/__init__.py", "")
    program.write("shop/steps.py", STEPS)
    program.write("shop/flows.py", FLOWS)


def check(program: Program, monkeypatch: pytest.MonkeyPatch, text: str | bytes, file: str, *targets: str) -> Ended:
    content = text if isinstance(text, bytes) else text.encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    return program("check", "--stdin-filename", file, *targets, "--format", "json")


def found(done: Ended) -> list[tuple[str, int, str]]:
    return [(one["file"], one["line"], one["code"]) for one in json.loads(done.stdout)]


def test_the_text_counts_and_not_the_file(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    done = check(program, monkeypatch, FLOWS.replace("await ", ""), "shop/flows.py")
    assert (done.code, found(done)) == (1, [("shop/flows.py", 7, "FG113")])
    program.write("shop/flows.py", FLOWS.replace("await ", ""))
    assert check(program, monkeypatch, FLOWS, "shop/flows.py").code == 0


def test_other_modules_import_the_text(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    done = check(program, monkeypatch, STEPS.replace("n: int)", "n: str)").replace("2 * n", "len(n)"), "shop/steps.py", "shop")
    assert found(done) == [("shop/flows.py", 7, "FG170")]
    renamed = check(program, monkeypatch, STEPS.replace("double", "twice"), "shop/steps.py", "shop")
    assert (renamed.code, "cannot import name 'double'" in renamed.stderr) == (2, True)


def test_the_file_need_not_be_there(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    done = check(program, monkeypatch, FLOWS.replace("await ", ""), "shop/new.py")
    assert found(done) == [("shop/new.py", 7, "FG113")]
    assert not (program.folder / "shop" / "new.py").exists()


def test_text_that_python_cannot_read_is_a_finding_or_a_clear_end(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(check(program, monkeypatch, "def f(:\n", "shop/flows.py")) == [("shop/flows.py", 1, "FG001")]
    done = check(program, monkeypatch, b"# coding: utf-8\n\xff\n", "shop/flows.py")
    assert (done.code, "stdin cannot be read as Python text" in done.stderr) == (2, True)


def test_nothing_is_kept_of_it(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    check(program, monkeypatch, FLOWS.replace("await ", ""), "shop/flows.py")
    assert not (program.folder / ".flowgraph").exists()
    assert not list(program.folder.rglob("flows*.pyc"))


def test_lines_of_the_text_are_shown(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    text = FLOWS.replace("return await double(n)", "double(n + 41)\n    return n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
    assert "    double(n + 41)\n    ^^^^^" in program("check", "--stdin-filename", "shop/flows.py").stderr
