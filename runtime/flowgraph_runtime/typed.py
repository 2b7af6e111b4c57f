"""Calls of workflow objects and their results as the JSON of the interface, and back."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from flowgraph import Cron, Event, Workflow
from flowgraph.codec import TypeRegistry, loads, plain


def event_data(event: Event) -> dict[str, Any]:
    """Return an event's data as its wire form, with the aliases of its fields."""
    return event.model_dump(mode="json", by_alias=True, round_trip=True)


def start_input(workflow: Workflow[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return what starts a run as if `workflow(*args, **kwargs)` were called: `{"name", "data"}` of the event, or the parameters
    by name. Raises TypeError where that call would, and for a workflow whose argument only its schedule can give."""
    bound = inspect.signature(workflow.fn).bind(*args, **kwargs).arguments
    triggers = workflow.options.triggers()
    if not triggers:
        return {name: _plain(_adapter(workflow, name), value) for name, value in bound.items()}
    given = next(iter(bound.values()), None)
    if isinstance(given, Event):
        return {"name": type(given).event_name, "data": event_data(given)}
    if given is None and any(isinstance(trigger, Cron) for trigger in triggers):
        return {}
    raise TypeError(f"workflow '{workflow.name}' is started by its trigger, not by {given!r}")


def _plain(adapter: TypeAdapter[Any], value: Any) -> Any:
    """A value that does not fit goes out as it is: the server names what is wrong with it."""
    return adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False)


def result_of(workflow: Workflow[..., Any], value: Any) -> Any:
    """Return a result in JSON as the type that the workflow declares. Raises `pydantic.ValidationError` where it does not fit."""
    return _adapter(workflow, "return").validate_python(value, strict=False, by_alias=True, by_name=True)


def result_json(declared: Any, text: str, types: TypeRegistry) -> Any:
    """Return a stored result as JSON of the declared type, by alias, as `flowgraph run` prints it and `result_of` reads it; that
    of a machine with another result type as it is stored."""
    try:
        return _type_adapter(declared).dump_python(loads(text, types), mode="json", by_alias=True, warnings="error")
    except Exception:  # the author's own serialisers run here, too
        return plain(json.loads(text))


@lru_cache(maxsize=1024)
def _type_adapter(declared: Any) -> TypeAdapter[Any]:
    return TypeAdapter(declared)


@lru_cache(maxsize=1024)
def _adapter(workflow: Workflow[..., Any], name: str) -> TypeAdapter[Any]:
    hints = get_type_hints(workflow.fn, include_extras=True)
    return TypeAdapter(hints.get(name, Any))
