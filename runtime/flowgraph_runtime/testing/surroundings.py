"""What a test puts around the code under test: resources for steps, and an interpreter left as it was found."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from flowgraph.context import current_resources, resources_scope


def resources(provided: Mapping[type[Any], Any]) -> AbstractContextManager[None]:
    """Provide what `resource(Type)` finds inside the block, by type, besides what an outer block provides: for steps that a test
    calls by themselves, for direct runs, and for an engine that is opened inside."""
    return resources_scope({**current_resources(), **provided})


@contextmanager
def untouched() -> Generator[None]:
    """Undo at the end what a worker does to the garbage collector and the interpreter: a test suite opens hundreds of them."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*threshold)
        gc.unfreeze()
