"""The worker: claims runs, decides, commits, runs steps. `owner` has the main loop, the other files one small job each."""

from flowgraph_runtime.worker.options import WorkerOptions
from flowgraph_runtime.worker.owner import Worker

__all__ = ["Worker", "WorkerOptions"]
