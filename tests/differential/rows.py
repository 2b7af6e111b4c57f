"""A run kept in a real database, from whose rows its state is built anew: what a worker does that takes over a run."""

from __future__ import annotations

import random
from collections.abc import Coroutine
from typing import Any, TypeVar

from flowgraph_compiler.serialize import from_json, to_json
from flowgraph_runtime.clock import ManualClock
from flowgraph_runtime.engine.commands import ClearTimer, CloseWait, Decision, OpenWait, SetTimer
from flowgraph_runtime.engine.folding import fold
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.run_state import ENDED
from flowgraph_runtime.engine.state import RunState, references, snapshot
from flowgraph_runtime.records import JournalRow, NewRun, TimerRow, Transition, WaitRow
from flowgraph_runtime.storage import Store

T = TypeVar("T")


def _done(coroutine: Coroutine[Any, Any, T]) -> T:
    """The answer of an inline store, whose coroutines never wait."""
    try:
        coroutine.send(None)
    except StopIteration as answer:
        result: T = answer.value
        return result
    raise AssertionError("an inline store has waited")


class Database:
    """One SQLite database in memory with an owner of runs; made once, used by many programs."""

    def __init__(self) -> None:
        self.store = Store.open("sqlite://", inline=True, clock=ManualClock())
        self.epoch = _done(self.store.open_epoch("differential"))
        self._runs = 0

    def begin(self, program: Program, text: str, at: int) -> str:
        """Store the machine and start a run of it with this input; answers the run's id."""
        machine = program.machine
        self._runs += 1
        run_id = f"run_{self._runs:026d}"
        _done(self.store.save_machine(program.fingerprint, machine.workflow, to_json(machine), "{}", []))
        _done(self.store.start_run(NewRun(run_id, machine.workflow, program.fingerprint, text, at)))
        (claimed,) = _done(self.store.claim(self.epoch, 1))
        assert claimed.id == run_id
        return run_id


class Kept:
    """One run: every transition is committed; now and then, as the seed decides, a snapshot is, too, and now and then all that
    the process knows is thrown away and read from the rows, the machine included. `program` is the machine that goes on."""

    def __init__(self, database: Database, program: Program, seed: int) -> None:
        self._database = database
        self.program = program
        self._random = random.Random(seed)
        self._run_id = ""
        self.rebuilt = 0

    def begin(self, text: str, at: int) -> str:
        """Start the run; answers its id."""
        self._run_id = self._database.begin(self.program, text, at)
        return self._run_id

    def keep(self, state: RunState, row: JournalRow | None, decision: Decision, at: int) -> RunState | None:
        """Commit a transition. Answers the state to go on with when it was built from the rows, else None."""
        written = Transition(self._run_id, rows=[] if row is None else [row], status=state.status)
        if row is None:
            written.started_at = at
        for command in decision.commands:
            _write(command, written)
        if self._random.random() < 0.3:
            written.snapshot = (state.seq, snapshot(state, self.program, by_reference=True))
        if state.phase == ENDED:
            written.ended_at = at
        errors = _done(self._database.store.commit(self._database.epoch, [written]))
        assert errors == [None], errors
        return self._rebuilt() if state.phase != ENDED and self._random.random() < 0.5 else None

    def _rebuilt(self) -> RunState:
        store = self._database.store
        loaded = _done(store.load(self._run_id))
        stored = _done(store.machine(loaded.run.machine))
        assert stored is not None
        if not self.rebuilt:
            self.program = Program.load(from_json(stored.text), self.program.types)
        self.rebuilt += 1
        rows = [] if loaded.snapshot is None else references(loaded.snapshot)
        results = _done(store.results(self._run_id, rows)) if rows else {}
        return fold(self.program, loaded, lambda seqs: {seq: results[seq] for seq in seqs})


def _write(command: object, written: Transition) -> None:
    match command:
        case SetTimer(serial, due, kind):
            written.timers.append(TimerRow(written.run_id, serial, due, kind))
        case ClearTimer(serial):
            written.cleared_timers.append(serial)
        case OpenWait(serial, names, keys, since_start):
            written.waits.append(WaitRow(written.run_id, serial, names, keys, since_start))
        case CloseWait(serial):
            written.closed_waits.append(serial)
        case _:
            pass
