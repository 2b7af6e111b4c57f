"""`python -m flowgraph_runtime.cli`: the same as `flowgraph`."""

from flowgraph_runtime.cli import main

main()
