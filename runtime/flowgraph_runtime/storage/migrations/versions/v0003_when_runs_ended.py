"""Find the runs that have ended by when they did: what is older than it is kept is deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the index."""
    over = sa.text("ended_at IS NOT NULL")
    op.create_index("fg_run_ended", "fg_run", ["ended_at", "number"], sqlite_where=over, postgresql_where=over)
