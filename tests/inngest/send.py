"""Sends what stands on stdin, {"sendings": [[event, ...], ...]}, each sending in one call; prints the ids, or the error.

A program of its own, as `send.mjs` is: the SDK leaves its connections to the end of the process.
"""

from __future__ import annotations

import json
import sys

import inngest

client = inngest.Inngest(app_id="shop", is_production=False)
answers: list[object] = []
for events in json.load(sys.stdin)["sendings"]:
    given = [inngest.Event(**event) for event in events]
    try:
        answers.append(client.send_sync(given[0] if len(given) == 1 else given))
    except Exception as error:
        answers.append({"error": f"{type(error).__name__}: {error}"})
print(json.dumps(answers))
