"""Which realistic mistakes are found before anything runs: by flowgraph, by a type checker alone, by peers."""
