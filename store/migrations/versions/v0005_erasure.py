"""When a record was erased.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column. No record held before was erased."""
    op.add_column("record", sa.Column("erased_at", sa.Text(), nullable=True))
