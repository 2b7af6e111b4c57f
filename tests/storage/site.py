"""A database with a machine and an owner, and short ways to make rows for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from flowgraph_runtime.clock import ManualClock
from flowgraph_runtime.records import AlikeEvents, Decided, EventRow, JournalRow, LoadedRun, NewRun, TimerRow, Transition, WaitRow
from flowgraph_runtime.storage import CommitNews, IngestResult, Store

T = TypeVar("T")
SECOND = 1_000_000
PAYLOAD = '{"$model":"Started","v":{"n":1}}'


class Site:
    """`store` on `url`, with an open epoch. Further stores on the same database by `another`."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self.url = url
        self.clock = ManualClock()
        self.runner = runner
        self.news: list[CommitNews] = []
        self._count = 0
        self.stores: list[Store] = []
        self.store = self.another()
        self.store.on_commit = self.news.append
        self.run(self.store.save_machine("m_1", "pay", "{}", "{}", [("paid", "booking"), ("paid", "guest")]))
        self.run(self.store.set_current("pay", "m_1"))
        self.epoch = self.run(self.store.open_epoch("first"))

    def another(self) -> Store:
        store = Store.open(self.url, clock=self.clock)
        self.stores.append(store)
        return store

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def close(self) -> None:
        for store in self.stores:
            store.close()

    def name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count:026d}"

    # --- rows

    def event(
        self, name: str = "start", *, client_id: str | None = None, data: str = "{}", dedup: str | None = None, **keys: str
    ) -> EventRow:
        pairs = tuple(keys.items())
        now = self.clock.now()
        return EventRow(self.name("evt"), name, data, PAYLOAD, now, 0, client_id=client_id, keys=pairs, dedup=dedup)

    def alike(self, name: str, *data: str, source: str | None = None) -> AlikeEvents:
        frame = ('{"$model":"Started","v":', ',"meta":{"id":"', '"}}')
        return AlikeEvents(name, (name,), [self.name("evt") for _ in data], list(data), frame, self.clock.now(), source)

    def new_run(self, event: EventRow | None = None, **more: Any) -> NewRun:
        id = None if event is None else event.id
        return NewRun(self.name("run"), "pay", "m_1", f"[{PAYLOAD}]", self.clock.now(), event_id=id, **more)

    def journal(self, run_id: str, seq: int, kind: str = "done", payload: str = "null", **more: Any) -> JournalRow:
        return JournalRow(run_id, seq, self.clock.now(), kind, seq, payload, 7, f"site{seq}", 1, 1, self.clock.now(), **more)

    def step(self, run_id: str, seq: int, payload: str = "null") -> Transition:
        return Transition(run_id, rows=[self.journal(run_id, seq, payload=payload)])

    def wait(
        self,
        run_id: str,
        serial: int = 1,
        name: str = "paid",
        *,
        since_start: bool = True,
        sent: int = 0,
        release: bool = True,
        **keys: str,
    ) -> Transition:
        """Park the run in a wait with a deadline in a day."""
        wait = WaitRow(run_id, serial, (name,), tuple(keys.items()), since_start, sent)
        deadline = TimerRow(run_id, serial, self.clock.now() + 86_400 * SECOND, "deadline")
        return Transition(run_id, waits=[wait], timers=[deadline], status="waiting", release=release)

    # --- situations

    def started(self, count: int = 1, store: Store | None = None, epoch: int | None = None) -> list[str]:
        """Runs that an event started and this epoch owns."""
        store = store or self.store
        events = [self.event() for _ in range(count)]
        self.run(store.ingest(events, [self.new_run(event) for event in events]))
        claimed: list[str] = []
        while len(claimed) < count:  # of several workers each gets its share at a time
            claimed += [row.id for row in self.run(store.claim(self.epoch if epoch is None else epoch, count))]
        return claimed

    def ingest(self, *events: EventRow, runs: Sequence[NewRun] = ()) -> list[IngestResult]:
        return self.run(self.store.ingest(events, runs))

    def commit(self, *transitions: Decided) -> None:
        """Commit, and demand that nothing is refused."""
        errors = self.run(self.store.commit(self.epoch, transitions))
        assert errors == [None] * len(transitions)

    def refusals(self, *transitions: Decided, epoch: int | None = None) -> list[str | None]:
        """Commit -> the names of the errors."""
        errors = self.run(self.store.commit(self.epoch if epoch is None else epoch, transitions))
        return [None if error is None else type(error).__name__ for error in errors]

    def load(self, run_id: str) -> LoadedRun:
        return self.run(self.store.load(run_id))

    def offered(self, run_id: str) -> list[tuple[str, tuple[int, ...]]]:
        """Events in the inbox, with the waits they are for."""
        return [(row.id, row.serials) for row in self.run(self.store.inbox([run_id])) if row.kind == "event"]

    def seqs(self, run_id: str) -> list[int]:
        return [row.seq for row in self.run(self.store.journal(run_id))]
