"""What storage refuses, and why. None of these leaves anything behind in the database."""

from __future__ import annotations

from collections.abc import Collection


class StorageError(Exception):
    """Base of the errors of this package."""


class Refused(StorageError):
    """The database refused the data: they contradict what is stored."""


class Outage(StorageError):
    """The database cannot take this now, and nothing of it is stored: the very same can be asked again later."""


class Transient(Outage):
    """The transaction was aborted because of others, or the connection broke before it was committed; nothing is stored."""


class DatabaseUnavailable(Outage):
    """The database does not work at present; nothing is stored."""


class DatabaseFull(Outage):
    """There is no room left on the database's disk; nothing is stored."""


class WriterFailed(StorageError):
    """A fault of this program while writing; nothing is stored."""


class Fenced(StorageError):
    """The worker's epoch is dead: another one has taken its runs over, so nothing of this commit was stored."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"epoch {epoch} is dead: its runs belong to another worker now; drop them")
        self.epoch = epoch


class NotOwner(StorageError):
    """A transition of a run that its epoch does not own (any more)."""

    def __init__(self, run_id: str, epoch: int) -> None:
        super().__init__(f"run {run_id!r} is not owned by epoch {epoch}; load it again before going on with it")
        self.run_id = run_id
        self.epoch = epoch


class Superseded(StorageError):
    """An earlier transition of the same run was refused, so this one would leave a gap. Load the run again."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"an earlier transition of run {run_id!r} was refused; load it again before going on with it")
        self.run_id = run_id


class Conflict(StorageError):
    """The same key (idempotency key, client's event id) was used before with other data. `existing`: the first one's id."""

    def __init__(self, what: str, key: str, existing: str) -> None:
        super().__init__(f"{what} {key!r} was used before with other data, for {existing!r}; use a new one or send the same data")
        self.key = key
        self.existing = existing


class UnknownRun(StorageError, LookupError):
    """There is no run with this id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"there is no run {run_id!r}")
        self.run_id = run_id

    def __str__(self) -> str:
        return str(self.args[0])


_GIVEN_UP = "the engine gave this one up, not a step, so there is no failed step to go on from; start a new run with its input"


class NotFailed(StorageError):
    """Only a run that has failed can be retried. `status`: what it is instead."""

    def __init__(self, run_id: str, status: str) -> None:
        why = f": {_GIVEN_UP}" if status == "crashed" else ""
        super().__init__(f"run {run_id!r} is {status}; only a failed run can be retried{why}")
        self.run_id = run_id
        self.status = status


class RunHeld(StorageError):
    """A run has gone on since it was looked at, or a worker has it in its hands: it is not moved now."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id!r} has gone on meanwhile, or a worker is about to go on with it; try again")
        self.run_id = run_id


class UnknownMachine(StorageError, LookupError):
    """A run or workflow names a machine that was never saved."""

    def __init__(self, fingerprint: str) -> None:
        super().__init__(f"there is no machine {fingerprint!r} in this database; save it before its first run")
        self.fingerprint = fingerprint

    def __str__(self) -> str:
        return str(self.args[0])


class StaleInbox(StorageError):
    """A transition consumes inbox rows that are gone: its run was loaded before somebody else consumed them."""

    def __init__(self, positions: Collection[int]) -> None:
        super().__init__(f"inbox rows {sorted(positions)} are gone; load their run again before going on with it")


class UnknownEvent(StorageError):
    """A transition takes an event that is not stored."""

    def __init__(self, ids: Collection[str]) -> None:
        super().__init__(f"one of the taken events {sorted(ids)} is not stored")


class RepeatedEvent(StorageError):
    """A transition emits an event whose id is stored already; such ids derive from the run and its journal position."""

    def __init__(self, ids: Collection[str]) -> None:
        super().__init__(f"emitted events {sorted(ids)} are stored already")


class UnstorableText(StorageError, ValueError):
    """A text that a database cannot hold faithfully: it has a NUL character or half of a surrogate pair."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where} cannot be stored: {problem}; remove it or encode the bytes as base64")
        self.where = where


class DatabaseInUse(StorageError):
    """Another server writes to this SQLite file."""


class WrongSchema(StorageError):
    """The database was made by another version of the schema."""


class TooSlow(Outage):
    """A statement took longer than the lease allows: less at once may be taken."""


class OutcomeUnknown(StorageError):
    """The connection was lost while committing, and the database could not be asked what became of it. Load again."""


class StoreClosed(StorageError):
    """The store was closed before this could be written."""


class Crashed(Exception):
    """Workers went down, one after the other, while they owned a run: its error, and what its parent gets of it."""


class SimulatedCrash(BaseException):
    """The simulator's fate `crash`: the process is gone at this point. Not an Exception, so that nobody handles it."""
