"""One transition while it is being decided: what the workflow's code may read of it, and the work still to be done in it."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

from flowgraph.context import RunInfo
from flowgraph_runtime.engine.commands import Command
from flowgraph_runtime.engine.guards import Budget
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.run_state import RunState
from flowgraph_runtime.engine.tokens import Token

OPERATIONS = 1_000_000
"""Operation budget of one transition."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

BEGIN, RUN, RESUME, THROW = range(4)
"""What is to be done with a ready token: begin its action (with a payload), run it, give it a value, give it an exception."""


class Turn(Budget, eq=False):
    """The records of one transition (`R` in generated code) and its queues.

    `ready`: (what, token, value), in the order in which they became ready. `messages`: (token, ok, value, reference) of tokens
    that have ended; they are delivered only when no token is ready, so that every branch of a new group reaches its first
    suspension before any outcome is seen."""

    program: Program
    state: RunState
    at: int
    commands: list[Command] = []  # noqa: RUF012 - a struct makes a new one each time
    _ready: deque[tuple[int, Token, Any]] | None = None  # most transitions have no use for a queue
    _messages: deque[tuple[Token, bool, Any, int | None]] | None = None
    ordinal: int = 0

    @property
    def ready(self) -> deque[tuple[int, Token, Any]]:
        """Tokens that are ready: what, token, value."""
        if self._ready is None:
            self._ready = deque()
        return self._ready

    @property
    def messages(self) -> deque[tuple[Token, bool, Any, int | None]]:
        """Tokens that have ended: token, ok, value, reference."""
        if self._messages is None:
            self._messages = deque()
        return self._messages

    def has_more(self) -> bool:
        """Whether anything is queued."""
        return bool(self._ready or self._messages)

    def now(self) -> datetime:
        """The time of the input: recorded in the journal."""
        return EPOCH + timedelta(microseconds=self.at)

    def uuid(self) -> UUID:
        """A UUID that derives from the run, the journal's row and the number of the call in it."""
        return UUID(bytes=self._unique(16), version=4)

    def new_id(self, prefix: str) -> str:
        """A prefixed ULID that derives in the same way."""
        number = (self.at // 1000) << 80 | int.from_bytes(self._unique(10))
        return prefix + "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))

    def _unique(self, size: int) -> bytes:
        self.ordinal += 1
        return blake2b(f"{self.state.run_id}/{self.state.seq}/{self.ordinal}".encode(), digest_size=size).digest()

    def run_info(self) -> RunInfo:
        """What the workflow's code may know about its run."""
        state, program = self.state, self.program
        started_at = EPOCH + timedelta(microseconds=state.started_at)
        return RunInfo(state.run_id, program.machine.workflow, program.fingerprint, started_at, state.event_id, state.attempt)
