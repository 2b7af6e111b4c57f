"""Losses of the codec, planted: see `planted`. They reach the machine's side alone, what Python gave was written down before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowgraph import decoding, encoding

Patch = pytest.MonkeyPatch


def _read(patch: Patch, tag: str, change: Callable[[Any], Any]) -> None:
    """Change what is read for a tag."""
    read = decoding._READERS[tag]
    patch.setitem(decoding._READERS, tag, lambda decoder, tree, number: change(read(decoder, tree, number)))


def _parts(patch: Patch, tag: str, *lost: str) -> None:
    """Read a tag without some of its parts."""
    read = decoding._READERS[tag]
    patch.setitem(
        decoding._READERS,
        tag,
        lambda decoder, tree, number: read(decoder, {k: v for k, v in tree.items() if k not in lost}, number),
    )


def tuples_become_lists(patch: Patch) -> None:
    """As in plain JSON."""
    _read(patch, "$tuple", list)


def sets_become_lists(patch: Patch) -> None:
    """As in plain JSON."""
    _read(patch, "$set", list)


def frozen_sets_thaw(patch: Patch) -> None:
    """A frozenset is read as a set."""
    _read(patch, "$frozenset", set)


def decimals_become_floats(patch: Patch) -> None:
    """As in plain JSON."""
    _read(patch, "$decimal", float)


def named_tuples_lose_their_class(patch: Patch) -> None:
    """As in plain JSON."""
    _read(patch, "$named", tuple)


def enums_become_values(patch: Patch) -> None:
    """As in plain JSON."""
    _read(patch, "$enum", lambda member: member.value)


def zones_become_offsets(patch: Patch) -> None:
    """A datetime keeps the offset and loses the name of its zone."""
    _parts(patch, "$datetime", "zone")


def folds_are_lost(patch: Patch) -> None:
    """The second of two equal hours is read as the first."""
    _parts(patch, "$datetime", "fold")


def microseconds_are_lost(patch: Patch) -> None:
    """A timedelta keeps whole seconds."""
    _read(patch, "$timedelta", lambda value: type(value)(value.days, value.seconds))


def keys_become_text(patch: Patch) -> None:
    """As in plain JSON."""
    _read(patch, "$dict", lambda value: {str(key): item for key, item in value.items()})


def uuids_become_text(patch: Patch) -> None:
    """As in plain JSON."""
    _read(patch, "$uuid", str)


def bytes_become_text(patch: Patch) -> None:
    """As in plain JSON."""
    _read(patch, "$bytes", lambda value: value.decode("latin-1"))


def references_are_copies(patch: Patch) -> None:
    """An object that is reachable twice is read twice."""
    read = decoding._READERS["$ref"]

    def copied(decoder: Any, tree: Any, number: Any) -> Any:
        value = read(decoder, tree, number)
        return list(value) if type(value) is list else dict(value) if type(value) is dict else value

    patch.setitem(decoding._READERS, "$ref", copied)


def models_are_not_shared(patch: Patch) -> None:
    """A model that is reachable twice is written twice."""
    model = encoding._model

    def apart(encoder: Any, value: Any, depth: int) -> Any:
        encoder._memo.pop(id(value), None)
        return model(encoder, value, depth)

    patch.setattr(encoding, "_model", apart)
    patch.setattr(encoding, "_HANDLERS", {kind: each for kind, each in encoding._HANDLERS.items() if each is not model})


def models_become_dicts(patch: Patch) -> None:
    """As in plain JSON."""
    _read(patch, "$model", lambda value: dict(vars(value)) if not hasattr(value, "meta") else value)


def causes_are_lost(patch: Patch) -> None:
    """An exception comes back without `__cause__`."""
    _parts(patch, "$error", "cause")


def notes_are_lost(patch: Patch) -> None:
    """An exception comes back without its notes."""
    _parts(patch, "$error", "notes")


def attributes_are_lost(patch: Patch) -> None:
    """An exception comes back without its attributes."""
    _parts(patch, "$error", "attrs")


def exceptions_are_constructed_anew(patch: Patch) -> None:
    """An exception has one argument, its text."""

    def told(error: BaseException) -> BaseException:
        error.args = (str(error),)
        return error

    _read(patch, "$error", told)


PLANTS: tuple[Callable[[Patch], None], ...] = (
    tuples_become_lists,
    sets_become_lists,
    frozen_sets_thaw,
    decimals_become_floats,
    named_tuples_lose_their_class,
    enums_become_values,
    zones_become_offsets,
    folds_are_lost,
    microseconds_are_lost,
    keys_become_text,
    uuids_become_text,
    bytes_become_text,
    references_are_copies,
    models_are_not_shared,
    models_become_dicts,
    causes_are_lost,
    notes_are_lost,
    attributes_are_lost,
    exceptions_are_constructed_anew,
)
