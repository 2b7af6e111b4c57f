"""Targets of the command line to imported modules with their source: the compiler's edge, the only part of it that does I/O.

A file is parsed before it is imported, so what Python itself would refuse is a diagnostic like any other.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import linecache
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, MappingProxyType, ModuleType
from typing import Any

from flowgraph import Workflow
from flowgraph_compiler import syntax
from flowgraph_compiler.declarations import SourceModule
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.fresh import FreshLoader, from_source
from flowgraph_compiler.places import Places
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span
from flowgraph_compiler.unsaved import TextLoader, Texts, show_lines, standing_in, text_of

_SKIPPED_FILES = {"__main__.py"}


class TargetError(Exception):
    """A target that cannot be used: not found, no such workflow in it, or its import failed (`__cause__` has the reason)."""


class SourceError(Exception):
    """Text that is no importable module: `diagnostics` say why."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n".join(f"{found.span}: {found.message}" for found in diagnostics))
        self.diagnostics = tuple(diagnostics)


@dataclass(frozen=True)
class Loaded:
    """What the targets hold: modules in order, the names of the workflows that targets picked, and what stops a file's import."""

    modules: tuple[SourceModule, ...]
    selected: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True)
class _Place:
    """Where a module is: its name for the import system, its file, and the folder that must be importable."""

    name: str
    file: Path
    root: Path


# --- loading


def load(targets: Sequence[str], texts: Texts = MappingProxyType({})) -> Loaded:
    """Find, parse and import the modules of the targets: `.py` files, folders or dotted modules, each optionally `:workflow`.

    `texts` stand in for files, which need not be there.

    Raises `TargetError` for what is not found and for modules whose import fails."""
    _make_importable(Path.cwd())
    modules: dict[str, SourceModule] = {}
    selected: list[str] = []
    whole: list[str] = []  # workflows of targets that name none: all of them count when another target names one
    diagnostics: list[Diagnostic] = []
    for target in targets:
        where, workflow = _split(target, texts)
        with standing_in(texts):
            loaded = [_load_one(place, diagnostics, texts) for place in _places(where, texts)]
        found = [module for module in loaded if module is not None]
        modules.update((module.file, module) for module in found)
        if workflow is None:
            whole += [value.name for value in _workflows(found).values()]
        elif not (diagnostics and not found):
            selected.append(_selected(target, workflow, found))
    picked = dict.fromkeys([*selected, *whole] if selected else ())
    return Loaded(tuple(modules.values()), tuple(picked), tuple(diagnostics))


def from_text(text: str, name: str) -> SourceModule:
    """Make a module of a text, for tests and generated programs; it replaces an earlier one of the name.

    Raises `SourceError` where Python or the language refuses the text before it can be imported."""
    file = f"{name}.py"
    tree, found = parse(text, file)
    if tree is None:
        raise SourceError(found)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    module = ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module  # pydantic and typing resolve annotations through it
    exec(_compiled(text, file), vars(module))  # noqa: S102  (the text is the caller's own program)
    return SourceModule(name, file, text, tree, module)


def import_file(name: str, file: str) -> ModuleType:
    """Import a module that another process has under this name from this file; only by its name where there is no such file.

    Raises whatever the import raises."""
    path = Path(file)
    if not path.exists():
        return importlib.import_module(name)
    root = _place(path).root
    with from_source(root, ()):
        return _import(_Place(name, path.resolve(), root), {})


def source_of(module: ModuleType) -> SourceModule | None:
    """An imported module with its source, or None when there is none (built in, made by `exec`, only a `.pyc`)."""
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        return None
    shown = _shown(Path(file)) if os.path.exists(file) else file
    text = text_of(module)
    if text is None:
        text = _read(Path(file)) if os.path.exists(file) else "".join(linecache.getlines(file))
    if not text:
        return None
    tree, _ = parse(text, shown)
    return None if tree is None else SourceModule(module.__name__, shown, text, tree, module)


def parse(text: str, file: str) -> tuple[ast.Module | None, list[Diagnostic]]:
    """The tree of a file, or None with the findings that stop its import: FG001, FG105, FG121, FG124."""
    try:
        tree = ast.parse(text, file)
    except SyntaxError as error:
        return None, [_syntax_error(error, file)]
    found = list(_misplaced_awaits(tree, Places(file, text)))
    if not found:
        try:
            _compiled(text, file)
        except SyntaxError as error:
            found = [_syntax_error(error, file)]
    return (None if found else tree), found


# --- targets


def _split(target: str, texts: Texts) -> tuple[str, str | None]:
    where, colon, workflow = target.rpartition(":")
    if not colon or os.path.exists(target) or Path(target).resolve() in texts:
        return target, None
    return where, workflow


def files_of(target: str) -> list[Path]:
    """The files that a target names, by their resolved paths; none for a dotted module, which only an import finds.

    Raises `TargetError` for a folder without a Python file and for a file that is not there."""
    where, _ = _split(target, {})
    if not os.path.exists(where) and not where.endswith(".py") and "/" not in where:
        return []
    return [place.file for place in _places(where, {})]


def _places(where: str, texts: Texts) -> list[_Place]:
    path = Path(where)
    if path.is_dir():
        return [_place(file) for file in _files(path)]
    if path.is_file() or path.resolve() in texts:
        return [_place(path)]
    if where.endswith(".py") or "/" in where:
        raise TargetError(f"no file or folder '{where}'")
    return _dotted(where)


def _files(folder: Path) -> list[Path]:
    found = [
        file
        for file in sorted(folder.rglob("*.py"))
        if file.name not in _SKIPPED_FILES
        and not any(part.startswith((".", "__pycache__")) for part in file.relative_to(folder).parts)
    ]
    if not found:
        raise TargetError(f"no Python file in '{folder}'")
    return found


def _place(file: Path) -> _Place:
    file = file.resolve()
    names = [] if file.name == "__init__.py" else [file.stem]
    root = file.parent
    while (root / "__init__.py").exists():
        names.insert(0, root.name)
        root = root.parent
    return _Place(".".join(names), file, root)


def _dotted(name: str) -> list[_Place]:
    """The file of a module; of a package all that are below it, by the names that they are imported under."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:
        raise TargetError(f"no module '{name}': {error}") from error
    if spec is not None and spec.submodule_search_locations:
        folders = [Path(folder).resolve() for folder in spec.submodule_search_locations]
        return [_Place(_inside(name, folder, file), file, Path.cwd()) for folder in folders for file in _files(folder)]
    if spec is None or spec.origin is None:
        raise TargetError(f"no file, folder or module '{name}'")
    return [_Place(name, Path(spec.origin), Path.cwd())]


def _inside(package: str, folder: Path, file: Path) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts)))


def _workflows(modules: Iterable[SourceModule]) -> dict[str, Workflow[..., Any]]:
    return {name: value for module in modules for name, value in vars(module.module).items() if isinstance(value, Workflow)}


def _selected(target: str, workflow: str, modules: Iterable[SourceModule]) -> str:
    known = _workflows(modules)
    for name, value in known.items():
        if workflow in (name, value.name, *value.aliases):
            return value.name
    listed = ", ".join(f"'{value.name}'" for value in known.values()) or "none"
    raise TargetError(f"no workflow '{workflow}' in '{target.rpartition(':')[0]}': it has {listed}")


# --- importing


def _load_one(place: _Place, diagnostics: list[Diagnostic], texts: Texts) -> SourceModule | None:
    shown = _shown(place.file)
    if place.file.suffix != ".py":
        diagnostics.append(_no_source(shown))
        return None
    text = texts.get(place.file)
    if text is None:
        text = _read(place.file)
    else:
        show_lines(text, shown, str(place.file))
    tree, found = parse(text, shown)
    diagnostics.extend(found)
    if tree is None:
        return None
    module = _imported(place, diagnostics, texts)
    return None if module is None else SourceModule(module.__name__, shown, text, tree, module)


def _imported(place: _Place, diagnostics: list[Diagnostic], texts: Texts) -> ModuleType | None:
    known = _already(place.file)
    if known is not None:
        return known
    _make_importable(place.root)
    try:
        with from_source(place.root, texts):
            return _import(place, texts)
    except SyntaxError as error:  # in another module that this one imports
        file = _shown(Path(error.filename or place.file))
        if all(found.span.file != file for found in diagnostics):
            diagnostics.append(_syntax_error(error, file))
        return None
    except (Exception, SystemExit) as error:
        raise TargetError(f"importing '{_shown(place.file)}' failed: {type(error).__name__}: {error}") from error


def _import(place: _Place, texts: Texts) -> ModuleType:
    spec = importlib.util.find_spec(place.name)
    if spec is not None and spec.origin is not None and Path(spec.origin).resolve() == place.file:
        return importlib.import_module(place.name)
    # Another module has the name (`queue.py`, two folders with a `workflows.py`): load this one under a name of its own.
    name = f"{place.name}@{place.file.parent.name}"
    text = texts.get(place.file)
    loader = FreshLoader(name, str(place.file)) if text is None else TextLoader(name, str(place.file), text)
    spec = importlib.util.spec_from_file_location(name, place.file, loader=loader)
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for '{place.file}'")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _already(file: Path) -> ModuleType | None:
    for name, module in list(sys.modules.items()):
        at = getattr(module, "__file__", None)
        if name != "__main__" and isinstance(at, str) and at.endswith(file.name) and Path(at).resolve() == file:
            return module
    return None


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _shown(file: Path) -> str:
    """The file as diagnostics print it: relative to the current directory when it is below it."""
    try:
        return str(file.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def _read(file: Path) -> str:
    try:
        return importlib.util.decode_source(file.read_bytes())
    except (OSError, UnicodeDecodeError, SyntaxError) as error:
        raise TargetError(f"'{_shown(file)}' cannot be read as Python text: {error}") from error


def _compiled(text: str, file: str) -> CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the import itself shows them
        code: CodeType = compile(text, file, "exec", dont_inherit=True)
        return code


# --- what stops an import


def _syntax_error(error: SyntaxError, file: str) -> Diagnostic:
    line, column = error.lineno or 1, max(error.offset or 1, 1)
    span = Span(file, line, column, error.end_lineno or line, max(error.end_offset or 0, column + 1))
    return Diagnostic(RULES["FG001"], span, f"Python cannot parse this: {(error.msg or 'invalid syntax').rstrip('.')}")


def _no_source(file: str) -> Diagnostic:
    message = f"the source of '{file}' is not available, only compiled code"
    return Diagnostic(RULES["FG101"], Span(file, 1, 1, 1, 1), message, "put the '.py' file next to it")


def _misplaced_awaits(tree: ast.Module, places: Places) -> Iterator[Diagnostic]:
    """Awaits that Python itself refuses, with the reason in terms of the language."""
    for node in syntax.nodes(tree):
        match node:
            case ast.Lambda():
                for found in _awaits(node.body):
                    message = "'await' cannot stand in a lambda"
                    yield Diagnostic(
                        RULES["FG121"], places.span(found), message, "await before it and use the result in the lambda"
                    )
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _outside_awaits(node, places)
            case _:
                pass


def _outside_awaits(node: ast.FunctionDef | ast.AsyncFunctionDef, places: Places) -> Iterator[Diagnostic]:
    arguments = node.args
    outside = [*node.decorator_list, *arguments.defaults, *(default for default in arguments.kw_defaults if default is not None)]
    for found in (found for part in outside for found in _awaits(part)):
        message = f"'await' cannot stand in a default or decorator of '{node.name}'"
        yield Diagnostic(RULES["FG124"], places.span(found), message, "await in the body of the function")
    if isinstance(node, ast.FunctionDef) and _is_flow(node) and any(True for part in node.body for _ in _awaits(part)):
        message = f"'{node.name}' awaits but is a plain function"
        yield Diagnostic(RULES["FG105"], places.head(node), message, f"async def {node.name}(...)")


def _is_flow(node: ast.FunctionDef) -> bool:
    heads = [decorator.func if isinstance(decorator, ast.Call) else decorator for decorator in node.decorator_list]
    return any(ast.unparse(head).rpartition(".")[2] in ("workflow", "subflow") for head in heads)


def _awaits(node: ast.AST) -> Iterator[ast.Await]:
    if isinstance(node, ast.Await):
        yield node
    if not isinstance(node, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
        for inner in syntax.children(node):
            yield from _awaits(inner)
