"""What the simulator knows about limits: which steps execute in the process that owns the work, and which runs live."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from sqlalchemy import text

from flowgraph import resource, step_context
from flowgraph_runtime.storage import Store
from tests.simulation import workload
from tests.simulation.workload import IN_ALL, LIVING, PER_LANE

_ENDED = text("SELECT ended_at FROM fg_run WHERE id = :run")
_SLOTS = text("SELECT pool, key, run, epoch, held FROM fg_limit_slot")


LIMITED_SEEDS = 2
"""The seeds, modulo 3, that have limited work."""
CHORES = ("limited", "living")
"""Started by an event together, both limited."""


class Mark:
    """Names one life of a process; its steps find it as a resource."""


class LimitWatch:
    """Hears of every limited step. `owner` answers the mark of the process that owns the work: one that was taken over may still
    be executing what it had begun, and no limit can stop that. `broken` says what was over a limit first."""

    def __init__(self, owner: Callable[[], Mark | None]) -> None:
        self._owner = owner
        self._executing: list[tuple[Mark, int]] = []
        self._entered: defaultdict[int, set[str]] = defaultdict(set)
        self.store: Store | None = None
        self.broken: str | None = None
        self.most = 0

    def install(self) -> None:
        """Let the workload tell of its limited steps."""
        workload.executing_hook, workload.lives_hook = self.executing, self.lives

    def remove(self) -> None:
        """Hear no more."""
        workload.executing_hook, workload.lives_hook = nullcontext, lambda lane: None

    @contextmanager
    def executing(self, lane: int) -> Iterator[None]:
        """A limited step of this lane executes in the block."""
        entry = (resource(Mark), lane)
        self._executing.append(entry)
        now = [lane for mark, lane in self._executing if mark is self._owner()]
        self.most = max(self.most, len(now))
        if len(now) > IN_ALL or now.count(lane) > PER_LANE:
            self.broken = self.broken or f"limited steps of the lanes {now} execute at once"
        try:
            yield
        finally:
            self._executing.remove(entry)

    def lives(self, lane: int) -> None:
        """The run whose step calls is under way."""
        assert self.store is not None
        self._entered[lane].add(step_context().run_id)
        now = [run for run in sorted(self._entered[lane]) if not self._ended(run)]
        if len(now) > LIVING:
            self.broken = self.broken or f"runs {now} live at once"

    def _ended(self, run: str) -> bool:
        assert self.store is not None
        return self.store.read(lambda db: db.execute(_ENDED, {"run": run}).scalar_one()) is not None

    def left(self) -> str | None:
        """What is left of slots when nothing runs any more."""
        assert self.store is not None
        rows = self.store.read(lambda db: [tuple(row) for row in db.execute(_SLOTS)])
        return f"slots are left: {rows}" if rows else None
