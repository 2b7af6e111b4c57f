"""From positions of Python's `ast` (columns in UTF-8 bytes) to spans (columns in characters)."""

from __future__ import annotations

import ast
from typing import Protocol

from flowgraph_compiler.spans import Span


class Located(Protocol):
    """What has a position: nearly every node of `ast`, and `ast.excepthandler`, `ast.arg`, `ast.keyword`, `ast.pattern`."""

    @property
    def lineno(self) -> int:
        """The first line, from 1."""
        ...

    @property
    def col_offset(self) -> int:
        """The first column, from 0, in bytes."""
        ...

    @property
    def end_lineno(self) -> int | None:
        """The last line."""
        ...

    @property
    def end_col_offset(self) -> int | None:
        """The column after the last one."""
        ...


class Places:
    """The lines of one file."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._lines = text.split("\n")
        self._ascii = text.isascii()

    def span(self, node: Located) -> Span:
        """The stretch of a node."""
        end_line = node.end_lineno or node.lineno
        end_column = node.col_offset if node.end_col_offset is None else node.end_col_offset
        return Span(
            self.file, node.lineno, self._column(node.lineno, node.col_offset), end_line, self._column(end_line, end_column)
        )

    def head(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Span:
        """The `def` line of a function up to its name."""
        start = self._column(node.lineno, node.col_offset)
        prefix = "async def " if isinstance(node, ast.AsyncFunctionDef) else "def "
        return Span(self.file, node.lineno, start, node.lineno, start + len(prefix) + len(node.name))

    def line(self, number: int) -> Span:
        """A whole line."""
        text = self._lines[number - 1] if 0 < number <= len(self._lines) else ""
        return Span(self.file, number, 1, number, len(text) + 1)

    def _column(self, line: int, offset: int) -> int:
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        if self._ascii:
            return min(offset, len(text)) + 1
        return len(text.encode()[:offset].decode(errors="replace")) + 1
