"""What FHIR types consist of: elements, their cardinality and their types, as tables.

Rules:
- The tables are derived from the fhir.resources R4B models when a type is first met, and kept;
  nothing about a type is listed by hand.
- Each element carries a token, a number that is the same on every machine: shapes are built of
  tokens (adapters/fhir_check.py).
- A primitive's test follows the regular expressions of FHIR R4 (hl7.org/fhir/R4/datatypes.html).
  A test that says no raises a doubt; the models have the last word.
- R4B (4.3.0) stands in for R4 (4.0.1): the types a partnership shares are the same in both. Types
  that only R4 has are unknown here; `CHANGED_IN_R4B` lists those that were redesigned.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any

CHANGED_IN_R4B = frozenset({"Evidence", "EvidenceVariable"})
"""Resource types of R4 that R4B redesigned (hl7.org/fhir/R4B/history.html): a resource of these
that the R4B models reject may be good R4, so it is kept."""

LARGEST_EXPONENT = 300
"""Decimals beyond 10^±300 do not survive a reader that holds numbers in double precision."""

Test = Callable[[Any], object]


def _pattern(text: str) -> Test:
    return re.compile(text).fullmatch


_DAY = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_PARTIAL = r"[0-9]{4}(-(0[1-9]|1[0-2]))?"


def _dated(pattern: str) -> Test:
    """A test of the pattern that also wants a day that the calendar has."""
    match = re.compile(pattern).fullmatch

    def test(text: str) -> bool:
        if not match(text):
            return False
        if len(text) < 10:
            return True
        try:
            date.fromisoformat(text[:10])
        except ValueError:
            return False
        return True

    return test


def _whole(low: int, high: int) -> Test:
    return lambda number: low <= number <= high


def _decimal(number: Decimal | int) -> bool:
    if isinstance(number, int):
        return -(2**63) <= number < 2**63
    return number.is_finite() and (
        not number or -LARGEST_EXPONENT <= number.adjusted() <= LARGEST_EXPONENT
    )


@dataclass(frozen=True, slots=True)
class Primitive:
    """A FHIR primitive type: the Python types of its JSON form, and the test of a value of them.

    `test` None means that any non-empty text will do.
    """

    name: str
    classes: frozenset[type]
    test: Test | None


def _text(name: str, test: Test | None = None) -> Primitive:
    return Primitive(name, frozenset({str}), test)


_TEST_INT = _whole(-(2**31), 2**31 - 1)
PRIMITIVES: dict[str, Primitive] = {
    p.name: p
    for p in (
        _text("String"),
        _text("Markdown"),
        _text("Xhtml"),
        _text("Base64Binary", _pattern(r"(\s*[0-9A-Za-z+/=]\s*)*")),
        _text("Code", _pattern(r"\S+(\s\S+)*")),
        _text("Id", _pattern(r"[A-Za-z0-9\-.]{1,64}")),
        _text("Uri"),
        _text("Url"),
        _text("Canonical"),
        _text("Oid", _pattern(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+")),
        _text("Uuid", _pattern(r"(urn:uuid:)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")),
        _text("Date", lru_cache(maxsize=131_072)(_dated(rf"{_PARTIAL}|{_DAY}"))),
        _text("DateTime", _dated(rf"{_PARTIAL}|{_DAY}(T{_TIME}{_ZONE})?")),
        _text("Instant", _dated(rf"{_DAY}T{_TIME}{_ZONE}")),
        _text("Time", _pattern(_TIME)),
        Primitive("Boolean", frozenset({bool}), lambda _: True),
        Primitive("Integer", frozenset({int}), _TEST_INT),
        Primitive("UnsignedInt", frozenset({int}), _whole(0, 2**31 - 1)),
        Primitive("PositiveInt", frozenset({int}), _whole(1, 2**31 - 1)),
        Primitive("Decimal", frozenset({int, Decimal}), _decimal),
    )
}
RESOURCE = "Resource"
"""Type name of an element that holds any resource (contained, Bundle.entry.resource)."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type.

    Attributes:
        place: `Type.element`, for messages and counts.
        token: its number in shapes.
        many: whether its JSON is a list.
        primitive: its primitive type, or None.
        type_name: its complex type, `RESOURCE`, or '' for a primitive.
    """

    place: str
    token: int
    many: bool
    primitive: Primitive | None
    type_name: str


@dataclass(frozen=True, slots=True)
class Spec:
    """One complex type or resource type.

    Attributes:
        elements: by JSON key, the `_key` companions of primitives among them.
        required: keys that must be there (a primitive's companion will do instead).
        choices: groups of keys (`value[x]`) of which one must be there.
    """

    name: str
    token: int
    is_resource: bool
    elements: Mapping[str, Element]
    required: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]


@lru_cache(maxsize=4096)
def resource_spec(name: str) -> Spec | None:
    """The resource type of this name, or None where R4B has none."""
    spec = type_spec(name) if name.isalpha() else None
    return spec if spec is not None and spec.is_resource else None


@lru_cache(maxsize=4096)
def type_spec(name: str) -> Spec | None:
    """The complex or resource type of this name, or None where R4B has none."""
    from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415 - slow; when first needed

    try:
        model = get_fhir_model_class(name)
    except ValueError:
        return None
    bases = {base.__name__ for base in model.__mro__[1:]}
    is_resource = RESOURCE in bases and name != "DomainResource"
    elements: dict[str, Element] = {}
    required: list[str] = []
    choices: dict[str, list[str]] = {}
    for field_name, field in model.model_fields.items():
        key = field.alias or field_name
        if field_name == "fhir_comments":
            continue
        elements[key] = _element(name, key, field.annotation)
        extra = field.json_schema_extra or {}
        if field.is_required() or extra.get("element_required"):
            required.append(key)
        if extra.get("one_of_many_required"):
            choices.setdefault(extra["one_of_many"], []).append(key)
    if is_resource:
        place = f"{name}.resourceType"
        elements["resourceType"] = Element(place, token(place), False, PRIMITIVES["Code"], "")
    groups = tuple(tuple(keys) for keys in choices.values())
    return Spec(name, token(name), is_resource, elements, tuple(required), groups)


def token(place: str) -> int:
    """A number for a place, the same in every process."""
    return int.from_bytes(blake2b(place.encode(), digest_size=7).digest(), "big")


def _element(owner: str, key: str, annotation: Any) -> Element:
    place = f"{owner}.{key}"
    inner, many = _unwrapped(annotation)
    names = [type(mark).__name__ for mark in getattr(inner, "__metadata__", ())]
    if inner is bool:
        names = ["Boolean"]
    if "UuidVersion" in names:
        names = ["Uuid"]
    primitive = next((PRIMITIVES[n] for n in reversed(names) if n in PRIMITIVES), None)
    type_name = "" if primitive else inner.__name__.removesuffix("Type")
    return Element(place, token(place), many, primitive, type_name)


def _unwrapped(annotation: Any) -> tuple[Any, bool]:
    """The element type inside Optional and List, and whether there was a List."""
    many = False
    while not hasattr(annotation, "__metadata__"):
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is None:
            break
        many = many or origin is list
        annotation = next(a for a in arguments if a is not type(None))
    return annotation, many
