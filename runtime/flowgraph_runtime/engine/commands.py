"""What a decision asks for. The worker commits all of it in one transaction with the journal row, then acts."""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct


class RunStep(Struct, frozen=True):
    """Run one attempt. The idempotency key is `run:site:visit`; arguments are copies (by value) that nobody else holds."""

    serial: int
    token: int
    site: str
    step: str
    visit: int
    attempt: int
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    timeout: float | None = None


class AbandonStep(Struct, frozen=True):
    """Nobody waits for this suspension's step any more. `interrupt`: also stop the running attempt if it is asynchronous."""

    serial: int
    interrupt: bool


class SetTimer(Struct, frozen=True):
    """Fire `TimerFired(serial)` at `due` (microseconds since 1970), not before. `kind` is `sleep`, `backoff` or `deadline`."""

    serial: int
    due: int
    kind: str


class ClearTimer(Struct, frozen=True):
    """Take a timer back."""

    serial: int


class OpenWait(Struct, frozen=True):
    """Offer events of these wire names whose indexed fields equal `keys` (path, canonical text of the value, see
    `flowgraph_runtime.keys.key_text`). `since_start`: also events stored since the run's trigger was received."""

    serial: int
    names: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]
    since_start: bool


class CloseWait(Struct, frozen=True):
    """Take a wait back."""

    serial: int


class EmitEvent(Struct, frozen=True):
    """Store and distribute an event in the same transaction. `event` is a copy; `event_id` derives from (run, seq, ordinal).

    `site` is that of the `send` it comes from."""

    event_id: str
    event: Any
    site: str = ""


class StartRun(Struct, frozen=True):
    """Start a run of another workflow; with a `serial`, `ChildEnded(serial)` comes back. `payload`: codec text of a list; `site`
    is that of the call."""

    run_id: str
    workflow: str
    payload: str
    serial: int | None
    site: str = ""


class CancelRun(Struct, frozen=True):
    """Ask a child run to cancel."""

    run_id: str
    reason: str


class EndRun(Struct, frozen=True):
    """The run is over. `status` is completed, failed or cancelled. `payload`: codec text of the result or of the exception;
    `failed_step` and `attempts` say where an error came from."""

    status: str
    payload: str
    failed_step: str | None = None
    attempts: int | None = None


Command: TypeAlias = (
    RunStep | AbandonStep | SetTimer | ClearTimer | OpenWait | CloseWait | EmitEvent | StartRun | CancelRun | EndRun
)


class Decision(Struct):
    """What one input led to.

    `ignored`: nobody waited for the input; nothing is to be journalled. `taken`: the event id that a wait took. `status`: the
    run's status after it (architecture page, "Statuses"). `parked`: nothing is executing or ready, so the run can leave memory.
    `site`, `visit`: the step call that the input was about, for the journal's columns."""

    commands: list[Command] = []
    status: str = "running"
    parked: bool = False
    ignored: bool = False
    taken: str | None = None
    site: str | None = None
    visit: int | None = None
