"""The OpenAPI 3.1 document, made from the route table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter

from flowgraph_runtime.api.endpoints import JSON, Endpoint, Query
from flowgraph_runtime.api.shapes import ProblemOut
from flowgraph_runtime.auth import OPEN

_REF = "#/components/schemas/{model}"
_PATH_PART = {"type": "string", "minLength": 1, "pattern": "^[^\\u0000]+$"}
_ALWAYS = (400, 421, 500)


def document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """Return the document."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "flowgraph", "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "made by 'flowgraph keys create'"}},
        },
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": re.sub(r"\W+", "_", f"{endpoint.method.lower()}{endpoint.path}").strip("_"),
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint, schemas),
        "security": [] if endpoint.scope == OPEN or endpoint.key_in_path else [{}, {"key": []}],
        "x-scope": endpoint.scope,
    }
    if endpoint.body is not None:
        taken = ((JSON, endpoint.body), *endpoint.bodies)
        content = {media: {"schema": _schema(kind, schemas)} for media, kind in taken}
        operation["requestBody"] = {"required": endpoint.body_needed, "content": content}
    return operation


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_PART} for name in re.findall(r"\{(\w+)\}", endpoint.path)
    ]
    return [
        *path,
        *(_given(query, "query") for query in endpoint.query),
        *(_given(query, "header") for query in endpoint.headers),
    ]


def _given(query: Query, where: str) -> dict[str, Any]:
    return {"name": query.name, "in": where, "required": False, "schema": query.schema, "description": query.about}


def _responses(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(endpoint.status).phrase}
    if endpoint.answer is not None:
        good["content"] = {"application/json": {"schema": _schema(endpoint.answer, schemas)}}
    elif endpoint.status != 204:
        good["content"] = {endpoint.media: {"schema": {"type": "string"}}}
    responses = {str(endpoint.status): good}
    if endpoint.status == 201 and endpoint.headers:
        responses["200"] = good
    if endpoint.media == "text/event-stream":
        responses["204"] = {"description": "the run has ended and nothing was missed"}
    problem = ("application/problem+json", ProblemOut) if endpoint.error is None else (JSON, endpoint.error)
    for status in sorted({*endpoint.errors, *_ALWAYS, *_by_kind(endpoint)}):
        content = {problem[0]: {"schema": _schema(problem[1], schemas)}}
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    return responses


def _by_kind(endpoint: Endpoint) -> set[int]:
    found: set[int] = set() if endpoint.scope == OPEN else {401, 403}
    if endpoint.body is not None:
        found |= {413, 415, 422}
    return found if endpoint.method == "GET" else found | {403}


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return a type's schema; its models move to the components."""
    schema = TypeAdapter(kind).json_schema(ref_template=_REF)
    schemas.update(schema.pop("$defs", {}))
    title = schema.get("title")
    if isinstance(kind, type) and title is not None and "properties" in schema:
        schemas[title] = schema
        return {"$ref": _REF.format(model=title)}
    return schema
