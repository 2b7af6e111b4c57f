"""What somebody sent against the types that it has to fit: each fault with a JSON pointer, and no error but `InputRejected`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from flowgraph.codec import CodecError
from flowgraph_runtime.errors import InputRejected
from flowgraph_runtime.pointers import escaped, pointer


def validated(adapter: TypeAdapter[Any], text: str, prefix: str) -> Any:
    """Return the JSON text as the adapter's type. Raises `InputRejected` with a pointer for each fault, also when a validator of
    the author's class fails in its own way."""
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        faults = [
            (prefix + "".join(f"/{escaped(part)}" for part in fault["loc"]), fault["msg"])
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise InputRejected("the data does not fit", faults) from None
    except Exception as error:
        raise InputRejected("the data does not fit", [(prefix, f"{type(error).__name__}: {error}")]) from error


@contextmanager
def storable(value: object, prefix: str) -> Generator[None]:
    """What is written inside is `value`, which fits its type. Raises `InputRejected` with a pointer where it cannot be stored."""
    try:
        yield
    except CodecError as refused:
        raise InputRejected("the data cannot be stored", [(prefix + pointer(value, refused.path), refused.reason)]) from None
    except PydanticSerializationError as refused:
        raise InputRejected("the data cannot be stored", [(prefix, str(refused))]) from None
