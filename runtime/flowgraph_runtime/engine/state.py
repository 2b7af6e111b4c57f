"""State as text and back: live variables only, aliases kept, one JSON document for the whole run.

    {"seq", "at", ..., "main": token}
    token   {"id", "frames": [[function, block, {variable: value}, {cursor: [kind, position, operands]}]], "wait": [kind, ...],
             "scopes": [["timeout", serial, ...] or ["saga", [[site of the compensation, order, call], ...]], ...], "expired"}

Values are the codec's trees, encoded and decoded in the same order, so that an object reachable from two places stays one. The
result of a branch that a journal row holds can be stored as that row's number (see `references`).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from flowgraph.codec import CodecError, Decoder, Encoder, loads, to_text
from flowgraph.errors import TRACEBACK_ATTRIBUTE, capture_traceback
from flowgraph_runtime.engine.blocks import StepAction, UndoAction
from flowgraph_runtime.engine.cursors import Cursor, reopen_cursor
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.run_state import RunState
from flowgraph_runtime.engine.tokens import (
    ChildPending,
    Completed,
    Frame,
    GroupPending,
    OpenScope,
    Pending,
    SagaScope,
    SleepPending,
    StepPending,
    TimeoutScope,
    Token,
    WaitPending,
)
from flowgraph_runtime.engine.variables import Variables

FORMAT = 1
"""Version of the snapshot's form; another one is refused."""

BranchResults: TypeAlias = Callable[[list[int]], dict[int, str]]
Document: TypeAlias = "dict[str, Any]"

_PLAIN = (
    "run_id",
    "seq",
    "at",
    "next_serial",
    "next_token",
    "phase",
    "started",
    "started_at",
    "status",
)
_SELDOM = ("visits", "cancel_reason", "event_id")
"""Members that most states leave as they are at the start: not written then. A million sleepers are a million states."""

__all__ = ["BranchResults", "RunState", "references", "restore", "snapshot"]


def snapshot(state: RunState, program: Program, *, by_reference: bool = False) -> str:
    """Return the state's text. `by_reference`: branch results that journal rows hold are stored as the rows' numbers.

    Raises `CodecError` for a live value that cannot be stored."""
    return _Writer(program, by_reference).write(state)


def restore(text: str, program: Program, branch_results: BranchResults | None = None) -> RunState:
    """Return the state that `snapshot` wrote. `branch_results` gives the payloads of the rows that it refers to.

    Raises `CodecError` for a text that is no snapshot of this machine, or a class that is gone."""
    document: Any = json.loads(text)
    if not _is_snapshot(document):
        raise CodecError(f"not a snapshot of format {FORMAT}")
    rows = _referenced(document["main"])
    payloads = branch_results(rows) if rows and branch_results is not None else {}
    missing = [row for row in rows if row not in payloads]
    if missing:
        raise CodecError(f"the snapshot refers to journal rows {missing} whose payloads were not given")
    return _Reader(program, payloads).read(document)


def _is_snapshot(document: Any) -> bool:
    return isinstance(document, dict) and cast("Document", document).get("format") == FORMAT


def references(text: str) -> list[int]:
    """Return the numbers of the journal rows whose payloads `restore` needs."""
    return _referenced(json.loads(text)["main"])


def _referenced(token: Document) -> list[int]:
    wait = token["wait"]
    if wait is None or wait[0] != "group":
        return []
    rows = [result[0] for result in wait[6] if result is not None and result[0] is not None]
    return rows + [row for _, child in wait[7] for row in _referenced(child)]


class _Writer:
    def __init__(self, program: Program, by_reference: bool) -> None:
        self._program = program
        self._by_reference = by_reference
        self._encoder = Encoder()

    def write(self, state: RunState) -> str:
        document: Document = {"format": FORMAT, **{name: getattr(state, name) for name in _PLAIN}}
        document |= {name: value for name in _SELDOM if (value := getattr(state, name))}
        if state.attempt > 1:
            document["attempt"] = state.attempt
        if self._program.on_failure is not None or self._program.on_cancel is not None:
            document["trigger"] = state.trigger
        if state.error is not None:
            document["error"] = self._value(state.error, "error")
        document["main"] = self._token(state.main)
        if state.watches:
            document["watches"] = [self._token(watch) for watch in state.watches]
        return to_text(self._encoder.finish(document))

    def _value(self, value: Any, name: str) -> Any:
        _keep_traceback(value)
        return self._encoder.encode(value, by=name)

    def _token(self, token: Token) -> Document:
        frames = [self._frame(frame) for frame in token.frames]
        wait = None if token.pending is None else _WRITERS[type(token.pending)](self, token.pending)
        document = {"id": token.id, "cancel": token.cancel, "frames": frames, "wait": wait}
        if token.scopes:
            document["scopes"] = [self._scope(scope) for scope in token.scopes]
        if token.expired:
            document["expired"] = [scope.serial for scope in token.expired]
        return document

    def _scope(self, scope: OpenScope) -> list[Any]:
        if isinstance(scope, TimeoutScope):
            return ["timeout", scope.serial, scope.length, scope.shields, scope.fired, scope.delivered]
        return [
            "saga",
            [[done.undo.site, done.order, self._call(done.arguments, done.keywords, done.undo)] for done in scope.done],
        ]

    def _call(self, arguments: tuple[Any, ...], keywords: dict[str, Any] | None, action: StepAction) -> Any:
        return self._value((arguments, keywords), action.step)

    def _frame(self, frame: Frame) -> list[Any]:
        variables: Document = {}
        cursors: dict[str, Cursor] = {}
        for name in frame.current.live:
            if name in frame.variables:
                value = frame.variables[name]
                if isinstance(value, Cursor):
                    cursors[name] = value
                else:
                    variables[name] = self._value(value, name)
        function = self._program.index[id(frame.function)]
        return [function, frame.block, variables, {name: self._cursor(cursor, name) for name, cursor in cursors.items()}]

    def _cursor(self, cursor: Cursor, name: str) -> list[Any]:
        operands = [
            [1, self._cursor(operand, name)] if isinstance(operand, Cursor) else [0, self._value(operand, name)]
            for operand in cursor.operands
        ]
        return [cursor.kind, cursor.state(), operands]

    def step(self, x: StepPending) -> list[Any]:
        call = self._call(x.arguments, x.keywords, x.action)
        return ["step", x.serial, x.since, x.visit, x.attempt, x.executing, x.abandoned, x.due, call, x.tried]

    def sleep(self, x: SleepPending) -> list[Any]:
        return ["sleep", x.serial, x.since, x.due]

    def wait(self, x: WaitPending) -> list[Any]:
        return ["wait", x.serial, x.since, x.due, {name: self._value(value, name) for name, value in x.frozen.items()}]

    def child(self, x: ChildPending) -> list[Any]:
        return ["child", x.serial, x.since, x.run_id, x.abandoned]

    def group(self, x: GroupPending) -> list[Any]:
        failure = None if x.failure is None else self._value(x.failure, "failure")
        others = [self._value(other, "failure") for other in x.others]
        winner = self._value(x.winner, "winner")
        results = [None if index in x.children else self._result(x, index) for index in range(len(x.results))]
        children = [[index, self._token(child)] for index, child in x.children.items()]
        waiting = [[index, self._value(payload, "branch")] for index, payload in x.waiting]
        undos = [call.site for call in x.action.calls] if isinstance(x.action, UndoAction) else None
        return ["group", x.serial, x.since, x.outcome, failure, others, results, children, waiting, winner, undos]

    def _result(self, x: GroupPending, index: int) -> Any:
        row = x.references[index]
        if row is not None and self._by_reference and x.action.kind != "settle":
            return [row]
        return None if x.results[index] is None else [None, self._value(x.results[index], f"result[{index}]")]


_WRITERS: dict[type, Callable[[_Writer, Any], list[Any]]] = {
    StepPending: _Writer.step,
    SleepPending: _Writer.sleep,
    WaitPending: _Writer.wait,
    ChildPending: _Writer.child,
    GroupPending: _Writer.group,
}


def _keep_traceback(value: object) -> None:
    """An exception in a variable or in a completion record keeps its traceback as text."""
    if isinstance(value, tuple) and value:
        value = cast("object", value[-1])
    if isinstance(value, BaseException) and TRACEBACK_ATTRIBUTE not in vars(value):
        capture_traceback(value)


class _Reader:
    def __init__(self, program: Program, payloads: dict[int, str]) -> None:
        self._program = program
        self._payloads = payloads
        self._decoder = Decoder(program.types)
        self._pending: list[Pending] = []
        self._timeouts: dict[int, TimeoutScope] = {}

    def read(self, document: Document) -> RunState:
        state = RunState(document["run_id"])
        for name in _PLAIN:
            setattr(state, name, document[name])
        for name in _SELDOM:
            if document.get(name):
                setattr(state, name, document[name])
        state.trigger = document.get("trigger", "[]")
        state.attempt = document.get("attempt", 1)
        if document.get("error") is not None:
            state.error = self._decoder.decode(document["error"])
        state.main = self._token(document["main"], None, 0)
        for watch in document.get("watches", ()):
            state.watches.append(self._token(watch, None, 0, watch=True))
        for pending in sorted(self._pending, key=lambda pending: pending.serial):
            state.pending[pending.serial] = pending
            state.count(pending, 1)
        state.timeouts = dict(sorted(self._timeouts.items()))
        return state

    def _token(self, document: Document, group: GroupPending | None, index: int, *, watch: bool = False) -> Token:
        token = Token(document["id"], group, index, cancel=document["cancel"], watch=watch)
        token.frames.extend(self._frame(frame) for frame in document["frames"])
        if "scopes" in document:
            token.scopes = [self._scope(token, scope) for scope in document["scopes"]]
            token.expired = [self._timeouts[serial] for serial in document.get("expired", ())]
        if document["wait"] is not None:
            token.pending = _READERS[document["wait"][0]](self, token, document["wait"][1:])
            self._pending.append(token.pending)
        return token

    def _scope(self, token: Token, document: list[Any]) -> OpenScope:
        kind, *parts = document
        if kind == "timeout":
            timeout = TimeoutScope(token, *parts)
            self._timeouts[timeout.serial] = timeout
            return timeout
        return SagaScope(
            [Completed(self._program.undos[site], order, *self._decoder.decode(call)) for site, order, call in parts[0]]
        )

    def _frame(self, document: list[Any]) -> Frame:
        function: int
        function, block, variables, cursors = document
        decoded = Variables((name, self._decoder.decode(tree)) for name, tree in variables.items())
        for name, cursor in cursors.items():
            decoded[name] = self._cursor(cursor)
        return Frame(self._program.functions[function], block, decoded)

    def _cursor(self, document: list[Any]) -> Cursor:
        kind, position, operands = document
        read = [self._cursor(tree) if nested else self._decoder.decode(tree) for nested, tree in operands]
        return reopen_cursor(kind, read, position)

    def step(self, token: Token, parts: list[Any]) -> StepPending:
        serial, since, visit, attempt, executing, abandoned, due, call, tried = parts
        arguments, keywords = self._decoder.decode(call)
        call = (_action(token), visit, arguments, keywords)
        return StepPending(serial, token, since, *call, attempt, executing, abandoned, due, tried)

    def sleep(self, token: Token, parts: list[Any]) -> SleepPending:
        serial, since, due = parts
        return SleepPending(serial, token, since, _action(token), due)

    def wait(self, token: Token, parts: list[Any]) -> WaitPending:
        serial, since, due, frozen = parts
        variables = Variables((name, self._decoder.decode(tree)) for name, tree in frozen.items())
        return WaitPending(serial, token, since, _action(token), variables, due)

    def child(self, token: Token, parts: list[Any]) -> ChildPending:
        serial, since, run_id, abandoned = parts
        return ChildPending(serial, token, since, _action(token), run_id, abandoned)

    def group(self, token: Token, parts: list[Any]) -> GroupPending:
        serial, since, outcome, failure, others, results, children, waiting, winner, undos = parts
        count, action = len(results), _action(token)
        if undos is not None:
            action = UndoAction(action.site, tuple(self._program.undos[site] for site in undos))
        group = GroupPending(serial, token, since, action, [None] * count, [None] * count, outcome=outcome)
        group.failure = None if failure is None else self._decoder.decode(failure)
        group.others = [self._decoder.decode(other) for other in others]
        group.winner = self._decoder.decode(winner)
        for index, result in enumerate(results):
            self._result(group, index, result)
        for index, child in children:
            group.children[index] = self._token(child, group, index)
        group.waiting = deque((index, self._decoder.decode(payload)) for index, payload in waiting)
        return group

    def _result(self, group: GroupPending, index: int, result: list[Any] | None) -> None:
        if result is None:
            return
        if result[0] is None:
            group.results[index] = self._decoder.decode(result[1])
        else:
            group.references[index] = result[0]
            group.results[index] = loads(self._payloads[result[0]], self._program.types)


def _action(token: Token) -> Any:
    """The action that a token waits for: its block's, or its branch's."""
    if token.frames:
        return token.frames[-1].current.action
    if token.group is None:
        raise CodecError("the snapshot has a main token without frames")
    return token.group.action.branch(token.index)


_READERS: dict[str, Callable[[_Reader, Token, list[Any]], Pending]] = {
    "step": _Reader.step,
    "sleep": _Reader.sleep,
    "wait": _Reader.wait,
    "child": _Reader.child,
    "group": _Reader.group,
}
