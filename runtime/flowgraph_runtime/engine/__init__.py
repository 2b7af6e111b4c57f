"""The pure engine: `decide(machine, state, input, at) -> Decision`; no I/O, no clock, no randomness."""
