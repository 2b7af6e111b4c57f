"""Sizes of a worker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """`slots`: attempts at once; `live_runs`: runs in memory; `poll_interval`: seconds between looks for unannounced work."""

    slots: int = 1000
    live_runs: int = 10_000
    claim_batch: int = 100
    poll_interval: float = 1.0
