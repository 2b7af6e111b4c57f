"""Texts that stand in for files: what an editor shows before it is saved, imported as if it were on disk."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from flowgraph_compiler.fresh import LoadingFinder

Texts = Mapping[Path, str]
"""Text by the resolved path of the file that it stands in for."""


class TextLoader(SourceFileLoader):
    """Loads a module from a text; no bytecode is read or written."""

    def __init__(self, fullname: str, path: str, text: str) -> None:
        super().__init__(fullname, path)
        self.text = text

    def get_source(self, fullname: str) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The text."""
        del fullname
        return self.text

    def get_code(self, fullname: str) -> CodeType:
        """The text, compiled. Raises `SyntaxError`."""
        del fullname
        code: CodeType = compile(self.text, self.path, "exec", dont_inherit=True)
        return code


@contextmanager
def standing_in(texts: Texts) -> Generator[None, None, None]:
    """While this is open, imports take these texts for what is in their files."""

    def loader(name: str, path: str) -> TextLoader | None:
        text = texts.get(Path(path).resolve())
        return None if text is None else TextLoader(name, path, text)

    finder = LoadingFinder(loader)
    if texts:
        sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if texts:
            sys.meta_path.remove(finder)


def text_of(module: ModuleType) -> str | None:
    """The text that a module was loaded from in place of its file, or None."""
    loader = getattr(module.__spec__, "loader", None)
    return loader.text if isinstance(loader, TextLoader) else None


def show_lines(text: str, *files: str) -> None:
    """Let tracebacks and diagnostics show lines of the text where they name one of the files."""
    for file in files:
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
