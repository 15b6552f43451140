"""What sharing is decided on: access classes, restriction, provisions, agreements, claims.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Adds two columns and five tables. The columns of rows held before are filled when the
    database is opened, because that takes its keys (store/classing.py)."""
    op.add_column("record", sa.Column("restricted", WHOLE, nullable=True))
    op.add_column("care_item", sa.Column("class_id", WHOLE, nullable=True))
    restricted = sa.text("restricted = 1")
    op.create_index(
        "ix_record_restricted",
        "record",
        ["record_id"],
        sqlite_where=restricted,
        postgresql_where=restricted,
    )
    op.create_table(
        "access_class",
        sa.Column("class_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("class_key", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("class_id", name="pk_access_class"),
        sa.UniqueConstraint("class_key", name="uq_access_class_class_key"),
    )
    op.create_table(
        "provision",
        sa.Column("provision_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("made_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("provision_id", name="pk_provision"),
    )
    op.create_table(
        "provision_record",
        sa.Column("record_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("provision_id", WHOLE, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("record_id", "provision_id", name="pk_provision_record"),
    )
    op.create_index("ix_provision_record_provision_id", "provision_record", ["provision_id"])
    op.create_table(
        "agreement",
        sa.Column("agreement_row", WHOLE, autoincrement=False, nullable=False),
        sa.Column("agreement_id", sa.Text(), nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("written_at", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("agreement_row", name="pk_agreement"),
        sa.UniqueConstraint("agreement_id", "version", name="uq_agreement_agreement_id_version"),
    )
    op.create_table(
        "access_claim",
        sa.Column("claim_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("made_at", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Text(), nullable=False),
        sa.Column("reviewed_at", sa.Text(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("claim_id", name="pk_access_claim"),
    )
    op.create_index("ix_access_claim_person_id", "access_claim", ["person_id"])
