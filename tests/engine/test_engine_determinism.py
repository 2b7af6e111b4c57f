"""The same inputs lead to the same decisions, in any process."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = '''
from tests.engine.driver import drive
from tests.engine.sources import compiled, members

BODY = """
class Box(BaseModel):
    names: set[str]
    n: int

@step
async def pack(box: Box) -> Box:
    box.names.add("packed")
    return box

@workflow
async def flow(names: list[str]) -> Box:
    box = Box(names=set(names), n=len(names))
    for name in sorted(set(names)):
        box, _ = await parallel(pack(box), note(str(uuid())))
    got = await wait_for(Ping, where=lambda p: p.text in box.names, timeout="1h")
    await send(Ping(n=box.n, text="sent"))
    return box
"""
case = compiled(BODY)
events = [members(case)["Ping"](n=n, text=text) for n, text in enumerate(["x", "b"])]
outcome = drive(case, "flow", [["a", "b", "c", "b"]], schedule_seed=3, events=events)
print(outcome.payload, [row.digest for row in outcome.journal], outcome.snapshots)
'''


def test_decisions_do_not_depend_on_the_process() -> None:
    outputs = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert '"packed"' in outputs.pop()
