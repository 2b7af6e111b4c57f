"""`[tool.flowgraph]` for `flowgraph check`: targets, what is ignored where, and keys that nothing reads."""

from __future__ import annotations

import json

import pytest

from tests.cli.program import Program

WARNS = """
from flowgraph import step, workflow

@step(idempotent=False, retries=2)
async def {name}(n: int) -> int:
    return 2 * n

@workflow
async def {name}_it(n: int) -> int:
    return await {name}(n)
"""


@pytest.fixture(autouse=True)
def files(program: Program) -> None:
    program.write("shop/pay.py", WARNS.format(name="pay"))
    program.write("shop/old/ship.py", WARNS.format(name="ship"))


def found(program: Program, *arguments: str) -> list[tuple[str, str]]:
    done = program("check", *arguments, "--format", "json")
    return [(one["file"], one["code"]) for one in json.loads(done.stdout)]


def test_targets_stand_in_pyproject(program: Program) -> None:
    done = program("check")
    assert done.code == 2
    assert "no target is given" in done.stderr
    program.write("pyproject.toml", '[tool.flowgraph]\ntargets = ["shop/pay.py"]\n')
    assert found(program) == [("shop/pay.py", "FG231")]
    assert found(program, "shop/old/ship.py") == [("shop/old/ship.py", "FG231")], "a target of the command line wins"
    program.write("pyproject.toml", '[tool.flowgraph]\ntargets = "shop"\n')
    assert program("check").code == 2


@pytest.mark.parametrize("pattern", ["shop/old/*", "ship.py", "**/ship.py"])
def test_codes_are_ignored_in_the_files_of_a_pattern(program: Program, pattern: str) -> None:
    program.write("pyproject.toml", f'[tool.flowgraph.per_file_ignores]\n"{pattern}" = ["FG23"]\n')
    assert found(program, "shop") == [("shop/pay.py", "FG231")]
    program.write("pyproject.toml", f'[tool.flowgraph.per_file_ignores]\n"{pattern}" = ["FG9"]\n')
    done = program("check", "shop")
    assert (done.code, "'FG9'" in done.stderr) == (2, True)


def test_errors_cannot_be_ignored_in_a_file_either(program: Program) -> None:
    program.write("shop/old/ship.py", WARNS.format(name="ship").replace("await ", ""))
    program.write("pyproject.toml", '[tool.flowgraph.per_file_ignores]\n"ship.py" = ["FG"]\n')
    assert found(program, "shop/old") == [("shop/old/ship.py", "FG113")]


@pytest.mark.parametrize(
    ("key", "help_"), [("warnings-as-errors = true", "'warnings_as_errors'"), ("colour = 1", "per_file_ignores")]
)
@pytest.mark.parametrize("command", [("check", "shop"), ("runs", "list"), ("serve", "shop")])
def test_a_key_that_nothing_reads_is_an_error_that_names_it(
    program: Program, command: tuple[str, ...], key: str, help_: str
) -> None:
    program.write("pyproject.toml", f"[tool.flowgraph]\n{key}\n")
    done = program(*command)
    assert done.code == 2
    assert f"unknown key '{key.partition(' ')[0]}'" in done.stderr
    assert help_ in done.stderr
