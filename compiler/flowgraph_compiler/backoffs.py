"""How long a step waits before it is tried again: by its policy alone, without jitter."""

from __future__ import annotations

from flowgraph_compiler.machine import Policy


def delay(policy: Policy, retry: int) -> float:
    """Return the seconds before retry number `retry` (from 1), at most the policy's `max`."""
    return min(_grown(policy, retry), policy.max or 0.0)


def _grown(policy: Policy, retry: int) -> float:
    base = policy.delay or 0.0
    if policy.kind == "fixed":
        return base
    if policy.kind == "linear":
        return base * retry
    try:
        return base * (policy.factor or 1.0) ** (retry - 1)
    except OverflowError:
        return float("inf")
