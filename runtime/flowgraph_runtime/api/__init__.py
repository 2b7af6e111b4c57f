"""The HTTP interface: `table` lists the routes, `gate` and `json_gate` guard them, the other files answer."""
