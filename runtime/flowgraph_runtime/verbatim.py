"""Classes that take their data as it is sent: pydantic would look at the type of each value and at nothing else, which needs no
instance. What a class does is read from the schema that pydantic has made for it; a class of which anything is not known to be
harmless is not one of these."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any

from pydantic import BaseModel

_KINDS: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "none": NoneType}
_HARMLESS = {"type", "metadata"}
_OF_A_MODEL = _HARMLESS | {"cls", "schema", "config", "ref", "custom_init", "root_model"}
_OF_ITS_CONFIG = {"title", "frozen", "strict", "extra_fields_behavior"}
_OF_ITS_FIELDS = _HARMLESS | {"fields", "model_name", "computed_fields", "extra_behavior"}


def kinds_of(cls: type[BaseModel]) -> dict[str, set[type]] | None:
    """Return the types of values that each field takes as they are, in the order of the fields, when nothing else happens to the
    data of the class; None otherwise. A value of another type may be right as well, but not as it is."""
    schema: Mapping[str, Any] = vars(cls)["__pydantic_core_schema__"]
    if schema.get("cls") is not cls or not schema.keys() <= _OF_A_MODEL or schema.get("custom_init") or schema.get("root_model"):
        return None
    inner: Mapping[str, Any] = schema["schema"]
    if (
        inner["type"] != "model-fields"
        or not inner.keys() <= _OF_ITS_FIELDS
        or not schema.get("config", {}).keys() <= _OF_ITS_CONFIG
    ):
        return None
    kinds = {name: _kinds_of_field(field) for name, field in inner["fields"].items()}
    return {name: taken for name, taken in kinds.items() if taken} if all(kinds.values()) else None


def _kinds_of_field(field: Mapping[str, Any]) -> set[type]:
    """Nothing for a field that does more than look: one with an alias, a validator, a constraint."""
    return _kinds(field["schema"]) if field.keys() <= _HARMLESS | {"schema"} else set()


def _kinds(schema: Mapping[str, Any]) -> set[type]:
    if schema["type"] == "default":  # what it says counts when there is no value
        return _kinds(schema["schema"])
    if schema["type"] == "nullable" and schema.keys() <= _HARMLESS | {"schema"}:
        inner = _kinds(schema["schema"])
        return inner | {NoneType} if inner else inner
    return {_KINDS[schema["type"]]} if schema["type"] in _KINDS and schema.keys() <= _HARMLESS else set()
