"""From what is held and what was decided to what may be shown. The only maker of `SharedRecord`s.

Rules:
- Nothing is shown for which the decision holds no permit, whatever was handed in: a caller that
  selects too much leaks nothing.
- What each silence means is worked out from what is decided of a source's ordinary items and from
  what is shown: not from what is held and hidden.
- What a restricted person's record says is stripped of all that names a place: sources, custodians,
  authors, sites, local ids, local codes, free text, and words of the person's own addresses.
- Where a personal contact lives is shown in nobody's record: it is that person's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from consent.shared import (
    _TOKEN,
    FlagNotice,
    Obligation,
    Permit,
    ReadDecision,
    Refusal,
    Ring,
    SharedDemographics,
    SharedItem,
    SharedRecord,
    Tell,
    TraceDecision,
    Withheld,
)
from consent.silences import silences
from consent.stripping import (
    attendance,
    notice,
    places_of,
    stripped_item,
    without_contacts_home,
    without_original,
)
from consent.terms import Terms, flag_stands
from schemas.codes import NameUse
from schemas.dates import Instant
from schemas.held import HeldDemographics, HeldItem, SafeguardingFlag, SourceView
from schemas.identifiers import SourceId
from schemas.items import CareItem, Heading
from schemas.sharing import PERSONAL, AccessClass, Category, ClassId, Label

_OLD_NAMES = frozenset({NameUse.OLD, NameUse.MAIDEN})


def redact_trace(
    held: Sequence[HeldDemographics],
    decision: TraceDecision,
    classes: Mapping[ClassId, AccessClass],
) -> SharedRecord | None:
    """What a trace shows: who, never from which source. None: as if there were no such person.

    Of records that say the same, one is shown.
    """
    if isinstance(decision.decision, Refusal):
        return None
    plain = [one for one in held if decision.former or not _former(classes[one.demographics])]
    shown = [
        _demographics(one, whereabouts=decision.whereabouts, history=decision.history, named=False)
        for one in sorted(plain, key=lambda one: one.as_at, reverse=True)
    ]
    return SharedRecord(
        person=decision.person,
        demographics=_distinct(shown),
        labels=decision.labels,
        token=_TOKEN,
    )


def redact_read(
    decision: ReadDecision,
    demographics: Sequence[HeldDemographics],
    items: Sequence[HeldItem],
    sources: Sequence[SourceView],
    classes: Mapping[ClassId, AccessClass],
    at: Instant,
    *,
    headings: frozenset[Heading] | None = None,
    flags: Sequence[SafeguardingFlag] = (),
    present: frozenset[tuple[SourceId, Heading]] = frozenset(),
    none_said: Sequence[HeldItem] = (),
    terms: Terms | None = None,
) -> SharedRecord | None:
    """What a reader sees of a person. None: as if there were no such person.

    Args:
        items: those selected; of classes and keys not permitted, none is shown.
        sources: all sources of the partnership, the same that the decision was made with.
        headings: those asked for; None for all.
        flags: the person's safeguarding flags; shown only where the decision permits.
        present: source and heading of permitted items that are not among these: of other pages,
            or not asked for.
        none_said: items not among these by which a source says that it has none; of those that are
            permitted it is told so.
    """
    if decision.absent:
        return None
    strip, history = _strips(decision)
    chosen = _permitted(items, decision, headings)
    said = [*chosen, *_permitted(none_said, decision, headings)]
    write = as_shown(decision, demographics)
    shown = [_item(one, decision, write(one), strip=strip) for one in chosen]
    return SharedRecord(
        person=decision.person,
        demographics=_who(demographics, decision, strip=strip, history=history),
        items=tuple(shown),
        flags=_flags(flags, decision, terms or Terms(), at, unnamed=strip),
        silences=silences(decision, sources, said, headings, present, unnamed=strip),
        withheld=_withheld(decision, classes, headings, unnamed=strip),
        labels=decision.labels,
        obligations=decision.obligations,
        token=_TOKEN,
    )


def as_shown(
    decision: ReadDecision, demographics: Iterable[HeldDemographics]
) -> Callable[[HeldItem], CareItem]:
    """How items are written for the reader, by what their class obliges to. Whoever sorts items or
    searches among them goes by this, never by what is held: else what was left out could be found
    out by asking for it. Requires: items of permitted classes."""
    strip, history = _strips(decision)
    places = places_of(one.record for one in demographics) if strip else frozenset[str]()

    def write(held: HeldItem) -> CareItem:
        obligations = _obligations(decision, held)
        item = held.item
        if Obligation.PRESENCE_ONLY in obligations:
            item = notice(item, held.item_key)
            item = stripped_item(item, held.item_key, places) if strip else item
        elif Obligation.ATTENDANCE_ONLY in obligations:
            item = attendance(item, held.item_key)
        elif strip:
            item = stripped_item(item, held.item_key, places)
        elif item.heading is Heading.PERSONAL_CONTACT:
            item = without_contacts_home(item)
        return item if history else without_original(item)

    return write


def _strips(decision: ReadDecision) -> tuple[bool, bool]:
    """Whether places are left out, and whether history may stay."""
    obliged = decision.obligations
    return Obligation.STRIP_PLACES in obliged, Obligation.STRIP_HISTORY not in obliged


def _permitted(
    items: Iterable[HeldItem], decision: ReadDecision, headings: frozenset[Heading] | None
) -> list[HeldItem]:
    return [
        one
        for one in items
        if one.class_id in decision.permitted
        and one.item_key not in decision.hidden_items
        and (headings is None or one.item.heading in headings)
    ]


def _obligations(decision: ReadDecision, held: HeldItem) -> frozenset[Obligation]:
    permit = decision.classes[held.class_id]
    return permit.obligations if isinstance(permit, Permit) else frozenset()


def _former(held: AccessClass) -> bool:
    return Label.FORMER_IDENTITY in held.labels


def _distinct(shown: Sequence[SharedDemographics]) -> tuple[SharedDemographics, ...]:
    """Those that say different things, the newest of each, without when and whence."""
    kept: dict[tuple[object, ...], SharedDemographics] = {}
    for one in shown:
        said = (one.nhs_number and one.nhs_number.value, one.names, one.birth_date, one.gender)
        kept.setdefault((*said, one.death, one.addresses, one.telecoms, one.gp_practice), one)
    return tuple(kept.values())


def _who(
    demographics: Sequence[HeldDemographics], decision: ReadDecision, *, strip: bool, history: bool
) -> tuple[SharedDemographics, ...]:
    permitted = decision.permitted
    shown = [
        _demographics(
            one, whereabouts=one.whereabouts in permitted, history=history, named=not strip
        )
        for one in demographics
        if one.demographics in permitted
    ]
    return _distinct(shown) if strip else tuple(shown)


def _demographics(
    held: HeldDemographics, *, whereabouts: bool, history: bool, named: bool
) -> SharedDemographics:
    """One source's demographics. Not `named`: nothing tells which source it is."""
    record = held.record
    names = record.names
    if not history:
        names = tuple(one for one in names if one.use not in _OLD_NAMES)[:1]
    addresses, telecoms = (record.addresses, record.telecoms) if whereabouts else ((), ())
    return SharedDemographics(
        source=held.source if named else None,
        custodian=held.custodian if named else None,
        local_id=record.local_id if named else None,
        as_at=held.as_at if named else _day(held.as_at),
        received_at=held.received_at if named else _day(held.received_at),
        stale=held.stale,
        nhs_number=record.nhs_number,
        identifiers=record.identifiers if named and history else (),
        names=names,
        birth_date=record.birth_date,
        gender=record.gender,
        birth_sex=record.birth_sex if history else None,
        ethnicity=record.ethnicity if named else None,
        death=record.death,
        addresses=addresses if history else addresses[:1],
        telecoms=telecoms if history else telecoms[:1],
        gp_practice=record.gp_practice if whereabouts else None,
    )


def _item(held: HeldItem, decision: ReadDecision, item: CareItem, *, strip: bool) -> SharedItem:
    obligations = _obligations(decision, held)
    return SharedItem(
        item_key=held.item_key,
        item=item,
        source=None if strip else held.source,
        custodian=None if strip else held.custodian,
        recorded_at=item.recorded_at,
        received_at=_day(held.received_at) if strip else held.received_at,
        stale=held.stale,
        attendance_only=Obligation.ATTENDANCE_ONLY in obligations,
        presence_only=Obligation.PRESENCE_ONLY in obligations,
    )


def _day(moment: Instant) -> Instant:
    """The midnight before: the minute in which a feed came tells whose it was."""
    return Instant(f"{moment[:10]}T00:00:00Z")


def _flags(
    flags: Sequence[SafeguardingFlag],
    decision: ReadDecision,
    terms: Terms,
    at: Instant,
    *,
    unnamed: bool,
) -> tuple[FlagNotice, ...]:
    if isinstance(decision.flags, Refusal):
        return ()
    standing = [one for one in flags if flag_stands(one, terms, at)]
    return tuple(
        FlagNotice(
            one.kind,
            Ring("safeguarding team", None if unnamed else one.custodian, of_custodian=True),
        )
        for one in standing
    )


def _withheld(
    decision: ReadDecision,
    classes: Mapping[ClassId, AccessClass],
    headings: frozenset[Heading] | None,
    *,
    unnamed: bool,
) -> tuple[Withheld, ...]:
    """What may be told to be withheld beyond what is withheld of anybody: the record, labelled
    items, sealed items; where nothing else was asked for, who the person is. What a role or an
    agreement withholds of anybody is among the silences."""
    opening = decision.opening
    if isinstance(opening, Refusal):
        return (_told(opening, None, None),)
    found: dict[Withheld, None] = {}
    for key, one in decision.classes.items():
        held = classes[key]
        if not _tellable(one) or held.category in PERSONAL:
            continue
        ordinary = decision.ordinary.get((held.category, held.custodian))
        heading = Heading(held.category.value)
        if isinstance(ordinary, Refusal) or (headings is not None and heading not in headings):
            continue
        found[_told(one, heading, None if unnamed else held.source, unnamed=unnamed)] = None
    for one in decision.items.values():
        if _tellable(one):
            found[_told(one, None, None, unnamed=unnamed)] = None
    who = [
        one
        for key, one in decision.classes.items()
        if classes[key].category is Category.DEMOGRAPHICS
    ]
    if headings is not None and not headings and not any(isinstance(one, Permit) for one in who):
        found |= {_told(one, None, None, unnamed=unnamed): None for one in filter(_tellable, who)}
    return tuple(found)


def _tellable(decision: Permit | Refusal) -> bool:
    return isinstance(decision, Refusal) and decision.tell is Tell.MAY_BE_TOLD


def _told(
    decision: Permit | Refusal,
    heading: Heading | None,
    source: SourceId | None,
    *,
    unnamed: bool = False,
) -> Withheld:
    """Requires: a refusal that may be told."""
    assert isinstance(decision, Refusal)
    ring = decision.ring or Ring("IG officer")
    ring = replace(ring, organisation=None) if unnamed else ring
    return Withheld(heading, source, ring, decision.remedies)
