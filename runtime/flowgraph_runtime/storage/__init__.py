"""Storage: tables, every query, and the group-commit writer. Nothing else in the runtime knows SQL."""

from flowgraph_runtime.storage.apikeys import KeyRow
from flowgraph_runtime.storage.errors import (
    Conflict,
    DatabaseInUse,
    Fenced,
    NotOwner,
    OutcomeUnknown,
    RepeatedEvent,
    SimulatedCrash,
    StaleInbox,
    StorageError,
    StoreClosed,
    Superseded,
    UnknownEvent,
    UnknownMachine,
    UnknownRun,
    UnstorableText,
    WrongSchema,
)
from flowgraph_runtime.storage.events import IngestResult
from flowgraph_runtime.storage.ownership import TakeOver
from flowgraph_runtime.storage.reads import EventPage, MachineRow, WorkflowRow
from flowgraph_runtime.storage.store import LEASE, Store
from flowgraph_runtime.storage.transaction import CommitNews
from flowgraph_runtime.storage.transitions import ENDED
from flowgraph_runtime.storage.writer import Fate, RejectedByFate

__all__ = [
    "ENDED",
    "LEASE",
    "CommitNews",
    "Conflict",
    "DatabaseInUse",
    "EventPage",
    "Fate",
    "Fenced",
    "IngestResult",
    "KeyRow",
    "MachineRow",
    "NotOwner",
    "OutcomeUnknown",
    "RejectedByFate",
    "RepeatedEvent",
    "SimulatedCrash",
    "StaleInbox",
    "StorageError",
    "Store",
    "StoreClosed",
    "Superseded",
    "TakeOver",
    "UnknownEvent",
    "UnknownMachine",
    "UnknownRun",
    "UnstorableText",
    "WorkflowRow",
    "WrongSchema",
]
