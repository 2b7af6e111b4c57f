"""The mistakes, each as an author would make it with flowgraph and with each peer.

A text goes after its tool's prelude (`preludes`). `None`: the peer has nothing that the mistake could be made with.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """`codes`: what `flowgraph check` says of it, one of them at least."""

    what: str
    codes: tuple[str, ...]
    flowgraph: str
    temporal: str | None
    dbos: str | None
    langgraph: str | None


def _flow(body: str, before: str = "") -> str:
    return f"{before}\n@workflow(on=Order)\nasync def flow(event: Order) -> str:\n{_indented(body, 4)}\n"


def _temporal(body: str, before: str = "") -> str:
    return (
        f"{before}\n@workflow.defn\nclass Flow:\n    def __init__(self) -> None:\n        self.paid: Paid | None = None\n\n"
        f"    @workflow.signal\n    def pay(self, paid: Paid) -> None:\n        self.paid = paid\n\n"
        f"    @workflow.run\n    async def run(self, order: Order) -> str:\n{_indented(body, 8)}\n"
    )


def _dbos(body: str, before: str = "") -> str:
    return f"{before}\n@DBOS.workflow()\nasync def flow(order: Order) -> str:\n{_indented(body, 4)}\n"


def _dbos_schedule(cron: str) -> str:
    return (
        "@DBOS.workflow()\ndef flow(due: datetime, context: object) -> None:\n    print(due)\n\n\n"
        "def launched() -> None:\n"
        f'    DBOS.create_schedule(schedule_name="daily", workflow_fn=flow, schedule="{cron}")\n'
    )


def _langgraph(body: str, before: str = "", wiring: str = "") -> str:
    return f"{before}\nasync def flow(state: State) -> dict[str, Any]:\n{_indented(body, 4)}\n\n{wiring or WIRING}\n"


def _indented(body: str, by: int) -> str:
    return "\n".join(" " * by + line if line else "" for line in body.strip("\n").splitlines())


WIRING = """
graph = StateGraph(State)
graph.add_node("flow", flow)
graph.add_edge(START, "flow")
graph.add_edge("flow", END)
app = graph.compile()
"""

ACTIVITY = "await workflow.execute_activity(charge, args=[order.id, order.amount], start_to_close_timeout=timedelta(seconds=9))"

CORRECT = (
    _flow("return await charge(event.id, event.amount)"),
    _temporal(f"return str({ACTIVITY})"),
    _dbos("return await charge(order.id, order.amount)"),
    _langgraph('return {"payment": await charge(state["id"], state["amount"])}'),
)

MISTAKES = (
    Mistake(
        "a step is called and not awaited",
        ("FG113",),
        _flow("charge(event.id, event.amount)\nreturn event.id"),
        _temporal(f"{ACTIVITY.removeprefix('await ')}\nreturn order.id"),
        _dbos("charge(order.id, order.amount)\nreturn order.id"),
        _langgraph('charge(state["id"], state["amount"])\nreturn {}'),
    ),
    Mistake(
        "an argument of the wrong type",
        ("FG170",),
        _flow("return await charge(event.id, event.id)"),
        _temporal(f"return {ACTIVITY.replace('order.amount', 'order.id')}"),
        _dbos("return await charge(order.id, order.id)"),
        _langgraph('return {"payment": await charge(state["id"], state["id"])}'),
    ),
    Mistake(
        "an argument is missing",
        ("FG171",),
        _flow("return await charge(event.id)"),
        _temporal(f"return {ACTIVITY.replace(', order.amount', '')}"),
        _dbos("return await charge(order.id)"),
        _langgraph('return {"payment": await charge(state["id"])}'),
    ),
    Mistake(
        "what a wait gives at its timeout is used as if the event had come",
        ("FG174",),
        _flow('paid = await wait_for(Paid, where=lambda p: p.order_id == event.id, timeout="24h")\nreturn paid.payment'),
        _temporal(
            "try:\n    await workflow.wait_condition(lambda: self.paid is not None, timeout=timedelta(hours=24))\n"
            "except TimeoutError:\n    pass\nreturn self.paid.payment"
        ),
        _dbos('paid = await DBOS.recv_async("paid", timeout_seconds=86400)\nreturn paid.payment'),
        None,
    ),
    Mistake(
        "a field that the event does not have, in the predicate of a wait",
        ("FG223",),
        _flow(
            'paid = await wait_for(Paid, where=lambda p: p.order == event.id, timeout="24h")\nreturn "" if paid is None else "ok"'
        ),
        _temporal('await workflow.wait_condition(lambda: self.paid is not None and self.paid.order == order.id)\nreturn "ok"'),
        None,
        None,
    ),
    Mistake(
        "the clock is read in the workflow's body",
        ("FG140",),
        _flow('if datetime.now(UTC).hour < 9:\n    await mail(event.id)\nreturn "ok"'),
        _temporal(f'if datetime.now(UTC).hour < 9:\n    {ACTIVITY}\nreturn "ok"'),
        _dbos('if datetime.now(UTC).hour < 9:\n    await mail(order.id)\nreturn "ok"'),
        _langgraph('if datetime.now(UTC).hour < 9:\n    await mail(state["id"])\nreturn {}'),
    ),
    Mistake(
        "a random number decides",
        ("FG140",),
        _flow('if random.random() < 0.1:\n    await mail(event.id)\nreturn "ok"'),
        _temporal(f'if random.random() < 0.1:\n    {ACTIVITY}\nreturn "ok"'),
        _dbos('if random.random() < 0.1:\n    await mail(order.id)\nreturn "ok"'),
        _langgraph('if random.random() < 0.1:\n    await mail(state["id"])\nreturn {}'),
    ),
    Mistake(
        "the workflow's body reads a file",
        ("FG140", "FG112"),
        _flow('text = open("/etc/hostname").read()\nawait mail(text)\nreturn "ok"'),
        _temporal(f'text = open("/etc/hostname").read()\n{ACTIVITY}\nreturn text'),
        _dbos('text = open("/etc/hostname").read()\nawait mail(text)\nreturn "ok"'),
        _langgraph('text = open("/etc/hostname").read()\nawait mail(text)\nreturn {}'),
    ),
    Mistake(
        "a sleep of the event loop instead of a durable one",
        ("FG110",),
        _flow('await asyncio.sleep(86400)\nreturn "ok"'),
        None,  # it replaces the loop's sleep by a durable timer
        _dbos('await asyncio.sleep(86400)\nreturn "ok"'),
        _langgraph("await asyncio.sleep(86400)\nreturn {}"),
    ),
    Mistake(
        "a value that cannot be stored is kept across a wait",
        ("FG150", "FG112"),
        _flow('lock = threading.Lock()\nawait mail(event.id)\nlock.acquire()\nreturn "ok"'),
        None,  # values are not stored: the function runs again
        None,
        _langgraph("return {'payment': threading.Lock()}"),
    ),
    Mistake(
        "an event is waited for that nothing sends any more",
        ("FG221",),
        _flow(
            'gone = await wait_for(Gone, where=lambda g: g.order_id == event.id, timeout="1h")\nreturn str(gone is None)',
            'class Gone(Event, name="gone", internal=True):\n    order_id: str\n',
        ),
        _temporal('await workflow.wait_condition(lambda: self.gone)\nreturn "ok"'),
        _dbos('await DBOS.recv_async("gone", timeout_seconds=3600)\nreturn "ok"'),
        None,
    ),
    Mistake(
        "a cron expression that is none",
        ("FG310",),
        '@workflow(on=Cron("61 9 * * *"))\nasync def flow() -> None:\n    await mail("x")\n',
        None,  # given to the server's schedule API, outside the program
        _dbos_schedule("61 9 * * *"),
        None,
    ),
    Mistake(
        "a cron expression that never comes true",
        ("FG311",),
        '@workflow(on=Cron("0 9 30 2 *"))\nasync def flow() -> None:\n    await mail("x")\n',
        None,
        _dbos_schedule("0 9 30 2 *"),
        None,
    ),
    Mistake(
        "two steps of the same name",
        ("FG250",),
        _flow("return await again(event.id)", '@step(name="mail")\nasync def again(to: str) -> str:\n    return to\n'),
        _temporal(
            'await workflow.execute_activity(again, order.id, start_to_close_timeout=timedelta(seconds=9))\nreturn "ok"',
            '@activity.defn(name="mail")\nasync def again(to: str) -> str:\n    return to\n\nACTIVITIES = [charge, mail, again]',
        ),
        _dbos("return await again(order.id)", '@DBOS.step(name="mail")\nasync def again(to: str) -> str:\n    return to\n'),
        _langgraph(
            "return {}", "", WIRING.replace("graph.add_edge(START", 'graph.add_node("flow", mail_node)\ngraph.add_edge(START')
        ),
    ),
    Mistake(
        "a loop without a way out",
        ("FG202",),
        _flow('while True:\n    await mail(event.id)\n    await sleep("1d")\n'),
        _temporal(f"while True:\n    {ACTIVITY}\n    await workflow.sleep(86400)\n"),
        _dbos("while True:\n    await mail(order.id)\n    await DBOS.sleep_async(86400)\n"),
        _langgraph(
            "return {}",
            "",
            WIRING.replace('add_edge("flow", END)', 'add_edge("flow", "flow")'),
        ),
    ),
    Mistake(
        "polling without a pause",
        ("FG205",),
        _flow('while await charge(event.id, 1) == "pending":\n    pass\nreturn "ok"'),
        _temporal(f'while {ACTIVITY} == "pending":\n    pass\nreturn "ok"'),
        _dbos('while await charge(order.id, 1) == "pending":\n    pass\nreturn "ok"'),
        _langgraph(
            'return {"payment": await charge(state["id"], 1)}',
            "",
            'graph = StateGraph(State)\ngraph.add_node("flow", flow)\ngraph.add_edge(START, "flow")\n'
            'graph.add_conditional_edges("flow", lambda s: "flow" if s["payment"] == "pending" else END)\napp = graph.compile()',
        ),
    ),
    Mistake(
        "a variable that one path does not set",
        ("FG210",),
        _flow("if event.amount > 10:\n    payment = await charge(event.id, event.amount)\nreturn payment"),
        _temporal(f"if order.amount > 10:\n    payment = {ACTIVITY}\nreturn payment"),
        _dbos("if order.amount > 10:\n    payment = await charge(order.id, order.amount)\nreturn payment"),
        _langgraph('if state["amount"] > 10:\n    payment = await charge(state["id"], 1)\nreturn {"payment": payment}'),
    ),
    Mistake(
        "a payment stays when a later step fails",
        ("FG230",),
        _flow(
            "payment = await pay(event.id)\nawait mail(event.id)\nreturn payment",
            "@step\nasync def refund(order_id: str) -> None: ...\n\n"
            '@step(compensate=refund)\nasync def pay(order_id: str) -> str:\n    return "p"\n',
        ),
        _temporal(f"payment = {ACTIVITY}\n{ACTIVITY}\nreturn payment"),
        _dbos("payment = await charge(order.id, order.amount)\nawait mail(order.id)\nreturn payment"),
        _langgraph('payment = await charge(state["id"], 1)\nawait mail(state["id"])\nreturn {"payment": payment}'),
    ),
    Mistake(
        "a step that is not idempotent is retried",
        ("FG231",),
        _flow(
            'await wire(event.amount)\nreturn "ok"',
            "@step(idempotent=False, retries=5)\nasync def wire(amount: int) -> None: ...\n",
        ),
        _temporal(f"return {ACTIVITY}"),
        _dbos(
            "await wire(order.amount)\nreturn 'ok'",
            "@DBOS.step(retries_allowed=True)\nasync def wire(amount: int) -> None: ...\n",
        ),
        None,
    ),
    Mistake(
        "a global that changes is read",
        ("FG140",),
        _flow("return await charge(event.id, RATES['eur'])", 'RATES = {"eur": 1}\n'),
        _temporal(f"return {ACTIVITY.replace('order.amount', 'RATES[chr(101)]')}", 'RATES = {"e": 1}\n'),
        _dbos("return await charge(order.id, RATES['eur'])", 'RATES = {"eur": 1}\n'),
        _langgraph("return {'payment': await charge(state['id'], RATES['eur'])}", 'RATES = {"eur": 1}\n'),
    ),
    Mistake(
        "the order of a set decides the order of effects",
        ("FG142",),
        _flow('for name in {"a", "b", event.id}:\n    await mail(name)\nreturn "ok"'),
        _temporal(f'for name in {{"a", "b", order.id}}:\n    {ACTIVITY}\nreturn "ok"'),
        _dbos('for name in {"a", "b", order.id}:\n    await mail(name)\nreturn "ok"'),
        _langgraph('for name in {"a", "b", state["id"]}:\n    await mail(name)\nreturn {}'),
    ),
    Mistake(
        "workflows that call each other without end",
        ("FG260",),
        "@workflow\nasync def one(n: int) -> int:\n    return await two(n)\n\n"
        "@workflow\nasync def two(n: int) -> int:\n    return await one(n)\n",
        "@workflow.defn\nclass Flow:\n    @workflow.run\n    async def run(self, n: int) -> int:\n"
        "        return await workflow.execute_child_workflow(Flow.run, n)\n",
        "@DBOS.workflow()\nasync def one(n: int) -> int:\n    return await two(n)\n\n"
        "@DBOS.workflow()\nasync def two(n: int) -> int:\n    return await one(n)\n",
        None,
    ),
    Mistake(
        "a time without a zone for a sleep",
        ("FG151",),
        _flow('await sleep_until(datetime(2030, 1, 1, 9))\nreturn "ok"'),
        None,
        None,
        None,
    ),
    Mistake(
        "a duration that is none",
        ("FG321",),
        _flow('await mail.with_(timeout="5 mins")(event.id)\nawait sleep("one day")\nreturn "ok"'),
        _temporal(
            'await workflow.execute_activity(mail, order.id, start_to_close_timeout="5 mins")\nreturn "ok"',
        ),
        _dbos('await DBOS.sleep_async("one day")\nreturn "ok"'),
        None,
    ),
    Mistake(
        "a clean-up swallows the cancellation",
        ("FG128",),
        _flow('try:\n    await mail(event.id)\nexcept BaseException:\n    pass\nreturn "ok"'),
        _temporal(f'try:\n    {ACTIVITY}\nexcept BaseException:\n    pass\nreturn "ok"'),
        _dbos('try:\n    await mail(order.id)\nexcept BaseException:\n    pass\nreturn "ok"'),
        _langgraph('try:\n    await mail(state["id"])\nexcept BaseException:\n    pass\nreturn {}'),
    ),
)
