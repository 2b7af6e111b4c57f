"""The smallest workflow: two steps with three days between them.

flowgraph run examples/hello/hello.py:hello --input '{"name": "Ada"}' --skip-time
"""

from flowgraph import sleep, step, workflow


@step
async def greet(name: str) -> str:
    """Any Python may stand in a step: this is where effects live."""
    return f"Hello, {name}!"


@step
def remind(greeting: str) -> str:
    """A step may be an ordinary function, too: it runs in a thread."""
    return f"{greeting} Still there?"


@workflow
async def hello(name: str) -> str:
    """Greet, wait for three days without using any memory, greet again."""
    greeting = await greet(name)
    await sleep("3d")
    return await remind(greeting)
