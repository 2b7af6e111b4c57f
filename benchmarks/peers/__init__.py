"""The same workloads on other engines. Each module is run by the Python of the environment in which its engine is installed."""
