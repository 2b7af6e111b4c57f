"""What the page about checking puts into other programs' files: their commands run, and pre-commit accepts the hook."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT, blocks
from tests.docs.folder import write

PAGE = ROOT / "docs" / "how-to" / "checking.md"
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.ci


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project as it stands at the end of the page, under git."""
    for block in blocks(PAGE):
        if block.title is not None:
            write(block, tmp_path)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    for arguments in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


def yaml_of(file: Path) -> Any:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed (dependency group ci)")
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def run(project: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWGRAPH_", "GIT_"))}
    env = own | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PRE_COMMIT_HOME": str(project.parent / "pre-commit")}
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("name", ["check", "scan"])
def test_the_commands_of_the_github_jobs_run(project: Path, name: str) -> None:
    job = yaml_of(project / ".github" / "workflows" / f"{name}.yml")["jobs"][name]
    commands = [step["run"] for step in job["steps"] if "run" in step and not step["run"].startswith("pip install")]
    assert commands
    for command in commands:
        done = run(project, ["bash", "-e", "-c", command])
        assert done.returncode == 0, done.stdout + done.stderr
    if name == "scan":
        (upload,) = [step["with"]["sarif_file"] for step in job["steps"] if "sarif" in step.get("uses", "")]
        assert '"version": "2.1.0"' in (project / upload).read_text(encoding="utf-8")


def test_a_job_fails_where_the_page_says_so(project: Path) -> None:
    wrong = next(block for block in blocks(PAGE) if "wrong" in block.words)
    write(wrong, project)
    assert run(project, ["flowgraph", "check", "--format", "github"]).returncode == 1
    assert run(project, ["bash", "-e", "-c", "flowgraph check --format sarif > s.sarif || test $? = 1"]).returncode == 0
    assert run(project, ["bash", "-e", "-c", "flowgraph check no_such --format sarif > s.sarif || test $? = 1"]).returncode == 1


def test_pre_commit_runs_the_hook_and_refuses_what_has_errors(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    if shutil.which("pre-commit", path=str(BIN)) is None:
        pytest.skip("pre-commit is not installed (dependency group ci)")
    (hook,) = yaml_of(project / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    repository = tmp_path_factory.mktemp("flowgraph")
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", repository)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "The hook"]):
        subprocess.run(["git", *arguments], cwd=repository, check=True)
    command = ["pre-commit", "try-repo", str(repository), hook["id"], "--all-files"]
    done = run(project, command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flowgraph check" in done.stdout
    write(next(block for block in blocks(PAGE) if "wrong" in block.words), project)
    done = run(project, command)
    assert done.returncode == 1
    assert "FG170" in done.stdout
