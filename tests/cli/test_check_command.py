"""`flowgraph check`, `compile`, `explain`, `rules`: output, streams and exit codes."""

from __future__ import annotations

import json

import pytest

from flowgraph_compiler.serialize import from_json
from tests.cli.program import Program

GOOD = """
from flowgraph import step, workflow

@step
async def double(n: int) -> int:
    return 2 * n

@workflow
async def doubled(n: int) -> int:
    return await double(n)

@workflow
async def quadrupled(n: int) -> int:
    return await double(await double(n))
"""
WRONG = GOOD.replace("    return await double(n)\n", "    double(n)\n    return n\n")

WARNS = GOOD.replace("@step", "@step(idempotent=False, retries=2)")


@pytest.fixture(autouse=True)
def files(program: Program) -> None:
    program.write("good.py", GOOD)
    program.write("wrong.py", WRONG)
    program.write("warns.py", WARNS)
    program.write("loud.py", "print('I am imported')\n" + GOOD)
    program.write("unparsable.py", "def f(:\n")
    program.write("unimportable.py", "import a_module_that_is_not_there\n")
    program.write("empty.py", "x = 1\n")


def test_a_clean_file(program: Program) -> None:
    done = program("check", "good.py")
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr == "no findings; 2 workflows compiled\n"


def test_an_error_has_its_place_code_and_repair(program: Program) -> None:
    done = program("check", "wrong.py")
    assert done.code == 1
    assert "wrong.py:10:5 FG113 step-not-awaited: step 'double' is called but not awaited" in done.stderr
    assert "write: await double(n)" in done.stderr
    assert done.stderr.endswith("1 error; 1 workflow compiled\n")


def test_json_is_one_list_on_stdout(program: Program) -> None:
    done = program("check", "wrong.py", "--format", "json")
    assert done.code == 1
    (found,) = json.loads(done.stdout)
    assert (found["code"], found["level"], found["file"], found["line"]) == ("FG113", "error", "wrong.py", 10)
    assert program("check", "good.py", "--format", "json").stdout == "[]\n"


def test_what_a_module_prints_at_import_is_not_on_stdout(program: Program) -> None:
    done = program("check", "loud.py", "--format", "json")
    assert done.stdout == "[]\n"
    assert "I am imported" in done.stderr


def test_a_file_that_python_cannot_parse_is_a_finding(program: Program) -> None:
    done = program("check", "unparsable.py", "--format", "json")
    assert done.code == 1
    assert [found["code"] for found in json.loads(done.stdout)] == ["FG001"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("missing.py", "missing.py"),
        ("unimportable.py", "a_module_that_is_not_there"),
        ("good.py:tripled", "tripled"),
    ],
)
def test_a_target_that_cannot_be_used_exits_with_2(program: Program, target: str, reason: str) -> None:
    done = program("check", target)
    assert (done.code, done.stdout) == (2, "")
    assert reason in done.stderr


def test_several_targets_and_a_selected_workflow(program: Program) -> None:
    assert program("check", "wrong.py:quadrupled").code == 0
    assert program("check", "wrong.py:doubled").code == 1
    program.write("more.py", GOOD.replace("double", "triple").replace("quadrupled", "ninefold"))
    done = program("check", "good.py:doubled", "more.py")
    assert (done.code, done.stderr) == (0, "no findings; 3 workflows compiled\n")


def test_selecting_and_ignoring_codes(program: Program) -> None:
    assert program("check", "wrong.py", "--select", "FG2").code == 0
    assert program("check", "wrong.py", "--ignore", "FG113").code == 1, "errors cannot be ignored"
    done = program("check", "wrong.py", "--select", "FG999")
    assert done.code == 2
    assert "FG999" in done.stderr


def test_github_shows_findings_beside_the_lines(program: Program) -> None:
    done = program("check", "wrong.py", "--format", "github")
    assert done.code == 1
    assert done.stdout.splitlines()[0] == (
        "::error file=wrong.py,line=10,endLine=10,col=5,endColumn=14,title=FG113 step-not-awaited"
        "::step 'double' is called but not awaited%0Awrite: await double(n)"
    )
    done = program("check", "warns.py", "--format", "github")
    assert (done.code, done.stdout[:29]) == (0, "::warning file=warns.py,line=")
    assert program("check", "good.py", "--format", "github").stdout == ""


def test_defaults_stand_in_pyproject_and_in_the_environment(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program("check", "warns.py").code == 0
    assert program("check", "warns.py", "--warnings-as-errors").code == 1
    program.write("pyproject.toml", "[tool.flowgraph]\nwarnings_as_errors = true\n")
    assert program("check", "warns.py").code == 1
    assert program("check", "warns.py", "--no-warnings-as-errors").code == 0
    assert program("check", "warns.py", "--ignore", "FG2").code == 0
    program.write("pyproject.toml", '[tool.flowgraph]\nwarnings_as_errors = true\nignore = ["FG2"]\n')
    assert program("check", "warns.py").code == 0
    monkeypatch.setenv("FLOWGRAPH_IGNORE", "FG3")
    assert program("check", "warns.py").code == 1
    program.write("pyproject.toml", '[tool.flowgraph]\nselect = ["FG999"]\n')
    done = program("check", "warns.py")
    assert done.code == 2
    assert "FG999" in done.stderr
    program.write("pyproject.toml", "[tool.flowgraph]\nwarnings_as_errors = 7\n")
    assert program("check", "warns.py").code == 2


def test_compile_prints_the_machine_of_one_workflow(program: Program) -> None:
    done = program("compile", "good.py:doubled")
    assert done.code == 0
    assert from_json(done.stdout).workflow == "doubled"


def test_compile_writes_a_file_a_workflow(program: Program) -> None:
    done = program("compile", "good.py", "-o", "machines")
    assert (done.code, done.stdout) == (0, "")
    machines = sorted(path.name for path in (program.folder / "machines").iterdir())
    assert machines == ["doubled.json", "quadrupled.json"]


def test_compile_of_several_workflows_needs_a_folder(program: Program) -> None:
    done = program("compile", "good.py")
    assert (done.code, done.stdout) == (2, "")
    assert "'doubled', 'quadrupled'" in done.stderr
    assert "good.py:doubled" in done.stderr


def test_compile_of_wrong_code_prints_no_machine(program: Program) -> None:
    done = program("compile", "wrong.py:doubled")
    assert (done.code, done.stdout) == (1, "")
    assert "FG113" in done.stderr
    assert program("compile", "empty.py").code == 2


def test_explain_prints_a_page_by_code_or_name(program: Program) -> None:
    by_code = program("explain", "FG113")
    assert by_code.code == 0
    assert "step-not-awaited" in by_code.stdout
    assert program("explain", "step-not-awaited") == by_code
    assert program("explain", "FG000").code == 2


def test_rules_lists_every_code_once(program: Program) -> None:
    rows = json.loads(program("rules", "--format", "json").stdout)
    codes = [row["code"] for row in rows]
    assert len(codes) == len(set(codes)) > 50
    says = "A step, subflow, workflow or primitive is called without `await`."
    assert {"code": "FG113", "name": "step-not-awaited", "level": "error", "says": says} in rows
    assert all(row["says"].endswith(".") for row in rows)
    lines = program("rules").stdout.splitlines()
    assert len(lines) == len(codes)
    (line,) = [line for line in lines if line.startswith("FG113")]
    assert line.split(maxsplit=3) == ["FG113", "error", "step-not-awaited", says]


@pytest.mark.parametrize(
    "command",
    [
        "init",
        "check",
        "lock",
        "diff",
        "lsp",
        "compile",
        "render",
        "explain",
        "run",
        "dev",
        "serve",
        "send",
        "runs watch",
        "keys create",
    ],
)
def test_help_teaches_with_an_example(program: Program, command: str) -> None:
    done = program(*command.split(), "--help")
    assert done.code == 0
    assert f"Example:  flowgraph {command} " in done.stdout


def test_usage_errors_exit_with_2(program: Program) -> None:
    assert program("check").code == 2
    assert program("check", "good.py", "--format", "xml").code == 2
    assert program("no-such-command").code == 2
