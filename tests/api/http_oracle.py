"""What each route must answer, worked out from the rules in plain Python over plain words.

Goes on from `tests.consent.oracle`, which says what may be read: here it is what a route makes of
it. An answer is a status, the items and words that must be in it, and those that may be.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.consent import oracle
from tests.consent.oracle import Asks, Thing

FINDS = oracle.READS.keys() - {"ig_officer", "data_team", "analyst", "person", "proxy"}
LOCATES = FINDS - {
    "pharmacist", "physiotherapist", "support_worker", "housing_officer", "volunteer_coordinator",
    "integration",
}  # fmt: skip
WRITES_WISHES = {
    "doctor", "gp", "psychiatrist", "nurse", "health_visitor", "care_coordinator", "social_worker",
    "safeguarding_lead", "team_manager", "practice_manager", "ig_officer",
}  # fmt: skip
BARS_STAFF = {"safeguarding_lead", "ig_officer"}
CODED = {
    "condition", "medication", "allergy", "observation", "procedure", "immunisation",
}  # fmt: skip
"""Headings whose words are told even of a restricted person, where they name no place."""


@dataclass(frozen=True)
class Sent:
    """An item as the oracle knows it."""

    thing: Thing
    kind: str
    first_kind: str
    word: str


@dataclass(frozen=True)
class Shown:
    """An item that must be shown: as which type; whether its words may be, or must not."""

    kind: str
    words: bool


@dataclass(frozen=True)
class Expected:
    """What must come back.

    Attributes:
        items: item's word → how it is shown. told: that something is withheld has to be said.
        names, places: words of records that must be shown, and no other of their sort.
        old_names: former names that must be shown.
    """

    status: int
    items: dict[str, Shown] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    old_names: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    told: bool = False


@dataclass(frozen=True)
class Record:
    """A record as the oracle knows it."""

    agreement: str
    name: str
    old_name: str
    place: str


def heard(agreement: str, purpose: str) -> str:
    """What the word for an agreement means for a purpose: all were made with one purpose in mind,
    direct care; two of them are for the others."""
    if agreement in ("other purpose", "narrowed") and purpose != "direct-care":
        return "agreed"
    return agreement


def reading(asks: Asks, thing: Thing) -> oracle.Answer:
    """Whether one thing may be read, where the scope may be for people and allergies."""
    held = Thing(thing.category, heard(thing.agreement, asks.purpose), thing.label)
    if asks.scope == "all" or thing.category in ("demographics", "whereabouts"):
        return oracle.reading(without_scope(asks), held)
    return oracle.reading(asks, held)


def without_scope(asks: Asks) -> Asks:
    """The same, by a token for everything."""
    return Asks(asks.role, asks.purpose, asks.ties, asks.wishes, asks.person, asks.active)


# --- reading -----------------------------------------------------------------------------------


def stripped(asks: Asks) -> bool:
    """Whether what is shown loses what its sender put around it."""
    return bool(
        {"strip-places", "strip-history"} & set(oracle.opening(without_scope(asks)).obliges)
    )


def shown(asks: Asks, sent: Sent) -> Shown | None:
    """How an item is shown; None where it is not."""
    answer = reading(asks, sent.thing)
    if answer.word != "permit":
        return None
    less = answer.obliges & {"attendance-only", "presence-only"}
    kind = sent.first_kind if less or stripped(asks) else sent.kind
    restricted = bool(asks.person & {"restricted", "household"})
    return Shown(kind, not less and (not restricted or sent.thing.category in CODED))


def record(asks: Asks, items: list[Sent], records: list[Record], types: set[str]) -> Expected:
    """A search of items of some types, or of the whole record."""
    opening = oracle.opening(without_scope(asks)).word
    if opening == "silent":
        return Expected(404)
    found = {one.word: how for one in items if (how := shown(asks, one)) and how.kind in types}
    told = opening == "told" or any(
        reading(asks, one.thing).word == "told" for one in items if one.kind in types
    )
    return Expected(200, found, *who(asks, records), told=told)


def who(asks: Asks, records: list[Record]) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Names, former names and places that a reader is shown."""
    if oracle.opening(without_scope(asks)).word != "permit":
        return frozenset(), frozenset(), frozenset()
    known = [
        one for one in records
        if reading(asks, Thing("demographics", one.agreement)).word == "permit"
    ]  # fmt: skip
    places = [
        one.place
        for one in known
        if reading(asks, Thing("whereabouts", one.agreement)).word == "permit"
    ]
    changed = "changed identity" in asks.person and "in identity team" not in asks.person
    old = frozenset[str]() if changed else frozenset(one.old_name for one in known)
    return frozenset(one.name for one in known), old, frozenset(places)


def read_patient(asks: Asks, records: list[Record]) -> Expected:
    """A read of who somebody is."""
    opening = oracle.opening(without_scope(asks)).word
    if opening != "permit":
        return Expected(404 if opening == "silent" else 403)
    names, old, places = who(asks, records)
    refused = {reading(asks, Thing("demographics", one.agreement)).word for one in records}
    if not names and "told" in refused:
        return Expected(403)
    return Expected(200, {}, names, old, places)


def read_item(asks: Asks, sent: Sent, kind: str) -> Expected:
    """A read of one item as one type."""
    answer = reading(asks, sent.thing)
    how = shown(asks, sent)
    if answer.word == "told" and kind in (sent.kind, sent.first_kind):
        return Expected(403)
    if how is None or how.kind != kind:
        return Expected(404)
    return Expected(200, {sent.word: how})


# --- tracing -----------------------------------------------------------------------------------


def trace(asks: Asks, records: list[Record], *, by_place: bool = False) -> Expected:
    """A search for persons: 200 with the person or without."""
    may = asks.role in FINDS and asks.purpose in oracle.PURPOSES[asks.role] and asks.active
    if not may or (by_place and asks.role not in LOCATES):
        return Expected(403)
    restricted = bool(asks.person & {"restricted", "household"})
    if unfound(asks) or (restricted and by_place):
        return Expected(200)
    out = bool(asks.wishes & {"opt-out", "gp-dissent"})
    located = asks.role in LOCATES and not restricted and not out
    changed = "changed identity" in asks.person and "in identity team" not in asks.person
    return Expected(
        200,
        {},
        frozenset(one.name for one in records),
        frozenset() if changed else frozenset(one.old_name for one in records),
        frozenset(one.place for one in records) if located else frozenset(),
    )


def unfound(asks: Asks) -> bool:
    """Whom a search leaves out."""
    former = "former identity" in asks.person and "in identity team" not in asks.person
    return former or "own" in asks.person or oracle.harmful(asks)


# --- declarations and wishes -------------------------------------------------------------------


def break_glass(asks: Asks, *, second: bool) -> Expected:
    """The declaration of an emergency."""
    if oracle.unknown_person(asks):
        return Expected(404)
    second = second or "glass with second" in asks.ties
    if oracle.staff(asks) and "bar me" in asks.wishes and not second:
        return Expected(404)
    named = "investigator" in asks.person and asks.role in oracle.TOLD_OF_FLAGS
    out = bool(asks.wishes & {"opt-out", "gp-dissent"})
    refused = (
        asks.role not in oracle.BREAKS_GLASS
        or asks.purpose not in oracle.PURPOSES[asks.role]
        or not asks.active
        or "own" in asks.person
        or ("dead long" in asks.person and asks.purpose != "safeguarding")
        or (out and not (named and asks.purpose == "safeguarding"))
    )
    return Expected(403 if refused else 201)


def claim(asks: Asks) -> Expected:
    """The claim of a relationship: of somebody whom a search would find."""
    finds = asks.role in FINDS and asks.purpose in oracle.PURPOSES[asks.role]
    if oracle.unknown_person(asks) or unfound(asks) or (asks.active and not finds):
        return Expected(404)
    return Expected(201 if asks.active and asks.role in oracle.CLAIMS else 403)


def directing(asks: Asks, kind: str, *, lifts: bool = False) -> str:
    """Whether a wish of a kind may be written: permit, told or silent. lifts: it opens something,
    for which one's own word that one cares for the person does not count."""
    if oracle.unknown_person(asks) or oracle.harmful(asks):
        return "silent"
    if asks.role == "proxy" and "competent on conditions" in asks.person:
        return "silent"
    if asks.purpose not in oracle.PURPOSES[asks.role] or not asks.active:
        return "told"
    if not oracle.staff(asks):
        return "permit" if _own_wish(asks, kind) else "told"
    able = asks.role in (BARS_STAFF if kind == "bar-staff" else WRITES_WISHES)
    tied = (
        bool(asks.ties & {"related"})
        or ("claimed" in asks.ties and asks.role in oracle.CLAIMS and not lifts)
        or "investigator" in asks.person
        or asks.role == "ig_officer"
    )
    return "permit" if able and tied and "own" not in asks.person else "told"


def _own_wish(asks: Asks, kind: str) -> bool:
    if asks.role == "person":
        small = "child of ten" in asks.person
        return not small
    stands = not asks.person & {"restricted", "household", "dead long", "dead lately", "no proxy"}
    young = "child of ten" in asks.person
    return stands and (kind in ("opt-out", "seal", "party") or (
        kind == "national-data-opt-out" and young
    ))  # fmt: skip
