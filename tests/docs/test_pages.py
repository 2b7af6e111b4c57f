"""What the pages show compiles, is refused as they say, and links to what is there."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.docs.blocks import LANGUAGES, PAGES, ROOT, Block, blocks, name_of, pages_with
from tests.docs.folder import files

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)\s]*)?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_python_compiles_and_check_finds_what_the_page_says(
    page: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    program = Program(tmp_path, capfd)
    for block, file in files(page, tmp_path):
        if file.suffix == ".py":
            compile(file.read_text(encoding="utf-8"), block.place, "exec")
        if "@workflow" in block.text:
            checked(block, program)


def checked(block: Block, program: Program) -> None:
    done = program("check", str(block.title), "--format", "json")
    found = [diagnostic for diagnostic in json.loads(done.stdout) if diagnostic["level"] != "note"]
    assert bool(found) is ("wrong" in block.words), f"{block.place}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", pages_with("mermaid"), ids=name_of)
def test_diagrams_are_what_render_draws(page: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = Program(tmp_path, capfd)
    for _ in files(page, tmp_path):
        pass
    for block in blocks(page):
        if block.language == "mermaid":
            assert program("render", str(block.title), "--format", "mermaid").stdout == block.text, block.place


def test_json_and_toml_blocks_can_be_read() -> None:
    for block in ALL_BLOCKS:
        match block.language:
            case "json":
                json.loads(block.text)
            case "toml":
                tomllib.loads(block.text)
            case _:
                pass


def test_every_block_is_tested_or_says_why_not() -> None:
    for block in ALL_BLOCKS:
        assert block.language in LANGUAGES, block.place
        tested = block.language in {"console", "json", "toml"} or block.title is not None
        assert tested or len(block.options.get("exempt", "").split()) >= 3, f"{block.place}: neither title= nor exempt="


def test_python_blocks_outside_an_exemption_belong_to_a_file() -> None:
    for block in ALL_BLOCKS:
        if block.language == "python":
            assert block.title is not None, block.place


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target, anchor in LINK.findall(text):
        if target.startswith(("http://", "https://")):
            continue
        file = (page.parent / target).resolve()
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            headings = {slug(heading) for heading in HEADING.findall(file.read_text(encoding="utf-8"))}
            assert anchor[1:] in headings, f"{page.name}: {target}{anchor}"


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_reached_from_the_index() -> None:
    seen: set[Path] = set()
    left = [ROOT / "docs" / "README.md"]
    while left:
        page = left.pop()
        if page in seen or page.suffix != ".md" or not page.is_relative_to(ROOT / "docs"):
            continue
        seen.add(page)
        left += [(page.parent / target).resolve() for target, _ in LINK.findall(page.read_text(encoding="utf-8"))]
    assert seen == set(PAGES)


def test_no_page_says_to_install_another_package_of_the_name() -> None:
    for page in [*PAGES, ROOT / "README.md"]:
        assert not re.search(r"install\s+flowgraph\b(?!-engine)", page.read_text(encoding="utf-8")), page
