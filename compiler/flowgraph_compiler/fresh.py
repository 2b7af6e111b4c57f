"""Imports of the author's own modules from their source, whatever bytecode lies beside it.

Python takes bytecode for current while the source has the size and the second of change that it had then, so a file that is
saved twice in a second may run as it was, and be compared with a text that it does not come from.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Generator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType


class FreshLoader(SourceFileLoader):
    """Loads a module from its source; no bytecode is read or written."""

    def get_code(self, fullname: str) -> CodeType:
        """The source, compiled. Raises `SyntaxError`."""
        del fullname
        return self.source_to_code(self.get_data(self.path), self.path)


class LoadingFinder(MetaPathFinder):
    """Finds modules of source files where Python finds them; `loader(name, path)` says how one is loaded, None as ever."""

    def __init__(self, loader: Callable[[str, str], SourceFileLoader | None]) -> None:
        self._loader = loader

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Python's own answer with another loader, or None."""
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or type(spec.loader) is not SourceFileLoader:
            return None
        loader = self._loader(fullname, spec.origin)
        if loader is None:
            return None
        spec.loader = loader
        return spec


@contextmanager
def from_source(root: Path, but: Container[Path]) -> Generator[None, None, None]:
    """While this is open, modules below `root` are imported from their source, those that are installed apart; `but`: files that
    somebody else imports."""
    folder = root.resolve()

    def loader(name: str, path: str) -> FreshLoader | None:
        file = Path(path).resolve()
        own = folder in file.parents and "site-packages" not in file.parts and file not in but
        return FreshLoader(name, path) if own else None

    finder = LoadingFinder(loader)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
