"""The variables of one frame."""

from __future__ import annotations

from typing import Any


def captured(name: str) -> str:
    """Return the name under which a wait keeps what a fan-out has bound to `name`: no variable of the frame has it."""
    return f"^{name}"


class Variables(dict[str, Any]):
    """Variables by name; reading one that is not bound raises what Python raises for a local variable."""

    __slots__ = ()

    def __missing__(self, name: str) -> Any:
        raise UnboundLocalError(f"cannot access local variable '{name}' where it is not associated with a value")

    def put(self, name: str, value: Any) -> Any:
        """Bind the name and return the value: an assignment expression."""
        self[name] = value
        return value
