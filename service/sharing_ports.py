"""What sharing asks of the store, beside what `service.ports.Store` gives.

Rules:
- What is known of a person is read on one snapshot, set-based, for many persons at once.
- Payloads of care items come sealed: `open_items` unseals those that a decision lets through.
- Every write is durable together with its audit event, or neither is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from audit.events import AuditEvent
from schemas.dates import Instant
from schemas.errors import InvalidValue
from schemas.held import Competence, Proxy
from schemas.identifiers import OdsCode, PersonId, SourceId
from schemas.items import CareItem, Heading
from schemas.records import StaffEntry
from schemas.sharing import AccessClass, Agreement, ClassId, Directive
from service.audit_ports import AuditStore
from service.ports import HeldRecord, Store


class SealedItem(msgspec.Struct, frozen=True):
    """A care item as it is held, its payload still sealed.

    Attributes:
        name: opaque and stable, unique over all sources and headings: 32 letters and digits.
        record_id: the client record that it belongs to. class_id: of its access class.
        as_at: when the source says it stood so; received_at: when its feed came in.
    """

    care_item_id: int
    version_id: int
    name: str
    record_id: int
    source: SourceId
    heading: Heading
    class_id: ClassId
    as_at: Instant
    received_at: Instant
    payload: bytes

    def __repr__(self) -> str:
        """Without the payload, sealed as it is."""
        return f"SealedItem({self.care_item_id}, {self.name!r})"


@dataclass(frozen=True, kw_only=True)
class Provision:
    """What was laid down about one person: exactly one of a directive, a proxy, a finding of
    competence, or a member of staff named on a safeguarding investigation.

    Attributes:
        provision_id: 0 until it is held. reason: why, in words.
        made_by: who laid it down; made_at, ended_at: from when to when it stands.
        parted: some record that it was made on is in another person now.
    """

    made_by: str
    made_at: Instant
    reason: str
    directive: Directive | None = None
    proxy: Proxy | None = None
    competence: Competence | None = None
    investigator: str | None = None
    provision_id: int = 0
    ended_at: Instant | None = None
    parted: bool = False

    def __post_init__(self) -> None:
        kinds = self.directive, self.proxy, self.competence, self.investigator
        if sum(kind is not None for kind in kinds) != 1:
            raise InvalidValue("a provision is of one kind")
        if not self.made_by or not self.reason.strip():
            raise InvalidValue("a provision says who laid it down, and why")


class ClaimKind(StrEnum):
    """What somebody declared in order to see a person's record."""

    BREAK_GLASS = "break-glass"
    RELATIONSHIP = "relationship"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """That a member of staff declared an emergency, or to be caring for a person.

    Attributes:
        claim_id: 0 until it is held.
        reason: of break-glass a key of `schemas.sharing.BREAK_GLASS_REASONS`, else the kind of
            work; text: in their own words.
        reviewed_at, reviewed_by, finding: the follow-up of the privacy officer.
    """

    kind: ClaimKind
    person: PersonId
    staff_id: str
    organisation: OdsCode
    role: str
    purpose: str
    reason: str
    text: str
    made_at: Instant
    expires_at: Instant
    team: str | None = None
    second_person: str | None = None
    claim_id: int = 0
    reviewed_at: Instant | None = None
    reviewed_by: str | None = None
    finding: str | None = None


@dataclass(frozen=True)
class PersonView:
    """All that is held of one present person, as of one moment.

    Attributes:
        received: record id → when the feed came in that said it so.
        items: those under the headings asked for, newest first.
        claims: those that have not expired.
    """

    person: PersonId
    records: Sequence[HeldRecord]
    received: Mapping[int, Instant]
    items: Sequence[SealedItem]
    provisions: Sequence[Provision]
    claims: Sequence[Claim]


@dataclass(frozen=True)
class FeedNews:
    """When a source's feeds last came.

    Attributes:
        loaded_at: when the last that was loaded came in; failed_at: when one was refused since.
    """

    loaded_at: Instant | None
    failed_at: Instant | None = None


class SharingStore(Store, AuditStore, Protocol):
    """A store that sharing can be decided on."""

    # --- looking ---------------------------------------------------------------------------
    def counters(self) -> Mapping[str, int]:
        """The store's counters by name: `sharing` grows with every change of a provision, an
        agreement or a claim, `loads` with everything that comes in, `published_run` with every
        night."""

    def views_now(
        self,
        persons: Collection[PersonId],
        headings: Collection[Heading] | None,
        now: Instant,
    ) -> tuple[Mapping[str, int], Mapping[PersonId, PersonView]]:
        """What is held of each of the persons that is present, with the counters as they stand on
        the same snapshot; None asks for all headings."""

    def open_items(self, items: Sequence[SealedItem]) -> list[CareItem]:
        """The items unsealed, in order."""

    def item_named(self, name: str) -> tuple[PersonId, Heading] | None:
        """Whose care item it is, of a present person, and its heading; None for an unknown name."""

    def access_classes(self, after: int = 0) -> Mapping[ClassId, AccessClass]:
        """The access classes with greater numbers than this. They are never changed."""

    def feed_news(self) -> Mapping[SourceId, FeedNews]:
        """When each source's feeds last came."""

    def restricted_versions(self) -> Mapping[int, int]:
        """Record id → live version id, of the live records whose source restricts the person."""

    def staff_entries(self, source: SourceId) -> Sequence[StaffEntry]:
        """The whole staff directory of a source, by staff id."""

    def staff_entry(self, source: SourceId, staff_id: str) -> StaffEntry | None:
        """The staff directory's entry of this id."""

    # --- provisions ------------------------------------------------------------------------
    def write_provision(
        self, provision: Provision, records: Collection[int], event: AuditEvent
    ) -> Provision:
        """Keeps what was laid down about the person that these records make up, under an id of its
        own, which is returned with it (a directive is named after it). Requires: a record."""

    def end_provision(self, provision_id: int, at: Instant, event: AuditEvent) -> None:
        """Ends a provision. Raises: NotFound; InvalidValue: it has ended."""

    def provision_persons(self, provision_id: int) -> frozenset[PersonId]:
        """The present persons that a provision is about; none for an unknown one."""

    # --- agreements ------------------------------------------------------------------------
    def agreements(self) -> Sequence[Agreement]:
        """Every version of every agreement, oldest first."""

    def write_agreements(self, agreements: Sequence[Agreement], event: AuditEvent) -> None:
        """Keeps versions of agreements, all or none. Raises: InvalidValue: one is not the version
        after the last."""

    # --- claims ----------------------------------------------------------------------------
    def claims(self, *, unreviewed: bool) -> Sequence[Claim]:
        """Every claim, or those that nobody has reviewed, oldest first."""

    def write_claim(self, claim: Claim, event: AuditEvent) -> Claim:
        """Keeps a new claim, under an id of its own."""

    def review_claim(self, claim: Claim, event: AuditEvent) -> None:
        """Writes a claim's follow-up down. Raises: NotFound."""

    # --- audit -----------------------------------------------------------------------------
    def find_events(
        self, since: Instant, until: Instant, person: PersonId | None = None
    ) -> Sequence[AuditEvent]:
        """Audit events of a span of time, newest first; of one person, where one is named."""
