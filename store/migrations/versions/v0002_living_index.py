"""The living person index: link states, what each run changed, undos, stays of persons.

A person of the schema before had one stay; one that ended without a lead had been split.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Adds what the living index keeps."""
    _runs()
    _states()
    _persons()


def _runs() -> None:
    op.add_column(
        "link_run", sa.Column("kind", sa.Text(), nullable=False, server_default=sa.text("'link'"))
    )
    op.add_column("link_run", sa.Column("state_id", WHOLE, nullable=True))
    op.create_table(
        "link_delta",
        sa.Column("delta_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("run_id", WHOLE, nullable=False),
        sa.Column("row_count", WHOLE, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["link_run.run_id"], name="fk_link_delta_run_id"),
        sa.PrimaryKeyConstraint("delta_id", name="pk_link_delta"),
    )
    op.create_index("ix_link_delta_run_id", "link_delta", ["run_id"], unique=False)
    op.create_table(
        "undo",
        sa.Column("undo_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("run_id", WHOLE, nullable=False),
        sa.Column("basis", WHOLE, nullable=False),
        sa.Column("undone_at", sa.Text(), nullable=False),
        sa.Column("undone_by", WHOLE, nullable=True),
        sa.Column("released_at", sa.Text(), nullable=True),
        sa.Column("released_by", WHOLE, nullable=True),
        sa.Column("inputs", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["link_run.run_id"], name="fk_undo_run_id"),
        sa.PrimaryKeyConstraint("undo_id", name="pk_undo"),
    )


def _states() -> None:
    op.create_table(
        "link_state",
        sa.Column("state_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("input_hash", sa.Text(), nullable=False),
        sa.Column("generation", WHOLE, nullable=False),
        sa.Column("decisions", WHOLE, nullable=False),
        sa.Column("holds", WHOLE, nullable=False),
        sa.Column("parts", WHOLE, nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("state_id", name="pk_link_state"),
    )
    op.create_table(
        "link_state_part",
        sa.Column("part_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("state_id", WHOLE, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("row_count", WHOLE, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("part_id", name="pk_link_state_part"),
    )
    op.create_index("ix_link_state_part_state_id", "link_state_part", ["state_id"], unique=False)


def _persons() -> None:
    op.add_column("person", sa.Column("continues", sa.Text(), nullable=True))
    op.add_column("person", sa.Column("ending", sa.Text(), nullable=True))
    for column in ("continues", "merged_into"):
        condition = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_person_{column}",
            "person",
            [column],
            unique=False,
            sqlite_where=condition,
            postgresql_where=condition,
        )
    op.execute(
        "UPDATE person SET ending ="
        " CASE WHEN merged_into IS NULL THEN 'split' ELSE 'merged' END"
        " WHERE ended_run IS NOT NULL"
    )
    op.create_table(
        "person_return",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("from_run", WHOLE, autoincrement=False, nullable=False),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.Column("to_run", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.person_id"], name="fk_person_return_person_id"
        ),
        sa.PrimaryKeyConstraint("person_id", "from_run", name="pk_person_return"),
    )
