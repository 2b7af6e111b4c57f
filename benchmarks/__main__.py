"""Measures flowgraph, the raw loop that is the limit of the machine's disk and database, and peers, in turn, in one run.

    python -m benchmarks --quick                           a first look, some minutes
    python -m benchmarks --only chain,latency              two workloads, in full
    python -m benchmarks --peers ~/peers --out results     everything, beside the peers in the environment ~/peers
    python -m benchmarks --render results/results.json     table, plot and page anew from what was measured

It writes results.json (every sample), results.md (the tables) and results.svg (the plot; needs `pip install --group bench`) into
the folder --out, and prints the tables. Each program runs in a process of its own on an empty database; the databases are made in
--folder, so choose one on the disk that you want to know about. PostgreSQL is started for the run when its programs are there.

Peers are installed by you, into an environment outside of this folder; one that is not there is named in the tables:

    python -m venv ~/peers && ~/peers/bin/pip install "dbos" "psycopg[binary]" absurd-sdk absurdctl langgraph \\
        langgraph-checkpoint-sqlite restate-sdk hypercorn httpx
    cd ~/peers && npm install @restatedev/restate-server

Other measurements, each with --help: benchmarks.compiling, .checking, .mistakes, .dashboard.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.plan import DATABASES, FULL, QUICK, SMOKE, WORKLOADS, cases
from benchmarks.results import Results, this_machine
from benchmarks.running import ROOT, Driver, ProgramFailed, databases, find_peers
from benchmarks.tables import page

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN = "<!-- figures: written by `python -m benchmarks --render FILE --page` -->\n"
END = "<!-- end of the figures -->\n"


def listed(allowed: tuple[str, ...]) -> object:
    """A type of an option that is some of these, with commas."""

    def parse(text: str) -> tuple[str, ...]:
        given = tuple(text.split(","))
        wrong = [one for one in given if one not in allowed]
        if wrong:
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)}: choose from {', '.join(allowed)}")
        return given

    return parse


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", dest="sizes", const=QUICK, help="small sizes, two rounds: minutes")
    size.add_argument("--smoke", action="store_const", dest="sizes", const=SMOKE, help="tiny sizes: only whether it works")
    names = ", ".join(WORKLOADS)
    parser.add_argument("--only", type=listed(tuple(WORKLOADS)), metavar="NAMES", help=f"workloads, with commas: {names}")
    parser.add_argument("--databases", type=listed(DATABASES), default=DATABASES, metavar="NAMES", help="sqlite,postgres")
    parser.add_argument("--rounds", type=int, help="3, with --quick 2, with --smoke 1")
    parser.add_argument("--peers", type=Path, metavar="ENVIRONMENT", help="virtual environment that has the peers")
    parser.add_argument("--folder", type=Path, help="where the databases are made (default: the system's temporary folder)")
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"), help="default: %(default)s")
    parser.add_argument("--render", type=Path, metavar="FILE", help="measure nothing: write everything from this results.json")
    parser.add_argument("--page", action="store_true", help="also put tables and plot into docs/benchmarks.md")
    return parser.parse_args()


def tell(text: str) -> None:
    """Say on stderr how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def measure(given: argparse.Namespace) -> Results:
    """Run what was asked for."""
    sizes = given.sizes or FULL
    rounds = given.rounds or {id(QUICK): 2, id(SMOKE): 1}.get(id(sizes), 3)
    peers = find_peers(given.peers)
    with (
        tempfile.TemporaryDirectory(prefix="flowgraph-bench-", dir=given.folder) as name,
        databases(given.databases, tell) as found,
    ):
        results = Results(this_machine(Path(name), ROOT))
        wanted = cases(sizes, given.only or tuple(WORKLOADS), found[0])
        Driver(Path(name), found[1], peers, tell).run(wanted, rounds, results, lambda: results.save(given.out / "results.json"))
    return results


def write(results: Results, folder: Path, *, into_page: bool) -> None:
    """Write the tables and the plot, and put both into the documentation."""
    text = page(results)
    (folder / "results.md").write_text(text, encoding="utf-8")
    drawn = plotted(results, folder / "results.svg")
    if into_page:
        if drawn:
            plotted(results, PAGE.with_suffix(".svg"))
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        picture = "![Rates beside the raw loop and the peers](benchmarks.svg)\n\n" if drawn else ""
        PAGE.write_text(f"{before}{BEGIN}\n{picture}{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    print(text)


def plotted(results: Results, file: Path) -> bool:
    """Draw the plot, if there is something to draw with."""
    try:
        from benchmarks.plot import draw
    except ModuleNotFoundError:
        tell("no plot: matplotlib is missing (pip install --group bench)")
        return False
    return draw(results, file)


def main() -> None:
    """Measure or render."""
    given = options()
    if given.render is not None:
        write(Results.load(given.render), given.render.parent, into_page=given.page)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    try:
        results = measure(given)
    except ProgramFailed as failed:
        raise SystemExit(str(failed)) from None
    write(results, given.out, into_page=given.page)


if __name__ == "__main__":
    main()
