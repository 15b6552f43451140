"""Small readers of FHIR data types, used by every mapping.

Rules:
- Nothing here trusts a type: what is not the expected kind reads as absent. (The R4B models let
  some slips through, such as a text for a number.)
- A code that is not in our table reads as None and is counted as an issue by whoever asked.
- An extension is known by its last name, whichever home it had: CareConnect (STU3), UK Core, NHS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

import msgspec

from schemas.columns import canonical_json
from schemas.dates import Instant, PartialDate, parse_instant, parse_partial_date
from schemas.demographics import HumanName, Period
from schemas.errors import InvalidValue
from schemas.items import Coding

Issue = Callable[[str, str], None]
"""Counts (field, reason): `BatchBuilder.issue`."""


def text(value: Any) -> str | None:
    """A text without the space around it, or None."""
    return (value.strip() or None) if isinstance(value, str) else None


def texts(value: Any) -> list[str]:
    """The texts in a list."""
    if not isinstance(value, list):
        return []
    return [v.strip() for v in value if isinstance(v, str) and v.strip()]


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list, or the object itself."""
    if isinstance(value, dict):
        return [value]
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def obj(value: Any) -> dict[str, Any]:
    """The object, the first object of a list, or an empty one."""
    found = objects(value)
    return found[0] if found else {}


def at(node: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path, taking the first of each list on the way; None if nothing."""
    for key in path:
        if isinstance(node, list):
            node = node[0] if node else None
        if not isinstance(node, dict):
            return None
        node = node.get(key)
    return node


_EXTENSION_NAME = re.compile(
    r"https?://fhir\.(?:hl7\.org|nhs|interopen)\.(?:uk|net|org)/(?:.*/)?"
    r"(?:Extension-|extension-)?(?:UKCore-|CareConnect-|GPC-|DCH-|PDS-)*(.+?)(?:-[0-9]+)?"
)
_INTERNATIONAL = {
    "http://hl7.org/fhir/StructureDefinition/patient-birthTime": "birthTime",
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex": "BirthSex",
}


@lru_cache(maxsize=4096)
def extension_name(url: str) -> str:
    """The bare name of a UK or well-known extension ("EthnicCategory"); '' for any other."""
    match = _EXTENSION_NAME.fullmatch(url)
    return match[1] if match else _INTERNATIONAL.get(url, "")


def extensions(node: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(bare name, extension) of each known extension."""
    held = node.get("extension")
    if not held:
        return
    for extension in objects(held):
        url = extension.get("url")
        name = extension_name(url) if isinstance(url, str) else ""
        if name:
            yield name, extension


def first_code(concept: Any) -> str | None:
    """The first code of a CodeableConcept or Coding, or None."""
    for coding in objects(obj(concept).get("coding")) or objects(concept):
        code = text(coding.get("code"))
        if code:
            return code
    return None


def extension_code(extension: Mapping[str, Any]) -> str | None:
    """The code in an extension's value, whichever coded type it has."""
    return (
        first_code(extension.get("valueCodeableConcept"))
        or first_code(extension.get("valueCoding"))
        or text(extension.get("valueCode"))
    )


def codings(concept: Any) -> list[Coding]:
    """The codings of one or several CodeableConcepts or Codings."""
    found = []
    for entry in objects(concept):
        for coding in objects(entry.get("coding")) or [entry]:
            code = text(coding.get("code"))
            if code:
                system, display = text(coding.get("system")), text(coding.get("display"))
                found.append(Coding(code, system, display))
    return found


def concept_text(concept: Any) -> str | None:
    """What a CodeableConcept or Coding says in words: its text, else its first display."""
    for entry in objects(concept):
        said = text(entry.get("text")) or text(entry.get("display"))
        if said:
            return said
        for coding in objects(entry.get("coding")):
            if text(coding.get("display")):
                return text(coding.get("display"))
    return None


def partial_date(value: Any) -> PartialDate | None:
    """The day (or month, or year) of a FHIR date or dateTime, as the sender's clock had it."""
    sent = text(value)
    if sent is None:
        return None
    try:
        return parse_partial_date(sent[:10])
    except InvalidValue:
        return None


def moment(value: Any) -> PartialDate | Instant | None:
    """A FHIR date or dateTime: a partial date, or an instant in UTC where it has a time."""
    sent = text(value)
    if sent is None or len(sent) <= 10:
        return partial_date(sent)
    return instant(sent)


def instant(value: Any) -> Instant | None:
    """A FHIR instant in UTC, or None. A leap second counts as the second before it."""
    sent = text(value)
    if sent is None:
        return None
    try:
        return parse_instant(sent.replace(":60", ":59") if ":60" in sent else sent)
    except (InvalidValue, OverflowError):
        return None


def period(value: Any) -> Period | None:
    """A Period by days, or None where it has neither end."""
    if not isinstance(value, dict):
        return None
    start, end = partial_date(value.get("start")), partial_date(value.get("end"))
    return Period(start, end) if start or end else None


def has_ended(held: Period | None, today: str) -> bool:
    """Whether a period ended before the day, an ISO date."""
    return held is not None and held.end is not None and held.end < today[: len(held.end)]


def display_name(name: HumanName) -> str:
    """A name as one line."""
    parts = (name.prefix, *name.given, name.family, name.suffix)
    return name.text or " ".join(part for part in parts if part)


def held(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource to be kept as `original`: already as canonical bytes, which are written out as
    they are. A batch of thousands of nested dictionaries would keep the garbage collector busy for
    half of the time."""
    return cast("dict[str, Any]", msgspec.Raw(canonical_json(resource)))
