"""What people decide about two records: one person, two, or not to be told. Values only; no I/O.

Rules:
- A decision is about a pair of records and the versions they were judged on. It holds for ever, or
  until it is revoked, with a reason.
- What acts on linkage are the standings of `ACTING`; the others are kept for the record.
- A record whose name, birth date and number all conflict with the version that was judged is
  another person under a reused local id: decisions about it rest.
- A review task is named after its pair of records: the same pair, the same name, whichever run or
  person asks.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from schemas.dates import Instant
from schemas.errors import InvalidValue
from schemas.records import ClientRecord

TaskId = NewType("TaskId", str)
"""An opaque, stable name of the review task about two records."""


class Verdict(StrEnum):
    """What somebody holds two records to be."""

    SAME = "same"
    DIFFERENT = "different"
    UNDECIDED = "undecided"


class Standing(StrEnum):
    """How far a decision counts."""

    PENDING = "pending"
    """A second person must confirm it; until then it has no effect."""
    PROVISIONAL = "provisional"
    """It acts at once, and somebody must still look at it."""
    LIVE = "live"
    REVOKED = "revoked"
    LABEL = "label"
    """A judgement for quality control: never acts on linkage."""


ACTING = frozenset({Standing.PROVISIONAL, Standing.LIVE})
"""Standings in which a decision binds linkage."""


class Origin(StrEnum):
    """How a decision came about."""

    REVIEW = "review"
    SPLIT = "split"
    MERGE = "merge"
    WRONG_PERSON = "wrong person"
    QUALITY = "quality"


@dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes:
        decision_id: 0 until it is held. act: the first decision of those made in one go.
        left, right: record ids, left < right; left_version, right_version: as they were judged.
        awaits: why a second person must look, '' where none must.
        reported: the record that a report of a wrong person sets apart.
        reason, author, decided_at: why, by which account, when; likewise confirmed and revoked.
    """

    left: int
    right: int
    left_version: int
    right_version: int
    verdict: Verdict
    standing: Standing
    origin: Origin
    reason: str
    author: str
    decided_at: Instant
    decision_id: int = 0
    act: int = 0
    awaits: str = ""
    reported: int | None = None
    confirmed_by: str | None = None
    confirmed_at: Instant | None = None
    revoked_by: str | None = None
    revoked_at: Instant | None = None
    revoked_reason: str | None = None

    def __post_init__(self) -> None:
        if self.left >= self.right:
            raise InvalidValue("a decision is about two different records, the smaller id first")
        if not self.reason.strip():
            raise InvalidValue("a decision needs a reason")
        if not self.author:
            raise InvalidValue("a decision needs an author")
        if (self.standing is Standing.REVOKED) != bool(self.revoked_by and self.revoked_at):
            raise InvalidValue("a revoked decision, and no other, says who revoked it and when")

    @property
    def pair(self) -> tuple[int, int]:
        """The two record ids."""
        return self.left, self.right

    @property
    def binds(self) -> bool:
        """Whether it is a must-link or a cannot-link by its standing (it may still rest)."""
        return self.standing in ACTING and self.verdict is not Verdict.UNDECIDED


def task_id(left: int, right: int) -> TaskId:
    """The name of the review task about two records: `t` and ten letters and digits (50 bits)."""
    low, high = sorted((left, right))
    digest = hashlib.sha256(b"commonthread review task\0%d\0%d" % (low, high)).digest()
    return TaskId("t" + base64.b32encode(digest[:10]).decode().lower()[:10])


def another_person(judged: ClientRecord, present: ClientRecord) -> bool:
    """Whether a record has become somebody else since it was judged: no name in common, another
    birth date, and no number in common. What is unknown on either side does not conflict, save a
    number: many reused ids have none."""
    return (
        _names_conflict(judged, present)
        and judged.birth_date is not None
        and present.birth_date is not None
        and not judged.birth_date.startswith(present.birth_date)
        and not present.birth_date.startswith(judged.birth_date)
        and not (
            judged.nhs_number
            and present.nhs_number
            and judged.nhs_number.value == present.nhs_number.value
        )
    )


def _names_conflict(one: ClientRecord, two: ClientRecord) -> bool:
    a, b = _words(one), _words(two)
    return bool(a and b and not a & b)


def _words(record: ClientRecord) -> set[str]:
    """The words of all names, without case."""
    texts = (" ".join([*n.given, n.family or "", n.text or ""]) for n in record.names)
    return {word for text in texts for word in text.casefold().replace("-", " ").split()}
