"""Places whose types ours and mypy's inference tell: every variable `r<number>` of a program is one. Into programs without them
they are put here: after each assignment its variable, before each statement the attributes that it reads.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mypy import api

from flowgraph_compiler import build, infer, reader
from flowgraph_compiler.declarations import SourceModule
from flowgraph_compiler.types import show

PLACE = re.compile(r"^(?P<indent> +)(?P<name>r\d+)(?:: [^=]+)? = ")


def ours(modules: Iterable[SourceModule]) -> dict[str, str]:
    """Our type of each place in the workflows and subflows of modules."""
    app, findings = reader.read(list(modules))
    assert not findings
    found: dict[str, str] = {}
    for name in app.workflows:
        graph, wrong = build.build(app, name)
        assert graph is not None, wrong
        inferred, mistyped = infer.infer(graph, app)
        assert not mistyped
        for function in inferred.functions:
            found |= {place: show(tp) for place, tp in function.variable_types.items() if PLACE.match(f" {place} = ")}
    return found


def revealing(text: str) -> str:
    """The program with a `reveal_type` after each place."""
    lines: list[str] = []
    for line in text.splitlines():
        lines.append(line)
        match = PLACE.match(line)
        if match:
            lines.append(f"{match['indent']}reveal_type({match['name']})")
    return "\n".join(lines) + "\n"


def mypys(files: list[Path], folder: Path) -> dict[str, str]:
    """What mypy reveals in files that `revealing` has written, all in one run."""
    out, err, _ = api.run(["--strict", "--allow-empty-bodies", "--cache-dir", str(folder / "cache"), *map(str, files)])
    assert "error:" not in out, out[-3000:] + err
    lines = {file.name: file.read_text().splitlines() for file in files}
    found: dict[str, str] = {}
    for path, line, text in re.findall(r'^(.*):(\d+): note: Revealed type is "(.*)"$', out, re.MULTILINE):
        place = re.search(r"reveal_type\((\w+)\)", lines[Path(path).name][int(line) - 1])
        assert place is not None
        found[place[1]] = plain(text)
    return found


def plain(revealed: str) -> str:
    """mypy's text as an author writes it."""
    text = re.sub(r"\b(?:[a-zA-Z_]\w*\.)+([A-Za-z_]+)", _last, revealed)
    text = re.sub(r"tuple\[([^\[\]]*(?:\[[^\]]*\][^\[\]]*)*), fallback=(\w+(?:\[[^\[\]]*\])?)\]", r"\2", text)
    return re.sub(r"\] \| Literal\[", ", ", text)


def _last(dotted: re.Match[str]) -> str:
    """`decimal.Decimal` is `Decimal`; a member of an enum keeps its class: `Literal[corpus.Color.RED]`."""
    parts = dotted[0].split(".")
    return ".".join(parts[-2:]) if parts[-1].isupper() and parts[-2][:1].isupper() else parts[-1]


def same(one: str | None, other: str) -> bool:
    """Equal but for the order of a union."""
    return one is not None and sorted(one.split(" | ")) == sorted(other.split(" | "))


# --- places in a program that has none


def with_places(text: str, numbers: Iterator[int]) -> str:
    """The program with places in its workflows and subflows."""
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.AsyncFunctionDef) and any(_is_flow(decorator) for decorator in node.decorator_list):
            node.body = _placed(node.body, numbers)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _is_flow(decorator: ast.expr) -> bool:
    head = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(head, ast.Name) and head.id in ("workflow", "subflow")


def _placed(body: list[ast.stmt], numbers: Iterator[int]) -> list[ast.stmt]:
    placed: list[ast.stmt] = []
    for statement in body:
        if not isinstance(statement, ast.For | ast.While | ast.If | ast.Try | ast.AsyncWith):
            placed += [_place(read, numbers) for read in dict.fromkeys(_reads(statement))]
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(statement, name, [])
            if inner:
                setattr(statement, name, _placed(inner, numbers))
        if isinstance(statement, ast.For):
            statement.body[:0] = [_place(name, numbers) for name in _names(statement.target)]
        for handler in statement.handlers if isinstance(statement, ast.Try) else ():
            handler.body = _placed(handler.body, numbers)
        placed.append(statement)
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            placed += [_place(name, numbers) for target in targets if target is not None for name in _names(target)]
    return placed


def _place(expression: str, numbers: Iterator[int]) -> ast.stmt:
    return ast.parse(f"r{next(numbers)} = {expression}").body[0]


def _names(target: ast.expr) -> list[str]:
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]


def _reads(node: ast.AST) -> Iterator[str]:
    """The attributes of variables that a statement reads in any case."""
    if isinstance(node, ast.BoolOp | ast.IfExp | ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id.islower():
        yield ast.unparse(node)
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        yield from itertools.chain.from_iterable(_reads(part) for part in [node.func.value, *node.args, *node.keywords])
        return
    for child in ast.iter_child_nodes(node):
        yield from _reads(child)
