"""What people decide about two records, and the pairs drawn for quality control.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Adds both tables."""
    op.create_table(
        "decision",
        sa.Column("decision_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("act", WHOLE, nullable=False),
        sa.Column("left_id", WHOLE, nullable=False),
        sa.Column("right_id", WHOLE, nullable=False),
        sa.Column("left_version", WHOLE, nullable=False),
        sa.Column("right_version", WHOLE, nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name="pk_decision"),
    )
    op.create_table(
        "quality_pair",
        sa.Column("pair_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("left_id", WHOLE, nullable=False),
        sa.Column("right_id", WHOLE, nullable=False),
        sa.Column("drawn_at", sa.Text(), nullable=False),
        sa.Column("bits", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=False),
        sa.Column("stratum_pairs", WHOLE, nullable=False),
        sa.Column("judgements", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("pair_id", name="pk_quality_pair"),
        sa.UniqueConstraint(
            "drawn_at", "left_id", "right_id", name="uq_quality_pair_drawn_at_left_id_right_id"
        ),
    )
