"""The JSON of the HTTP interface, as types: what the OpenAPI document and the client are made of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from flowgraph_runtime.moments import parse_rfc3339

RunStatus = Literal[
    "queued", "running", "waiting", "sleeping", "paused", "cancelling", "completed", "failed", "cancelled", "crashed"
]
StepStatus = Literal["pending", "running", "retrying", "completed", "failed", "cancelled", "skipped"]
SentMoment = Annotated[datetime, BeforeValidator(lambda given: parse_rfc3339(given) if isinstance(given, str) else None)]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
EARLIEST, LATEST = 315_532_800_000, 253_402_300_799_999
"""Milliseconds since 1970 that the time of an event may have: from 1980 to 9999."""
EventStatus = Literal["stored", "unknown", "invalid"]
LONGEST_NAME = 200
"""Characters."""
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


class Shape(BaseModel):
    """Base: unknown members of a request are refused."""

    model_config = ConfigDict(extra="forbid")


class EventIn(Shape):
    """An event to send. `id` is the sender's own, so that a repetition is harmless. `ts`: RFC 3339, or milliseconds."""

    name: Name
    data: dict[str, Any] = Field(default_factory=dict[str, Any])
    id: Name | None = None
    ts: Annotated[int, Field(ge=EARLIEST, le=LATEST)] | SentMoment | None = None


def _happened(ts: int | None) -> int | None:
    """Milliseconds of an event from an Inngest SDK: 0, as for none, is now."""
    if not ts:
        return None
    if not EARLIEST <= ts <= LATEST:
        raise ValueError("the milliseconds since 1970 of a time from 1980 on")
    return ts


def _sendable(name: str) -> str:
    if name.startswith("inngest/"):
        raise ValueError("names that begin with 'inngest/' are Inngest's own")
    return name


class SdkEventIn(BaseModel):
    """An event as Inngest's SDKs send it; further members are ignored. `ts`: milliseconds."""

    model_config = ConfigDict(extra="ignore")

    name: Annotated[Name, AfterValidator(_sendable)]
    data: dict[str, Any] | None = None
    ts: Annotated[Annotated[int, Field(strict=True)] | None, AfterValidator(_happened)] = None
    id: Annotated[str, Field(max_length=200)] | None = None
    user: Any = None
    v: Any = None


class SdkEventsAccepted(Shape):
    """The ids of the stored events, in order, as Inngest's SDKs read them."""

    ids: list[str]
    status: Literal[200] = 200


class SdkError(Shape):
    """An error as Inngest's SDKs read it."""

    error: str
    status: int


class CloudEventIn(BaseModel):
    """A CloudEvent 1.0 whose data is a JSON object. Attributes that are not named here are kept with the event."""

    model_config = ConfigDict(extra="allow")

    specversion: Literal["1.0"]
    type: Name
    source: Annotated[str, Field(min_length=1, max_length=2000)]
    id: Name
    time: SentMoment | None = None
    data: dict[str, Any] | None = None
    data_base64: None = Field(default=None, description="bytes are not taken: send a JSON object")


class EventAccepted(Shape):
    """What became of an event: the runs that it started; `reason` when it started none for a reason worth knowing."""

    id: str
    name: str
    runs: list[str]
    reason: str | None = None


class EventsAccepted(Shape):
    """What became of the events, in order."""

    events: list[EventAccepted]


class StartIn(Shape):
    """`input`: the event's data, or the parameters by name."""

    input: Any = Field(default_factory=dict)


class ErrorOut(Shape):
    """Why a run or an attempt failed."""

    type: str
    message: str
    step: str | None = None
    attempt: int | None = None


class RunOut(Shape):
    """A run. Times are RFC 3339, UTC."""

    id: str
    workflow: str
    machine: str
    status: RunStatus
    input: Any
    event_id: str | None
    scheduled_at: Moment | None = Field(default=None, description="of the tick, when a schedule started the run")
    result: Any
    error: ErrorOut | None
    reason: str | None
    parent_id: str | None = Field(default=None, description="the run that called or started this one")
    created_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    current: list[str] = Field(default_factory=list[str], description="ids of the nodes where the run is (single run only)")


class RunPage(Shape):
    """Runs, newest first; `next_cursor` asks for the following page."""

    items: list[RunOut]
    next_cursor: str | None


class AttemptOut(Shape):
    """One attempt of one visit of a step. `retry_at`: for when the next one was planned, after a failure."""

    attempt: int
    status: Literal["running", "completed", "failed", "cancelled"]
    started_at: Moment | None
    ended_at: Moment | None
    error: ErrorOut | None = None
    retry_at: Moment | None = None


class InstanceOut(Shape):
    """One visit of a node. `next_attempt_at`: while it is in backoff; `reason`: why an attempt that is due does not start;
    `run_id`: the run that the node has called or started."""

    visit: int
    status: StepStatus
    attempts: list[AttemptOut]
    started_at: Moment | None
    ended_at: Moment | None
    output: Any = None
    error: ErrorOut | None = None
    next_attempt_at: Moment | None = None
    reason: str | None = None
    run_id: str | None = None


class StepOut(Shape):
    """A node of the machine, reached or not. `status` is that of its latest visit that goes on, else of its latest one; `count`
    how many visits there were. `instances` are the latest, in order; `next_cursor`, with `node`, asks for those before."""

    id: str
    name: str
    kind: str
    line: int
    parent: str | None
    status: StepStatus
    count: int
    instances: list[InstanceOut]
    next_cursor: str | None = None


class StepsOut(Shape):
    """Every node of the run's machine in source order."""

    items: list[StepOut]


class JournalEntry(Shape):
    """One input of the run."""

    seq: int
    at: Moment
    kind: str
    serial: int
    site: str | None
    visit: int | None
    attempt: int | None
    started_at: Moment | None
    data: Any


class JournalPage(Shape):
    """Journal entries in order."""

    items: list[JournalEntry]
    next_cursor: str | None


class SkippedOut(Shape):
    """Ticks of a schedule in a row, `first` to `last`, that started no run, and why."""

    first: Moment
    last: Moment
    count: int
    reason: str


class ScheduleOut(Shape):
    """A schedule of a workflow. `next_at`: its next tick, which starts a run at `due_at` (later by the jitter); `last_at`: the
    latest one, whether it started a run or is among `skipped`, which has the newest first."""

    expression: str
    tz: str
    words: str
    catch_up: str
    overlap: str
    jitter: float = Field(description="seconds")
    next_at: Moment | None
    due_at: Moment | None
    last_at: Moment | None
    skipped: list[SkippedOut]


class LimitOut(Shape):
    """A concurrency limit: at most `limit` executing steps (`scope` is `step`) or live runs (`run`) for each value of `key`, an
    expression over the starting event; null: one count. `step`: only of this step, whoever calls it. `pool`: what is counted, as
    the reason of a run that waits for a slot names it."""

    limit: int
    scope: str
    step: str | None
    key: str | None
    pool: str
    words: str


class WorkflowOut(Shape):
    """A served workflow. `schema`: of what its runs take."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: str
    fingerprint: str
    file: str
    line: int
    triggers: list[dict[str, Any]]
    input_schema: dict[str, Any] = Field(alias="schema")
    options: dict[str, Any]
    limits: list[LimitOut] = Field(default_factory=list[LimitOut], description="that its runs and their steps are held to")
    runs: dict[str, int] = Field(
        default_factory=dict[str, int], description="how many of the last day's runs, of the newest 10,000, are in which status"
    )
    schedules: list[ScheduleOut] = Field(default_factory=list[ScheduleOut], description="in force (single workflow only)")


class WorkflowPage(Shape):
    """The served workflows by name."""

    items: list[WorkflowOut]
    next_cursor: str | None = None


class StandingOut(Shape):
    """Live runs of a machine that stand alike."""

    position: dict[str, Any] | None = Field(description="null for those that are on their way")
    runs: int
    examples: list[str] = Field(description="ids of a few of them, the oldest ones")


class FateOut(Shape):
    """What becomes of some live runs under the deployed code."""

    workflow: str = Field(description="the name that the runs are stored under")
    machine: str = Field(description="the fingerprint of the machine that they are on")
    to: str | None = Field(description="that of the deployed code, null when the workflow is gone")
    outcome: Literal["unaffected", "can move", "stays pinned", "breaks"]
    runs: int
    examples: list[str] = Field(description="ids of a few of them, the oldest ones")
    at: str = Field(description="where they stand, as people look for it")
    why: str | None = Field(description="why they cannot move, null when they can")
    codes: list[str] = Field(description="of the findings, where they break")


class PlanOut(Shape):
    """What becomes of the live runs, by workflow."""

    items: list[FateOut]
    next_cursor: str | None = None


class MovedOut(Shape):
    """A run that was moved to the machine of the deployed code, or why not."""

    run: str
    workflow: str
    machine: str = Field(description="that it was on")
    to: str
    why: str | None = Field(description="why it stays, null when it was moved")


class MigrationOut(Shape):
    """The outcome of a migration; `items` lists at most 1,000 runs, those that stay with the reason."""

    moved: int
    kept: int
    items: list[MovedOut]


class MachineOut(Shape):
    """A machine that live runs are on."""

    workflow: str = Field(description="the name that its runs are stored under")
    fingerprint: str
    runs: int = Field(description="that are not over")
    examples: list[str] = Field(description="ids of a few of them, the oldest ones")
    machine: dict[str, Any]
    standings: list[StandingOut] = Field(default_factory=list["StandingOut"], description="where its runs are")


class MachineList(Shape):
    """The machines that live runs are on, by workflow."""

    items: list[MachineOut]
    next_cursor: str | None = None


class EventOut(Shape):
    """A stored event. `status`: `unknown` when no such event is declared, `invalid` when its data does not fit; such events start
    and wake nothing. `envelope`: what came beside the data. `runs`: those that it started or woke (single event only)."""

    id: str
    name: str
    data: Any
    ts: Moment
    received_at: Moment
    source: str | None
    client_id: str | None
    status: EventStatus
    reason: str | None
    envelope: dict[str, Any] | None = None
    runs: list[str]


class EventPage(Shape):
    """Events, newest first."""

    items: list[EventOut]
    next_cursor: str | None


class CancelOut(Shape):
    """`status`: `cancelling`, or `already <status>`."""

    id: str
    status: str


class CancelIn(Shape):
    """`reason` is kept with the run."""

    reason: Annotated[str, Field(max_length=500)] = "asked by the API"


class KeyIn(Shape):
    """A key to make."""

    name: Name
    scopes: list[Literal["event:write", "read", "operate", "admin"]] = Field(min_length=1)


class KeyOut(Shape):
    """A key. `key`, the secret, is shown once, in the answer to its creation."""

    id: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: Moment
    revoked_at: Moment | None
    key: str | None = None


class KeyPage(Shape):
    """Keys, oldest first."""

    items: list[KeyOut]
    next_cursor: str | None = None


class Health(Shape):
    """`status`: `ok` or what is wrong."""

    status: str


class Fault(Shape):
    """Where the input is wrong, as JSON pointer, and why."""

    pointer: str
    detail: str


class ProblemOut(Shape):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[Fault] = Field(default_factory=list[Fault])
