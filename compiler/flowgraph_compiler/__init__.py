"""The flowgraph compiler: source of workflow modules -> typed step graph -> checks -> state machine, which is data."""
