"""Machines are rows: a run that started last month goes on with last month's machine."""

from __future__ import annotations

from collections.abc import Iterable

from flowgraph_runtime.storage.text import check_text
from flowgraph_runtime.storage.transaction import Tx


def save_machine(tx: Tx, fingerprint: str, workflow: str, text: str, manifest: str, key_paths: Iterable[tuple[str, str]]) -> None:
    """Store a machine and the event fields that its waits look up by; once stored it never changes."""
    check_text(f"machine {fingerprint!r}", fingerprint, workflow, text, manifest)
    tx.sql.run(
        "INSERT INTO fg_machine (fingerprint, workflow, text, manifest, created_at)"
        " VALUES (:fingerprint, :workflow, :text, :manifest, :now) ON CONFLICT (fingerprint) DO NOTHING",
        fingerprint=fingerprint,
        workflow=workflow,
        text=text,
        manifest=manifest,
        now=tx.now,
    )
    tx.sql.each(
        "INSERT INTO fg_key_path (event, path) SELECT event, path FROM given WHERE true ON CONFLICT DO NOTHING RETURNING path",
        "event text, path text",
        list(key_paths),
    )


def set_current(tx: Tx, workflow: str, fingerprint: str) -> None:
    """New runs of the workflow take this machine; raises UnknownMachine."""
    tx.sql.run(
        "UPDATE fg_workflow SET machine = :machine, updated_at = :now WHERE number = :workflow",
        machine=tx.machine_number(fingerprint),
        now=tx.now,
        workflow=tx.workflow_number(workflow),
    )
