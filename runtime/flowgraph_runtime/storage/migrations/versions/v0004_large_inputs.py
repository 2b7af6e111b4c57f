"""Large inputs of runs get a table of their own. Those that are stored already stay where they are, and are read there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "fg_large_input",
        sa.Column(
            "run", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False, nullable=False
        ),
        sa.Column("text", sa.Text(), nullable=False),
    )
