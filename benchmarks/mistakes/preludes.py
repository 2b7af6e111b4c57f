"""What stands before each mistake, and how each peer is asked about a module, in a process of its own: what its worker or its
`compile()` looks at before anything runs."""

from __future__ import annotations

FLOWGRAPH = """
import asyncio
import random
import threading
from datetime import UTC, datetime, timedelta

from flowgraph import Cron, Event, sleep, sleep_until, step, wait_for, workflow


class Order(Event, name="order"):
    id: str
    amount: int


class Paid(Event, name="paid"):
    order_id: str
    payment: str


@step
async def charge(order_id: str, amount: int) -> str:
    return "p"


@step
async def mail(to: str) -> None: ...

"""

TEMPORAL = """
import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio import activity, workflow


@dataclass
class Order:
    id: str
    amount: int


@dataclass
class Paid:
    order_id: str
    payment: str


@activity.defn
async def charge(order_id: str, amount: int) -> str:
    return "p"


@activity.defn
async def mail(to: str) -> None: ...


ACTIVITIES = [charge, mail]
"""

DBOS = """
import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dbos import DBOS


@dataclass
class Order:
    id: str
    amount: int


@DBOS.step()
async def charge(order_id: str, amount: int) -> str:
    return "p"


@DBOS.step()
async def mail(to: str) -> None: ...

"""

LANGGRAPH = """
import asyncio
import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    id: str
    amount: int
    payment: Any


async def charge(order_id: str, amount: int) -> str:
    return "p"


async def mail(to: str) -> None: ...


async def mail_node(state: State) -> dict[str, Any]:
    await mail(state["id"])
    return {}

"""

ASK_TEMPORAL = """
import asyncio, importlib, inspect, sys
from temporalio import workflow
from temporalio.worker._activity import _ActivityWorker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

module = importlib.import_module(sys.argv[1])
rest = dict.fromkeys(list(inspect.signature(_ActivityWorker).parameters))  # what a worker does with them, but for the server
_ActivityWorker(**rest | {"activities": module.ACTIVITIES, "interceptors": []})


async def prepare():
    SandboxedWorkflowRunner().prepare_workflow(workflow._Definition.must_from_class(module.Flow))


asyncio.run(prepare())
"""

ASK_DBOS = """
import importlib, sys
from dbos import DBOS

DBOS(config={"name": "mistakes", "system_database_url": f"sqlite:///{sys.argv[2]}", "log_level": "ERROR"})
module = importlib.import_module(sys.argv[1])
DBOS.launch()
getattr(module, "launched", lambda: None)()
DBOS.destroy()
"""

ASK_LANGGRAPH = """
import importlib, sys

importlib.import_module(sys.argv[1])
"""
