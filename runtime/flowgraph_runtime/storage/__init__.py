"""Storage: tables, every query, and the group-commit writer. Nothing else in the runtime knows SQL."""

from flowgraph_runtime.storage.announcing import Notice
from flowgraph_runtime.storage.apikeys import KeyRow
from flowgraph_runtime.storage.errors import (
    Conflict,
    DatabaseFull,
    DatabaseInUse,
    DatabaseUnavailable,
    Fenced,
    NotOwner,
    Outage,
    OutcomeUnknown,
    Refused,
    RepeatedEvent,
    SimulatedCrash,
    StaleInbox,
    StorageError,
    StoreClosed,
    Superseded,
    TooSlow,
    Transient,
    UnknownEvent,
    UnknownMachine,
    UnknownRun,
    UnstorableText,
    WriterFailed,
    WrongSchema,
)
from flowgraph_runtime.storage.events import IngestResult
from flowgraph_runtime.storage.fleet import LEASE
from flowgraph_runtime.storage.following import NEWEST, Newest, RunNews, newest, position, run_news
from flowgraph_runtime.storage.ownership import TakeOver
from flowgraph_runtime.storage.reads import EventPage, MachineRow, WorkflowRow
from flowgraph_runtime.storage.store import Store
from flowgraph_runtime.storage.transaction import CommitNews
from flowgraph_runtime.storage.transitions import ENDED
from flowgraph_runtime.storage.writer import Fate, RejectedByFate

__all__ = [
    "ENDED",
    "LEASE",
    "NEWEST",
    "CommitNews",
    "Conflict",
    "DatabaseFull",
    "DatabaseInUse",
    "DatabaseUnavailable",
    "EventPage",
    "Fate",
    "Fenced",
    "IngestResult",
    "KeyRow",
    "MachineRow",
    "Newest",
    "NotOwner",
    "Notice",
    "Outage",
    "OutcomeUnknown",
    "Refused",
    "RejectedByFate",
    "RepeatedEvent",
    "RunNews",
    "SimulatedCrash",
    "StaleInbox",
    "StorageError",
    "Store",
    "StoreClosed",
    "Superseded",
    "TakeOver",
    "TooSlow",
    "Transient",
    "UnknownEvent",
    "UnknownMachine",
    "UnknownRun",
    "UnstorableText",
    "WorkflowRow",
    "WriterFailed",
    "WrongSchema",
    "newest",
    "position",
    "run_news",
]
