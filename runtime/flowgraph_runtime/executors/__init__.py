"""Where steps run that do not run in the worker's own process: `@step(executor=...)`."""
