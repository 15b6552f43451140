"""What a decision gives, and what may be shown after it. Values; no I/O.

Rules:
- A `Permit` or a `Refusal` names the policies that decided, in ids and in sentences.
- A `Refusal` says whether the requester may be told of it, whom to ring, and what would change it.
- A `SharedRecord` holds nothing that its reader may not see. Only `consent.redact` builds one:
  the constructor asks for a token that no other module has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import msgspec

from schemas.codes import Gender
from schemas.dates import Instant, PartialDate
from schemas.demographics import Address, Death, HumanName, Identifier, NhsNumberClaim, Telecom
from schemas.held import FlagKind
from schemas.identifiers import LocalId, OdsCode, PersonId, SourceId
from schemas.items import CareItem, Heading
from schemas.sharing import Category, ClassId


class Tell(StrEnum):
    """What the requester learns of a refusal."""

    SILENT = "silent"
    """Nothing: as if what was asked for were not there."""
    MAY_BE_TOLD = "may be told"
    """That something is withheld, and whom to ring."""


class Obligation(StrEnum):
    """What must be done with, or because of, what is permitted."""

    ATTENDANCE_ONLY = "attendance-only"
    """Appointments and contacts: that and when, not what for, at which site or with whom."""
    PRESENCE_ONLY = "presence-only"
    """That there is something, and whom to ring; nothing of what it says."""
    STRIP_PLACES = "strip-places"
    """Nothing that tells where the person is: sources, custodians, authors, sites, free text."""
    STRIP_HISTORY = "strip-history"
    """No former names, numbers, addresses, nor the sex at birth."""
    ALERT_PRIVACY_OFFICER = "alert-privacy-officer"
    """Break-glass: raise the alert and the follow-up task."""
    CHECK_CLAIM = "check-claim"
    """Rests on a claimed relationship: somebody checks it."""
    SAMPLE_EMERGENCY = "sample-emergency"
    """Rests on a declared emergency: a sample of them is checked."""
    ALARM_IG_OFFICER = "alarm-ig-officer"
    """A safeguarding flag was shown for which no agreement is in force."""


@dataclass(frozen=True)
class Ring:
    """Whom to ring: an office, and of which organisation (None: the partnership's own, or where
    `of_custodian`, a custodian who must not be named)."""

    office: str
    organisation: OdsCode | None = None
    of_custodian: bool = False


@dataclass(frozen=True)
class Permit:
    """It may be seen.

    Attributes:
        policies: ids of the policies that permit it; reasons: their sentences, in the same order.
    """

    policies: tuple[str, ...]
    reasons: tuple[str, ...]
    obligations: frozenset[Obligation] = frozenset()


@dataclass(frozen=True)
class Refusal:
    """It may not be seen.

    Attributes:
        policies: ids of the policies that refuse it; reasons: their sentences, in the same order.
            Both are for the log and the IG officer. Of a silent refusal nothing reaches the asker.
        tell: silent if any of the policies is.
        ring: whom to ring, where it may be told.
        remedies: what would change the answer, in words, where it may be told.
        escalate: somebody must be told of the attempt, without the requester's knowing.
    """

    policies: tuple[str, ...]
    reasons: tuple[str, ...]
    tell: Tell
    ring: Ring | None = None
    remedies: tuple[str, ...] = ()
    escalate: bool = False


Decision = Permit | Refusal


class Locator(StrEnum):
    """By what a person can be looked for."""

    NAME = "name"
    BIRTH_DATE = "birth date"
    GENDER = "gender"
    NUMBER = "number"
    """NHS number, or a source's own id."""
    ADDRESS = "address"
    POSTCODE = "postcode"
    TELECOM = "telecom"
    PRACTICE = "GP practice"


LOCATING = frozenset({Locator.ADDRESS, Locator.POSTCODE, Locator.TELECOM, Locator.PRACTICE})
"""Those that tell where a person is."""


@dataclass(frozen=True)
class TraceDecision:
    """Whether a person may be among the answers to a trace.

    Attributes:
        decision: a silent refusal leaves the person out of hits, totals and scores.
        whereabouts: whether address, telecoms and practice may be shown in a trace.
        history: whether former names and numbers may be shown, and be what found the person.
        former: whether records of a former identity may be shown: to the named team.
        labels: words to show beside the person: `restricted`, `opted out`, `deceased`.
    """

    person: PersonId
    decision: Decision
    whereabouts: bool = False
    history: bool = True
    former: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadDecision:
    """What of a person's record may be read.

    Attributes:
        opening: whether the record may be opened at all. A silent refusal means: no such person.
        classes: access class → decision; a class of a record that may not be opened is refused.
        items: item key → decision, for single items that a directive is about.
        flags: whether statutory safeguarding flags are shown (presence, and whom to ring).
        obligations: those of the whole record.
        ordinary: what is decided of unlabelled items, of whomever, by category and custodian.
    """

    person: PersonId
    opening: Decision
    classes: Mapping[ClassId, Decision]
    items: Mapping[str, Decision]
    flags: Decision
    obligations: frozenset[Obligation] = frozenset()
    labels: tuple[str, ...] = ()
    ordinary: Mapping[tuple[Category, OdsCode | None], Decision] = field(default_factory=dict)

    @cached_property
    def permitted(self) -> frozenset[ClassId]:
        """Classes whose items may be selected, counted and shown, save those in `hidden_items`."""
        return frozenset(key for key, one in self.classes.items() if isinstance(one, Permit))

    @cached_property
    def hidden_items(self) -> frozenset[str]:
        """Keys of single items of permitted classes that may not be selected."""
        return frozenset(key for key, one in self.items.items() if isinstance(one, Refusal))

    @property
    def absent(self) -> bool:
        """Whether the requester must be answered as if there were no such person."""
        return isinstance(self.opening, Refusal) and self.opening.tell is Tell.SILENT


class SilenceState(StrEnum):
    """What it means that a source shows nothing, or something, under a heading (rule 1)."""

    PRESENT = "present"
    RECORDED_AS_NONE = "recorded as none"
    NOTHING_RECORDED = "nothing recorded"
    WITHHELD = "withheld"
    STALE = "stale since"
    FEED_FAILED = "feed failed"
    NOT_CONNECTED = "not connected"


class Silence(msgspec.Struct, frozen=True, cache_hash=True):
    """What one source's silence under one heading means. `source` is None where naming it would
    give a restricted person's place away; `since` is of a stale or failed source."""

    heading: Heading
    source: SourceId | None
    state: SilenceState
    since: Instant | None = None
    ring: Ring | None = None
    custodian: OdsCode | None = None
    """Whose items are withheld, where a source serves several and not all of them withhold."""


@dataclass(frozen=True, kw_only=True)
class SharedDemographics:
    """One source's demographics, as far as they may be seen. Empty means withheld or not held: the
    record's labels say when whereabouts are withheld."""

    source: SourceId | None
    custodian: OdsCode | None
    local_id: LocalId | None
    as_at: Instant
    received_at: Instant
    stale: bool
    nhs_number: NhsNumberClaim | None = None
    identifiers: tuple[Identifier, ...] = ()
    names: tuple[HumanName, ...] = ()
    birth_date: PartialDate | None = None
    gender: Gender | None = None
    birth_sex: Gender | None = None
    ethnicity: str | None = None
    death: Death | None = None
    addresses: tuple[Address, ...] = ()
    telecoms: tuple[Telecom, ...] = ()
    gp_practice: OdsCode | None = None


class SharedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One care item, as far as it may be seen. `source` and `custodian` are None where naming them
    would give a restricted person's place away."""

    item_key: str
    item: CareItem
    source: SourceId | None
    custodian: OdsCode | None
    recorded_at: Instant | None
    received_at: Instant
    stale: bool
    attendance_only: bool = False
    presence_only: bool = False


@dataclass(frozen=True)
class FlagNotice:
    """That a safeguarding flag stands or stood within twelve months, and whom to ring."""

    kind: FlagKind
    ring: Ring


@dataclass(frozen=True)
class Withheld:
    """That something is withheld under a heading, and it may be told. None: from the record."""

    heading: Heading | None
    source: SourceId | None
    ring: Ring
    remedies: tuple[str, ...] = ()


class _Token:
    """Only `consent.redact` holds the one instance."""


_TOKEN = _Token()


@dataclass(frozen=True, kw_only=True)
class SharedRecord:
    """All that may be shown of a person to one requester, now.

    Attributes:
        demographics: source by source, side by side, never merged.
        silences: per heading and source, what its silence means.
        withheld: what may be told to be withheld, with whom to ring.
        labels: `restricted`, `opted out`, `deceased`, to show beside the name.
        obligations: what must be done because this was shown (alerts, checks).
        token: asked for by the constructor; `consent.redact` has it.
    """

    person: PersonId
    demographics: tuple[SharedDemographics, ...] = ()
    items: tuple[SharedItem, ...] = ()
    flags: tuple[FlagNotice, ...] = ()
    silences: tuple[Silence, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    labels: tuple[str, ...] = ()
    obligations: frozenset[Obligation] = frozenset()
    token: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.token is not _TOKEN:
            raise TypeError("a SharedRecord is built by consent.redact, and by nothing else")
        object.__setattr__(self, "token", None)
