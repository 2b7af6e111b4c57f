"""One look at the texts that an editor shows: findings, the state of each line, and what keeps it from being looked at."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowgraph_runtime.editor.analysis import Answer, Question, answer

STEPS = """
from flowgraph import Event, step

class Paid(Event, name="paid", internal=True):
    order: str

@step
async def charge(order: str, cents: int) -> str:
    return order
"""
FLOWS = """
from flowgraph import parallel, wait_for, workflow
from stock import Paid, charge

@workflow
async def pay(order: str) -> str:
    both = await parallel(
        charge(order, 1),
        charge(order, 2),
    )
    total = sum(
        len(one)
        for one in both
    )
    # a comment
    await wait_for(Paid, where=lambda paid: paid.order == order, timeout="1d")
    return f"{total}"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    paths, modules = list(sys.path), set(sys.modules)
    (tmp_path / "stock.py").write_text(STEPS, encoding="utf-8")
    (tmp_path / "flows.py").write_text(FLOWS, encoding="utf-8")
    yield tmp_path
    sys.path[:] = paths
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def look(folder: Path, texts: dict[str, str], whole: bool = False) -> Answer:
    return answer(Question(str(folder / "flows.py"), {str(folder / name): text for name, text in texts.items()}, whole))


def codes(found: Answer) -> dict[str, list[str]]:
    return {Path(file).name: [one["code"] for one in of_file] for file, of_file in found.findings.items()}


def test_all_open_texts_stand_in_for_their_files(folder: Path) -> None:
    texts = {"flows.py": FLOWS.replace("charge(order, 2)", "charge(order, 2, 3)"), "stock.py": STEPS + "\n# unsaved\n"}
    assert codes(look(folder, texts)) == {"flows.py": ["FG172"]}


def test_every_line_of_a_body_has_its_state(folder: Path) -> None:
    states = look(folder, {"flows.py": FLOWS}).states
    assert sorted(map(int, states)) == list(range(7, 18))
    first, last = states["7"], states["17"]
    assert first.startswith("**state 0** of workflow `pay`")
    assert "parallel at pay/parallel" in first
    assert "step charge(order, 1)" in states["8"]
    assert "stored while it waits: `order`" in first
    assert states["11"] == states["15"] == states["16"]
    assert "total = sum(" in states["12"]
    assert "wait paid" in states["16"]
    assert "finish" in last
    assert "stored" not in last


def test_rules_about_all_modules_need_all_modules(folder: Path) -> None:
    assert codes(look(folder, {"flows.py": FLOWS})) == {}
    (folder / "pyproject.toml").write_text('[tool.flowgraph]\ntargets = ["flows.py", "stock.py"]\n', encoding="utf-8")
    assert codes(look(folder, {"flows.py": FLOWS})) == {}
    assert codes(look(folder, {"flows.py": FLOWS}, whole=True)) == {"stock.py": ["FG221"]}


def test_settings_of_the_project_count(folder: Path) -> None:
    wrong = FLOWS.replace('timeout="1d"', "timeout=None")
    (folder / "pyproject.toml").write_text('[tool.flowgraph]\nignore = ["FG220"]\n', encoding="utf-8")
    assert codes(look(folder, {"flows.py": wrong})) == {}
    (folder / "pyproject.toml").write_text("[tool.flowgraph]\nignored = 1\n", encoding="utf-8")
    assert "unknown key 'ignored'" in str(look(folder, {"flows.py": wrong}).failure)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("import no_such_module\n", "no_such_module"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_a_module_that_cannot_be_imported_says_why(folder: Path, head: str, reason: str) -> None:
    found = look(folder, {"flows.py": head + FLOWS})
    assert reason in str(found.failure)
    assert (found.findings, found.states) == ({}, {})
