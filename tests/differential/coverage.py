"""Which constructs the generated programs contain, each inside which others, as a Markdown table.

python -m tests.differential.coverage [--programs 5000] [--seed-from 0]

A cell counts how often the construct of its row stands somewhere inside that of its column, in the same function. The second
table has the places in expressions at which awaits stand.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter
from collections.abc import Iterable, Iterator

from tests.differential.generator import generate

ENOUGH = 20
Cell = tuple[str, str]

ENCLOSING = (
    "workflow", "subflow", "if", "else", "while", "for", "loop else", "case", "try", "except", "try else", "finally", "timeout",
    "saga",
)  # fmt: skip
"""The columns of the first table."""

STATEMENTS = (
    "=", "several targets", "unpacking", "starred target", "attribute target", "item target", "annotated =", "annotation",
    "+=", "attribute +=", "item +=", "if", "elif", "else", "while", "for", "try", "except", "except: as", "except: tuple",
    "except: all", "try else", "finally", "loop else", "match", "case", "guard", "timeout", "saga",
    "raise", "raise from", "bare raise", "return", "break", "continue", "pass", "assert",
    "del",
)  # fmt: skip

PATTERNS = tuple(
    f"pattern {kind}" for kind in ("value", "singleton", "|", "sequence", "*rest", "mapping", "class", "as", "name", "_")
)

AWAITED = (
    "step", "step.with_", "subflow", "child", "start", "parallel", "fan_out", "settle", "race", "sleep", "sleep_until",
    "wait_for", "wait_for since", "send",
)  # fmt: skip

EXPRESSIONS = (
    "operator", "unary", "and/or", "not", "comparison", "chain", "if/else", ":=", "call", "method", "constructor", "keyword",
    "*argument", "attribute", "item", "slice", "list", "tuple", "dict", "set", "**dict", "*item", "list comprehension",
    "set comprehension", "dict comprehension", "generator", "lambda", "f-string", "format spec", "now()", "uuid()", "run_info()",
)  # fmt: skip

POSITIONS = (
    "statement", "= value", "+= value", "argument", "keyword", "left operand", "right operand", "and/or", "comparison", "chain",
    "if/else test", "if/else branch", ":=", "method receiver", "item index", "list", "tuple", "dict", "set",
    "comprehension element", "comprehension condition", "comprehension iterable", "if test", "while test", "for iterable",
    "return", "assert", "assert message", "f-string", "not", "unary", "slice",
)  # fmt: skip
"""The rows of the second table: where the value of an await goes."""

IMPOSSIBLE: dict[Cell, str] = {
    ("return", "finally"): "FG125",
}
"""Cells of the first table that the language does not have, with the rule that says so."""

IMPOSSIBLE_POSITIONS: dict[Cell, str] = {("return", "finally"): "FG125"}


def allowed() -> Iterator[Cell]:
    """The cells of the first table that must be reached."""
    for row in (*STATEMENTS, *PATTERNS, *AWAITED, *EXPRESSIONS):
        yield from ((row, column) for column in ENCLOSING if (row, column) not in IMPOSSIBLE)


def allowed_positions() -> Iterator[Cell]:
    """The cells of the second table that must be reached."""
    for row in POSITIONS:
        yield from ((row, column) for column in ENCLOSING if (row, column) not in IMPOSSIBLE_POSITIONS)


class Coverage:
    """Counts over programs."""

    def __init__(self) -> None:
        self.programs = 0
        self.cells: Counter[Cell] = Counter()
        self.positions: Counter[Cell] = Counter()

    def add(self, text: str) -> None:
        """Count one program."""
        self.programs += 1
        tree = ast.parse(text)
        flows = [node for node in tree.body if isinstance(node, ast.AsyncFunctionDef)]
        called = {flow.name: {"subflow": "subflow", "workflow": "child"}.get(_decorator(flow), "step") for flow in flows}
        for flow in flows:
            kind = _decorator(flow)
            if kind in ("workflow", "subflow"):
                _Function(self, called).body(flow.body, (kind,))

    def missing(self) -> list[str]:
        """The cells that have not been reached often enough."""
        first = [f"{row} in {column}: {self.cells[row, column]}" for row, column in allowed() if self.cells[row, column] < ENOUGH]
        second = [
            f"await as {row} in {column}: {self.positions[row, column]}"
            for row, column in allowed_positions()
            if self.positions[row, column] < ENOUGH
        ]
        return first + second


def _decorator(flow: ast.AsyncFunctionDef) -> str:
    head = flow.decorator_list[0] if flow.decorator_list else None
    head = head.func if isinstance(head, ast.Call) else head
    return head.id if isinstance(head, ast.Name) else ""


class _Function:
    """Walks one function. `around`: the enclosing constructs, outermost first."""

    def __init__(self, coverage: Coverage, called: dict[str, str]) -> None:
        self._cells = coverage.cells
        self._positions = coverage.positions
        self._called = called

    def _see(self, construct: str, around: tuple[str, ...]) -> None:
        self._cells.update((construct, each) for each in set(around))

    def body(self, statements: Iterable[ast.stmt], around: tuple[str, ...]) -> None:
        for statement in statements:
            self._statement(statement, around)

    def _statement(self, node: ast.stmt, around: tuple[str, ...]) -> None:
        for construct in _statement_names(node):
            self._see(construct, around)
        for part, position in _inside(node):
            self._expression(part, position, around)
        match node:
            case ast.If():
                self.body(node.body, (*around, "if"))
                self._orelse(node.orelse, around)
            case ast.While() | ast.For():
                self.body(node.body, (*around, "while" if isinstance(node, ast.While) else "for"))
                self._part("loop else", node.orelse, around)
            case ast.Try():
                self._try(node, around)
            case ast.AsyncWith(items=items):
                scopes = tuple(map(_scope, items))
                for scope in scopes:
                    self._see(scope, around)
                self.body(node.body, (*around, *scopes))
            case ast.Match(cases=cases):
                for case in cases:
                    self._case(case, around)
            case _:
                pass

    def _orelse(self, body: list[ast.stmt], around: tuple[str, ...]) -> None:
        if len(body) == 1 and isinstance(body[0], ast.If):
            self._see("elif", around)
            self.body(body, (*around, "else"))
        else:
            self._part("else", body, around)

    def _part(self, construct: str, body: list[ast.stmt], around: tuple[str, ...]) -> None:
        if body:
            self._see(construct, around)
            self.body(body, (*around, construct))

    def _case(self, case: ast.match_case, around: tuple[str, ...]) -> None:
        for pattern in ast.walk(case.pattern):
            if isinstance(pattern, ast.pattern):
                self._see(_pattern_name(pattern), around)
        if case.guard is not None:
            self._see("guard", around)
            self._expression(case.guard, "guard", (*around, "case"))
        self._part("case", case.body, around)

    def _try(self, node: ast.Try, around: tuple[str, ...]) -> None:
        self.body(node.body, (*around, "try"))
        for handler in node.handlers:
            kind = handler.type
            is_all = kind is None or (isinstance(kind, ast.Name) and kind.id == "BaseException")
            self._see("except", around)
            if handler.name:
                self._see("except: as", around)
            if is_all or isinstance(kind, ast.Tuple):
                self._see("except: all" if is_all else "except: tuple", around)
            self.body(handler.body, (*around, "except"))
        self._part("try else", node.orelse, around)
        self._part("finally", node.finalbody, around)

    # --- expressions

    def _expression(self, node: ast.AST, position: str, around: tuple[str, ...]) -> None:
        if isinstance(node, ast.Await):
            self._positions.update((position, each) for each in set(around))
            self._see(self._awaited(node.value), around)
        for construct in _expression_names(node):
            self._see(construct, around)
        for part, inner in _inside(node):
            self._expression(part, inner or position, around)

    def _awaited(self, call: ast.expr) -> str:
        assert isinstance(call, ast.Call)
        if isinstance(call.func, ast.Call):
            return "step.with_"
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name == "wait_for" and any(keyword.arg == "since" for keyword in call.keywords):
            return "wait_for since"
        if name in KNOWN:
            return name
        return self._called.get(name, "step")


KNOWN = frozenset((*AWAITED, "settle", "race", "start")) - {"step", "subflow"}


_PATTERNS: dict[type[ast.pattern], str] = {
    ast.MatchValue: "pattern value", ast.MatchSingleton: "pattern singleton", ast.MatchOr: "pattern |",
    ast.MatchSequence: "pattern sequence", ast.MatchStar: "pattern *rest", ast.MatchMapping: "pattern mapping",
    ast.MatchClass: "pattern class",
}  # fmt: skip


def _pattern_name(pattern: ast.pattern) -> str:
    if not isinstance(pattern, ast.MatchAs):
        return _PATTERNS[type(pattern)]
    if pattern.pattern is not None:
        return "pattern as"
    return "pattern _" if pattern.name is None else "pattern name"


def _scope(item: ast.withitem) -> str:
    call = item.context_expr
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else "async with"


def _statement_names(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.Assign(targets=targets):
            yield "="
            if len(targets) > 1:
                yield "several targets"
            for target in targets:
                yield from _target_names(target)
        case ast.AnnAssign(value=value):
            yield "annotation" if value is None else "annotated ="
        case ast.AugAssign(target=target):
            yield {ast.Attribute: "attribute +=", ast.Subscript: "item +="}.get(type(target), "+=")
        case ast.Raise(exc=None):
            yield "bare raise"
        case ast.Raise(cause=cause):
            yield "raise" if cause is None else "raise from"
        case ast.Expr() | ast.AsyncWith():
            pass
        case _:
            yield type(node).__name__.lower().replace("delete", "del")


def _target_names(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Tuple(elts=items) | ast.List(elts=items):
            yield "unpacking"
            for item in items:
                yield from (name for name in _target_names(item) if name != "unpacking")
        case ast.Starred(value=value):
            yield "starred target"
            yield from _target_names(value)
        case ast.Attribute():
            yield "attribute target"
        case ast.Subscript():
            yield "item target"
        case _:
            pass


_COMPREHENDED = (("elt", "comprehension element"), ("generators", ""))
_PARTS: dict[type[ast.AST], tuple[tuple[str, str], ...]] = {
    ast.Expr: (("value", "statement"),),
    ast.Assign: (("value", "= value"), ("targets", "target")),
    ast.AnnAssign: (("value", "= value"),),
    ast.AugAssign: (("value", "+= value"), ("target", "target")),
    ast.If: (("test", "if test"),),
    ast.While: (("test", "while test"),),
    ast.For: (("iter", "for iterable"),),
    ast.Return: (("value", "return"),),
    ast.Raise: (("exc", "raise"), ("cause", "raise")),
    ast.Assert: (("test", "assert"), ("msg", "assert message")),
    ast.AsyncWith: (("items", ""),),
    ast.withitem: (("context_expr", "scope"),),
    ast.Match: (("subject", "match subject"),),
    ast.Await: (("value", ""),),
    ast.Starred: (("value", ""),),
    ast.keyword: (("value", "keyword"),),
    ast.FormattedValue: (("value", "f-string"), ("format_spec", "f-string")),
    ast.JoinedStr: (("values", "f-string"),),
    ast.Call: (("func", "method receiver"), ("args", "argument"), ("keywords", "keyword")),
    ast.BinOp: (("left", "left operand"), ("right", "right operand")),
    ast.BoolOp: (("values", "and/or"),),
    ast.IfExp: (("test", "if/else test"), ("body", "if/else branch"), ("orelse", "if/else branch")),
    ast.NamedExpr: (("value", ":="),),
    ast.Attribute: (("value", "method receiver"),),
    ast.Subscript: (("value", "method receiver"), ("slice", "item index")),
    ast.Slice: (("lower", "slice"), ("upper", "slice"), ("step", "slice")),
    ast.List: (("elts", "list"),),
    ast.Tuple: (("elts", "tuple"),),
    ast.Set: (("elts", "set"),),
    ast.Dict: (("keys", "dict"), ("values", "dict")),
    ast.Lambda: (("body", "lambda"),),
    ast.ListComp: _COMPREHENDED,
    ast.SetComp: _COMPREHENDED,
    ast.GeneratorExp: _COMPREHENDED,
    ast.DictComp: (("key", "comprehension element"), ("value", "comprehension element"), ("generators", "")),
    ast.comprehension: (("iter", "comprehension iterable"), ("ifs", "comprehension condition")),
}
"""The fields of a node that hold expressions, each with the position that it is; an empty one: that of the whole."""


def _inside(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """The expressions directly inside a node, each with its position."""
    match node:
        case ast.UnaryOp(op=op, operand=operand):
            yield operand, "not" if isinstance(op, ast.Not) else "unary"
        case ast.Compare(left=left, comparators=others):
            yield from ((each, "chain" if len(others) > 1 else "comparison") for each in (left, *others))
        case _:
            for name, position in _PARTS.get(type(node), ()):
                value = getattr(node, name)
                yield from ((each, position) for each in (value if isinstance(value, list) else [value]) if each is not None)


_NAMES: dict[type[ast.AST], str] = {
    ast.BinOp: "operator",
    ast.BoolOp: "and/or",
    ast.IfExp: "if/else",
    ast.NamedExpr: ":=",
    ast.Attribute: "attribute",
    ast.Subscript: "item",
    ast.Slice: "slice",
    ast.List: "list",
    ast.Tuple: "tuple",
    ast.Set: "set",
    ast.ListComp: "list comprehension",
    ast.SetComp: "set comprehension",
    ast.DictComp: "dict comprehension",
    ast.GeneratorExp: "generator",
    ast.Lambda: "lambda",
    ast.JoinedStr: "f-string",
}
_RECORDED = {"now": "now()", "uuid": "uuid()", "run_info": "run_info()"}


def _expression_names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.UnaryOp(op=op):
            yield "not" if isinstance(op, ast.Not) else "unary"
        case ast.Compare(ops=ops):
            yield "chain" if len(ops) > 1 else "comparison"
        case ast.Dict(keys=keys):
            yield "**dict" if None in keys else "dict"
        case ast.FormattedValue(format_spec=spec) if spec is not None:
            yield "format spec"
        case ast.List(elts=items) | ast.Set(elts=items) | ast.Tuple(elts=items) if any(isinstance(i, ast.Starred) for i in items):
            yield "*item"
        case ast.Call():
            yield from _call_names(node)
        case _:
            if type(node) in _NAMES:
                yield _NAMES[type(node)]


def _call_names(node: ast.Call) -> Iterator[str]:
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        yield "*argument"
    if node.keywords:
        yield "keyword"
    match node.func:
        case ast.Attribute():
            yield "method"
        case ast.Name(id=name) if name in _RECORDED:
            yield _RECORDED[name]
        case ast.Name(id=name):
            yield "constructor" if name[0].isupper() else "call"
        case _:
            pass


def table(title: str, rows: Iterable[str], cells: Counter[Cell], impossible: dict[Cell, str]) -> list[str]:
    """One Markdown table; a cell that the language does not have shows the rule."""
    lines = [f"| {title} | {' | '.join(ENCLOSING)} |", f"| --- |{' ---: |' * len(ENCLOSING)}"]
    for row in rows:
        shown = (impossible.get((row, column)) or f"{cells[row, column]:,}" for column in ENCLOSING)
        lines.append(f"| `{row}` | {' | '.join(shown)} |")
    return lines


def covered(programs: int, first: int = 0) -> Coverage:
    """The coverage of programs by their seeds."""
    coverage = Coverage()
    for seed in range(first, first + programs):
        coverage.add(generate(seed).text)
    return coverage


def main() -> None:
    """Print both tables and what is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential.coverage")
    parser.add_argument("--programs", type=int, default=5_000)
    parser.add_argument("--seed-from", type=int, default=0)
    args = parser.parse_args()
    coverage = covered(args.programs, args.seed_from)
    rows = (*STATEMENTS, *PATTERNS, *AWAITED, *EXPRESSIONS)
    print(f"{coverage.programs:,} programs; each number: how often the construct of the row stands inside that of the column.\n")
    print("\n".join(table("construct", rows, coverage.cells, IMPOSSIBLE)), end="\n\n")
    print("\n".join(table("await as", POSITIONS, coverage.positions, IMPOSSIBLE_POSITIONS)), end="\n\n")
    missing = coverage.missing()
    print(f"cells reached less than {ENOUGH} times: {missing or 'none'}")


if __name__ == "__main__":
    main()
