"""What the README shows is true: its example compiles, its diagram and its error message are what the program prints.

`FLOWGRAPH_UPDATE_GOLDEN=1` writes the diagram and the message anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.docs.blocks import first

README = Path(__file__).parents[2] / "README.md"
UNGUARDED = re.compile(r"    if paid is None:\n.*?    parcel", re.DOTALL)


def block(kind: str) -> str:
    return first(README, kind)


def same(kind: str, text: str) -> None:
    if os.environ.get("FLOWGRAPH_UPDATE_GOLDEN") == "1":
        old = README.read_text(encoding="utf-8")
        README.write_text(old.replace(f"```{kind}\n{block(kind)}```", f"```{kind}\n{text}```"), encoding="utf-8")
    assert block(kind) == text


@pytest.fixture
def shop(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv("NO_COLOR", "1")
    program = Program(tmp_path, capfd)
    program.write("shop.py", block("python"))
    return program


def test_the_example_compiles_without_a_finding(shop: Program) -> None:
    done = shop("check", "shop.py", "--format", "json")
    assert (done.code, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_diagram_is_the_example(shop: Program) -> None:
    done = shop("render", "shop.py", "--format", "mermaid")
    assert done.code == 0, done.stderr
    same("mermaid", done.stdout)


def test_the_message_is_what_check_prints(shop: Program) -> None:
    wrong, changed = UNGUARDED.subn("    parcel", block("python"))
    assert changed == 1
    shop.write("shop.py", wrong)
    done = shop("check", "shop.py")
    assert done.code == 1
    same("text", done.stderr)


@pytest.mark.parametrize(
    ("events", "result"), [([{"order_id": "o-1", "payment_id": "p-1"}], '"parcel-o-1"'), ([], '"cancelled"')]
)
def test_the_example_runs_to_its_end(shop: Program, events: list[dict[str, str]], result: str) -> None:
    given = [f"--event=payment.completed={str(event).replace(chr(39), chr(34))}" for event in events]
    run = ["run", "shop.py:pay_order", "--input", '{"order_id": "o-1", "email": "ada@example.com"}', "--skip-time", *given]
    done = shop(*run)
    assert (done.code, done.stdout.strip()) == (0, result), done.stderr
    assert "to ada@example.com" in done.stderr


def test_commands_of_the_readme_exist(shop: Program) -> None:
    commands = set(re.findall(r"(?:^|`)flowgraph (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert {"check", "run", "dev", "send", "render", "explain", "keys"} <= commands
    for command in sorted(commands):
        assert shop(command, "--help").code == 0, command


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
