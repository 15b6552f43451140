"""The audit log: what events are found by, what the log holds of them, second journal, holds.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Adds five columns and three tables. The columns of events held before are filled when the
    database is opened, because that takes its keys (store/entering.py)."""
    op.add_column("audit_event", sa.Column("event_class", sa.Text(), nullable=True))
    op.add_column("audit_event", sa.Column("actor_key", sa.LargeBinary(), nullable=True))
    op.add_column("audit_event", sa.Column("organisation", sa.Text(), nullable=True))
    op.add_column("audit_event", sa.Column("entry", sa.LargeBinary(), nullable=True))
    op.add_column("audit_event", sa.Column("key_id", WHOLE, nullable=True))
    op.create_index("ix_audit_event_key_id", "audit_event", ["key_id"])
    op.create_index("ix_audit_event_actor", "audit_event", ["actor_key", "seq"])
    op.create_index("ix_audit_event_organisation", "audit_event", ["organisation", "seq"])
    op.create_index("ix_audit_event_class", "audit_event", ["event_class", "seq"])
    op.create_index(
        "ix_audit_event_at",
        "audit_event",
        ["at", "event_class", "action", "outcome", "organisation"],
    )
    op.create_table(
        "audit_event_person",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("seq", WHOLE, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("person_id", "seq", name="pk_audit_event_person"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit_journal",
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("read_to", WHOLE, nullable=False),
        sa.Column("damaged", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("file", name="pk_audit_journal"),
    )
    op.create_table(
        "audit_hold",
        sa.Column("hold_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("made_at", sa.Text(), nullable=False),
        sa.Column("released_at", sa.Text(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hold_id", name="pk_audit_hold"),
    )
