"""The tables, once for SQLite and PostgreSQL.

Rules:
- A column whose payload identifies a person is `_sealed`: it holds AES-256-GCM ciphertext
  (store/sealing.py) and nothing else. All other columns stand in clear; each is listed with its
  reason in docs/data-at-rest.md, and a test compares that list with this module.
- `*_key` and `content_hash` columns hold keyed digests (store/indexes.py), never plain values.
- Instants are ISO text in UTC, so that text order is time order.
- Row ids are given by the store, not by the database: the id is part of what a payload is sealed
  with, so it must be known before the row is written.
- A person's first stay stands in its own row; each return after an end in `person_return`.
- A *head* row (record, care_item, staff_entry) points to its live version and carries that
  version's latest `as_at`; a version row's `last_as_at` is null while it is live.
- A record whose `withdrawn_at` is set is held, but not live: nobody is shown it, nothing links it.
- What sharing is decided on stands in `access_class`, `provision`, `agreement`, `access_claim`.
  A null `class_id` or `restricted` was written before there were such columns, and is filled
  before a database is used (store/classing.py).
- Of a record that was erased the head stays, without version and number: persons and decisions
  name its id. `erased_at` also stays where it was let back in.
- The tables of the audit log stand in store/audit_tables.py.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Float, ForeignKey, Index, Table, Text, UniqueConstraint

from store import audit_tables as _audit_tables  # noqa: F401 - its tables are of the same schema
from store.columns import (
    Whole,
    digest_column,
    id_column,
    metadata,
    only_where,
    sealed_column,
    text_column,
    whole_column,
)


def _head(name: str, id_name: str, key_name: str, *extras: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        id_column(id_name),
        text_column("source"),
        digest_column(key_name),
        text_column("as_at"),
        digest_column("content_hash"),
        whole_column("version_id"),
        *extras,
        UniqueConstraint(key_name),
    )


def _version(name: str, id_name: str) -> Table:
    return Table(
        name,
        metadata,
        id_column("version_id"),
        whole_column(id_name),
        whole_column("feed_id"),
        text_column("first_as_at"),
        text_column("last_as_at", nullable=True),
        digest_column("content_hash"),
        sealed_column("content"),
        # Only history is looked up by its head; live versions are reached by their id.
        Index(f"ix_{name}_history", id_name, **only_where("last_as_at IS NOT NULL")),
    )


store_meta = Table(
    "store_meta",
    metadata,
    Column("name", Text, primary_key=True),
    whole_column("value"),
)

feed = Table(
    "feed",
    metadata,
    id_column("feed_id"),
    text_column("source"),
    text_column("sha256"),
    text_column("state"),
    whole_column("batches_done"),
    text_column("reader_hash"),
    whole_column("size"),
    text_column("as_at"),
    text_column("received_at"),
    text_column("ended_at", nullable=True),
    text_column("whole_at", nullable=True),
    text_column("reason", nullable=True),
    whole_column("units_new"),
    whole_column("units_changed"),
    whole_column("units_unchanged"),
    whole_column("units_quarantined"),
    sealed_column("file_name"),
    UniqueConstraint("source", "sha256"),
)

record = _head(
    "record",
    "record_id",
    "record_key",
    digest_column("nhs_key", nullable=True),
    text_column("withdrawn_at", nullable=True),
    text_column("erased_at", nullable=True),
    whole_column("restricted", nullable=True),
)
Index(None, record.c.nhs_key)
Index("ix_record_restricted", record.c.record_id, **only_where("restricted = 1"))
record_version = _version("record_version", "record_id")

access_class = Table(
    "access_class",
    metadata,
    id_column("class_id"),
    digest_column("class_key"),
    sealed_column("content"),
    UniqueConstraint("class_key"),
)

care_item = _head(
    "care_item", "care_item_id", "item_key", text_column("heading"),
    digest_column("subject_key", nullable=True), whole_column("class_id", nullable=True),
)  # fmt: skip
Index(None, care_item.c.subject_key)
care_item_version = _version("care_item_version", "care_item_id")

staff_entry = _head("staff_entry", "staff_entry_id", "staff_key")
staff_entry_version = _version("staff_entry_version", "staff_entry_id")

source_merge = Table(
    "source_merge",
    metadata,
    id_column("merge_id"),
    whole_column("feed_id", ForeignKey("feed.feed_id")),
    text_column("source"),
    digest_column("retired_key"),
    digest_column("survivor_key"),
    text_column("as_at"),
    sealed_column("content"),
    UniqueConstraint("retired_key", "survivor_key"),
)

source_unmerge = Table(
    "source_unmerge",
    metadata,
    id_column("unmerge_id"),
    whole_column("feed_id", ForeignKey("feed.feed_id")),
    text_column("source"),
    digest_column("left_key"),
    digest_column("right_key"),
    text_column("as_at"),
    sealed_column("content"),
    UniqueConstraint("left_key", "right_key"),
)

withdrawal = Table(
    "withdrawal",
    metadata,
    id_column("withdrawal_id"),
    whole_column("feed_id", ForeignKey("feed.feed_id")),
    text_column("source"),
    digest_column("record_key"),
    text_column("as_at"),
    sealed_column("content"),
    UniqueConstraint("record_key", "as_at"),
)

identity_change = Table(
    "identity_change",
    metadata,
    id_column("change_id"),
    whole_column("feed_id", ForeignKey("feed.feed_id")),
    text_column("source"),
    digest_column("content_hash"),
    sealed_column("content"),
    UniqueConstraint("content_hash"),
)

quarantine = Table(
    "quarantine",
    metadata,
    id_column("quarantine_id"),
    whole_column("feed_id", ForeignKey("feed.feed_id")),
    whole_column("unit", nullable=True),
    text_column("reason"),
    sealed_column("detail"),
    Index(None, "feed_id"),
)

field_issue = Table(
    "field_issue",
    metadata,
    Column("feed_id", Whole, ForeignKey("feed.feed_id"), primary_key=True, autoincrement=False),
    Column("field", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    whole_column("units"),
)

match_segment = Table(
    "match_segment",
    metadata,
    id_column("segment_id"),
    text_column("source"),
    whole_column("row_count"),
    sealed_column("ids"),
    sealed_column("features"),
    Index(None, "source"),
)

link_run = Table(
    "link_run",
    metadata,
    id_column("run_id"),
    text_column("state"),
    text_column("kind"),
    text_column("model_hash"),
    whole_column("generation"),
    text_column("started_at"),
    whole_column("state_id", nullable=True),
    sealed_column("summary"),
)

link_delta = Table(
    "link_delta",
    metadata,
    id_column("delta_id"),
    whole_column("run_id", ForeignKey("link_run.run_id")),
    whole_column("row_count"),
    sealed_column("body"),
    Index(None, "run_id"),
)

link_state = Table(
    "link_state",
    metadata,
    id_column("state_id"),
    text_column("input_hash"),
    whole_column("generation"),
    whole_column("decisions"),
    whole_column("holds"),
    whole_column("parts"),
    sealed_column("report"),
)

link_state_part = Table(
    "link_state_part",
    metadata,
    id_column("part_id"),
    whole_column("state_id"),
    text_column("kind"),
    whole_column("row_count"),
    sealed_column("body"),
    Index(None, "state_id"),
)
feature_set = Table(
    "feature_set",
    metadata,
    id_column("set_id"),
    text_column("input_hash"),
    whole_column("last_segment"),
    whole_column("parts"),
)
feature_part = Table(
    "feature_part",
    metadata,
    id_column("part_id"),
    whole_column("set_id"),
    text_column("kind"),
    whole_column("row_count"),
    sealed_column("body"),
    Index(None, "set_id"),
)

undo = Table(
    "undo",
    metadata,
    id_column("undo_id"),
    whole_column("run_id", ForeignKey("link_run.run_id")),
    whole_column("basis"),
    text_column("undone_at"),
    whole_column("undone_by", nullable=True),
    text_column("released_at", nullable=True),
    whole_column("released_by", nullable=True),
    sealed_column("inputs"),
)

person = Table(
    "person",
    metadata,
    Column("person_id", Text, primary_key=True),
    whole_column("founder", ForeignKey("record.record_id")),
    whole_column("counter"),
    whole_column("founded_run", ForeignKey("link_run.run_id")),
    text_column("continues", nullable=True),
    text_column("merged_into", nullable=True),
    text_column("ending", nullable=True),
    whole_column("ended_run", nullable=True),
    Index(None, "continues", **only_where("continues IS NOT NULL")),
    Index(None, "merged_into", **only_where("merged_into IS NOT NULL")),
)

person_return = Table(
    "person_return",
    metadata,
    Column("person_id", Text, ForeignKey("person.person_id"), primary_key=True),
    Column("from_run", Whole, primary_key=True, autoincrement=False),
    text_column("merged_into", nullable=True),
    text_column("ending", nullable=True),
    whole_column("to_run", nullable=True),
)

membership = Table(
    "membership",
    metadata,
    Column("record_id", Whole, ForeignKey("record.record_id"), primary_key=True),
    Column("from_run", Whole, primary_key=True, autoincrement=False),
    Column("person_id", Text, ForeignKey("person.person_id"), nullable=False),
    whole_column("to_run", nullable=True),
    Index(None, "person_id"),
    Index(
        "uq_membership_open",
        "record_id",
        unique=True,
        **only_where("to_run IS NULL"),
    ),
)

review_task = Table(
    "review_task",
    metadata,
    Column("run_id", Whole, ForeignKey("link_run.run_id"), primary_key=True, autoincrement=False),
    Column("left_id", Whole, primary_key=True, autoincrement=False),
    Column("right_id", Whole, primary_key=True, autoincrement=False),
    Column("bits", Float, nullable=False),
    text_column("reason"),
)

decision = Table(
    "decision",
    metadata,
    id_column("decision_id"),
    whole_column("act"),
    whole_column("left_id"),
    whole_column("right_id"),
    whole_column("left_version"),
    whole_column("right_version"),
    text_column("verdict"),
    text_column("standing"),
    text_column("origin"),
    text_column("decided_at"),
    sealed_column("content"),
)

quality_pair = Table(
    "quality_pair",
    metadata,
    id_column("pair_id"),
    whole_column("left_id"),
    whole_column("right_id"),
    text_column("drawn_at"),
    Column("bits", Float, nullable=False),
    Column("low", Float, nullable=False),
    whole_column("stratum_pairs"),
    whole_column("judgements"),
    UniqueConstraint("drawn_at", "left_id", "right_id"),
)

provision = Table(
    "provision",
    metadata,
    id_column("provision_id"),
    text_column("made_at"),
    text_column("ended_at", nullable=True),
    sealed_column("content"),
)

provision_record = Table(
    "provision_record",
    metadata,
    Column("record_id", Whole, primary_key=True, autoincrement=False),
    Column("provision_id", Whole, primary_key=True, autoincrement=False),
    Index(None, "provision_id"),
)

agreement = Table(
    "agreement",
    metadata,
    id_column("agreement_row"),
    text_column("agreement_id"),
    whole_column("version"),
    text_column("written_at"),
    sealed_column("content"),
    UniqueConstraint("agreement_id", "version"),
)

access_claim = Table(
    "access_claim",
    metadata,
    id_column("claim_id"),
    text_column("kind"),
    text_column("person_id"),
    text_column("made_at"),
    text_column("expires_at"),
    text_column("reviewed_at", nullable=True),
    sealed_column("content"),
    Index(None, "person_id"),
)

all_tables = metadata
"""Every table, those of the audit log included."""
