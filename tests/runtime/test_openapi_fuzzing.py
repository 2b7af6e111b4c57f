"""schemathesis reads our OpenAPI document and sends what it allows and what it forbids: every answer is as the document says.

All its checks are on, which is its default."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowgraph_runtime.api.table import ENDPOINTS
from tests.runtime.live import live

PROGRAM = Path(sys.executable).with_name("schemathesis")
SEED = 20260301
CONFIG = """
[generation]
allow-x00 = false  # NUL is refused anywhere in JSON, which no schema of a free object says; test_hostile_bytes sends it

[[operations]]  # its coverage phase gives the seed the value "0", which the header's pattern forbids
include-name = "POST /e/{key}"
checks.positive_data_acceptance.enabled = false

[[operations]]  # what fits depends on the workflow of the path
include-name = "POST /v1/workflows/{name}/runs"
checks.positive_data_acceptance.enabled = false
"""


@pytest.mark.parametrize(
    "examples", [pytest.param(30, marks=pytest.mark.ci), pytest.param(2000, marks=pytest.mark.verify)], ids=lambda n: f"{n}-each"
)
def test_every_answer_is_as_the_document_says(tmp_path: Path, examples: int) -> None:
    if not PROGRAM.exists():
        pytest.skip("schemathesis is not installed (dependency group ci)")
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    options = ["-n", str(examples), "--seed", str(SEED), "--continue-on-failure", "--no-color"]
    options += [
        "--phases",
        "examples,coverage,fuzzing",
        "--exclude-path-regex",
        "stream$",
    ]  # a stream has no end; all checks are the default
    with live(tmp_path, dev=True) as client:  # in dev no key is asked for, also after the fuzzer has made some
        document = f"{str(client.base_url).rstrip('/')}/openapi.json"
        command = [str(PROGRAM), "--config-file", str(config), "run", document, *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert client.get("/readyz").status_code == 200
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None, done.stdout
    assert int(tested[1]) == sum(not endpoint.path.endswith("stream") for endpoint in ENDPOINTS)
    assert "Authentication failed" not in done.stdout, "every request would pass trivially"
    sent = re.search(r"(\d+) generated", done.stdout)
    assert sent is not None, done.stdout
    assert int(sent[1]) > 20 * len(ENDPOINTS)
