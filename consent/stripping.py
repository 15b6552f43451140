"""Care items with less in them: attendance only, presence only, nothing that names a place.

Rules:
- What is left out leaves no trace of its value, nor of the source's id of the item.
- Under the clinical headings what an item says is kept if it is coded in a national code system or
  is not one of the words of the person's own addresses; elsewhere free text is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import msgspec

from schemas.items import CareItem, Coding, Heading
from schemas.records import ClientRecord

NATIONAL = frozenset(
    {
        "http://snomed.info/sct",
        "http://read.info/readv2",
        "http://read.info/ctv3",
        "http://loinc.org",
        "http://hl7.org/fhir/sid/icd-10",
        "https://dmd.nhs.uk",
    }
)
"""Code systems whose codes tell of no place."""

CLINICAL = frozenset(
    {
        Heading.CONDITION, Heading.MEDICATION, Heading.ALLERGY, Heading.OBSERVATION,
        Heading.PROCEDURE, Heading.IMMUNISATION,
    }
)  # fmt: skip
"""Headings whose words are kept of a restricted person, if they name none of their places."""

KEPT_DETAILS = frozenset(
    {
        "value", "unit", "units", "range", "abnormal", "severity", "criticality", "reactions",
        "dose", "dosage", "route", "frequency", "type", "priority", "empty_reason",
    }
)  # fmt: skip
"""Details that tell of no place; all others are left out of a restricted person's items."""

_HOME = frozenset({"address", "addresses", "contained", "text", "photo"})
"""Where a contact's home stands: in FHIR, and among the details of other formats. What is contained
in a resource and its narrative repeat it; a photograph shows the person."""
LEFT_OUT = "Entered; the words are left out"
ATTENDED = "Attendance"
NOTICE = "There is an entry: ring its custodian"
_POSTCODE = re.compile(r"\b[A-Z]{1,2}[0-9][A-Z0-9]?\s*[0-9][A-Z]{2}\b", re.IGNORECASE)
_WORDS = re.compile(r"[^\W_]+")


def attendance(item: CareItem, key: str) -> CareItem:
    """That there was a contact, its state and when; under an opaque id."""
    return CareItem(
        heading=item.heading,
        item_id=key,
        subject=None,
        text=ATTENDED,
        status=item.status,
        start=item.start,
        end=item.end,
        recorded_at=item.recorded_at,
    )


def notice(item: CareItem, key: str) -> CareItem:
    """That there is an entry; under an opaque id. The custodian, whom to ring, stays."""
    return CareItem(
        heading=item.heading,
        item_id=key,
        subject=None,
        text=NOTICE,
        author=NOTICE,
        organisation=item.organisation,
    )


def without_original(item: CareItem) -> CareItem:
    """The item without what its source sent around it, which can hold a former name."""
    return msgspec.structs.replace(item, original=None, details={})


def without_contacts_home(item: CareItem) -> CareItem:
    """A personal contact without where that person lives: they have a record, wishes and perhaps a
    restriction of their own, which are not asked here. How to reach them stays."""
    original = item.original and {k: v for k, v in item.original.items() if k not in _HOME}
    details = {name: value for name, value in item.details.items() if name not in _HOME}
    return msgspec.structs.replace(item, original=original, details=details)


def stripped_item(item: CareItem, key: str, places: Collection[str]) -> CareItem:
    """The item of a restricted person, without anything that tells where they are."""
    clinical = item.heading in CLINICAL
    codes = tuple(_code(one, places) for one in item.codes if one.system in NATIONAL)
    text = item.text if clinical and not mentions(item.text, places) else None
    local = next((one.display for one in item.codes if one.display), None) if clinical else None
    if not text and not codes:
        text = local if local and not mentions(local, places) else LEFT_OUT
    details = {
        name: value
        for name, value in item.details.items()
        if name in KEPT_DETAILS and not mentions(str(value), places)
    }
    return CareItem(
        heading=item.heading,
        item_id=key,
        subject=None,
        codes=codes,
        text=text,
        status=item.status,
        start=item.start,
        end=item.end,
        recorded_at=item.recorded_at,
        sensitivity=(),
        details=details if clinical else {},
    )


def _code(one: Coding, places: Collection[str]) -> Coding:
    return Coding(one.code, one.system) if mentions(one.display, places) else one


def places_of(records: Iterable[ClientRecord]) -> frozenset[str]:
    """Words, folded, by which the person's places could be known: of address lines (not numbers
    and not words of three letters or fewer), postcodes, telephone numbers, e-mail addresses."""
    found: set[str] = set()
    for record in records:
        for address in record.addresses:
            words = _WORDS.findall(" ".join(address.lines).casefold())
            found |= {word for word in words if len(word) > 3 and not word.isdigit()} - _COMMON
            if address.postcode:
                found.add(_folded(address.postcode))
        found |= {_folded(one.value) for one in record.telecoms}
    return frozenset(word for word in found if word)


_COMMON = frozenset(
    {
        "road", "street", "avenue", "lane", "close", "drive", "court", "house", "flat", "place",
        "gardens", "terrace", "crescent", "square", "hill", "park", "view", "green", "grove",
        "north", "south", "east", "west", "upper", "lower", "high", "floor", "care", "home",
        "left", "right", "white", "black", "blood", "heart",
    }
)  # fmt: skip
"""Words of addresses that are words of everything."""


def mentions(text: str | None, places: Collection[str]) -> bool:
    """Whether a text holds a postcode, or one of these words, numbers or addresses."""
    if not text:
        return False
    folded, words = _folded(text), set(_WORDS.findall(text.casefold()))
    return bool(_POSTCODE.search(text)) or any(
        place in words or (not place.isalpha() and place in folded) for place in places
    )


def _folded(text: str) -> str:
    return "".join(text.casefold().split())
