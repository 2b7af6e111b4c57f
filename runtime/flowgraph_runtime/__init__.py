"""The flowgraph runtime: advances compiled machines from a database and serves them over HTTP."""
