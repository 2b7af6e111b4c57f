"""A module that does not compile, for the test of how that is told."""

from flowgraph import workflow


@workflow
async def prints() -> None:
    print("not in a step")
