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
- An audit event whose class, actor, organisation and entry are null was written before there were
  such columns, and is filled before a database is used (store/entering.py). One whose `body` is
  empty was erased because its time was over; its `actor_key` is empty then too. `key_id` is the
  data key of the body, as its header says.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Whole: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
"""64-bit integer; SQLite's rowid alias needs the name INTEGER."""


def _id(name: str) -> Column[int]:
    return Column(name, Whole, primary_key=True, autoincrement=False)


def _sealed(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False, info={"sealed": True})


def _digest(name: str, *, nullable: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _whole(name: str, *args: ForeignKey, nullable: bool = False) -> Column[int]:
    return Column(name, Whole, *args, nullable=nullable)


def _only(condition: str) -> dict[str, Any]:
    """Makes an index partial, on both databases."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def _head(name: str, id_name: str, key_name: str, *extras: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        _id(id_name),
        _text("source"),
        _digest(key_name),
        _text("as_at"),
        _digest("content_hash"),
        _whole("version_id"),
        *extras,
        UniqueConstraint(key_name),
    )


def _version(name: str, id_name: str) -> Table:
    return Table(
        name,
        metadata,
        _id("version_id"),
        _whole(id_name),
        _whole("feed_id"),
        _text("first_as_at"),
        _text("last_as_at", nullable=True),
        _digest("content_hash"),
        _sealed("content"),
        # Only history is looked up by its head; live versions are reached by their id.
        Index(f"ix_{name}_history", id_name, **_only("last_as_at IS NOT NULL")),
    )


store_meta = Table(
    "store_meta",
    metadata,
    Column("name", Text, primary_key=True),
    _whole("value"),
)

feed = Table(
    "feed",
    metadata,
    _id("feed_id"),
    _text("source"),
    _text("sha256"),
    _text("state"),
    _whole("batches_done"),
    _text("reader_hash"),
    _whole("size"),
    _text("as_at"),
    _text("received_at"),
    _text("ended_at", nullable=True),
    _text("whole_at", nullable=True),
    _text("reason", nullable=True),
    _whole("units_new"),
    _whole("units_changed"),
    _whole("units_unchanged"),
    _whole("units_quarantined"),
    _sealed("file_name"),
    UniqueConstraint("source", "sha256"),
)

record = _head(
    "record",
    "record_id",
    "record_key",
    _digest("nhs_key", nullable=True),
    _text("withdrawn_at", nullable=True),
    _text("erased_at", nullable=True),
    _whole("restricted", nullable=True),
)
Index(None, record.c.nhs_key)
Index("ix_record_restricted", record.c.record_id, **_only("restricted = 1"))
record_version = _version("record_version", "record_id")

access_class = Table(
    "access_class",
    metadata,
    _id("class_id"),
    _digest("class_key"),
    _sealed("content"),
    UniqueConstraint("class_key"),
)

care_item = _head(
    "care_item", "care_item_id", "item_key", _text("heading"),
    _digest("subject_key", nullable=True), _whole("class_id", nullable=True),
)  # fmt: skip
Index(None, care_item.c.subject_key)
care_item_version = _version("care_item_version", "care_item_id")

staff_entry = _head("staff_entry", "staff_entry_id", "staff_key")
staff_entry_version = _version("staff_entry_version", "staff_entry_id")

source_merge = Table(
    "source_merge",
    metadata,
    _id("merge_id"),
    _whole("feed_id", ForeignKey("feed.feed_id")),
    _text("source"),
    _digest("retired_key"),
    _digest("survivor_key"),
    _text("as_at"),
    _sealed("content"),
    UniqueConstraint("retired_key", "survivor_key"),
)

source_unmerge = Table(
    "source_unmerge",
    metadata,
    _id("unmerge_id"),
    _whole("feed_id", ForeignKey("feed.feed_id")),
    _text("source"),
    _digest("left_key"),
    _digest("right_key"),
    _text("as_at"),
    _sealed("content"),
    UniqueConstraint("left_key", "right_key"),
)

withdrawal = Table(
    "withdrawal",
    metadata,
    _id("withdrawal_id"),
    _whole("feed_id", ForeignKey("feed.feed_id")),
    _text("source"),
    _digest("record_key"),
    _text("as_at"),
    _sealed("content"),
    UniqueConstraint("record_key", "as_at"),
)

identity_change = Table(
    "identity_change",
    metadata,
    _id("change_id"),
    _whole("feed_id", ForeignKey("feed.feed_id")),
    _text("source"),
    _digest("content_hash"),
    _sealed("content"),
    UniqueConstraint("content_hash"),
)

quarantine = Table(
    "quarantine",
    metadata,
    _id("quarantine_id"),
    _whole("feed_id", ForeignKey("feed.feed_id")),
    _whole("unit", nullable=True),
    _text("reason"),
    _sealed("detail"),
    Index(None, "feed_id"),
)

field_issue = Table(
    "field_issue",
    metadata,
    Column("feed_id", Whole, ForeignKey("feed.feed_id"), primary_key=True, autoincrement=False),
    Column("field", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    _whole("units"),
)

match_segment = Table(
    "match_segment",
    metadata,
    _id("segment_id"),
    _text("source"),
    _whole("row_count"),
    _sealed("ids"),
    _sealed("features"),
    Index(None, "source"),
)

link_run = Table(
    "link_run",
    metadata,
    _id("run_id"),
    _text("state"),
    _text("kind"),
    _text("model_hash"),
    _whole("generation"),
    _text("started_at"),
    _whole("state_id", nullable=True),
    _sealed("summary"),
)

link_delta = Table(
    "link_delta",
    metadata,
    _id("delta_id"),
    _whole("run_id", ForeignKey("link_run.run_id")),
    _whole("row_count"),
    _sealed("body"),
    Index(None, "run_id"),
)

link_state = Table(
    "link_state",
    metadata,
    _id("state_id"),
    _text("input_hash"),
    _whole("generation"),
    _whole("decisions"),
    _whole("holds"),
    _whole("parts"),
    _sealed("report"),
)

link_state_part = Table(
    "link_state_part",
    metadata,
    _id("part_id"),
    _whole("state_id"),
    _text("kind"),
    _whole("row_count"),
    _sealed("body"),
    Index(None, "state_id"),
)
feature_set = Table(
    "feature_set",
    metadata,
    _id("set_id"),
    _text("input_hash"),
    _whole("last_segment"),
    _whole("parts"),
)
feature_part = Table(
    "feature_part",
    metadata,
    _id("part_id"),
    _whole("set_id"),
    _text("kind"),
    _whole("row_count"),
    _sealed("body"),
    Index(None, "set_id"),
)

undo = Table(
    "undo",
    metadata,
    _id("undo_id"),
    _whole("run_id", ForeignKey("link_run.run_id")),
    _whole("basis"),
    _text("undone_at"),
    _whole("undone_by", nullable=True),
    _text("released_at", nullable=True),
    _whole("released_by", nullable=True),
    _sealed("inputs"),
)

person = Table(
    "person",
    metadata,
    Column("person_id", Text, primary_key=True),
    _whole("founder", ForeignKey("record.record_id")),
    _whole("counter"),
    _whole("founded_run", ForeignKey("link_run.run_id")),
    _text("continues", nullable=True),
    _text("merged_into", nullable=True),
    _text("ending", nullable=True),
    _whole("ended_run", nullable=True),
    Index(None, "continues", **_only("continues IS NOT NULL")),
    Index(None, "merged_into", **_only("merged_into IS NOT NULL")),
)

person_return = Table(
    "person_return",
    metadata,
    Column("person_id", Text, ForeignKey("person.person_id"), primary_key=True),
    Column("from_run", Whole, primary_key=True, autoincrement=False),
    _text("merged_into", nullable=True),
    _text("ending", nullable=True),
    _whole("to_run", nullable=True),
)

membership = Table(
    "membership",
    metadata,
    Column("record_id", Whole, ForeignKey("record.record_id"), primary_key=True),
    Column("from_run", Whole, primary_key=True, autoincrement=False),
    Column("person_id", Text, ForeignKey("person.person_id"), nullable=False),
    _whole("to_run", nullable=True),
    Index(None, "person_id"),
    Index(
        "uq_membership_open",
        "record_id",
        unique=True,
        **_only("to_run IS NULL"),
    ),
)

review_task = Table(
    "review_task",
    metadata,
    Column("run_id", Whole, ForeignKey("link_run.run_id"), primary_key=True, autoincrement=False),
    Column("left_id", Whole, primary_key=True, autoincrement=False),
    Column("right_id", Whole, primary_key=True, autoincrement=False),
    Column("bits", Float, nullable=False),
    _text("reason"),
)

decision = Table(
    "decision",
    metadata,
    _id("decision_id"),
    _whole("act"),
    _whole("left_id"),
    _whole("right_id"),
    _whole("left_version"),
    _whole("right_version"),
    _text("verdict"),
    _text("standing"),
    _text("origin"),
    _text("decided_at"),
    _sealed("content"),
)

quality_pair = Table(
    "quality_pair",
    metadata,
    _id("pair_id"),
    _whole("left_id"),
    _whole("right_id"),
    _text("drawn_at"),
    Column("bits", Float, nullable=False),
    Column("low", Float, nullable=False),
    _whole("stratum_pairs"),
    _whole("judgements"),
    UniqueConstraint("drawn_at", "left_id", "right_id"),
)

provision = Table(
    "provision",
    metadata,
    _id("provision_id"),
    _text("made_at"),
    _text("ended_at", nullable=True),
    _sealed("content"),
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
    _id("agreement_row"),
    _text("agreement_id"),
    _whole("version"),
    _text("written_at"),
    _sealed("content"),
    UniqueConstraint("agreement_id", "version"),
)

access_claim = Table(
    "access_claim",
    metadata,
    _id("claim_id"),
    _text("kind"),
    _text("person_id"),
    _text("made_at"),
    _text("expires_at"),
    _text("reviewed_at", nullable=True),
    _sealed("content"),
    Index(None, "person_id"),
)

audit_event = Table(
    "audit_event",
    metadata,
    _id("seq"),
    _text("at"),
    _text("action"),
    _text("event_class", nullable=True),
    _text("outcome"),
    _digest("actor_key", nullable=True),
    _text("organisation", nullable=True),
    _digest("entry", nullable=True),
    _whole("key_id", nullable=True),
    _sealed("body"),
    Index("ix_audit_event_actor", "actor_key", "seq"),
    Index("ix_audit_event_organisation", "organisation", "seq"),
    Index("ix_audit_event_class", "event_class", "seq"),
    Index(None, "key_id"),
    # Holds all that events are counted by, so that counting reads no bodies.
    Index("ix_audit_event_at", "at", "event_class", "action", "outcome", "organisation"),
)

audit_event_person = Table(
    "audit_event_person",
    metadata,
    Column("person_id", Text, primary_key=True),
    Column("seq", Whole, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

audit_journal = Table(
    "audit_journal",
    metadata,
    Column("file", Text, primary_key=True),
    _whole("read_to"),
    _whole("damaged"),
)

audit_hold = Table(
    "audit_hold",
    metadata,
    _id("hold_id"),
    _text("made_at"),
    _text("released_at", nullable=True),
    _sealed("content"),
)

audit_alert = Table(
    "audit_alert",
    metadata,
    _id("alert_id"),
    _text("state"),
    _text("raised_at"),
    _text("due"),
    _sealed("content"),
    Index(None, "state"),
)

audit_watch = Table(
    "audit_watch",
    metadata,
    _id("watch_id"),
    _text("made_at"),
    _text("ended_at", nullable=True),
    _sealed("content"),
)

audit_detection = Table(
    "audit_detection",
    metadata,
    _id("detection_id"),
    _text("at"),
    _sealed("content"),
)


def is_sealed(column: Column[object]) -> bool:
    """Whether the column holds sealed payloads."""
    return bool(column.info.get("sealed"))
