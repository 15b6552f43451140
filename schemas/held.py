"""What is held of a person, before anybody decided who may see it: facts, items, demographics.

Rules:
- Values only. What is built here is never rendered: `consent.redact` makes of it what is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from schemas.dates import Instant, PartialDate
from schemas.identifiers import OdsCode, PersonId, SourceId
from schemas.items import CareItem, Heading
from schemas.records import ClientRecord
from schemas.sharing import Category, ClassId


class FlagKind(StrEnum):
    """Safeguarding flags that the law wants known (Child Protection - Information Sharing)."""

    CHILD_PROTECTION_PLAN = "child-protection-plan"
    LOOKED_AFTER_CHILD = "looked-after-child"
    UNBORN_CHILD_PLAN = "unborn-child-plan"
    """Carried on the mother's record."""


@dataclass(frozen=True)
class SafeguardingFlag:
    """That a flag stands or stood, and who answers for it."""

    kind: FlagKind
    custodian: OdsCode
    start: PartialDate
    end: PartialDate | None = None


class ProxyBasis(StrEnum):
    """Why somebody may act for the person."""

    PARENTAL_RESPONSIBILITY = "parental-responsibility"
    COURT_ORDER = "court-order"
    LASTING_POWER = "lasting-power-of-attorney"
    PERSON_CONSENT = "person-consent"


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One who may act for the person.

    Attributes:
        evidenced: somebody saw the birth certificate, the order, the registered power.
        orders_checked: court orders were looked up and none forbids.
        reviewed_on: when it was last looked at; renewed_on: after the sixteenth birthday.
        let_stand: a named officer decided that it stands although the person is restricted.
    """

    proxy_id: str
    basis: ProxyBasis
    evidenced: bool
    orders_checked: bool
    start: PartialDate
    end: PartialDate | None = None
    reviewed_on: PartialDate | None = None
    renewed_on: PartialDate | None = None
    let_stand: bool = False


@dataclass(frozen=True)
class Competence:
    """That a child was found competent (Gillick) to decide about something, by whom and when."""

    about: frozenset[Category]
    found_by: str
    on: PartialDate


@dataclass(frozen=True, kw_only=True)
class PersonFacts:
    """What is known of the person beside their items, for a decision.

    Attributes:
        restricted: whereabouts must not be shown; restricted_household: of one they live with.
        opted_out: out of the shared record (a directive of that kind stands, or a source says so).
        birth_dates: all that sources give; the cautious one counts, whichever that is for a rule.
        deceased_on: when they died, if they did.
        competences: decisions that the child was found competent to make.
        proxies_suspended: until a named officer decides (a restricted person's always are).
        barred_staff: staff ids barred by the person or a safeguarding lead.
        investigators: staff ids named on an open safeguarding investigation of this person.
        identity_team: staff ids who may see across a protected change of identity.
        former_identity: this *is* the identity of before such a change; protected_change: this is
            the one of after it.
    """

    person: PersonId
    restricted: bool = False
    restricted_household: bool = False
    opted_out: bool = False
    birth_dates: frozenset[PartialDate] = frozenset()
    deceased_on: PartialDate | None = None
    competences: tuple[Competence, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    proxies_suspended: bool = False
    barred_staff: frozenset[str] = frozenset()
    investigators: frozenset[str] = frozenset()
    identity_team: frozenset[str] = frozenset()
    safeguarding_flags: tuple[SafeguardingFlag, ...] = ()
    protected_change: bool = False
    former_identity: bool = False


class HeldItem(msgspec.Struct, frozen=True, kw_only=True):
    """A care item as the store holds it.

    Attributes:
        item_key: opaque, stable name of the item, unique over all headings: 1 to 64 letters,
            digits, dots and hyphens.
        custodian: the item's own, else the source's default.
        stale: its source has sent nothing for longer than it should.
    """

    item_key: str
    item: CareItem
    source: SourceId
    custodian: OdsCode | None
    class_id: ClassId
    received_at: Instant
    stale: bool = False


@dataclass(frozen=True, kw_only=True)
class HeldDemographics:
    """One source's record of the person.

    Attributes:
        demographics, whereabouts: access classes of the two categories of what it holds.
    """

    record: ClientRecord
    source: SourceId
    custodian: OdsCode | None
    demographics: ClassId
    whereabouts: ClassId
    as_at: Instant
    received_at: Instant
    stale: bool = False


class FeedState(StrEnum):
    """How a source stands with the partnership."""

    CURRENT = "current"
    STALE = "stale"
    """It has sent nothing for longer than it should."""
    FAILED = "failed"
    """Its last feed could not be read."""
    NOT_CONNECTED = "not connected"
    """It is a member's system and has never sent anything."""


@dataclass(frozen=True, kw_only=True)
class SourceView:
    """What a source sends, of whomever: the same for every person.

    Attributes:
        custodians: organisations whose clients it holds, the default first.
        headings: those it is known to send.
        since: when it last sent something, None if never.
    """

    source: SourceId
    custodians: tuple[OdsCode, ...]
    headings: frozenset[Heading]
    state: FeedState
    since: Instant | None = None
