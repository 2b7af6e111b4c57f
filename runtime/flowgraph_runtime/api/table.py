"""Every route of the interface, with its scope: the one list that the server, the OpenAPI document and the tests go by."""

from __future__ import annotations

from flowgraph_runtime.api import cloudevents, events, inngest, metrics, migrations, operations, runs, streams, workflows
from flowgraph_runtime.api import shapes as s
from flowgraph_runtime.api.endpoints import Endpoint, Query
from flowgraph_runtime.api.paging import PAGE
from flowgraph_runtime.auth import OPEN

_TEXT = {"type": "string", "maxLength": 200, "pattern": "^[^\\u0000]*$"}
_VISIBLE = {"type": "string", "pattern": "^[!-~]([ -~]{0,198}[!-~])?$"}
_DURATION = {"type": "string", "pattern": r"^([0-9]{1,6}(\.[0-9]{1,6})? ?(ms|s|m|h|d|w)){1,5}$"}
_STATUSES = list(s.RunStatus.__args__)  # type: ignore[attr-defined]  # of a Literal
_SVG = "image/svg+xml"
_STREAM = "text/event-stream"
_RUN_FILTERS = (
    Query("workflow", _TEXT, "only runs of this workflow"),
    Query("status", {"type": "string", "enum": _STATUSES}, "only runs in this status"),
    Query("event_id", _TEXT, "only runs that this event started"),
    Query("since", {"type": "string", "format": "date-time"}, "only runs created at or after this time"),
)
_KEY = Query("Idempotency-Key", _VISIBLE, "a repetition answers the first run")
_WAIT = Query("wait", _DURATION, "a duration such as 10s: answer when the run has ended, at most 60s")
_SEED = Query(
    inngest.SEED,
    {"type": "string", "pattern": r"^[0-9]{1,14},[A-Za-z0-9+/]{14}==$", "examples": ["1767225600000,MDEyMzQ1Njc4OQ=="]},
    "milliseconds and ten bytes in base64, the same for every try of one sending",
)
_ENVIRONMENT = Query(inngest.ENVIRONMENT, _VISIBLE, "kept with the events")
_RESUME = Query("Last-Event-ID", {"type": "string", "pattern": "^[0-9]{1,18}$"}, "go on after this event")

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/e/{key}",
        "event:write",
        "Send one event or an array of them as Inngest's SDKs do",
        inngest.send,
        body=s.SdkEventIn | list[s.SdkEventIn],
        any_media=True,
        key_in_path=True,
        answer=s.SdkEventsAccepted,
        error=s.SdkError,
        headers=(_SEED, _ENVIRONMENT),
    ),
    Endpoint(
        "POST",
        "/v1/events",
        "event:write",
        "Send one event or an array of them, all or nothing",
        events.send,
        body=s.EventIn | list[s.EventIn],
        bodies=((cloudevents.ONE, s.CloudEventIn), (cloudevents.BATCH, list[s.CloudEventIn])),
        answer=s.EventsAccepted,
        errors=(409, 413),
    ),
    Endpoint(
        "GET",
        "/v1/events",
        "read",
        "List events",
        events.listing,
        answer=s.EventPage,
        query=(
            Query("name", _TEXT, "only events of this name"),
            Query("status", {"type": "string", "enum": list(s.EventStatus.__args__)}, "only events in this status"),  # type: ignore[attr-defined]
            Query("since", {"type": "string", "format": "date-time"}, "only events received at or after this time"),
            *PAGE,
        ),
    ),
    Endpoint(
        "GET",
        "/v1/events/{id}",
        "read",
        "Show an event and the runs that it started or woke",
        events.single,
        answer=s.EventOut,
        errors=(404,),
    ),
    Endpoint(
        "POST",
        "/v1/workflows/{name}/runs",
        "event:write",
        "Start a run by hand (200 when the Idempotency-Key was used before)",
        runs.start,
        body=s.StartIn,
        answer=s.RunOut,
        status=201,
        query=(_WAIT,),
        headers=(_KEY,),
        errors=(404, 409, 413),
    ),
    Endpoint("GET", "/v1/workflows", "read", "List the served workflows", workflows.listing, answer=s.WorkflowPage),
    Endpoint("GET", "/v1/workflows/{name}", "read", "Show a workflow", workflows.single, answer=s.WorkflowOut, errors=(404,)),
    Endpoint(
        "GET", "/v1/workflows/{name}/machine", "read", "The compiled machine", workflows.machine, answer=dict, errors=(404,)
    ),
    Endpoint(
        "GET", "/v1/workflows/{name}/diagram.svg", "read", "Draw a workflow", workflows.diagram, media=_SVG, errors=(404, 501)
    ),
    Endpoint("GET", "/v1/machines", "read", "List the machines that live runs are on", workflows.deployed, answer=s.MachineList),
    Endpoint("GET", "/v1/runs", "read", "List runs, newest first", runs.listing, answer=s.RunPage, query=(*_RUN_FILTERS, *PAGE)),
    Endpoint("GET", "/v1/runs/{id}", "read", "Show a run", runs.single, answer=s.RunOut, query=(_WAIT,), errors=(404,)),
    Endpoint(
        "GET",
        "/v1/runs/{id}/steps",
        "read",
        "Every step of the machine, pending ones too",
        runs.steps,
        answer=s.StepsOut,
        query=(Query("node", _TEXT, "only this node, by its id, with the visits before `cursor`"), *PAGE),
        errors=(404, 409),
    ),
    Endpoint(
        "GET",
        "/v1/runs/{id}/journal",
        "read",
        "The inputs of a run",
        runs.journal,
        answer=s.JournalPage,
        query=PAGE,
        errors=(404,),
    ),
    Endpoint(
        "GET", "/v1/runs/{id}/diagram.svg", "read", "Draw a run's live state", runs.diagram, media=_SVG, errors=(404, 409, 501)
    ),
    Endpoint(
        "GET",
        "/v1/runs/{id}/stream",
        "read",
        "Follow a run",
        streams.one_run,
        media=_STREAM,
        headers=(_RESUME,),
        query=(Query("end", {"type": "string", "enum": ["event"]}, "`event`: a last event `end` when the run has ended"),),
        errors=(404,),
    ),
    Endpoint("GET", "/v1/stream", "read", "Follow all runs", streams.everything, media=_STREAM, headers=(_RESUME,)),
    Endpoint(
        "POST",
        "/v1/runs/{id}/cancel",
        "operate",
        "Ask to cancel a run",
        runs.cancel,
        body=s.CancelIn,
        body_needed=False,
        answer=s.CancelOut,
        errors=(404,),
    ),
    Endpoint(
        "POST",
        "/v1/runs/{id}/retry",
        "operate",
        "Let a failed run go on from its failed step, with all attempts of that step anew",
        runs.retry,
        answer=s.RunOut,
        errors=(404, 409),
    ),
    Endpoint("GET", "/v1/migration", "read", "What becomes of live runs on the deployed code", migrations.plan, answer=s.PlanOut),
    Endpoint(
        "POST",
        "/v1/migration",
        "operate",
        "Move the runs that can go on with the deployed machines, as it is proven",
        migrations.apply,
        answer=s.MigrationOut,
    ),
    Endpoint("GET", "/v1/keys", "admin", "List the API's keys", operations.list_keys, answer=s.KeyPage),
    Endpoint("POST", "/v1/keys", "admin", "Make a key", operations.create_key, body=s.KeyIn, answer=s.KeyOut, status=201),
    Endpoint("DELETE", "/v1/keys/{id}", "admin", "Revoke a key", operations.revoke_key, status=204, errors=(404,)),
    Endpoint("GET", "/metrics", "read", "Counters for Prometheus", metrics.metrics, media="text/plain"),
    Endpoint("GET", "/healthz", OPEN, "The process answers", operations.health, answer=s.Health),
    Endpoint("GET", "/readyz", OPEN, "Database and worker are there", operations.readiness, answer=s.Health, errors=(503,)),
)
