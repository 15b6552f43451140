"""Protected identity changes, as sources declare them.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Adds a table. No identity was declared to be changed before."""
    op.create_table(
        "identity_change",
        sa.Column("change_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("feed_id", WHOLE, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["feed_id"], ["feed.feed_id"], name="fk_identity_change_feed_id"),
        sa.PrimaryKeyConstraint("change_id", name="pk_identity_change"),
        sa.UniqueConstraint("content_hash", name="uq_identity_change_content_hash"),
    )
