"""The diagram of steps: what a workflow waits for and where it can go, without the native statements in between.

Blocks that only compute vanish; a block that ends in a suspension, a test, a loop head or an end becomes a node. A wait whose
result is tested at once has two ways out, the event and the timeout, instead of a decision after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler.jumps import successors
from flowgraph_compiler.render.shapes import Cluster, DiagramEdge, DiagramGraph, DiagramNode, shortened
from flowgraph_compiler.render.texts import Texts, trigger_text, waited
from flowgraph_compiler.scopes import open_scopes
from flowgraph_compiler.statements import Assign

_FAILING = (m.CallStep, m.CallFlow, m.CallChild, m.Group, m.FanOutGroup)


class StepDiagram:
    """Collects the nodes and edges of all functions of a machine."""

    def __init__(self, machine: m.Machine, live: Mapping[str, str] | None) -> None:
        self.machine = machine
        self.infos = {node.site: node for node in machine.nodes}
        self.nodes: list[DiagramNode] = []
        self.edges: list[DiagramEdge] = []
        self.clusters: list[Cluster] = []
        self._live = live

    def graph(self) -> DiagramGraph:
        """The diagram."""
        for number, function in enumerate(self.machine.functions):
            if function.kind != "pure":
                FunctionDiagram(self, function, number).draw()
        for function in self.machine.functions:
            self._calls(function)
        self._prune()
        used = {node.status for node in self.nodes if node.status is not None}
        return DiagramGraph(
            self.machine.workflow, tuple(self.nodes), tuple(self.edges), tuple(self.clusters), tuple(sorted(used))
        )

    def _prune(self) -> None:
        """Leave out the ends of `finally` bodies that are always passed in a known way."""
        while True:
            targets = {edge.target for edge in self.edges}
            gone = {node.id for node in self.nodes if node.kind in ("finally", "raise", "end") and node.id not in targets}
            if not gone:
                return
            self.nodes = [node for node in self.nodes if node.id not in gone]
            self.edges = [edge for edge in self.edges if edge.source not in gone]

    def clusters_around(self, cluster: str) -> str | None:
        """The frame that a frame stands in."""
        return next(each.parent for each in self.clusters if each.id == cluster)

    def status(self, site: str) -> str | None:
        """The state of a node in the run that is shown."""
        if self._live is None:
            return None
        info = self.infos.get(site)
        found = self._live.get(info.id if info is not None else site, "pending")
        return "completed" if found == "done" else found

    def _calls(self, function: m.Function) -> None:
        for action in _actions(function):
            if isinstance(action, m.CallFlow):
                self.edges.append(DiagramEdge(action.site, f"{action.function}:start", "", "calls"))


def _actions(function: m.Function) -> Iterator[m.Action]:
    waiting = [block.terminator.action for block in function.blocks if isinstance(block.terminator, m.Suspend)]
    while waiting:
        action = waiting.pop(0)
        yield action
        waiting += action.branches if isinstance(action, m.Group) else ()
        waiting += (action.branch,) if isinstance(action, m.FanOutGroup) else ()


class FunctionDiagram:
    """One function."""

    def __init__(self, whole: StepDiagram, function: m.Function, number: int) -> None:
        self._whole = whole
        self._function = function
        self._blocks = function.blocks
        self._texts = Texts(function.blocks)
        self._cluster = None if number == 0 else f"cluster_{number}"
        self._frame = self._cluster  # of the block that is drawn
        self._scopes = open_scopes(function.blocks)
        entries = [target for block in function.blocks for target in successors(block.terminator)]
        self._entries = Counter([*entries, *(block.handler for block in function.blocks if block.handler is not None)])
        ends = [block.terminator for block in self._blocks if self._fuses(block)]
        self._fused = {end.block for end in ends if isinstance(end, m.Suspend)}

    def draw(self) -> None:
        """Add everything."""
        machine = self._whole.machine
        titles: dict[str | None, str] = {machine.on_failure: "on failure", machine.on_cancel: "on cancel"}
        titles.update(dict.fromkeys(machine.cancel_on, "cancel on"))
        title = titles.get(self._function.name, self._function.name)
        if self._cluster is not None:
            self._whole.clusters.append(Cluster(self._cluster, title))
        triggers = tuple(trigger_text(trigger) for trigger in machine.triggers) if self._cluster is None else ()
        start = f"{self._function.name}:start"
        self._node(DiagramNode(start, "start", title, triggers, cluster=self._cluster))
        self._edge(start, self._entry(0))
        self._draw_scopes()
        for number in range(len(self._blocks)):
            if self._shown(number):
                around = self._scopes.get(number, ())
                self._frame = _frame(around[-1]) if around else self._cluster
                self._block(number)

    def _draw_scopes(self) -> None:
        """A frame for each `async with`, inside that of the one around it."""
        for number, around in sorted(self._scopes.items()):
            match self._blocks[number].terminator:
                case m.Suspend(action=m.OpenScope(site=site, kind=kind, duration=duration)):
                    title = kind if duration is None else f"{kind} {plain(self._texts.of(duration, 30))}"
                    self._whole.clusters.append(Cluster(_frame(site), title, _frame(around[-1]) if around else self._cluster))
                case _:
                    pass

    # --- what is shown

    def _shown(self, number: int) -> bool:
        block = self._blocks[number]
        match block.terminator:
            case m.Goto():
                return False
            case m.Suspend(action=m.SleepFor(site=site)) if site.endswith(m.BEGIN):
                return False
            case m.Suspend(action=m.OpenScope(kind="saga") | m.CloseScope(kind="timeout")):
                return False
            case m.Reraise():
                return block.handler is None
            case _:
                return number not in self._fused

    def _entry(self, number: int) -> str:
        """The node that a jump to a block arrives at. Completion records written on the way say how a `finally` goes on."""
        records: dict[str, tuple[e.Expr, ...]] = {}
        for _ in self._blocks:
            block = self._blocks[number]
            records.update(_record(op) for op in block.ops if isinstance(op, Assign) and isinstance(op.value, e.TupleOf))
            following = self._following(block, number, records)
            if following is None:
                break
            number = following
        end = self._blocks[number].terminator
        is_scope = isinstance(end, m.Suspend) and isinstance(end.action, m.CloseScope)
        return end.action.site if isinstance(end, m.Suspend) and not is_scope else f"{self._function.name}:{number}"

    def _following(self, block: m.Block, number: int, records: dict[str, tuple[e.Expr, ...]]) -> int | None:
        """Where a block that is not shown leads; None for one that is."""
        end = block.terminator
        if isinstance(end, m.Resume) and end.record in records:
            return resumed(end, block, records[end.record])
        if isinstance(end, m.Suspend) and isinstance(end.action, m.CloseScope) and not _fails(end.action.record, records):
            return end.block
        if self._shown(number):
            return None
        return block.handler if isinstance(end, m.Reraise) else successors(end)[0]

    def _fuses(self, block: m.Block) -> bool:
        """Whether a wait is followed by nothing but the question whether it timed out."""
        end = block.terminator
        if not isinstance(end, m.Suspend) or not isinstance(end.action, m.WaitFor) or end.action.timeout is None:
            return False
        following = self._blocks[end.block]
        alone = not following.ops and self._entries[end.block] == 1
        return alone and isinstance(following.terminator, m.Test) and waited(following.terminator.test, end.result) is not None

    # --- nodes

    def _node(self, node: DiagramNode) -> str:
        self._whole.nodes.append(node)
        return node.id

    def _edge(self, source: str, target: str, label: str = "", kind: str = "flow") -> None:
        edge = DiagramEdge(source, target, label, kind)
        if edge not in self._whole.edges:
            self._whole.edges.append(edge)

    def _block(self, number: int) -> None:
        block = self._blocks[number]
        if isinstance(block.terminator, m.Suspend):
            self._suspending(number, block, block.terminator)
            return
        kind, title, ways = self._plain(block.terminator)
        line = block.lines[-1] if block.lines and kind in ("decision", "loop") else 0
        node = self._node(DiagramNode(f"{self._function.name}:{number}", kind, title, (), line, None, self._frame))
        for label, target in ways:
            self._edge(node, self._entry(target), label)
        if kind in ("raise", "finally"):
            self._error(node, block)
        if kind == "finally" and block.handler is None:
            failed = self._node(DiagramNode(f"{node}:raise", "raise", "raise again", (), 0, None, self._frame))
            self._edge(node, failed, "error", "error")

    def _plain(self, end: m.Terminator) -> tuple[str, str, list[tuple[str, int]]]:
        """Kind, title and labelled ways of a node that waits for nothing."""
        match end:
            case m.Test(test, then, orelse):
                return "decision", self._texts.test(test), [("yes", then), ("no", orelse)]
            case m.Choose(subject, cases, orelse):
                chosen = [(self._texts.way(way), way.block) for way in cases]
                rest = [] if orelse is None else [("else", orelse)]
                return "decision", f"match {self._texts.of(subject, 50)}", [*chosen, *rest]
            case m.Advance(body=body, done=done):
                return "loop", self._texts.loop(end), [("each", body), ("done", done)]
            case m.Resume(_, normal, returns, jumps):
                ways = [("", normal), ("return", returns), *(("leave loop round", target) for target in jumps)]
                return "finally", "finally ends", [(label, target) for label, target in ways if target is not None]
            case m.Finish(value):
                return "end", self._texts.end(value), []
            case m.Fail(exception):
                return "raise", f"raise {self._texts.of(exception)}", []
            case _:
                return "raise", "raise again", []

    def _suspending(self, number: int, block: m.Block, end: m.Suspend) -> None:
        match end.action:
            case m.OpenScope():
                self._deadline(block, end, end.action)
            case m.CloseScope():
                self._undo(number, block)
            case _:
                self._suspend(block, end)

    def _deadline(self, block: m.Block, end: m.Suspend, action: m.OpenScope) -> None:
        """A timeout begins: into the block, or on where its `TimeoutError` is handled."""
        limit = "" if action.duration is None else f"at most {plain(self._texts.of(action.duration, 30))}"
        self._frame = _frame(action.site)
        node = self._node(DiagramNode(action.site, "sleep", limit, (), 0, None, self._frame))
        self._edge(node, self._entry(end.block))
        if block.handler is None:
            around = self._whole.clusters_around(self._frame)
            target = self._node(DiagramNode(f"{node}:raise", "raise", "raise TimeoutError", (), 0, None, around))
        else:
            target = self._entry(block.handler)
        self._edge(node, target, "timeout", "timeout")

    def _undo(self, number: int, block: m.Block) -> None:
        """A saga that an exception leaves: its compensations, then the exception again."""
        node = self._node(DiagramNode(f"{self._function.name}:{number}", "finally", "compensate", (), 0, None, self._frame))
        if block.handler is not None:
            self._edge(node, self._entry(block.handler), "error", "error")
            return
        failed = self._node(DiagramNode(f"{node}:raise", "raise", "raise again", (), 0, None, self._frame))
        self._edge(node, failed, "error", "error")

    def _suspend(self, block: m.Block, end: m.Suspend) -> None:
        last = self._action(end.action)
        following = self._blocks[end.block]
        if end.block in self._fused and isinstance(following.terminator, m.Test):
            test = following.terminator
            timed_out = waited(test.test, end.result)
            ways = (test.then, test.orelse) if timed_out else (test.orelse, test.then)
            self._edge(last, self._entry(ways[0]), "timeout", "timeout")
            self._edge(last, self._entry(ways[1]), "event")
        else:
            self._edge(last, self._entry(end.block))
        if isinstance(end.action, _FAILING):
            self._error(end.action.site, block)

    def _error(self, node: str, block: m.Block) -> None:
        if block.handler is not None:
            self._edge(node, self._entry(block.handler), "error", "error")

    def _action(self, action: m.Action) -> str:
        """Add the node of an action; a group's branches stand between its fork and its join. Gives the node that ends it."""
        info = self._whole.infos.get(action.site)
        status, line = self._whole.status(action.site), info.line if info is not None else 0
        name, kind = (info.name, info.kind) if info is not None else (action.site, "step")
        if not isinstance(action, m.Group | m.FanOutGroup):
            detail = self._detail(action)
            return self._node(DiagramNode(action.site, kind, _title(kind, name), detail, line, status, self._frame))
        fork = self._node(DiagramNode(action.site, "fork", kind, self._detail(action), line, status, self._frame))
        join = DiagramNode(f"{action.site}:join", "join", "join", (), 0, status, self._frame)
        for branch in action.branches if isinstance(action, m.Group) else (action.branch,):
            ended = self._action(branch)
            self._edge(fork, branch.site, "" if isinstance(action, m.Group) else "each")
            self._edge(ended, join.id)
        return self._node(join)

    def _detail(self, action: m.Action) -> tuple[str, ...]:
        match action:
            case m.WaitFor(timeout=timeout, keys=keys) if timeout is not None:
                by = tuple(shortened(f"{path} = {self._texts.of(value)}", 36) for path, value in keys)
                return (*by, f"at most {plain(self._texts.of(timeout, 30))}")
            case m.WaitFor(keys=keys):
                return tuple(shortened(f"{path} = {self._texts.of(value)}", 36) for path, value in keys)
            case m.FanOutGroup(clauses=clauses, limit=limit):
                loops = tuple(self._texts.clause(clause) for clause in clauses)
                return loops if limit is None else (*loops, f"{self._texts.of(limit, 30)} at a time")
            case _:
                return ()


def _frame(site: str) -> str:
    """The id of a scope's frame."""
    return f"cluster_{site}"


def _fails(record: e.Expr, records: dict[str, tuple[e.Expr, ...]]) -> bool:
    """Whether a scope is left by an exception, as far as is known."""
    known = records.get(record.name, ()) if isinstance(record, e.Local) else ()
    return known[:1] in ((), (e.Const("raise"),))


def _record(op: Assign) -> tuple[str, tuple[e.Expr, ...]]:
    """The variable and the items of a tuple that is assigned."""
    assert isinstance(op.value, e.TupleOf)
    target = op.targets[0]
    return target.name if isinstance(target, e.Local) else "", op.value.items


def resumed(end: m.Resume, block: m.Block, record: tuple[e.Expr, ...]) -> int | None:
    """The block that a `finally` goes on with, given its record; None where that is the end of the function."""
    match record:
        case (e.Const("next"),):
            return end.normal
        case (e.Const("return"), _):
            return end.returns
        case (e.Const("jump"), e.Const(int(index))):
            return end.jumps[index]
        case _:
            return block.handler


def plain(text: str) -> str:
    """A text literal without its quotes."""
    return text.strip("'\"")


def _title(kind: str, name: str) -> str:
    words = {"wait": "wait for ", "send": "send ", "start": "start ", "child": "run ", "subflow": ""}
    return shortened(words.get(kind, "") + name)
