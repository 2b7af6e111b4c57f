"""A machine made runnable: one Python function per block, generated from the closed vocabulary and compiled once.

    block 3:  ops; Test(test, 4, 7)       ->   def block_0_3(V, R): ops; return 4 if test else 7
    block 4:  ops; Suspend(CallStep(...)) ->   def block_0_4(V, R): ops; return ((arguments...), keywords)

`V` are the frame's variables, `R` the transition's records and operation budget. A jump returns the next block's number, a
suspension the payload of its action, a `Finish` the value. Where a block jumps to a near one under the same handler, that one's
code follows in the same function, which then returns the number of the block that it has reached with what that block returns:
a turn of a loop with one step in it is one call.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from flowgraph.registry import TypeRegistry
from flowgraph_compiler import machine as form
from flowgraph_compiler.expressions import Expr
from flowgraph_compiler.serialize import fingerprint
from flowgraph_runtime.engine.actions import Actions
from flowgraph_runtime.engine.blocks import FINISH, JUMP, SUSPEND, BlockProgram, FunctionProgram, StepAction
from flowgraph_runtime.engine.errors import Exhausted, ProgramError
from flowgraph_runtime.engine.expressions import Expressions
from flowgraph_runtime.engine.names import Names, bound, call, load
from flowgraph_runtime.engine.patterns import case
from flowgraph_runtime.engine.statements import Statements, at_line
from flowgraph_runtime.engine.variables import Variables, captured


class Program:
    """A runnable machine. `functions[0]` is the workflow; `undos` are the compensations by their sites."""

    def __init__(
        self, machine: form.Machine, types: TypeRegistry, functions: list[FunctionProgram], undos: Mapping[str, StepAction]
    ) -> None:
        self.machine = machine
        self.types = types
        self.functions = functions
        self.undos = undos
        self.by_name = {function.name: function for function in functions}
        self.index = {id(function): number for number, function in enumerate(functions)}
        self.on_failure = self._handler(machine.on_failure)
        self.on_cancel = self._handler(machine.on_cancel)
        self.nodes = {node.site: node.id for node in machine.nodes}

    @classmethod
    def load(cls, machine: form.Machine, types: TypeRegistry) -> Program:
        """Compile a machine. Raises `ProgramError` for what is outside the vocabulary or missing in the deployed code."""
        if machine.format != form.FORMAT:
            raise ProgramError(f"the machine has format {machine.format}, this engine reads format {form.FORMAT}")
        generator = _Generator(machine, types)
        return cls(machine, types, generator.generate(), generator.undos)

    @cached_property
    def fingerprint(self) -> str:
        """The machine's fingerprint."""
        return fingerprint(self.machine)

    def _handler(self, name: str | None) -> FunctionProgram | None:
        if name is not None and name not in self.by_name:
            raise ProgramError(f"the machine names the handler '{name}', which it does not hold")
        return None if name is None else self.by_name[name]


NEAR = 3
"""Blocks that may follow one in its function: a decision doubles what follows it, so that they are few."""


class _Generator:
    """Generates the module of one machine's functions."""

    def __init__(self, machine: form.Machine, types: TypeRegistry) -> None:
        self._machine = machine
        self._names = Names(types, dict(machine.constants))
        self._expressions = Expressions(self._names)
        self._actions = Actions(self._expressions, self._residual)
        self.undos = self._actions.undos
        self._body: list[ast.stmt] = []
        self._titles: dict[str, str] = {}
        self._residuals: list[tuple[str, list[Any]]] = []

    def generate(self) -> list[FunctionProgram]:
        for function in self._machine.functions:
            if function.kind == "pure":
                self._names.add("p", function.name, None)
        programs = [self._function(number, function) for number, function in enumerate(self._machine.functions)]
        self._compile()
        self._link(programs)
        return programs

    def _function(self, number: int, function: form.Function) -> FunctionProgram:
        positional = tuple(name for name in function.parameters if name not in function.keyword_only)
        parameters = (*positional, *function.keyword_only)
        for name, value in function.defaults:
            self._define(f"default_{number}_{name}", function.name, [ast.Return(self._expressions(value))], 1)
        for block in function.blocks:
            _check_jumps(block, len(function.blocks))
        blocks = [self._block(number, index, block, function) for index, block in enumerate(function.blocks)]
        return FunctionProgram(function.name, function.kind, parameters, positional, {}, blocks)

    def _block(self, number: int, index: int, block: form.Block, function: form.Function) -> BlockProgram:
        last = block.terminator
        program = BlockProgram(index, JUMP, block.handler, block.caught, block.shields, block.node)
        if isinstance(last, form.Suspend):
            program.kind, program.action = SUSPEND, self._actions.build(last.action)
            program.result, program.next, program.live = last.result, last.block, last.live
        elif isinstance(last, form.Finish):
            program.kind = FINISH
        body = self._code(function, Statements(self._expressions), (index,))
        self._define(f"block_{number}_{index}", function.name, body, _line(block, 0))
        return program

    def _code(self, function: form.Function, statements: Statements, path: tuple[int, ...]) -> list[ast.stmt]:
        """The code of the last block of `path`, in the Python function of the first one, which jumps to it."""
        block = function.blocks[path[-1]]
        body: list[ast.stmt] = []
        for position, op in enumerate(block.ops):
            body += at_line(statements(op), _line(block, position))
        jump = partial(self._jump, function, statements, path)
        last = _terminator(block.terminator, statements, self._actions, jump, None if len(path) == 1 else path[-1])
        return body + at_line(last, _line(block, len(block.ops)))

    def _jump(self, function: form.Function, statements: Statements, path: tuple[int, ...], target: int) -> list[ast.stmt]:
        first, block = function.blocks[path[0]], function.blocks[target]
        alike = (block.handler, block.caught, block.shields) == (first.handler, first.caught, first.shields)
        if not alike or target in path or len(path) > NEAR or function.kind == "pure":
            return [ast.Return(ast.Constant(target))]
        tick: ast.stmt = ast.Expr(ast.Call(ast.Attribute(load("R"), "tick", ast.Load()), [], []))
        return [*at_line([tick], _line(block, 0)), *self._code(function, statements, (*path, target))]

    def _residual(self, predicate: Expr, parameter: str, names: Sequence[str]) -> Callable[[Any, Any, Any], Any]:
        name = f"residual_{len(self._residuals)}"
        self._define(name, "where", [ast.Return(self._expressions(predicate))], 1, bound(parameter), *map(bound, names))
        cell: list[Any] = []
        self._residuals.append((name, cell))

        def run(variables: Any, records: Any, event: Any) -> Any:
            return cell[0](variables, records, event, *(variables[captured(name)] for name in names))

        return run

    def _define(self, name: str, title: str, body: list[ast.stmt], line: int, *more: str) -> None:
        arguments = ast.arguments([], [ast.arg(arg) for arg in ("V", "R", *more)], None, [], [], None, [])
        function = ast.FunctionDef(name, arguments, body, [])
        self._body += at_line([function], line)
        self._titles[name] = title

    def _compile(self) -> None:
        module = ast.Module(self._body, [])
        code = compile(module, self._machine.file or f"<workflow {self._machine.workflow}>", "exec", dont_inherit=True)
        exec(code, self._names.namespace)  # noqa: S102  # built from the closed vocabulary, see `expressions`
        for name, title in self._titles.items():
            function = self._names.namespace[name]
            function.__code__ = function.__code__.replace(co_name=title, co_qualname=title)

    def _link(self, programs: list[FunctionProgram]) -> None:
        space = self._names.namespace
        by_name = {program.name: program for program in programs}
        for number, (form_, program) in enumerate(zip(self._machine.functions, programs, strict=True)):
            program.defaults = {name: space[f"default_{number}_{name}"](Variables(), None) for name, _ in form_.defaults}
            for block in program.blocks:
                block.run = space[f"block_{number}_{block.index}"]
            if program.kind == "pure":
                space[self._names.add("p", program.name, None)] = _pure(program)
        for action in self._actions.flows:
            if action.name not in by_name:
                raise ProgramError(f"the machine calls the subflow '{action.name}', which it does not hold")
            action.function = by_name[action.name]
        for name, cell in self._residuals:
            cell.append(space[name])


def _line(block: form.Block, position: int) -> int:
    return block.lines[position] if position < len(block.lines) else 1


def _check_jumps(block: form.Block, count: int) -> None:
    targets: list[int | None] = [block.handler]
    match block.terminator:
        case form.Goto() | form.Suspend():
            targets.append(block.terminator.block)
        case form.Test():
            targets += [block.terminator.then, block.terminator.orelse]
        case form.Choose(_, ways, orelse):
            targets += [*(way.block for way in ways), orelse]
        case form.Advance():
            targets += [block.terminator.body, block.terminator.done]
        case form.Resume():
            targets += [block.terminator.normal, block.terminator.returns, *block.terminator.jumps]
        case _:
            pass
    if any(target is not None and not 0 <= target < count for target in targets):
        raise ProgramError(f"the machine jumps out of a function of {count} blocks")


def _terminator(
    last: form.Terminator, x: Statements, actions: Actions, jump: Callable[[int], list[ast.stmt]], reached: int | None
) -> list[ast.stmt]:
    """The code of a block's end. `jump` makes that of a jump; `reached`: the block's number, where its function is another's."""
    match last:
        case form.Goto():
            return jump(last.block)
        case form.Test():
            return [ast.If(x.expressions(last.test), jump(last.then), []), *jump(last.orelse)]
        case form.Choose():
            return _choose(last, x)
        case form.Advance():
            return _advance(last, x, jump)
        case form.Suspend():
            return _return(actions.payload(last.action), reached)
        case form.Finish():
            return _return(ast.Constant(None) if last.value is None else x.expressions(last.value), reached)
        case form.Fail():
            return [ast.Raise(x.expressions(last.exception), None if last.cause is None else x.expressions(last.cause))]
        case form.Reraise():
            return [ast.Raise(_variable(last.variable), None)]
        case form.Resume():
            return _resume(last)
    raise ProgramError(f"the machine contains {type(last).__name__!r}, which is no terminator of the vocabulary")


def _return(value: ast.expr, reached: int | None) -> list[ast.stmt]:
    return [ast.Return(value if reached is None else ast.Tuple([ast.Constant(reached), value], ast.Load()))]


def _variable(name: str) -> ast.expr:
    return ast.Subscript(load("V"), ast.Constant(name), ast.Load())


def _choose(last: form.Choose, x: Statements) -> list[ast.stmt]:
    cases = [case(x.expressions, x.temporary, way.pattern, way.guard, [ast.Return(ast.Constant(way.block))]) for way in last.ways]
    return [ast.Match(x.expressions(last.subject), cases), ast.Return(ast.Constant(last.orelse))]


def _advance(last: form.Advance, x: Statements, jump: Callable[[int], list[ast.stmt]]) -> list[ast.stmt]:
    item = x.temporary()
    at_end = ast.Compare(load(item), [ast.Is()], [load("END")])
    return [
        ast.Assign([ast.Name(item, ast.Store())], call("next", _variable(last.cursor), load("END"))),
        ast.If(at_end, jump(last.done), []),
        ast.Assign([x.expressions.target(last.target)], load(item)),
        *jump(last.body),
    ]


def _resume(last: form.Resume) -> list[ast.stmt]:
    """Go on as the completion record says: see `machine.Resume`."""
    value = ast.Subscript(_variable(last.record), ast.Constant(1), ast.Load())
    returned = ast.Assign([ast.Subscript(load("V"), ast.Constant("$return"), ast.Store())], value)
    jumps = ast.Tuple([ast.Constant(jump) for jump in last.jumps], ast.Load())
    return [
        ast.If(_record_is(last, "next"), [ast.Return(ast.Constant(last.normal))], []),
        ast.If(_record_is(last, "raise"), [ast.Raise(value, None)], []),
        ast.If(_record_is(last, "return"), [returned, ast.Return(ast.Constant(last.returns))], []),
        ast.Return(ast.Subscript(jumps, value, ast.Load())),
    ]


def _record_is(last: form.Resume, word: str) -> ast.expr:
    tag = ast.Subscript(_variable(last.record), ast.Constant(0), ast.Load())
    return ast.Compare(tag, [ast.Eq()], [ast.Constant(word)])


def _pure(function: FunctionProgram) -> Callable[..., Any]:
    """The Python function of a `@pure` function: its blocks, run on the spot."""

    def run(records: Any, *arguments: Any, **keywords: Any) -> Any:
        variables = function.bind(arguments, keywords)
        index = 0
        while True:
            records.tick()
            block = function.blocks[index]
            try:
                outcome = block.run(variables, records)
            except (Exhausted, KeyboardInterrupt):
                raise
            except BaseException as error:
                if block.handler is None:
                    raise
                if block.caught is not None:
                    variables[block.caught] = error
                index = block.handler
            else:
                if block.kind == FINISH:
                    return outcome
                index = outcome

    return run
