"""Texts that stand in for files: what an editor shows before it is saved, imported as if it were on disk."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

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


class _Finder(MetaPathFinder):
    """Finds modules where Python finds them, and loads those that have a text from it."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or not spec.has_location:
            return None
        text = self._texts.get(Path(spec.origin).resolve())
        if text is None:
            return None
        spec.loader = TextLoader(fullname, spec.origin, text)
        return spec


@contextmanager
def standing_in(texts: Texts) -> Generator[None, None, None]:
    """While this is open, imports take these texts for what is in their files."""
    finder = _Finder(texts)
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
