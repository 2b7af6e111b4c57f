"""`try`: handlers by the names of exception classes, and Python's rule that the handler's variable is gone at its end."""

from __future__ import annotations

import ast

from flowgraph_compiler.build import callees
from flowgraph_compiler.build.context import Session
from flowgraph_compiler.build.matches import Matches
from flowgraph_compiler.build.outcomes import outcomes
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_compiler.graph import Body, Handler, Pure, Try
from flowgraph_compiler.statements import Delete

_SWALLOWING = ("BaseException", "Cancelled")


class FunctionBuilder(Matches):
    """The whole translation of one function."""

    def __init__(self, session: Session, decl: FlowDecl) -> None:
        super().__init__(session, decl)
        self._lone: dict[str, bool] = {}

    def do_Try(self, node: ast.Try) -> None:  # noqa: N802
        """`try`."""
        name = self.node_id("try")
        body = self.statements(node.body)
        handlers = tuple(self._handler(handler) for handler in node.handlers)
        orelse = self.statements(node.orelse)
        final = self.statements(node.finalbody, "final")
        self.emit(Try(name, self.span(node), body, handlers, orelse, final))

    def do_TryStar(self, node: ast.AST) -> None:  # noqa: N802
        """`except*` is not in the language."""
        handlers: list[ast.ExceptHandler] = getattr(node, "handlers", [])
        self.report("FG127", handlers[0], "'except*' is not in the language: steps raise single exceptions", "write 'except'")

    def _handler(self, node: ast.ExceptHandler) -> Handler:
        names = self._names(node.type)
        body = self.statements(node.body, "handler")
        if set(names) & set(_SWALLOWING) and outcomes(body) != {"raise"}:
            caught = f"'except {ast.unparse(node.type)}'" if node.type is not None else "'except:'"
            self.report("FG128", node, f"{caught} catches the cancellation of the run and can end without raising it again",
                        "catch 'Exception', or end the handler with 'raise'")  # fmt: skip
        if node.name is not None:
            body = self._unbound_after(node, node.name, body)
        return Handler(names, node.name, body, self.span(node))

    def _names(self, node: ast.expr | None) -> tuple[str, ...]:
        if node is None:
            return ("BaseException",)
        if isinstance(node, ast.Tuple):
            return tuple(name for item in node.elts for name in self._names(item))
        found = callees.static(self, node)
        classes = _exceptions(found.value) if found is not None else ()
        if not classes:
            self.refuse(node, f"'except {ast.unparse(node)}'", "name exception classes of the module")
        # `IOError` is another name of `OSError`: what a handler matches by is the class's own name.
        return tuple(cls.__name__ for cls in classes)

    def _unbound_after(self, node: ast.ExceptHandler, name: str, body: Body) -> Body:
        """`e = None; del e` at the end: a plain `del` where nothing can tell, a `finally` where another binding could be read."""
        span = self.span(node)
        delete = Pure(self.node_id("="), span, Delete(name, missing_ok=True, span=span))
        ways = outcomes(body)
        if self._is_lone(name) and not ways & {"break", "continue"}:
            return (*body, delete) if "next" in ways else body
        return (Try(self.node_id("try"), span, body, (), (), (delete,)),)

    def _is_lone(self, name: str) -> bool:
        """Whether the name is bound by handlers only, none of them inside this one or around it."""
        if name not in self._lone:
            places = set(self.bindings[name])
            self._lone[name] = all(
                isinstance(each, ast.ExceptHandler) and places.isdisjoint(set(ast.walk(each)) - {each}) for each in places
            )
        return self._lone[name]


def _exceptions(value: object) -> tuple[type[BaseException], ...]:
    """The classes that an object names as a handler: itself, or those of a tuple; nothing for anything else."""
    if isinstance(value, type):
        return (value,) if issubclass(value, BaseException) else ()
    if not isinstance(value, tuple):
        return ()
    parts = [_exceptions(item) for item in value]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return tuple(cls for part in parts for cls in part) if all(parts) else ()
