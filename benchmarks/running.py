"""Runs the programs of the cases, each in a process of its own on an empty database, and collects their samples."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.databases import postgres, postmaster, prepare
from benchmarks.plan import PEERS, Case, Entry
from benchmarks.results import Results
from verification.postgres import MISSING, PostgresServer

ROOT = Path(__file__).parents[1]
MODULES = {
    "dbos": "dbos",
    "absurd": "absurd_sdk",
    "langgraph": "langgraph.checkpoint.sqlite.aio",
    "restate": "restate, hypercorn",
}
"""What a peer's program imports."""
RESTATE_SERVER = "restate-server"
PATIENCE = 3_600
"""Seconds that one program may take."""


class ProgramFailed(Exception):
    """A program ended with an error, or did not do its work."""


@dataclass(frozen=True)
class Peers:
    """What there is of the peers: `python` of their environment, `restate` the server's binary, `missing` why others are not
    measured, by peer."""

    python: Path | None
    restate: Path | None
    missing: dict[str, str]

    def command(self, peer: str) -> tuple[list[str], list[str]]:
        """What runs a peer's program, and what is appended to its arguments."""
        return [str(self.python)], ["--with", str(self.restate)] if peer == "restate" else []


def find_peers(environment: Path | None) -> Peers:
    """Look for the peers in a virtual environment; Restate's server is looked for beside it, where npm puts it."""
    if environment is None:
        return Peers(None, None, dict.fromkeys(PEERS, "no --peers ENVIRONMENT was given"))
    python = environment / "bin" / "python"
    if not python.exists():
        return Peers(None, None, dict.fromkeys(PEERS, f"{environment} is no virtual environment"))
    missing = {peer: f"{environment} has no {modules}" for peer, modules in MODULES.items() if not _imports(python, modules)}
    servers = sorted(environment.glob(f"**/node_modules/@restatedev/restate-server-*/bin/{RESTATE_SERVER}"))
    if not servers:
        missing.setdefault("restate", f"there is no node_modules/@restatedev/restate-server under {environment}")
    return Peers(python, servers[0] if servers else None, missing)


def _imports(python: Path, modules: str) -> bool:
    done = subprocess.run([python, "-c", f"import {modules}"], check=False, capture_output=True, cwd=ROOT)
    return done.returncode == 0


class Driver:
    """Runs programs. `folder`: where the databases are, which decides what a commit costs; `tell`: what hears of progress."""

    def __init__(self, folder: Path, server: PostgresServer | None, peers: Peers, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._server = server
        self._peers = peers
        self._tell = tell

    def run(self, cases: Sequence[Case], rounds: int, results: Results, save: Callable[[], None]) -> None:
        """Run all rounds of all cases, those of one workload in turn; `save` is called after each workload, so that a run that
        is stopped leaves what it has.

        A peer that fails is put down as missing for the case; anything else that fails raises `ProgramFailed`."""
        for (workload, database), group in groupby(cases, key=lambda case: (case.workload, case.database)):
            began, together = time.monotonic(), list(group)
            for round_ in range(1, rounds + 1):
                for case in together:
                    if round_ <= case.rounds:
                        self._round(case, round_, results)
            self._tell(f"{workload} on {database} took {time.monotonic() - began:.0f} s")
            save()

    def _round(self, case: Case, round_: int, results: Results) -> None:
        for entry in case.entries:
            self._tell(f"{title(case)}, round {round_}: {entry.who}")
            self._one(case, entry, round_, results)

    def _one(self, case: Case, entry: Entry, round_: int, results: Results) -> None:
        reason = self._peers.missing.get(entry.peer) if entry.peer is not None else None
        if reason is not None:
            results.missing[entry.who] = reason
            return
        try:
            sample = self.measured(case, entry)
        except ProgramFailed as failed:
            if entry.peer is None:
                raise
            results.missing[f"{entry.who}, {title(case)}"] = str(failed).strip().splitlines()[-1]
            self._tell(str(failed))
            return
        results.samples.append(
            {"workload": case.workload, "database": case.database, "size": case.size, "who": entry.who, "round": round_, **sample}
        )

    def measured(self, case: Case, entry: Entry) -> dict[str, Any]:
        """Run one program on an empty database -> its sample. Raises `ProgramFailed`."""
        start, more = ([sys.executable], []) if entry.peer is None else self._peers.command(entry.peer)
        url = f"file:{self._folder / 'peer'}" if entry.peer == "restate" else self._database(case.database)
        if case.database == "postgres" and self._server is not None:
            more = [*more, "--postmaster", str(postmaster(self._server))]
        command = [*start, "-m", entry.program, *entry.arguments(url), *more]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise ProgramFailed(f"{' '.join(command)} took more than {PATIENCE} s") from None
        if done.returncode:
            raise ProgramFailed(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        sample: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return sample

    def _database(self, kind: str) -> str:
        if kind == "sqlite":
            url = f"sqlite:///{self._folder / 'bench.db'}"
        else:
            assert self._server is not None
            url = self._server.url("bench")
        prepare(url)
        return url


def title(case: Case) -> str:
    """The case in a few words."""
    return f"{case.workload} {case.size:,} on {case.database}"


@contextmanager
def databases(wanted: tuple[str, ...], tell: Callable[[str], None]) -> Iterator[tuple[tuple[str, ...], PostgresServer | None]]:
    """Start a PostgreSQL server when it is wanted -> the databases that there are, and the server."""
    if "postgres" not in wanted:
        yield wanted, None
        return
    with postgres() as server:
        if server is None:
            tell(f"PostgreSQL is left out: {MISSING}")
            yield tuple(one for one in wanted if one != "postgres"), None
        else:
            yield wanted, server
