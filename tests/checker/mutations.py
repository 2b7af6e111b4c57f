"""Sources with mistakes that people and editors make: one to three random edits of a good one, the same for the same seed."""

from __future__ import annotations

import io
import random
import re
import tokenize
from collections.abc import Callable
from functools import cache
from pathlib import Path

import flowgraph_compiler
from tests.differential.generator import generate

ROOT = Path(__file__).parents[2]
PAGES = Path(flowgraph_compiler.__file__).parent / "rules"
ODD = (
    "\0",
    "\t",
    "\x0c",
    "\r",
    "é",
    "😀",
    '"""',
    "'",
    "\\",
    "(",
    ")",
    "]",
    "{",
    ":",
    "#",
    "@",
    "=",
    ";",
    "\u2028",
    "match ",
    "0x",
    "1_",
)
WORDS = (
    "await",
    "async",
    "return",
    "raise",
    "yield",
    "not",
    "None",
    "True",
    "lambda",
    "if",
    "else",
    "for",
    "in",
    "is",
    "del",
    "*",
    "**",
)
OPERATORS = ("+", "-", "*", "/", "//", "%", "==", "!=", "<", ">", "and", "or", "|", "&", ".", ",", "=", ":=", "+=", "->", "@")

Edit = Callable[[str, random.Random], str]


@cache
def good_sources() -> tuple[str, ...]:
    """The examples, the repaired examples of the rules, and some generated programs."""
    examples = [
        file.read_text(encoding="utf-8") for file in sorted((ROOT / "examples").glob("[!_]*/*.py")) if "@" in file.read_text()
    ]
    pages = [
        re.findall(r"```python\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL)[1] for file in sorted(PAGES.glob("*.md"))
    ]
    return (*examples, *pages, *(generate(seed).text for seed in range(5)))


def mutated(seed: int) -> str:
    """The faulty source of a seed."""
    chance = random.Random(f"mutation {seed}")
    text = chance.choice(good_sources())
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        text = chance.choice(EDITS)(text, chance)
    return text


# --- edits


def _line(change: Callable[[list[str], int, random.Random], None]) -> Edit:
    def edit(text: str, chance: random.Random) -> str:
        lines = text.splitlines(keepends=True) or [""]
        change(lines, chance.randrange(len(lines)), chance)
        return "".join(lines)

    return edit


def _drop_line(lines: list[str], at: int, chance: random.Random) -> None:
    del lines[at]


def _repeat_line(lines: list[str], at: int, chance: random.Random) -> None:
    lines.insert(chance.randrange(len(lines)), lines[at])


def _swap_lines(lines: list[str], at: int, chance: random.Random) -> None:
    other = chance.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]


def _indent(lines: list[str], at: int, chance: random.Random) -> None:
    lines[at] = f"    {lines[at]}" if chance.random() < 0.5 else lines[at].removeprefix("    ")


def _cut(lines: list[str], at: int, chance: random.Random) -> None:
    del lines[at:]


def _token(change: Callable[[list[str], int, random.Random], str]) -> Edit:
    """Replace one token of the source by what the change gives."""

    def edit(text: str, chance: random.Random) -> str:
        try:
            tokens = [one for one in tokenize.generate_tokens(io.StringIO(text).readline) if one.string.strip()]
        except (tokenize.TokenError, SyntaxError):
            return text
        if not tokens:
            return text
        at = chance.randrange(len(tokens))
        start, end, lines = tokens[at].start, tokens[at].end, text.splitlines(keepends=True)
        if start[0] != end[0] or start[0] > len(lines):
            return text
        new = change([one.string for one in tokens], at, chance)
        line = lines[start[0] - 1]
        lines[start[0] - 1] = line[: start[1]] + new + line[end[1] :]
        return "".join(lines)

    return edit


def _another(tokens: list[str], at: int, chance: random.Random) -> str:
    return chance.choice(tokens)


def _another_name(tokens: list[str], at: int, chance: random.Random) -> str:
    names = [token for token in tokens if token.isidentifier()]
    return chance.choice(names) if names and tokens[at].isidentifier() else chance.choice(OPERATORS)


def _word(tokens: list[str], at: int, chance: random.Random) -> str:
    return f"{chance.choice(WORDS)} {tokens[at]}"


def _without_await(text: str, chance: random.Random) -> str:
    places = [found.span() for found in re.finditer(r"\bawait ", text)]
    if not places:
        return text
    start, end = chance.choice(places)
    return text[:start] + text[end:]


def _odd_character(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(ODD) + text[at:]


def _without_stretch(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + text[at + chance.randint(1, 12) :]


EDITS: tuple[Edit, ...] = (
    _line(_drop_line),
    _line(_repeat_line),
    _line(_swap_lines),
    _line(_indent),
    _line(_cut),
    _token(lambda tokens, at, chance: ""),
    _token(_another),
    _token(_another_name),
    _token(_another_name),
    _token(_word),
    _without_await,
    _odd_character,
    _without_stretch,
)
