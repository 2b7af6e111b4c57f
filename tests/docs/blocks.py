"""The fenced blocks of the Markdown pages, with what their info strings say.

An info string is a language and then words: ```` ```python title=shop.py edit ````.

- `title=FILE`: the block is that file, from here to the page's end. With `edit` it changes the file: definitions and imports
  that it has are replaced, others are added. With `wrong` it is an example of what the compiler refuses.
- `console`: lines that begin with `$ ` are commands, what follows is what they print; `...` stands for anything. With `server`
  the first command goes on in the background until the next `server` or the page's end. `exit=1`: the last command fails so.
- `exempt="reason"`: nothing is done with the block, and why.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
LANGUAGES = {"python", "console", "json", "mermaid", "toml", "ts", "sh", "text", "sql", "yaml"}
_BLOCK = re.compile(r"^```(\S+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words and the `key=value` pairs after it, its text and its first line (from 1)."""

    page: Path
    line: int
    language: str
    words: frozenset[str]
    options: dict[str, str]
    text: str

    @property
    def title(self) -> str | None:
        """The file that the block is."""
        return self.options.get("title")

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    return [_block(page, text, found) for found in _BLOCK.finditer(text)]


def first(page: Path, language: str) -> str:
    """Return the text of a page's first block in a language."""
    found = [block.text for block in blocks(page) if block.language == language]
    assert found, f"{page.name} has no {language} block"
    return found[0]


def _block(page: Path, text: str, found: re.Match[str]) -> Block:
    words = shlex.split(found[2])
    options = dict(word.split("=", 1) for word in words if "=" in word)
    plain = frozenset(word for word in words if "=" not in word)
    return Block(page, text.count("\n", 0, found.start()) + 2, found[1], plain, options, found[3])


def pages_with(*languages: str) -> list[Path]:
    """Return the pages that have a block to be tested in one of the languages."""
    return [
        page for page in PAGES if any(block.language in languages and "exempt" not in block.options for block in blocks(page))
    ]


def name_of(page: Path) -> str:
    """A page's name in a test's id."""
    return str(page.relative_to(ROOT / "docs").with_suffix(""))
