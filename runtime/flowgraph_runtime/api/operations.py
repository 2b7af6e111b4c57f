"""Health, and the keys of the API."""

from __future__ import annotations

from starlette.responses import Response

from flowgraph_runtime.api.endpoints import Call, answer
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.api.shapes import Health, KeyIn, KeyPage
from flowgraph_runtime.auth import key_hash, new_key
from flowgraph_runtime.storage import KeyRow
from flowgraph_runtime.views import key_view

SHOWN_PREFIX = 9
"""Letters of a key that are kept to recognise it by."""


async def health(call: Call) -> Response:
    """Say that the process answers."""
    del call
    return answer(Health(status="ok"))


async def readiness(call: Call) -> Response:
    """Say whether the database answers and the worker works: 503 otherwise."""
    if call.service.failure is not None:
        raise Problem(
            503, "not ready", f"the worker has ended: {type(call.service.failure).__name__}", headers={"Retry-After": "1"}
        )
    try:
        await call.service.store.next_timer()
    except Exception as error:
        raise Problem(503, "not ready", "the database does not answer", headers={"Retry-After": "1"}) from error
    return answer(Health(status="ok"))


async def list_keys(call: Call) -> Response:
    """List all keys, revoked ones too, without their secrets."""
    return answer(KeyPage(items=[key_view(row) for row in await call.service.store.list_keys()]))


async def create_key(call: Call) -> Response:
    """Make a key. Its secret is in this answer and nowhere else."""
    body: KeyIn = await call.body()
    secret = new_key()
    scopes = tuple(dict.fromkeys(body.scopes))
    now = call.service.clock.now()
    row = KeyRow(call.service.ids.key(), body.name, secret[:SHOWN_PREFIX], key_hash(secret), scopes, now)
    await call.service.store.create_key(row)
    call.service.keys.forget()
    return answer(key_view(row, secret), 201)


async def revoke_key(call: Call) -> Response:
    """Revoke a key for good."""
    if not await call.service.store.revoke_key(call.path["id"]):
        raise Problem(404, "not found", f"no key in use has the id '{call.path['id']}'")
    call.service.keys.forget()
    return Response(status_code=204)
