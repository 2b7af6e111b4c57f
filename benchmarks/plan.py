"""What is measured: cases, each with the programs that are run in turn for it.

A case is one workload at one size on one database. Its entries and the other cases of its workload on that database are run one
after the other, round after round, so that a change of the machine's mood hits all alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

OURS = "flowgraph"
RAW = "raw loop, 1,000 rows a commit"
COMMITS = "raw loop, one row a commit"
DATABASES = ("sqlite", "postgres")


@dataclass(frozen=True)
class Entry:
    """A program that is run for a case. `peer`: whose environment it needs, None for this one."""

    who: str
    program: str
    workload: str
    size: int
    options: tuple[str, ...] = ()
    peer: str | None = None

    def arguments(self, url: str) -> list[str]:
        """What the program is given."""
        return [self.workload, url, "--size", str(self.size), *self.options]


@dataclass(frozen=True)
class Case:
    """`unit` is what is counted; `rounds`: at most so many, for those that take minutes each."""

    workload: str
    database: str
    size: int
    unit: str
    entries: tuple[Entry, ...]
    rounds: int = 99

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies it."""
        return self.workload, self.database, self.size


@dataclass(frozen=True)
class Sizes:
    """How much is measured. `peers_to`: the largest size at which peers are measured, in runs of a chain and steps or items of
    one run."""

    chain: tuple[int, ...]
    fan_out: tuple[int, ...]
    long: tuple[int, ...]
    calls: int
    sleepers: tuple[int, ...]
    events: int
    batched: int
    waits: tuple[int, ...]
    burn: int
    fleet: int
    peers_to: int


FULL = Sizes(
    chain=(1, 100, 1_000, 10_000),
    fan_out=(100, 1_000, 10_000),
    long=(100, 1_000, 10_000, 100_000),
    calls=200,
    sleepers=(100_000, 1_000_000),
    events=20_000,
    batched=200_000,
    waits=(100, 100_000),
    burn=1_000,
    fleet=1_000,
    peers_to=1_000,
)
QUICK = Sizes(
    chain=(1, 100, 1_000),
    fan_out=(100, 1_000),
    long=(100, 1_000),
    calls=60,
    sleepers=(20_000,),
    events=4_000,
    batched=50_000,
    waits=(100, 10_000),
    burn=300,
    fleet=300,
    peers_to=100,
)
SMOKE = Sizes(
    chain=(1, 20),
    fan_out=(20,),
    long=(20,),
    calls=5,
    sleepers=(200,),
    events=200,
    batched=2_000,
    waits=(20, 200),
    burn=20,
    fleet=20,
    peers_to=20,
)
_DBOS, _ABSURD, _LANGGRAPH, _RESTATE = "DBOS", "Absurd", "LangGraph", "Restate"
PEERS = {"dbos": _DBOS, "absurd": _ABSURD, "langgraph": _LANGGRAPH, "restate": _RESTATE}
"""Peers by the module that runs them."""
_ON = {"sqlite": ("dbos", "langgraph", "restate"), "postgres": ("dbos", "absurd")}
"""Restate keeps its own log; it stands beside SQLite, because both are one machine's files."""


def _peers(database: str, workload: str, size: int, *options: str) -> Iterator[Entry]:
    for peer in _ON[database]:
        call = "http" if peer == "restate" else "call"
        yield Entry(PEERS[peer], f"benchmarks.peers.{peer}_peer", call if workload == "call" else workload, size, options, peer)


MANY = 50_000
"""Rows of the raw loop, and steps of a chain's runs, at least: a second or less."""


def _raw(rows: int) -> Entry:
    return Entry(RAW, "benchmarks.raw", "grouped", max(rows, MANY))


def _commits(rows: int) -> Entry:
    return Entry(COMMITS, "benchmarks.raw", "single", min(max(rows, 200), 5_000))


def _ours(workload: str, size: int, *options: str, who: str = OURS) -> Entry:
    return Entry(who, "benchmarks.engine", workload, size, options)


def _repeat(units: int, wanted: int = 2_000) -> tuple[str, str]:
    """A small workload is done again and again, or its warming up and the clock's steps would be measured."""
    return "--repeat", str(max(1, wanted // units))


def chain(database: str, sizes: Sizes) -> Iterator[Case]:
    """Runs of ten steps, all at once, again and again until there are as many steps as the raw loop has rows."""
    for runs in sizes.chain:
        again = _repeat(runs * 10, MANY if runs > 1 else 500)
        rows = _commits(runs * 10) if runs == 1 else _raw(runs * 10)
        peers = _peers(database, "chain", runs) if runs <= sizes.peers_to else ()
        yield Case("chain", database, runs, "step", (_ours("chain", runs, *again), rows, *peers))


def long(database: str, sizes: Sizes) -> Iterator[Case]:
    """One run of many steps."""
    for steps in sizes.long:
        peers = _peers(database, "long", steps) if steps <= sizes.peers_to else ()
        entries = (_ours("long", steps, *_repeat(steps)), _commits(steps), *peers)
        yield Case("long", database, steps, "step", entries, 1 if steps >= 100_000 else 99)


def fan_out(database: str, sizes: Sizes) -> Iterator[Case]:
    """One run that fans out."""
    for items in sizes.fan_out:
        peers = _peers(database, "fan-out", items) if items <= sizes.peers_to else ()
        yield Case("fan-out", database, items, "item", (_ours("fan-out", items, *_repeat(items, 10_000)), _raw(items), *peers))


def latency(database: str, sizes: Sizes) -> Iterator[Case]:
    """One-step runs, one after the other."""
    calls = sizes.calls
    ours = (
        _ours("http", calls, who="flowgraph, over HTTP"),
        _ours("typed-client", calls, who="flowgraph, its typed client over HTTP"),
        _ours("client", calls, who="flowgraph, in process"),
    )
    yield Case("latency", database, calls, "run", (*ours, _commits(calls), *_peers(database, "call", min(calls, 60))))


def sleepers(database: str, sizes: Sizes) -> Iterator[Case]:
    """Runs that only sleep."""
    for runs in sizes.sleepers if database == "sqlite" else sizes.sleepers[:1]:
        entry = Entry(OURS, "benchmarks.parked", "sleepers", runs)
        yield Case("sleepers", database, runs, "run", (entry,), 1 if runs >= 100_000 else 99)


def match(database: str, sizes: Sizes) -> Iterator[Case]:
    """Events for one wait among many."""
    for waits in sizes.waits:
        yield Case("match", database, waits, "event", (Entry(OURS, "benchmarks.parked", "match", waits),), 3)


def ingest(database: str, sizes: Sizes) -> Iterator[Case]:
    """Events over HTTP."""
    single = Entry(OURS, "benchmarks.ingest", "single", sizes.events)
    null = Entry("a route that does nothing", "benchmarks.ingest", "null", sizes.events)
    yield Case("ingest", database, 1, "event", (single, null))
    batched = Entry(OURS, "benchmarks.ingest", "batched", sizes.batched)
    yield Case("ingest", database, 1_000, "event", (batched, _raw(sizes.batched)))


def burn(database: str, sizes: Sizes) -> Iterator[Case]:
    """Steps that use the CPU, with the writer and without."""
    for us in (10, 1_000):
        runs = sizes.burn if us == 10 else max(sizes.burn // 10, 10)
        options = ("--burn", str(us))
        null = _ours("burn-null", runs, *options, who="flowgraph without its writer")
        yield Case("burn", database, us, "step", (_ours("burn", runs, *options), null))


def workers(database: str, sizes: Sizes) -> Iterator[Case]:
    """One to three workers on one PostgreSQL."""
    if database == "postgres":
        for count in (1, 2, 3):
            entry = Entry(OURS, "benchmarks.workers", "chain", sizes.fleet, ("--repeat", str(count)))
            yield Case("workers", database, count, "step", (entry,))


WORKLOADS = {
    "chain": chain,
    "long": long,
    "fan-out": fan_out,
    "latency": latency,
    "sleepers": sleepers,
    "match": match,
    "ingest": ingest,
    "burn": burn,
    "workers": workers,
}
"""By the names that `--only` takes."""
_ONE_DATABASE = ("burn",)
"""Workloads whose figures say nothing about the database: SQLite is enough."""


def cases(sizes: Sizes, only: tuple[str, ...], databases: tuple[str, ...]) -> list[Case]:
    """All cases of the workloads `only` on the databases, in the order of `WORKLOADS`."""
    wanted = [(name, database) for name in WORKLOADS if name in only for database in databases]
    return [
        case
        for name, database in wanted
        if not (name in _ONE_DATABASE and database != databases[0])
        for case in WORKLOADS[name](database, sizes)
    ]
