"""The files that the blocks of a page make, as a reader who follows it has them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.docs.blocks import Block, blocks


def write(block: Block, folder: Path) -> Path:
    """Write the file that a block is, or change it."""
    assert block.title is not None
    file = folder / block.title
    file.parent.mkdir(parents=True, exist_ok=True)
    old = file.read_text(encoding="utf-8") if "edit" in block.words else ""
    file.write_text(changed(old, block.text) if old else block.text, encoding="utf-8")
    return file


def files(page: Path, folder: Path) -> Iterator[tuple[Block, Path]]:
    """Write the files of a page one after the other; each as it stands after its block."""
    for block in blocks(page):
        if block.title is not None and block.language != "mermaid" and "exempt" not in block.options:
            yield block, write(block, folder)


def changed(old: str, new: str) -> str:
    """Return a module in which `new` replaces the definitions and imports of the same names. A definition that is not there yet
    comes before the next one that is replaced, or else last."""
    lines = old.splitlines(keepends=True)
    there = {_name(node): node for node in ast.parse(old).body if _name(node)}
    edits: list[tuple[int, int, str]] = []
    imports: list[str] = []
    added: list[str] = []
    for node in ast.parse(new).body:
        text = _source(new, node)
        known = there.get(_name(node))
        if known is not None:
            edits.append((_start(known), known.end_lineno or 0, "\n\n".join([*added, text])))
            added = []
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(text)
        else:
            added.append(text)
    for start, end, text in sorted(edits, reverse=True):
        lines[start - 1 : end] = [text]
    return "".join([*imports, *lines, *("\n\n" + text for text in added)])


def _name(node: ast.stmt) -> str:
    match node:
        case ast.ImportFrom():
            return f"from {node.module}"
        case ast.Import():
            return ast.unparse(node)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.name
        case ast.Assign():
            return ast.unparse(node.targets[0])
        case _:
            return ""


def _start(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _source(text: str, node: ast.stmt) -> str:
    return "".join(text.splitlines(keepends=True)[_start(node) - 1 : node.end_lineno])
