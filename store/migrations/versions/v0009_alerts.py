"""Alerts, the watch list, how far detection has come.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Adds three tables."""
    op.create_table(
        "audit_alert",
        sa.Column("alert_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.Text(), nullable=False),
        sa.Column("due", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name="pk_audit_alert"),
    )
    op.create_index("ix_audit_alert_state", "audit_alert", ["state"])
    op.create_table(
        "audit_watch",
        sa.Column("watch_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("made_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("watch_id", name="pk_audit_watch"),
    )
    op.create_table(
        "audit_detection",
        sa.Column("detection_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("detection_id", name="pk_audit_detection"),
    )
