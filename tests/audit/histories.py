"""Made-up histories of a log for tests of reports, and the log's columns made from events."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from audit.detect_facts import EVENT_SCHEMA
from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant, PartialDate
from schemas.identifiers import OdsCode, PersonId
from schemas.sharing import Agreement, Category
from service.audit_reports import Leaves, Names, Period
from service.audit_reports_asked import Asked
from service.audit_reports_frame import frame_of

SINCE, UNTIL = Instant("2026-10-01T00:00:00Z"), Instant("2026-11-01T00:00:00Z")
MADE = Instant("2026-11-02T09:00:00Z")
ORGANISATIONS = ("RA7", "GP1", "CO1", "-")
PERSONS = ("pann", "ptom", "peve")
ACTORS = ("ST1", "ST2", "ST3")
REASONS = ("unconscious", "serious-harm", "urgent-medicine")
AGREEMENTS = tuple(
    Agreement(
        agreement_id=name, version=1, provider=OdsCode(provider), receiver=OdsCode(receiver),
        categories=frozenset({Category.CONDITION}), purposes=frozenset({"direct-care"}),
        start=PartialDate(start), end=PartialDate("2026-12-31"), article_6="6(1)(e)",
        article_9="9(2)(h)", schedule_1="2", confidentiality="implied consent", gateway="s251B",
        signed_by=frozenset({OdsCode(provider), OdsCode(receiver)}),
    )
    for name, provider, receiver, start in (
        ("A1", "GP1", "RA7", "2026-10-10"), ("A2", "CO1", "RA7", "2025-01-01"),
        ("A3", "RA7", "GP1", "2026-11-05"),
    )
)  # fmt: skip

LOOKING = ("read", "everything", "items", "item", "search", "match", "identify")
OTHER = (
    "break-glass", "claim", "directive-write", "directive-end", "consent-write", "agreement-write",
    "review-decide", "review-show", "person-wrong", "person-split", "person-show", "nightly",
    "audit-report", "person-erase", "backup", "directives",
)  # fmt: skip
ROLES = ("nurse", "gp", "social_worker", "data_team", "safeguarding_lead")
PURPOSES = ("direct-care", "vital-interests", "safeguarding", "data-quality", "audit")


@st.composite
def events(draw: st.DrawFn, about: Sequence[str] = PERSONS) -> AuditEvent:
    """One event of October 2026."""
    action = draw(st.sampled_from(LOOKING + OTHER))
    details: dict[str, object] = {}
    if action in ("read", "everything", "items", "item"):
        details["shown"] = draw(st.integers(0, 9))
        details["relationship"] = draw(
            st.sampled_from(["caseload", "none", "investigation", "break-glass"])
        )
        if draw(st.booleans()):
            details["headings"] = draw(
                st.lists(st.sampled_from(["condition", "allergy", "safeguarding"]), max_size=2)
            )
        if draw(st.booleans()):
            details["custodians"] = draw(
                st.lists(st.sampled_from(["RA7", "GP1", "CO1"]), unique=True, max_size=3)
            )
        if draw(st.integers(0, 4)) == 0:
            details["break_glass"] = draw(st.sampled_from(REASONS))
        if draw(st.integers(0, 4)) == 0:
            details["labels"] = draw(st.sampled_from([["crime"], ["sexual-health"]]))
        if draw(st.integers(0, 4)) == 0:
            details["obligations"] = ["alarm-ig-officer"]
    if action == "break-glass":
        details["reason"] = draw(st.sampled_from(REASONS))
    if action in ("directive-write", "consent-write"):
        details["what"] = draw(st.sampled_from(["opt-out", "investigator", "proxy"]))
    if action == "review-decide":
        details["verdict"] = draw(st.sampled_from(["same", "different"]))
    if draw(st.integers(0, 2)) == 0:
        details["policies"] = draw(st.sampled_from([["agreement-needed"], ["a", "b"]]))
    if draw(st.integers(0, 9)) == 0:
        details["escalate"] = True
    day, hour = draw(st.integers(1, 31)), draw(st.integers(0, 23))
    minute = draw(st.integers(0, 2))
    return AuditEvent(
        at=Instant(f"2026-10-{day:02}T{hour:02}:{minute:02}:00Z"),
        action=action,
        outcome=draw(st.sampled_from([*EventOutcome, EventOutcome.PERMITTED])),
        actor=draw(st.sampled_from(ACTORS)),
        role=draw(st.sampled_from(ROLES)),
        purpose=draw(st.sampled_from(PURPOSES)),
        organisation=draw(st.sampled_from(ORGANISATIONS)),
        persons=tuple(
            PersonId(p) for p in draw(st.lists(st.sampled_from(about), unique=True, max_size=2))
        ),
        details=details,
    )


histories = st.lists(events(), max_size=30)


def columns(history: Sequence[AuditEvent], leaves: Sequence[int] | None = None) -> pa.RecordBatch:
    """The events as the store gives them; their places are their leaves where none are named."""
    places = range(len(history)) if leaves is None else leaves
    moments = [pd.Timestamp(one.at).tz_localize(None) for one in history]
    encoder = msgspec.json.Encoder()
    return pa.record_batch(
        [
            pa.array([*places], pa.int64()), pa.array(moments, pa.timestamp("us")),
            *(pa.array([str(getattr(one, name)) for one in history], pa.string())
              for name in ("action", "outcome", "actor", "role", "purpose", "organisation")),
            pa.array([list(one.persons) for one in history], pa.list_(pa.string())),
            pa.array([encoder.encode(one.details).decode() for one in history], pa.string()),
        ],
        schema=EVENT_SCHEMA,
    )  # fmt: skip


def frame(history: Sequence[AuditEvent], leaves: Sequence[int] | None = None) -> pd.DataFrame:
    """The events as reports take them."""
    return frame_of([columns(history, leaves)], "Europe/London")


def asked(history: Sequence[AuditEvent] = (), **more: object) -> Asked:
    """What a report of October 2026 is asked for with."""
    base = Asked(
        Period(SINCE, UNTIL), MADE,
        Names("Test", {"RA7": "Royal", "GP1": "Practice", "CO1": "Council"}),
        person=PersonId("pann"), persons=frozenset({PersonId("pann")}), actor="ST1",
        organisation="RA7", agreements=AGREEMENTS, namesakes=Leaves.of(range(0, 30, 3)),
        explained={n: ("", "caseload")[n % 2] for n in range(len(history))},
    )  # fmt: skip
    values = {name: getattr(base, name) for name in base.__dataclass_fields__}
    return Asked(**(values | more))
