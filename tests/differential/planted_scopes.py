"""Bugs of timeouts and sagas, planted in the engine, each with the seed of a program that shows it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from flowgraph_runtime.engine import cancelling, scopes
from flowgraph_runtime.engine.tokens import SagaScope
from tests.differential.compare import Difference, compare

Patch = pytest.MonkeyPatch


def every_cancel_is_the_deadline(patch: Patch) -> None:
    """A scope turns any `Cancelled` that leaves it into its own `TimeoutError`."""
    patch.setattr(scopes, "_is_own", lambda scope, token: True)


def sagas_hand_nothing_over(patch: Patch) -> None:
    """What completed in an inner saga is forgotten when that succeeds."""
    patch.setattr(scopes, "_hand_over", lambda token, saga: None)


def sagas_see_their_own_token_only(patch: Patch) -> None:
    """What completes in the branches of a group is not undone."""

    def around(token: Any) -> Any:
        return next((scope for scope in reversed(token.scopes) if isinstance(scope, SagaScope)), None)

    patch.setattr(scopes, "_saga_around", around)


def attempts_are_let_finish(patch: Patch) -> None:
    """A deadline, or a cancel, waits for the attempts that run."""
    stop = cancelling._stop
    patch.setattr(cancelling, "_stop", lambda turn, token, *, interrupt: stop(turn, token, interrupt=False))


PLANTS: dict[Callable[[Patch], None], int] = {
    every_cancel_is_the_deadline: 1_000_022,
    sagas_hand_nothing_over: 1_000_031,
    sagas_see_their_own_token_only: 1_000_114,
    attempts_are_let_finish: 1_000_057,
}
"""With the seeds: search for others with `shows` when the generator draws other programs."""


def shows(plant: Callable[[Patch], None], seeds: Iterable[int]) -> int | None:
    """The first of the seeds whose program shows the bug."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        plant(patch)
        for seed in seeds:
            try:
                compare(seed)
            except Difference as difference:
                if " refused: " not in str(difference):
                    return seed
    return None
