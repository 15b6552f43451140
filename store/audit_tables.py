"""The tables of the audit log and of what is made of it.

Rules:
- An audit event whose class, actor, organisation and entry are null was written before there were
  such columns, and is filled before a database is used (store/entering.py). One whose `body` is
  empty was erased because its time was over; its `actor_key` is empty then too. `key_id` is the
  data key of the body, as its header says.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from store.columns import (
    Whole,
    digest_column,
    id_column,
    metadata,
    sealed_column,
    text_column,
    whole_column,
)

audit_event = Table(
    "audit_event",
    metadata,
    id_column("seq"),
    text_column("at"),
    text_column("action"),
    text_column("event_class", nullable=True),
    text_column("outcome"),
    digest_column("actor_key", nullable=True),
    text_column("organisation", nullable=True),
    digest_column("entry", nullable=True),
    whole_column("key_id", nullable=True),
    sealed_column("body"),
    Index("ix_audit_event_actor", "actor_key", "seq"),
    Index("ix_audit_event_organisation", "organisation", "seq"),
    Index("ix_audit_event_class", "event_class", "seq"),
    Index(None, "key_id"),
    # Holds all that events are counted by, so that counting reads no bodies; and their numbers, as
    # an index of SQLite does by itself.
    Index(
        "ix_audit_event_at",
        "at",
        "event_class",
        "action",
        "outcome",
        "organisation",
        postgresql_include=["seq"],
    ),
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
    whole_column("read_to"),
    whole_column("damaged"),
)

audit_hold = Table(
    "audit_hold",
    metadata,
    id_column("hold_id"),
    text_column("made_at"),
    text_column("released_at", nullable=True),
    sealed_column("content"),
)

audit_alert = Table(
    "audit_alert",
    metadata,
    id_column("alert_id"),
    text_column("state"),
    text_column("raised_at"),
    text_column("due"),
    sealed_column("content"),
    Index(None, "state"),
)

audit_watch = Table(
    "audit_watch",
    metadata,
    id_column("watch_id"),
    text_column("made_at"),
    text_column("ended_at", nullable=True),
    sealed_column("content"),
)

audit_detection = Table(
    "audit_detection",
    metadata,
    id_column("detection_id"),
    text_column("at"),
    sealed_column("content"),
)
