"""The driver of the benchmarks: what it counts is checked, what it leaves out is said, and a program that fails stops it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engine import counted, opened, run_all
from benchmarks.gauge import Gauge, NotDone, insist, spread
from benchmarks.plan import OURS, PEERS, RAW, SMOKE, WORKLOADS, Case, Entry, cases
from benchmarks.results import Results, cpu, rate
from benchmarks.running import ROOT, Driver, Peers, ProgramFailed, find_peers
from benchmarks.tables import page

KEY = ("chain", "sqlite", 1_000)


def sample(who: str, round_: int, seconds: float) -> dict[str, Any]:
    case = {"workload": KEY[0], "database": KEY[1], "size": KEY[2]}
    return {**case, "who": who, "round": round_, "count": 10_000, "seconds": seconds, "cpu": seconds / 2}


def results() -> Results:
    ours, raw = [(1, 0.2), (2, 0.5), (3, 0.4)], [(1, 0.02), (2, 0.05), (3, 0.02)]
    samples = [sample(OURS, *one) for one in ours] + [sample(RAW, *one) for one in raw] + [sample("DBOS", 1, 100.0)]
    return Results({"measured": "today", "commit": "abc", "processor": "2 x some"}, {"Absurd": "it is not there"}, samples)


class TestFigures:
    def test_a_ratio_is_of_two_that_were_measured_in_the_same_round(self) -> None:
        assert results().ratio(KEY, OURS, RAW, rate) == pytest.approx(0.1)  # of 0.1, 0.1, 0.05; that of the medians is 0.05
        assert results().ratio(KEY, OURS, "DBOS", rate) == pytest.approx(500)

    def test_units_are_by_the_count(self) -> None:
        assert results().middle(KEY, OURS, rate) == pytest.approx(25_000)
        assert results().middle(KEY, OURS, cpu) == pytest.approx(20)

    def test_what_was_not_measured_has_no_figure(self) -> None:
        assert results().middle(KEY, "Absurd", rate) is None
        assert results().ratio(KEY, OURS, "Absurd", rate) is None

    def test_they_come_back_from_their_file(self, tmp_path: Path) -> None:
        results().save(tmp_path / "results.json")
        assert Results.load(tmp_path / "results.json") == results()

    def test_percentiles_are_milliseconds(self) -> None:
        assert spread([0.001] * 98 + [0.5, 0.5]) == {"p50_ms": 1.0, "p99_ms": 500.0}


class TestPage:
    def test_a_wanted_figure_that_is_missed_is_marked(self) -> None:
        text = page(results())
        assert "| chain, 1,000 runs, SQLite FULL: of the raw group-commit loop | >= 0.12 (aim 0.25) | 0.1 | **missed** |" in text
        assert "| the same, times DBOS | >= 100 | 500 | reached |" in text

    def test_everybody_is_beside_us_with_the_cpu_of_a_step(self) -> None:
        assert "| sqlite | 1,000 | DBOS | 100 | 0.002 | 5,000 | 3 |" in page(results())

    def test_what_was_not_measured_is_said_with_its_reason(self) -> None:
        text = page(results())
        assert "- Absurd: it is not there" in text
        assert "more figures were not measured in this run" in text


class TestPlan:
    def test_each_workload_has_cases_with_the_raw_loop_or_a_twin_beside_it(self) -> None:
        planned = cases(SMOKE, tuple(WORKLOADS), ("sqlite", "postgres"))
        assert {case.workload for case in planned} == set(WORKLOADS)
        alone = {case.workload for case in planned if len(case.entries) == 1}
        assert alone == {"sleepers", "match", "workers"}

    def test_every_peer_is_measured_on_the_chain(self) -> None:
        planned = cases(SMOKE, ("chain",), ("sqlite", "postgres"))
        assert {entry.peer for case in planned for entry in case.entries if entry.peer} == set(PEERS)


class TestDriver:
    def driver(self, folder: Path, said: list[str], missing: dict[str, str] | None = None) -> Driver:
        return Driver(folder, None, Peers(Path(sys.executable), None, missing or {}), said.append)

    def case(self, peer: str | None) -> Case:
        return Case("chain", "sqlite", 1, "step", (Entry("somebody", "benchmarks.no_such_program", "chain", 1, (), peer),))

    def test_a_program_of_ours_that_fails_stops_it_with_what_it_printed(self, tmp_path: Path) -> None:
        with pytest.raises(ProgramFailed, match=r"No module named benchmarks\.no_such_program"):
            self.driver(tmp_path, []).run([self.case(None)], 1, results(), lambda: None)

    def test_a_peer_that_fails_is_put_down_and_the_rest_goes_on(self, tmp_path: Path) -> None:
        found, saved = results(), []
        self.driver(tmp_path, []).run([self.case("dbos")], 1, found, lambda: saved.append(1))
        assert "No module named benchmarks.no_such_program" in found.missing["somebody, chain 1 on sqlite"]
        assert saved == [1]

    def test_a_peer_that_is_not_installed_is_put_down_and_not_run(self, tmp_path: Path) -> None:
        found = results()
        self.driver(tmp_path, [], {"dbos": "it is not there"}).run([self.case("dbos")], 1, found, lambda: None)
        assert found.missing["somebody"] == "it is not there"

    def test_without_an_environment_every_peer_is_missing(self, tmp_path: Path) -> None:
        assert set(find_peers(None).missing) == set(PEERS)
        assert find_peers(tmp_path).missing["dbos"] == f"{tmp_path} is no virtual environment"


class TestCounting:
    def test_work_that_was_not_done_is_an_error(self) -> None:
        with pytest.raises(NotDone, match=r"runs by status: 3, wanted 4"):
            insist(3, 4, "runs by status")

    def test_runs_and_journal_rows_are_counted_in_the_database(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'bench.db'}"

        async def run() -> None:
            async with opened(url) as service:
                await run_all(service, "chain", [{"steps": 3}] * 2)

        asyncio.run(run())
        counted(url, 2, 6)
        with pytest.raises(NotDone, match="runs by status"):
            counted(url, 3, 6)
        with pytest.raises(NotDone, match="outcomes of steps in the journal"):
            counted(url, 2, 7)

    def test_a_gauge_counts_the_cpu_of_this_process(self) -> None:
        gauge = Gauge()
        sum(number * number for number in range(300_000))
        measured = gauge.sample(10)
        assert measured["count"] == 10
        assert measured["cpu"] > 0


@pytest.mark.ci
def test_a_run_writes_samples_and_tables(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--only", "chain,ingest,burn", "--databases", "sqlite"]
    done = subprocess.run([*command, "--out", str(tmp_path)], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    measured = {(one["workload"], one["size"], one["who"]) for one in found["samples"]}
    burning = {("burn", 10, OURS), ("burn", 10, "flowgraph without its writer")}
    assert measured >= {("chain", 20, OURS), ("ingest", 1, OURS), *burning}
    assert "no --peers ENVIRONMENT was given" in (tmp_path / "results.md").read_text(encoding="utf-8")
