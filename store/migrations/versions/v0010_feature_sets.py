"""Feature sets: records as linkage read them once.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Adds two tables. The first link after it fills them."""
    op.create_table(
        "feature_set",
        sa.Column("set_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("input_hash", sa.Text(), nullable=False),
        sa.Column("last_segment", WHOLE, nullable=False),
        sa.Column("parts", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("set_id", name="pk_feature_set"),
    )
    op.create_table(
        "feature_part",
        sa.Column("part_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("set_id", WHOLE, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("row_count", WHOLE, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("part_id", name="pk_feature_part"),
    )
    op.create_index("ix_feature_part_set_id", "feature_part", ["set_id"], unique=False)
