"""The concurrency limits of a machine, with the keys that a run has in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flowgraph.codec import TypeRegistry
from flowgraph_compiler.machine import Limit, Machine
from flowgraph_compiler.notation import expression
from flowgraph_runtime.predicates import KeyOf
from flowgraph_runtime.records import SlotNeed, WaitingSlot


@dataclass(frozen=True, slots=True)
class RunLimits:
    """The slots that one run needs: `run` while it lives, `attempt` for each attempt of each step, `steps` more by step."""

    run: tuple[SlotNeed, ...]
    attempt: tuple[SlotNeed, ...]
    steps: dict[str, tuple[SlotNeed, ...]]

    def of_step(self, step: str) -> tuple[SlotNeed, ...]:
        """Return what an attempt of the step needs."""
        return (*self.attempt, *self.steps.get(step, ()))


class MachineLimits:
    """The limits of one machine. Keys are evaluated on the event that started the run, so a run's are always the same."""

    def __init__(self, machine: Machine, types: TypeRegistry) -> None:
        self._limits = machine.limits
        self._keys = [self._key(limit, machine, types) for limit in machine.limits]
        self.counts_runs = any(limit.scope == "run" for limit in machine.limits)

    @staticmethod
    def _key(limit: Limit, machine: Machine, types: TypeRegistry) -> KeyOf | None:
        if limit.key is None or limit.parameter is None:
            return None
        return KeyOf(machine, limit.parameter, limit.key, types)

    def of_run(self, input_: str) -> RunLimits:
        """Return the slots of the run with this input. Raises `KeyRefused`."""
        needs = [
            (limit, SlotNeed(limit.pool, "" if key is None else key(input_), limit.limit))
            for limit, key in zip(self._limits, self._keys, strict=True)
        ]
        steps: dict[str, tuple[SlotNeed, ...]] = {}
        for limit, need in needs:
            if limit.step is not None:
                steps[limit.step] = (*steps.get(limit.step, ()), need)
        return RunLimits(_picked(needs, "run"), _picked(needs, "step"), steps)


def _picked(needs: Iterable[tuple[Limit, SlotNeed]], scope: str) -> tuple[SlotNeed, ...]:
    return tuple(need for limit, need in needs if limit.step is None and limit.scope == scope)


def limit_words(limit: Limit) -> str:
    """Return a limit as people say it, such as `at most 2 executing steps for each e.org`."""
    counted = "live run" if limit.scope == "run" else "executing step" if limit.step is None else "execution"
    many = f"at most {limit.limit:,} {counted}{'' if limit.limit == 1 else 's'}"
    each = key_text(limit)
    of_step = "" if limit.step is None else f" of '{limit.step}'"
    return many + of_step + ("" if each is None else f" for each {each}")


def key_text(limit: Limit) -> str | None:
    """Return the expression that a limit is counted by, as it was written; None for one count."""
    return None if limit.key is None else expression(limit.key)


def waits_for(slots: Iterable[WaitingSlot]) -> str:
    """Return in words what limits hold somebody up."""
    return "; ".join(
        f"waits for a slot of {slot.pool}: {slot.limit} {'is' if slot.limit == 1 else 'are'} taken{_for(slot.key)}"
        for slot in slots
    )


def _for(key: str) -> str:
    """A simple key without the letter that tells its type."""
    if not key:
        return ""
    return f" for key '{key[2:] if key[:2] in ('s:', 'n:', 'u:', 'e:') else key}'"
