"""Who asks for what, and what is known of the person: the facts that a decision to share rests on.

Rules:
- Values only: nothing here decides, opens or reads the clock. `consent` decides on them.
- What cannot be judged cannot be built: an agreement without a lawful basis, a broken seal without
  a reason, a directive that aims at nothing.
- Times are `Instant` or `PartialDate` texts; a date as an end includes that whole day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from schemas.codes import PURPOSES
from schemas.dates import Instant, PartialDate
from schemas.errors import InvalidValue
from schemas.identifiers import OdsCode, PersonId, SourceId
from schemas.items import Heading

ClassId = NewType("ClassId", int)
"""The store's number of an `AccessClass`."""


class Category(StrEnum):
    """What a grant, an agreement or a wish can be about: every heading, and two more."""

    DEMOGRAPHICS = "demographics"
    """Names, birth date, gender, numbers, death."""
    WHEREABOUTS = "whereabouts"
    """Addresses, telephones, e-mail, UPRN, GP practice: every locating datum of the person."""
    ENCOUNTER = "encounter"
    ADMISSION = "admission"
    CONDITION = "condition"
    MEDICATION = "medication"
    ALLERGY = "allergy"
    OBSERVATION = "observation"
    PROCEDURE = "procedure"
    IMMUNISATION = "immunisation"
    CARE_PLAN = "care_plan"
    ASSESSMENT = "assessment"
    SAFEGUARDING = "safeguarding"
    ALERT = "alert"
    REFERRAL = "referral"
    APPOINTMENT = "appointment"
    CASELOAD = "caseload"
    REGISTRATION = "registration"
    PROFESSIONAL_CONTACT = "professional_contact"
    PERSONAL_CONTACT = "personal_contact"
    DOCUMENT = "document"
    SHARING_PREFERENCE = "sharing_preference"
    UNCLASSIFIED = "unclassified"


PERSONAL = frozenset({Category.DEMOGRAPHICS, Category.WHEREABOUTS})
"""Categories that are no heading of care items."""

ACT_REASONS: dict[str, str] = {
    "direct-care": "TREAT",
    "explicit-consent": "PATRQT",
    "vital-interests": "ETREAT",
    "safeguarding": "THREAT",
    "data-quality": "RECORDMGT",
    "audit": "HCOMPL",
    "own-record": "FAMRQT",
    "planning": "HOPERAT",
    "research": "HRESCH",
}
"""Purpose → code of HL7 v3 ActReason (PurposeOfUse) that stands for it on the wire, one to one."""


class Label(StrEnum):
    """A security label, in the words that policy uses. Senders' own words are mapped to these."""

    SEXUAL_HEALTH = "sexual-health"
    FERTILITY = "fertility"
    ADOPTION = "adoption"
    GENDER_RECOGNITION = "gender-recognition"
    FORMER_IDENTITY = "former-identity"
    """Of before a protected change of identity."""
    RESTRICTED = "restricted"
    """Confidential beyond the ordinary (v3-Confidentiality R, V)."""
    SERIOUS_HARM = "serious-harm"
    THIRD_PARTY = "third-party"
    CHILD_ABUSE = "child-abuse"
    CRIME = "crime"
    UNKNOWN = "unknown"
    """A label that nobody has mapped yet: treated as restricted."""


@dataclass(frozen=True)
class AccessClass:
    """All that policy reads about an item, or about one source's demographics of a person.

    Attributes:
        custodian: the organisation that holds and answers for it; None where nobody is named.
    """

    category: Category
    source: SourceId
    custodian: OdsCode | None = None
    labels: frozenset[Label] = frozenset()


Classes = Mapping[ClassId, AccessClass]
"""The distinct access classes of what is held of a person."""


@dataclass(frozen=True)
class BreakGlass:
    """Access declared in an emergency, without what access otherwise needs.

    Attributes:
        reason: a key of `BREAK_GLASS_REASONS`; text: in the requester's own words.
        person: whose record it opens; no other.
        second_person: staff id of the one who agreed, where policy asks for a second.
    """

    reason: str
    text: str
    person: PersonId
    at: Instant
    expires: Instant
    second_person: str | None = None

    def __post_init__(self) -> None:
        if self.reason not in BREAK_GLASS_REASONS:
            known = ", ".join(BREAK_GLASS_REASONS)
            raise InvalidValue(f"break-glass needs one of these reasons: {known}")
        if len(self.text.strip()) < 10:
            raise InvalidValue("break-glass needs a reason in words, of ten characters or more")
        if self.expires <= self.at:
            raise InvalidValue("break-glass ends after it begins")


BREAK_GLASS_REASONS: dict[str, str] = {
    "unconscious": "The person cannot be asked and needs care now",
    "life-at-risk": "A life is at risk",
    "serious-harm": "A child or an adult is at risk of serious harm",
    "urgent-medicine": "A medicine or an allergy must be known before treatment",
    "no-relationship-yet": "The person has come for care and no system says so yet",
}


@dataclass(eq=False)
class Call:
    """One request on its way in, for the log; nothing is decided on it.

    Attributes:
        request_id: as the answer carries it. terminal: network address that it came from.
        client: id of the program that asks, as its token names it.
        asked: the way it came in, and the names of what was given; no value.
        events: how many events of it are durable.
    """

    request_id: str
    terminal: str | None = None
    client: str | None = None
    asked: str | None = None
    events: int = 0


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """What a token says of whoever brought it; nothing of it is looked up yet.

    Attributes:
        subject: staff id of the member of staff, client id of a system.
        purpose: a key of `schemas.codes.PURPOSES`.
    """

    issuer: str
    subject: str
    organisation: OdsCode
    role: str
    purpose: str
    team: str | None = None
    scopes: frozenset[str] | None = None
    system: bool = False
    emergency_declared: bool = False


@dataclass(frozen=True, kw_only=True)
class Requester:
    """Who asks, signed in and looked up.

    Attributes:
        staff_id: as the staff directory and the sign-in name them; for a system its client id.
        role: a key of `consent.roles.ROLES`; purpose: a key of `schemas.codes.PURPOSES`.
        active: the staff directory has this role at this organisation today.
        issuer: who vouched for the sign-in.
        scopes: SMART v2 scopes of the token; None where the way in knows none (command line).
        system: no person asks, but a system by itself.
        own_persons: records that are the requester's own or of their household.
        subject: of a person or a proxy who asks: whose record it is for them to see.
        emergency_declared: a role for emergencies says that the person is before it.
        call: the request by which they ask; None for the command line.
    """

    staff_id: str
    organisation: OdsCode
    role: str
    purpose: str
    active: bool
    team: str | None = None
    issuer: str = ""
    scopes: frozenset[str] | None = None
    system: bool = False
    own_persons: frozenset[PersonId] = frozenset()
    subject: PersonId | None = None
    emergency_declared: bool = False
    break_glass: BreakGlass | None = None
    call: Call | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.staff_id:
            raise InvalidValue("a requester needs an id")
        if self.purpose not in PURPOSES:
            raise InvalidValue(f"a purpose is one of {', '.join(PURPOSES)}")


class RelationshipKind(StrEnum):
    """What makes a professional's look legitimate."""

    REGISTRATION = "registration"
    ADMISSION = "admission"
    ENCOUNTER = "encounter"
    APPOINTMENT = "appointment"
    REFERRAL = "referral"
    CASELOAD = "caseload"
    CLAIMED = "claimed"
    """The professional says so; somebody checks afterwards."""


@dataclass(frozen=True, kw_only=True)
class Relationship:
    """That somebody cares for the person, from when to when.

    Attributes:
        organisation: whose staff; team, staff_id: only that team, only that member, where named.
        end: None while it lasts.
        basis: heading of the item that it was read from, None where it was claimed.
    """

    kind: RelationshipKind
    organisation: OdsCode
    start: Instant | PartialDate
    end: Instant | PartialDate | None = None
    team: str | None = None
    staff_id: str | None = None
    basis: Heading | None = None

    def __post_init__(self) -> None:
        if self.self_claimed and not self.staff_id:
            raise InvalidValue("a claimed relationship names the member of staff who claims it")

    @property
    def self_claimed(self) -> bool:
        """Whether it rests on the professional's word alone."""
        return self.kind is RelationshipKind.CLAIMED


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """That one organisation lets another see certain categories for certain purposes, and why it
    may: each part of the lawful basis stands by itself.

    Attributes:
        agreement_id, version: a higher version takes the place of a lower one from its start on.
        article_6, article_9: of the UK GDPR, e.g. `6(1)(e)`, `9(2)(h)`.
        schedule_1: condition of Schedule 1, Data Protection Act 2018.
        confidentiality: basis under the common law duty, e.g. `implied consent for direct care`.
        gateway: statutory power to share, e.g. `Health and Social Care Act 2012, section 251B`.
        signed_by: organisations that have signed; in force once both have.
    """

    agreement_id: str
    version: int
    provider: OdsCode
    receiver: OdsCode
    categories: frozenset[Category]
    purposes: frozenset[str]
    start: PartialDate
    end: PartialDate
    article_6: str
    article_9: str
    schedule_1: str
    confidentiality: str
    gateway: str
    signed_by: frozenset[OdsCode] = frozenset()

    def __post_init__(self) -> None:
        for name in ("article_6", "article_9", "schedule_1", "confidentiality", "gateway"):
            if not getattr(self, name).strip():
                raise InvalidValue(f"an agreement states its {name.replace('_', ' ')}")
        if not self.agreement_id or self.version < 1:
            raise InvalidValue("an agreement has an id, and versions from 1")
        if self.provider == self.receiver:
            raise InvalidValue("an agreement is between two organisations")
        if self.start > self.end:
            raise InvalidValue("an agreement ends after it starts")
        if not self.categories or not self.purposes:
            raise InvalidValue("an agreement names its categories and purposes")
        if unknown := self.purposes - PURPOSES.keys():
            raise InvalidValue(f"unknown purposes in an agreement: {len(unknown)}")
        if not self.signed_by <= {self.provider, self.receiver}:
            raise InvalidValue("an agreement is signed by its two organisations")


class Effect(StrEnum):
    """What a directive does."""

    PERMIT = "permit"
    DENY = "deny"


class DirectiveKind(StrEnum):
    """What sort of wish or order it is; policy says what each may do."""

    OPT_OUT = "opt-out"
    """Out of the shared record as a whole."""
    GP_DISSENT = "gp-dissent"
    """As opt-out, by a dissent code in the practice's feed."""
    SEAL = "seal"
    """One item, or categories."""
    PARTY = "party"
    """Permit or deny organisations, roles, staff or purposes."""
    PERMISSION = "permission"
    """Specific permission for labelled items that otherwise never travel."""
    TYPE_1 = "type-1"
    NATIONAL_DATA_OPT_OUT = "national-data-opt-out"
    BAR_STAFF = "bar-staff"


DENYING = frozenset(DirectiveKind) - {DirectiveKind.PARTY, DirectiveKind.PERMISSION}
"""Kinds that only ever deny."""


@dataclass(frozen=True)
class Targets:
    """Whom or what a directive is about. Each empty set means "any"."""

    organisations: frozenset[OdsCode] = frozenset()
    roles: frozenset[str] = frozenset()
    staff: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()
    categories: frozenset[Category] = frozenset()
    labels: frozenset[Label] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Directive:
    """A wish of the person, or an order of somebody entitled to give one.

    Attributes:
        item_key: of a seal: the store's opaque name of the one item it is about.
        invisible: what it hides is hidden as if it were not there; else it may be told that
            something is withheld.
        made_by: who made it, e.g. `person`, `proxy`, `staff ST0001`, `gp feed`.
    """

    directive_id: str
    kind: DirectiveKind
    effect: Effect
    start: Instant | PartialDate
    made_by: str
    end: Instant | PartialDate | None = None
    targets: Targets = field(default_factory=Targets)
    item_key: str | None = None
    invisible: bool = False

    def __post_init__(self) -> None:
        if not self.directive_id or not self.made_by:
            raise InvalidValue("a directive has an id and a maker")
        if self.kind in DENYING and self.effect is not Effect.DENY:
            raise InvalidValue(f"a directive of the kind {self.kind} denies")
        if self.kind is DirectiveKind.PERMISSION and (
            self.effect is not Effect.PERMIT or not self.targets.labels
        ):
            raise InvalidValue("a permission permits, and names the labels it is for")
        if self.kind is DirectiveKind.SEAL and not (self.item_key or self.targets.categories):
            raise InvalidValue("a seal names an item or categories")
        if self.kind is DirectiveKind.BAR_STAFF and not self.targets.staff:
            raise InvalidValue("barring names staff")
        if self.kind is DirectiveKind.PARTY and self.targets == Targets():
            raise InvalidValue("a directive about parties names some")
        if self.item_key and self.kind is not DirectiveKind.SEAL:
            raise InvalidValue("only a seal is about one item")
