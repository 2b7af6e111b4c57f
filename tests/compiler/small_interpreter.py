"""A machine, run in the plainest way: one token, steps called in place. What a lowering means, for tests to compare with CPython.

After every suspension only the variables that the machine calls live are kept, so wrong liveness shows as a NameError.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler import statements as s

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "%": operator.mod, "==": operator.eq, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "is": operator.is_, "is not": operator.is_not,
    "in": lambda left, right: left in right,
}  # fmt: skip
_CALLABLES: dict[str, Any] = {
    cls.__name__: cls
    for cls in (range, list, str, len, enumerate, zip, reversed, ValueError, KeyError, RuntimeError, LookupError, Exception)
}


class Break(Exception):
    pass


class Continue(Exception):
    pass


class Interpreter:
    def __init__(self, machine: m.Machine, steps: dict[str, Callable[..., Any]]) -> None:
        self.functions = {function.name: function for function in machine.functions}
        self.main = machine.functions[0].name
        self.steps = steps
        self.rounds = 0

    def run(self, *arguments: Any) -> Any:
        return self.call(self.main, arguments, {})

    def call(self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        function = self.functions[name]
        variables = {key: self.value(default, {}) for key, default in function.defaults}
        frame = Frame(self, {**variables, **dict(zip(function.parameters, arguments, strict=False)), **keywords})
        number = 0
        while True:
            self.rounds += 1
            assert self.rounds < 10_000, "runs for ever"
            block = function.blocks[number]
            try:
                found = frame.block(block)
            except AssertionError:
                raise
            except Exception as error:
                if block.handler is None:
                    raise
                assert block.caught is not None
                frame.variables[block.caught] = error
                found = block.handler
            if isinstance(found, Result):
                return found.value
            number = found

    def act(self, action: m.Action, frame: Frame) -> Any:
        match action:
            case m.CallStep(step=name):
                return self.steps[name](*frame.values(action.arguments), **frame.keywords(action.keywords))
            case m.CallFlow(function=name):
                return self.call(name, frame.values(action.arguments), frame.keywords(action.keywords))
            case m.Group(branches=branches):
                return tuple(self.act(branch, frame) for branch in branches)
            case _:
                return None

    def value(self, tree: Any, variables: dict[str, Any]) -> Any:
        return Frame(self, variables).value(tree)


class Result:
    def __init__(self, value: Any) -> None:
        self.value = value


class Frame:
    def __init__(self, interpreter: Interpreter, variables: dict[str, Any]) -> None:
        self.interpreter = interpreter
        self.variables = variables
        self.handling: list[Exception] = []

    # --- blocks

    def block(self, block: m.Block) -> int | Result:
        for op in block.ops:
            self.statement(op)
        match block.terminator:
            case m.Goto(target):
                return target
            case m.Test(test, then, orelse):
                return then if self.value(test) else orelse
            case m.Advance(cursor, target, body, done):
                try:
                    item = next(self.variables[cursor])
                except StopIteration:
                    return done
                self.assign(target, item)
                return body
            case m.Suspend():
                return self.suspend(block, block.terminator)
            case m.Finish(value):
                return Result(None if value is None else self.value(value))
            case m.Fail(exception, cause):
                raise self.raised(exception, cause)
            case m.Reraise(variable):
                raise self.variables[variable]
            case m.Resume():
                return self.resume(block.terminator)

    def suspend(self, block: m.Block, end: m.Suspend) -> int:
        try:
            result = self.interpreter.act(end.action, self)
        finally:
            self.variables = {name: self.variables[name] for name in end.live if name in self.variables}
        if end.result is not None:
            self.variables[end.result] = result
        return end.block

    def resume(self, end: m.Resume) -> int:
        kind, *held = self.variables[end.record]
        if kind == "raise":
            raise held[0]
        if kind == "return":
            self.variables["$return"] = held[0]
        target = {"next": end.normal, "return": end.returns}[kind] if kind != "jump" else end.jumps[held[0]]
        assert target is not None
        return target

    # --- statements

    def statement(self, op: s.Statement) -> None:  # noqa: PLR0912  (one case a form)
        match op:
            case s.Assign(targets, value):
                found = self.value(value)
                for target in targets:
                    self.assign(target, found)
            case s.Augment(target, operator_, value):
                self.assign(target, _OPERATORS[operator_](self.value(target), self.value(value)))
            case s.Evaluate(value):
                self.value(value)
            case s.Delete(name, missing_ok):
                self.variables.pop(name, None) if missing_ok else self.variables.pop(name)
            case s.Throw(exception, cause):
                raise self.raised(exception, cause)
            case s.Rethrow():
                raise self.handling[-1]
            case s.BreakLoop():
                raise Break
            case s.ContinueLoop():
                raise Continue
            case s.If(test, body, orelse):
                self.body(body if self.value(test) else orelse)
            case s.While(test, body):
                self.loop(iter(lambda: bool(self.value(test)), False), None, body)
            case s.For(target, iterable, body):
                self.loop(iter(self.value(iterable)), target, body)
            case s.Try():
                self.native_try(op)
            case _:
                raise AssertionError(op)

    def body(self, ops: tuple[s.Statement, ...]) -> None:
        for op in ops:
            self.statement(op)

    def loop(self, items: Iterator[Any], target: e.Target | None, body: tuple[s.Statement, ...]) -> None:
        for item in items:
            if target is not None:
                self.assign(target, item)
            try:
                self.body(body)
            except Break:
                break
            except Continue:
                continue

    def native_try(self, op: s.Try) -> None:
        try:
            try:
                self.body(op.body)
            except (Break, Continue):
                raise
            except Exception as error:
                self.handle(op, error)
            else:
                self.body(op.orelse)
        except (Break, Continue):
            self.body(op.final)
            raise
        except Exception as error:
            self.handling.append(error)
            self.body(op.final)
            self.handling.pop()
            raise
        else:
            self.body(op.final)

    def handle(self, op: s.Try, error: Exception) -> None:
        clause = next((each for each in op.handlers if matches(error, each.names)), None)
        if clause is None:
            raise error
        if clause.variable is not None:
            self.variables[clause.variable] = error
        self.handling.append(error)
        try:
            self.body(clause.body)
        finally:
            self.handling.pop()

    def assign(self, target: e.Target, value: Any) -> None:
        match target:
            case e.Local(name):
                self.variables[name] = value
            case e.TupleOf(items):
                for item, part in zip(items, value, strict=True):
                    self.assign(item, part)  # type: ignore[arg-type]
            case _:
                raise AssertionError(target)

    # --- expressions

    def raised(self, exception: e.Expr, cause: e.Expr | None) -> BaseException:
        found: BaseException = self.value(exception)
        found = found() if isinstance(found, type) else found
        found.__cause__ = None if cause is None else self.value(cause)
        return found

    def values(self, trees: tuple[e.Expr, ...]) -> tuple[Any, ...]:
        return tuple(self.value(tree) for tree in trees)

    def keywords(self, keywords: tuple[e.Keyword, ...]) -> dict[str, Any]:
        return {keyword.name: self.value(keyword.value) for keyword in keywords if keyword.name is not None}

    def value(self, tree: Any) -> Any:  # noqa: PLR0912  (one case a form)
        match tree:
            case e.Const(value):
                return value
            case e.Local(name):
                return self.variables[name]
            case e.ClassRef(name):
                return _CALLABLES[name]
            case e.Binary(op, left, right):
                return _OPERATORS[op](self.value(left), self.value(right))
            case e.Compare(left, (op,), (right,)):
                return _OPERATORS[op](self.value(left), self.value(right))
            case e.Unary("not", operand):
                return not self.value(operand)
            case e.Logical("and", (left, right)):
                return self.value(left) and self.value(right)
            case e.Logical("or", (left, right)):
                return self.value(left) or self.value(right)
            case e.Attribute(value, name):
                return getattr(self.value(value), name)
            case e.Subscript(value, e.Slice(None, upper, None)):
                return self.value(value)[: self.value(upper)]
            case e.Subscript(value, index):
                return self.value(value)[self.value(index)]
            case e.TupleOf(items):
                return self.values(items)
            case e.ListOf(items):
                return list(self.values(items))
            case e.Call(name, arguments, keywords) | e.New(name, arguments, keywords):
                return _CALLABLES[name](*self.values(arguments), **self.keywords(keywords))
            case e.Method(value, name, arguments):
                return getattr(self.value(value), name)(*self.values(arguments))
            case e.Matches(variable, names):
                return matches(self.variables[variable], names)
            case e.Cursor("iter", (operand,)):
                return iter(self.value(operand))
            case e.Cursor(kind, arguments):
                return iter(_CALLABLES[kind](*self.values(arguments)))
            case _:
                raise AssertionError(tree)


def matches(error: BaseException, names: tuple[str, ...]) -> bool:
    return bool({cls.__name__ for cls in type(error).__mro__} & set(names))
