"""Who is asked for: search parameters and Patient resources, read as questions about a person.

Rules:
- The parameters and their meaning follow the NHS Personal Demographics Service FHIR API: names with
  wildcards after two characters, dates as ranges, fuzzy, exact, with history.
- A Patient resource is a description to match by (IHE PDQm [ITI-119]); what cannot be matched by is
  left aside, what is malformed is refused. Messages name the element, never its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api.outcomes import Refused
from api.params import MAX_VALUE, Kind, Param, Params, Span, date_span
from schemas.dates import PartialDate
from schemas.fhir_person import NHS_NUMBER
from service.sharing_asked import PersonQuery

PATIENT_PARAMS: tuple[Param, ...] = (
    Param("family", Kind.STRING, "Family name; * after two characters", personal=True),
    Param("given", Kind.STRING, "Given name; * after two characters", personal=True, many=5),
    Param("birthdate", Kind.DATE, "Birth date, or a range of them", personal=True, many=2),
    Param("death-date", Kind.DATE, "Date of death, or a range", personal=True, many=2),
    Param(
        "gender", Kind.TOKEN, "Administrative gender",
        choices=("male", "female", "other", "unknown"),
    ),
    Param("address-postalcode", Kind.STRING, "Postcode; * after two characters", personal=True),
    Param("general-practitioner", Kind.TOKEN, "ODS code of the practice", personal=True),
    Param("phone", Kind.TOKEN, "Telephone number", personal=True),
    Param("email", Kind.TOKEN, "E-mail address", personal=True),
    Param("identifier", Kind.TOKEN, "SYSTEM|VALUE, such as an NHS number", personal=True),
    Param("_id", Kind.TOKEN, "The partnership's id of the person"),
    Param("_fuzzy-match", Kind.FLAG, "What sounds or reads alike counts", standard=False),
    Param("_exact-match", Kind.FLAG, "Only what is current counts", standard=False),
    Param("_history", Kind.FLAG, "Former names and addresses count", standard=False),
    Param("_max-results", Kind.NUMBER, "1 to 50; for systems 1", standard=False),
)  # fmt: skip

_FIELD_OF_PARAM = {
    "family": "family",
    "gender": "gender",
    "general-practitioner": "gp_practice",
}
_LIST_OF_PARAM = {
    "given": "given",
    "address-postalcode": "postcode",
    "phone": "phone",
    "email": "email",
}
_WILD = frozenset({"family", "given", "address-postalcode"})
MOST_ELEMENTS = 20
"""Names, numbers, addresses and the like, each, that a person is described by: more is no
description, but work."""


def person_query(params: Params) -> PersonQuery:
    """The question of a Patient search, without `identifier` and `_id`. Raises: Refused."""
    fields: dict[str, Any] = {}
    for name, field in _FIELD_OF_PARAM.items():
        value = params.one(name)
        if value is not None:
            fields[field] = value.rpartition("|")[2] if name == "general-practitioner" else value
    for name, field in _LIST_OF_PARAM.items():
        if name in params:
            fields[field] = params.all(name)
    for name in _WILD:
        for value in params.all(name):
            _check_wildcard(name, value)
    most = params.number("_max-results", 50, 1, 1_000_000_000)
    return PersonQuery(
        fields=fields,
        born=_range(params, "birthdate"),
        died=_range(params, "death-date"),
        fuzzy=params.flag("_fuzzy-match"),
        exact=params.flag("_exact-match"),
        history=params.flag("_history"),
        max_results=most if "_max-results" in params else None,
    )


def _check_wildcard(name: str, value: str) -> None:
    if "*" in value and len(value.partition("*")[0].strip()) < 2:
        raise Refused("INVALID_VALUE", f"{name}: expected two characters or more before a *")


def _range(params: Params, name: str) -> tuple[PartialDate | None, PartialDate | None]:
    span = date_span(name, params.all(name)) if name in params else Span()
    if span.start and span.end and span.start > span.end:
        raise Refused("INVALID_VALUE", f"{name}: the range ends before it begins")
    return (
        PartialDate(span.start) if span.start else None,
        PartialDate(span.end) if span.end else None,
    )


def split_identifier(name: str, value: str) -> tuple[str, str]:
    """SYSTEM|VALUE as its parts. Raises: Refused."""
    system, bar, number = value.partition("|")
    if len(value) > MAX_VALUE or "\0" in value:
        raise Refused("INVALID_VALUE", f"{name}: too long, or not text")
    if not bar or not system or not number:
        raise Refused("INVALID_VALUE", f"{name}: expected SYSTEM|VALUE")
    return system, number.strip()


def described(patient: Any) -> dict[str, Any]:
    """What a Patient resource says, as fields of `service.matching`. Raises: Refused."""
    if not isinstance(patient, dict) or patient.get("resourceType") != "Patient":
        raise Refused("INVALID_RESOURCE", "expected a Patient to match by")
    fields: dict[str, Any] = {}
    _names(patient, fields)
    _identifiers(patient, fields)
    _addresses(patient, fields)
    for system, field in (("phone", "phone"), ("email", "email")):
        found = [
            _text(t, "value") for t in _objects(patient, "telecom") if t.get("system") == system
        ]
        _put(fields, field, [value for value in found if value])
    for element, field in (("birthDate", "birth_date"), ("gender", "gender")):
        _put(fields, field, _text(patient, element))
    died = _text(patient, "deceasedDateTime")
    _put(fields, "death", died[:10] if died else None)
    practices = [
        _text(p.get("identifier"), "value") for p in _objects(patient, "generalPractitioner")
    ]
    _put(fields, "gp_practice", next((code for code in practices if code), None))
    return fields


def _names(patient: dict[str, Any], fields: dict[str, Any]) -> None:
    """The current name first; former ones count too."""
    names = sorted(_objects(patient, "name"), key=lambda name: name.get("use") in ("old", "maiden"))
    families = [_text(name, "family") for name in names]
    given = [" ".join(_texts(name, "given")) for name in names]
    _put(fields, "family", [value for value in families if value])
    _put(fields, "given", [value for value in given if value])
    if not fields:
        texts = [_text(name, "text") for name in names]
        _put(fields, "name_text", [value for value in texts if value])


def _identifiers(patient: dict[str, Any], fields: dict[str, Any]) -> None:
    others = []
    for one in _objects(patient, "identifier"):
        system, value = _text(one, "system"), _text(one, "value")
        if system == NHS_NUMBER and value:
            _put(fields, "nhs_number", value)
        elif system and value:
            others.append(f"{system}|{value}")
    _put(fields, "identifier", others)


def _addresses(patient: dict[str, Any], fields: dict[str, Any]) -> None:
    postcodes, lines = [], []
    for one in _objects(patient, "address"):
        postcode = _text(one, "postalCode")
        line = ", ".join(_texts(one, "line")) or _text(one, "text")
        postcodes += [postcode] if postcode else []
        lines += [line] if line else []
    _put(fields, "postcode", postcodes)
    _put(fields, "address", lines)


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    if value:
        fields[name] = value


def _objects(holder: dict[str, Any], element: str) -> Iterator[dict[str, Any]]:
    """The objects of a repeating element. Raises: Refused."""
    held = holder.get(element, [])
    if not isinstance(held, list) or not all(isinstance(one, dict) for one in held):
        raise Refused("INVALID_RESOURCE", f"Patient.{element}: expected a list of objects")
    _check_many(element, held)
    yield from held


def _text(holder: Any, element: str) -> str | None:
    value = holder.get(element) if isinstance(holder, dict) else None
    if value is not None and not isinstance(value, str):
        raise Refused("INVALID_RESOURCE", f"{element}: expected a text")
    return _checked(element, value) if value else None


def _texts(holder: dict[str, Any], element: str) -> list[str]:
    held = holder.get(element, [])
    if not isinstance(held, list) or not all(isinstance(one, str) for one in held):
        raise Refused("INVALID_RESOURCE", f"{element}: expected a list of texts")
    _check_many(element, held)
    return [_checked(element, one) for one in held if one.strip()]


def _check_many(element: str, held: list[Any]) -> None:
    if len(held) > MOST_ELEMENTS:
        raise Refused("INVALID_RESOURCE", f"{element}: expected at most {MOST_ELEMENTS} of it")


def _checked(element: str, text: str) -> str:
    if len(text) > MAX_VALUE or "\0" in text:
        raise Refused("INVALID_RESOURCE", f"{element}: too long, or not text")
    return text.strip()
