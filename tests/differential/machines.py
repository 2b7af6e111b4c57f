"""The machines of all examples, golden sources and a number of generated programs, by name: what must not depend on the Python.

python -m tests.differential.machines PROGRAMS        # prints {"name": "fingerprint sha256-of-the-canonical-bytes"}
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from flowgraph_compiler.pipeline import Compilation, compile_application, compile_targets
from flowgraph_compiler.serialize import fingerprint, to_json
from flowgraph_compiler.source import from_text
from tests.differential.generator import generate

ROOT = Path(__file__).parents[2]
RULER = "-" * 60 + "\n"


def machines(programs: int) -> dict[str, str]:
    """All of them. Raises AssertionError for a source that does not compile."""
    found: dict[str, str] = {}
    for origin, compilation in _compilations(programs):
        assert compilation.ok, (origin, compilation.diagnostics)
        for name, machine in sorted(compilation.machines.items()):
            digest = hashlib.sha256(to_json(machine).encode("ascii")).hexdigest()
            found[f"{origin}/{name}"] = f"{fingerprint(machine)} {digest}"
    return found


def _compilations(programs: int) -> Iterator[tuple[str, Compilation]]:
    for folder in sorted(path for path in (ROOT / "examples").iterdir() if any(path.glob("*.py"))):
        yield f"examples/{folder.name}", compile_targets([str(folder)])
    for file in sorted((ROOT / "tests" / "compiler" / "golden").glob("*.txt")):
        source = file.read_text(encoding="utf-8").partition(RULER)[0]
        yield f"golden/{file.stem}", compile_application([from_text(source, f"golden_{file.stem}")])
    for seed in range(programs):
        program = generate(seed)
        yield program.name, compile_application([from_text(program.text, program.module)])
        sys.modules.pop(program.module, None)


if __name__ == "__main__":
    print(json.dumps(machines(int(sys.argv[1]))))
