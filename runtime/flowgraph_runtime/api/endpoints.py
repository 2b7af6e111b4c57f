"""What a route is: its method, path and scope, what it takes and answers, and the function that does it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from flowgraph_runtime.api.json_gate import BadJson, check_strings, parse
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.errors import InputRejected
from flowgraph_runtime.service import Service
from flowgraph_runtime.validation import validated

JSON = "application/json"
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}
Handler: TypeAlias = Callable[["Call"], Awaitable[Response]]
Method = Literal["GET", "POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter or header: its JSON schema and what it is for."""

    name: str
    schema: dict[str, Any]
    about: str

    def checked(self, value: str, kind: str) -> str:
        """Return the value. Raises `Problem` 400 when its schema lists others, or forbids its length or form."""
        listed, pattern = self.schema.get("enum"), self.schema.get("pattern")
        if listed is not None and value not in listed:
            raise Problem(400, f"bad {kind}", f"'{self.name}' is one of {', '.join(listed)}")
        if len(value) > self.schema.get("maxLength", len(value)):
            raise Problem(400, f"bad {kind}", f"'{self.name}' has at most {self.schema['maxLength']} characters")
        if pattern is not None and re.fullmatch(pattern, value) is None:
            raise Problem(400, f"bad {kind}", f"'{self.name}' ({self.about}) has the form {pattern}")
        return value


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route. `body` and `answer` are types of `shapes` (None: no body, or an answer that is not JSON, of type `media`).
    `bodies`: what may be sent instead, by media type; `any_media`: whatever the media type says, it is read as JSON.
    `key_in_path`: the credential is the path's `key`; `error`: the type of errors that are no problem documents."""

    method: Method
    path: str
    scope: str
    summary: str
    handler: Handler
    body: Any = None
    body_needed: bool = True
    bodies: tuple[tuple[str, Any], ...] = ()
    any_media: bool = False
    key_in_path: bool = False
    error: Any = None
    answer: Any = None
    status: int = 200
    media: str = "application/json"
    query: tuple[Query, ...] = ()
    headers: tuple[Query, ...] = ()
    errors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A request to an endpoint that has passed the gate."""

    request: Request
    endpoint: Endpoint
    service: Service

    @property
    def media_type(self) -> str:
        """What the request says that its body is, without parameters, in lower case."""
        return media_type_of(self.request)

    @property
    def path(self) -> dict[str, str]:
        """The parameters of the path."""
        return dict(self.request.path_params)

    def header(self, name: str) -> str | None:
        """Return a header of the request."""
        return self.request.headers.get(name)

    def queries(self) -> dict[str, str]:
        """Return the query parameters. Raises `Problem` 400 for one that the endpoint does not know, that stands twice, or whose
        value is not as its schema says."""
        known = {query.name: query for query in self.endpoint.query}
        found: dict[str, str] = {}
        for name, value in self.request.query_params.multi_items():
            if name not in known:
                raise Problem(400, "unknown query parameter", f"'{name}' is not one of {', '.join(sorted(known)) or 'none'}")
            if name in found:
                raise Problem(400, "query parameter twice", f"'{name}' stands twice")
            found[name] = checked_text(known[name].checked(value, "query parameter"), f"query parameter '{name}'")
        return found

    def checked_header(self, name: str) -> str | None:
        """Return a declared header of the request. Raises `Problem` 400 when it is not as its schema says."""
        value = self.header(name)
        (declared,) = (header for header in self.endpoint.headers if header.name == name)
        return None if value is None else declared.checked(value, "header")

    async def body(self, kind: Any = None) -> Any:
        """Return the body as `kind` (the endpoint's by default). Raises `Problem`: 400 bad JSON, 422 not of that type."""
        value = await self.json()
        try:
            return validated(_adapter(kind or self.endpoint.body), value, "")
        except InputRejected as rejected:
            raise Problem(422, "the body does not fit", faults=rejected.faults) from None

    async def json(self) -> str:
        """Return the request's body, checked to be acceptable JSON, as text. Raises `Problem` 400."""
        await self.value()
        return (await self.request.body()).decode()

    async def value(self) -> Any:
        """Return the value of the request's body, checked to be acceptable JSON. Raises `Problem` 400."""
        try:
            return parse(await self.request.body())
        except BadJson as bad:
            raise Problem(400, "the body is not acceptable JSON", str(bad)) from None

    def number(self, queries: dict[str, str], name: str, default: int, low: int, high: int) -> int:
        """Return a whole number among the query parameters. Raises `Problem` 400 outside its range."""
        text = queries.get(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 18 or not low <= int(text) <= high:
            raise Problem(400, "bad query parameter", f"'{name}' is a whole number from {low} to {high}")
        return int(text)


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Making one takes a tenth of a millisecond: once for each shape."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def media_type_of(request: Request) -> str:
    """Return the request's media type without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def checked_text(text: str, what: str) -> str:
    """Return a text from the request that a database can hold. Raises `Problem` 400."""
    try:
        check_strings(text)
    except BadJson as bad:
        raise Problem(400, "bad characters", f"{what} cannot be stored: {bad}") from None
    return text


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a shape (or plain data) as a JSON response."""
    content = _adapter(type(value)).dump_json(value, by_alias=True)
    return Response(content, status, headers, media_type="application/json")
