"""Bare class names and the classes that they stand for: stored values name their types by these, so moving a file breaks
nothing.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator

from flowgraph import errors
from flowgraph.context import RunInfo
from flowgraph.errors import RegistryError
from flowgraph.events import EventMeta
from flowgraph.outcomes import Err, Ok

_ALWAYS_KNOWN: dict[str, type] = {
    **{
        name: cls
        for space in (vars(builtins), vars(errors))
        for name, cls in space.items()
        if isinstance(cls, type) and issubclass(cls, BaseException)
    },
    **{cls.__name__: cls for cls in (EventMeta, RunInfo, Ok, Err)},
}


class TypeRegistry:
    """Finds a class by its bare name or an alias.

    Always known: exceptions of Python and of `flowgraph`, what a body can ask about its run and its events, what `settle` gives.
    """

    def __init__(self, *classes: type) -> None:
        self._classes: dict[str, type] = {}
        for cls in classes:
            self.register(cls)

    def register(self, cls: type, *aliases: str) -> None:
        """Make `cls` known by its name and `aliases`. Raises `RegistryError` when another class has one of these names."""
        for name in (cls.__name__, *aliases):
            other = self._classes.setdefault(name, cls)
            if other is not cls:
                raise RegistryError(f"two classes are called '{name}', {_place(other)} and {_place(cls)}: rename one of them")

    def lookup(self, name: str) -> type | None:
        """Return the class of that name, or None."""
        return self._classes.get(name) or _ALWAYS_KNOWN.get(name)

    def __iter__(self) -> Iterator[type]:
        """Iterate over the registered classes, each once."""
        return iter(dict.fromkeys(self._classes.values()))


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
