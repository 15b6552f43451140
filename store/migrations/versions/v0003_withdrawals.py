"""What sources take back: records withdrawn, whole lists, merges undone.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Adds two columns and two tables. No record held before is withdrawn."""
    op.add_column("record", sa.Column("withdrawn_at", sa.Text(), nullable=True))
    op.add_column("feed", sa.Column("whole_at", sa.Text(), nullable=True))
    op.create_table(
        "withdrawal",
        sa.Column("withdrawal_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("feed_id", WHOLE, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("record_key", sa.LargeBinary(), nullable=False),
        sa.Column("as_at", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["feed_id"], ["feed.feed_id"], name="fk_withdrawal_feed_id"),
        sa.PrimaryKeyConstraint("withdrawal_id", name="pk_withdrawal"),
        sa.UniqueConstraint("record_key", "as_at", name="uq_withdrawal_record_key_as_at"),
    )
    op.create_table(
        "source_unmerge",
        sa.Column("unmerge_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("feed_id", WHOLE, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("left_key", sa.LargeBinary(), nullable=False),
        sa.Column("right_key", sa.LargeBinary(), nullable=False),
        sa.Column("as_at", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["feed_id"], ["feed.feed_id"], name="fk_source_unmerge_feed_id"),
        sa.PrimaryKeyConstraint("unmerge_id", name="pk_source_unmerge"),
        sa.UniqueConstraint("left_key", "right_key", name="uq_source_unmerge_left_key_right_key"),
    )
