"""What must hold in the database after every commit, as statements that answer the rows which break it."""

# ruff: noqa: S608 - statements are put together from constants of this module

from __future__ import annotations

from sqlalchemy import Connection, text

from flowgraph_runtime.storage.store import Store
from flowgraph_runtime.storage.transitions import ENDED

_OVER = "(" + ", ".join(f"'{status}'" for status in ENDED) + ")"


def _missing(table: str, column: str, target: str) -> str:
    return (
        f"SELECT '{table}.{column}', x.{column} FROM {table} x"
        f" WHERE x.{column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {target} t WHERE t.number = x.{column})"
    )


_REFERENCES = (
    ("fg_run", "workflow", "fg_workflow"),
    ("fg_run", "machine", "fg_machine"),
    ("fg_run", "event", "fg_event"),
    ("fg_run", "parent", "fg_run"),
    ("fg_run", "schedule", "fg_schedule"),
    ("fg_workflow", "machine", "fg_machine"),
    ("fg_schedule", "workflow", "fg_workflow"),
    ("fg_schedule", "machine", "fg_machine"),
    ("fg_skip", "schedule", "fg_schedule"),
    ("fg_event_key", "event", "fg_event"),
    ("fg_taken", "event", "fg_event"),
    ("fg_inbox", "event", "fg_event"),
    *(
        (table, "run", "fg_run")
        for table in (
            "fg_journal",
            "fg_snapshot",
            "fg_inbox",
            "fg_timer",
            "fg_wait",
            "fg_taken",
            "fg_limit_slot",
            "fg_large_input",
        )
    ),
)

_NOT_RETRIED = "NOT EXISTS (SELECT 1 FROM fg_journal y WHERE y.run = j.run AND y.kind = 'retry')"  # a retry rewinds the numbers

INVARIANTS: dict[str, str] = {
    "a step's visit has one result": """
        SELECT run, site, visit FROM fg_journal WHERE kind = 'done' AND site IS NOT NULL
        GROUP BY run, site, visit HAVING COUNT(*) > 1
    """,
    "a journal has no gap": """
        SELECT run, MIN(seq), MAX(seq), COUNT(*) FROM fg_journal
        GROUP BY run HAVING MIN(seq) > 1 OR COUNT(*) <> MAX(seq) - MIN(seq) + 1
    """,
    "an attempt follows a failed one": f"""
        SELECT j.run, j.seq, j.site, j.attempt FROM fg_journal j WHERE j.kind = 'done' AND j.attempt > 1 +
        (SELECT COUNT(*) FROM fg_journal f WHERE f.run = j.run AND f.site = j.site AND f.visit = j.visit AND f.kind = 'failed')
        AND {_NOT_RETRIED}
    """,
    "a timer fires once and a child ends once": f"""
        SELECT j.run, j.serial, COUNT(*) FROM fg_journal j WHERE j.kind IN ('timer', 'child') AND {_NOT_RETRIED}
        AND NOT EXISTS (SELECT 1 FROM fg_journal s WHERE s.run = j.run AND s.serial = j.serial AND s.kind IN ('done', 'failed'))
        GROUP BY j.run, j.serial HAVING COUNT(*) > 1
    """,
    "what has fired or ended is not waited for any more": f"""
        SELECT j.run, j.serial, j.kind FROM fg_journal j WHERE j.kind IN ('timer', 'child') AND {_NOT_RETRIED}
        AND NOT EXISTS (SELECT 1 FROM fg_journal s WHERE s.run = j.run AND s.serial = j.serial AND s.kind = 'failed')
        AND (EXISTS (SELECT 1 FROM fg_timer t WHERE t.run = j.run AND t.serial = j.serial)
        OR EXISTS (SELECT 1 FROM fg_wait w WHERE w.run = j.run AND w.serial = j.serial))
    """,
    "a run has one timer for a thing": """
        SELECT run, serial, COUNT(*) FROM fg_timer GROUP BY run, serial HAVING COUNT(*) > 1
    """,
    "a child's end is heard after it": f"""
        SELECT c.id, c.ended_at, j.at FROM fg_journal j JOIN fg_run c ON c.parent = j.run AND c.parent_serial = j.serial
        WHERE j.kind = 'child' AND (c.ended_at IS NULL OR c.ended_at > j.at) AND {_NOT_RETRIED}
        AND NOT EXISTS (SELECT 1 FROM fg_journal r WHERE r.run = c.number AND r.kind = 'retry')
    """,
    "nothing happens after the end": """
        SELECT r.id, j.seq FROM fg_run r JOIN fg_journal j ON j.run = r.number WHERE r.ended_at IS NOT NULL AND j.at > r.ended_at
    """,
    "time in a journal does not run backwards": """
        SELECT b.run, b.seq FROM fg_journal a JOIN fg_journal b ON b.run = a.run AND b.seq = a.seq + 1 WHERE b.at < a.at
    """,
    "a snapshot is not ahead of its journal": """
        SELECT s.run, s.seq FROM fg_snapshot s
        WHERE s.seq > (SELECT COALESCE(MAX(j.seq), 0) FROM fg_journal j WHERE j.run = s.run)
    """,
    "an owner is alive": """
        SELECT r.id, r.epoch FROM fg_run r WHERE r.epoch IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM fg_epoch e WHERE e.id = r.epoch AND e.state = 'alive')
    """,
    "a run is over when it has an end": f"""
        SELECT id, status, ended_at FROM fg_run WHERE (status IN {_OVER}) <> (ended_at IS NOT NULL)
    """,
    "a run that is over has nothing to wait for": f"""
        SELECT r.id FROM fg_run r WHERE r.status IN {_OVER} AND (r.epoch IS NOT NULL
        OR EXISTS (SELECT 1 FROM fg_timer x WHERE x.run = r.number) OR EXISTS (SELECT 1 FROM fg_wait x WHERE x.run = r.number)
        OR EXISTS (SELECT 1 FROM fg_inbox x WHERE x.run = r.number))
    """,
    "an unowned run with a full inbox can be claimed": """
        SELECT r.id FROM fg_run r WHERE r.epoch IS NULL AND r.ready = 0 AND r.ended_at IS NULL
        AND EXISTS (SELECT 1 FROM fg_inbox i WHERE i.run = r.number)
    """,
    "an unowned run waits for something": """
        SELECT r.id, r.status FROM fg_run r
        WHERE r.epoch IS NULL AND r.ready = 0 AND r.ended_at IS NULL AND r.status <> 'paused'
        AND NOT EXISTS (SELECT 1 FROM fg_timer x WHERE x.run = r.number)
        AND NOT EXISTS (SELECT 1 FROM fg_wait x WHERE x.run = r.number)
        AND NOT EXISTS (SELECT 1 FROM fg_run c WHERE c.parent = r.number AND c.parent_serial IS NOT NULL AND c.ended_at IS NULL)
        AND NOT EXISTS (SELECT 1 FROM fg_limit_slot x WHERE x.run = r.number AND x.epoch = 0 AND x.held = 0)
    """,
    "a sleeping run has a timer": """
        SELECT r.id FROM fg_run r WHERE r.status = 'sleeping' AND r.epoch IS NULL AND r.ready = 0
        AND NOT EXISTS (SELECT 1 FROM fg_timer t WHERE t.run = r.number)
    """,
    "a wait that reads early events has some to read": """
        SELECT w.run, w.serial FROM fg_wait w WHERE w.cursor IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM fg_inbox i WHERE i.run = w.run AND i.more IS NOT NULL)
    """,
    "an event is stored once": """
        SELECT name, client_id, COUNT(*) FROM fg_event WHERE client_id IS NOT NULL AND dedup IS NULL
        GROUP BY name, client_id HAVING COUNT(*) > 1
    """,
    "a run takes only what it was offered": """
        SELECT t.run, t.event FROM fg_taken t JOIN fg_event e ON e.number = t.event JOIN fg_run r ON r.number = t.run
        WHERE e.status <> 'stored' OR e.number = r.event
    """,
    "an event that was taken is offered no more": """
        SELECT i.run, i.event FROM fg_inbox i JOIN fg_taken t ON t.run = i.run AND t.event = i.event
    """,
    "an event starts a workflow once": """
        SELECT event, workflow FROM fg_run WHERE event IS NOT NULL GROUP BY event, workflow HAVING COUNT(*) > 1
    """,
    "a cron tick has one run": """
        SELECT schedule, scheduled_at FROM fg_run WHERE schedule IS NOT NULL GROUP BY schedule, scheduled_at HAVING COUNT(*) > 1
    """,
    "a cron run is not early": """
        SELECT id, scheduled_at FROM fg_run WHERE created_at < scheduled_at
    """,
    "a skipped tick has no run": """
        SELECT r.id, k.scheduled_at FROM fg_skip k
        JOIN fg_run r ON r.schedule = k.schedule AND r.scheduled_at BETWEEN k.scheduled_at AND k.until
    """,
    "a schedule has passed its ticks": """
        SELECT s.number, s.last_at FROM fg_schedule s WHERE s.next_at <= s.last_at
        OR s.last_at < (SELECT MAX(r.scheduled_at) FROM fg_run r WHERE r.schedule = s.number)
        OR s.last_at < (SELECT MAX(k.until) FROM fg_skip k WHERE k.schedule = s.number)
    """,
    "a parent hears of its child's end": """
        SELECT c.id FROM fg_run c JOIN fg_run p ON p.number = c.parent
        WHERE c.ended_at IS NOT NULL AND p.ended_at IS NULL AND c.parent_serial IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM fg_inbox i WHERE i.run = p.number AND i.kind = 'child' AND i.serial = c.parent_serial)
        AND NOT EXISTS (SELECT 1 FROM fg_journal j WHERE j.run = p.number AND j.kind = 'child' AND j.serial = c.parent_serial)
    """,
    "a limit is not exceeded": """
        SELECT pool, key, COUNT(*), MAX(most) FROM fg_limit_slot WHERE held = 1 GROUP BY pool, key HAVING COUNT(*) > MAX(most)
    """,
    "a slot of an attempt belongs to a live worker": """
        SELECT s.pool, s.run, s.epoch FROM fg_limit_slot s WHERE s.epoch <> 0
        AND NOT EXISTS (SELECT 1 FROM fg_epoch e WHERE e.id = s.epoch AND e.state = 'alive')
    """,
    "a run that is over holds no slot of a run and waits for none": """
        SELECT s.pool, r.id FROM fg_limit_slot s JOIN fg_run r ON r.number = s.run
        WHERE r.ended_at IS NOT NULL AND (s.epoch = 0 OR s.held = 0)
    """,
    "a request has all its slots or none": """
        SELECT epoch, ticket FROM fg_limit_slot GROUP BY epoch, ticket HAVING MIN(held) <> MAX(held)
    """,
    "who waits for a slot has a full limit before it": """
        SELECT w.pool, w.run, w.epoch, w.ticket FROM fg_limit_slot w WHERE w.held = 0
        AND NOT EXISTS (SELECT 1 FROM fg_limit_slot o WHERE o.epoch = w.epoch AND o.ticket = w.ticket AND o.most <=
        (SELECT COUNT(*) FROM fg_limit_slot h WHERE h.pool = o.pool AND h.key = o.key AND h.held = 1))
    """,
    **{f"{table}.{column} points to a row": _missing(table, column, target) for table, column, target in _REFERENCES},
}
"""Name -> statement that answers the rows which break it. `an unowned run waits for something` assumes that the engine tells
storage about children by `parent` and `parent_serial`; a run that waits for a child which ended has its inbox row."""


_BUG = (
    "this is a bug of flowgraph, or rows were changed by hand: keep a copy of the database, cancel the runs that it names, and "
    "report it with this line"
)
_ADVICE = {
    "an owner is alive": "start a worker: it takes over what dead workers left; if it stays, " + _BUG,
    "a slot of an attempt belongs to a live worker": "start a worker: it frees what dead workers held; if it stays, " + _BUG,
    "an unowned run with a full inbox can be claimed": "nobody would go on with these runs: cancel them; " + _BUG,
    "an unowned run waits for something": "nothing would wake these runs: cancel them; " + _BUG,
    "a sleeping run has a timer": "nothing would wake these runs: cancel them; " + _BUG,
    "a cron run is not early": "look at the clocks of the servers; " + _BUG,
    "time in a journal does not run backwards": "look at the clocks of the servers; " + _BUG,
}


def advice_for(name: str) -> str:
    """What to do when an invariant is broken."""
    if name.endswith("points to a row"):
        return "rows were deleted by hand, or a backup was restored in parts: restore a whole one; else " + _BUG
    return _ADVICE.get(name, _BUG)


def violations(store: Store) -> list[str]:
    """The broken invariants with up to five rows each; empty when all hold."""
    return store.read(_violations)


def _violations(connection: Connection) -> list[str]:
    found: list[str] = []
    for name, statement in INVARIANTS.items():
        rows = connection.execute(text(statement)).fetchmany(5)
        if rows:
            found.append(f"{name}: {[tuple(row) for row in rows]}")
    return found
