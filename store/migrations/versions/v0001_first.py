"""The first schema: feeds, records, items, staff, linkage, audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Creates every table."""
    _feeds()
    _records()
    _items()
    _staff()
    _linkage()
    _audit()


def _feeds() -> None:
    op.create_table(
        "store_meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_store_meta"),
    )
    op.create_table(
        "feed",
        sa.Column("feed_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("batches_done", WHOLE, nullable=False),
        sa.Column("reader_hash", sa.Text(), nullable=False),
        sa.Column("size", WHOLE, nullable=False),
        sa.Column("as_at", sa.Text(), nullable=False),
        sa.Column("received_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("units_new", WHOLE, nullable=False),
        sa.Column("units_changed", WHOLE, nullable=False),
        sa.Column("units_unchanged", WHOLE, nullable=False),
        sa.Column("units_quarantined", WHOLE, nullable=False),
        sa.Column("file_name", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("feed_id", name="pk_feed"),
        sa.UniqueConstraint("source", "sha256", name="uq_feed_source_sha256"),
    )
    op.create_table(
        "quarantine",
        sa.Column("quarantine_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("feed_id", WHOLE, nullable=False),
        sa.Column("unit", WHOLE, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["feed_id"], ["feed.feed_id"], name="fk_quarantine_feed_id"),
        sa.PrimaryKeyConstraint("quarantine_id", name="pk_quarantine"),
    )
    op.create_index("ix_quarantine_feed_id", "quarantine", ["feed_id"], unique=False)
    op.create_table(
        "field_issue",
        sa.Column("feed_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("units", WHOLE, nullable=False),
        sa.ForeignKeyConstraint(["feed_id"], ["feed.feed_id"], name="fk_field_issue_feed_id"),
        sa.PrimaryKeyConstraint("feed_id", "field", "reason", name="pk_field_issue"),
    )


def _records() -> None:
    op.create_table(
        "record",
        sa.Column("record_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("record_key", sa.LargeBinary(), nullable=False),
        sa.Column("as_at", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("version_id", WHOLE, nullable=False),
        sa.Column("nhs_key", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("record_id", name="pk_record"),
        sa.UniqueConstraint("record_key", name="uq_record_record_key"),
    )
    op.create_index("ix_record_nhs_key", "record", ["nhs_key"], unique=False)
    op.create_table(
        "record_version",
        sa.Column("version_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("record_id", WHOLE, nullable=False),
        sa.Column("feed_id", WHOLE, nullable=False),
        sa.Column("first_as_at", sa.Text(), nullable=False),
        sa.Column("last_as_at", sa.Text(), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version_id", name="pk_record_version"),
    )
    op.create_index(
        "ix_record_version_history",
        "record_version",
        ["record_id"],
        unique=False,
        sqlite_where=sa.text("last_as_at IS NOT NULL"),
        postgresql_where=sa.text("last_as_at IS NOT NULL"),
    )
    op.create_table(
        "source_merge",
        sa.Column("merge_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("feed_id", WHOLE, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("retired_key", sa.LargeBinary(), nullable=False),
        sa.Column("survivor_key", sa.LargeBinary(), nullable=False),
        sa.Column("as_at", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["feed_id"], ["feed.feed_id"], name="fk_source_merge_feed_id"),
        sa.PrimaryKeyConstraint("merge_id", name="pk_source_merge"),
        sa.UniqueConstraint(
            "retired_key", "survivor_key", name="uq_source_merge_retired_key_survivor_key"
        ),
    )
    op.create_table(
        "match_segment",
        sa.Column("segment_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("row_count", WHOLE, nullable=False),
        sa.Column("ids", sa.LargeBinary(), nullable=False),
        sa.Column("features", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("segment_id", name="pk_match_segment"),
    )
    op.create_index("ix_match_segment_source", "match_segment", ["source"], unique=False)


def _items() -> None:
    op.create_table(
        "care_item",
        sa.Column("care_item_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("item_key", sa.LargeBinary(), nullable=False),
        sa.Column("as_at", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("version_id", WHOLE, nullable=False),
        sa.Column("heading", sa.Text(), nullable=False),
        sa.Column("subject_key", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("care_item_id", name="pk_care_item"),
        sa.UniqueConstraint("item_key", name="uq_care_item_item_key"),
    )
    op.create_index("ix_care_item_subject_key", "care_item", ["subject_key"], unique=False)
    op.create_table(
        "care_item_version",
        sa.Column("version_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("care_item_id", WHOLE, nullable=False),
        sa.Column("feed_id", WHOLE, nullable=False),
        sa.Column("first_as_at", sa.Text(), nullable=False),
        sa.Column("last_as_at", sa.Text(), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version_id", name="pk_care_item_version"),
    )
    op.create_index(
        "ix_care_item_version_history",
        "care_item_version",
        ["care_item_id"],
        unique=False,
        sqlite_where=sa.text("last_as_at IS NOT NULL"),
        postgresql_where=sa.text("last_as_at IS NOT NULL"),
    )


def _staff() -> None:
    op.create_table(
        "staff_entry",
        sa.Column("staff_entry_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("staff_key", sa.LargeBinary(), nullable=False),
        sa.Column("as_at", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("version_id", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("staff_entry_id", name="pk_staff_entry"),
        sa.UniqueConstraint("staff_key", name="uq_staff_entry_staff_key"),
    )
    op.create_table(
        "staff_entry_version",
        sa.Column("version_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("staff_entry_id", WHOLE, nullable=False),
        sa.Column("feed_id", WHOLE, nullable=False),
        sa.Column("first_as_at", sa.Text(), nullable=False),
        sa.Column("last_as_at", sa.Text(), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version_id", name="pk_staff_entry_version"),
    )
    op.create_index(
        "ix_staff_entry_version_history",
        "staff_entry_version",
        ["staff_entry_id"],
        unique=False,
        sqlite_where=sa.text("last_as_at IS NOT NULL"),
        postgresql_where=sa.text("last_as_at IS NOT NULL"),
    )


def _linkage() -> None:
    op.create_table(
        "link_run",
        sa.Column("run_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("model_hash", sa.Text(), nullable=False),
        sa.Column("generation", WHOLE, nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_link_run"),
    )
    op.create_table(
        "person",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("founder", WHOLE, nullable=False),
        sa.Column("counter", WHOLE, nullable=False),
        sa.Column("founded_run", WHOLE, nullable=False),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("ended_run", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(["founded_run"], ["link_run.run_id"], name="fk_person_founded_run"),
        sa.ForeignKeyConstraint(["founder"], ["record.record_id"], name="fk_person_founder"),
        sa.PrimaryKeyConstraint("person_id", name="pk_person"),
    )
    op.create_table(
        "membership",
        sa.Column("record_id", WHOLE, nullable=False),
        sa.Column("from_run", WHOLE, autoincrement=False, nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("to_run", WHOLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.person_id"], name="fk_membership_person_id"
        ),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.record_id"], name="fk_membership_record_id"
        ),
        sa.PrimaryKeyConstraint("record_id", "from_run", name="pk_membership"),
    )
    op.create_index("ix_membership_person_id", "membership", ["person_id"], unique=False)
    op.create_index(
        "uq_membership_open",
        "membership",
        ["record_id"],
        unique=True,
        sqlite_where=sa.text("to_run IS NULL"),
        postgresql_where=sa.text("to_run IS NULL"),
    )
    op.create_table(
        "review_task",
        sa.Column("run_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("left_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("right_id", WHOLE, autoincrement=False, nullable=False),
        sa.Column("bits", sa.Float(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["link_run.run_id"], name="fk_review_task_run_id"),
        sa.PrimaryKeyConstraint("run_id", "left_id", "right_id", name="pk_review_task"),
    )


def _audit() -> None:
    op.create_table(
        "audit_event",
        sa.Column("seq", WHOLE, autoincrement=False, nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_event"),
    )
