"""A strict decoder for each FHIR resource type, at the speed of C.

Rules:
- The structs are made from the tables of adapters/fhir_spec.py when a type is first met: they know
  its elements, refuse any other, and test lists, types, formats and ranges while decoding.
- They say yes only to what is right beyond doubt. A no is no verdict: the walk of
  adapters/fhir_check.py finds out. Some right things get a no: nulls, contained resources (of any
  type), a 29 February.
"""

from __future__ import annotations

import keyword
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct

from adapters.fhir_spec import RESOURCE, Element, Spec, type_spec

_LONG, _SHORT = r"(0[13578]|1[02])", r"(0[469]|11)"
_DAY = (
    rf"[0-9]{{4}}-({_LONG}-(0[1-9]|[12][0-9]|3[01])|{_SHORT}-(0[1-9]|[12][0-9]|30)"
    r"|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_PARTIAL = r"[0-9]{4}(-(0[1-9]|1[0-2]))?"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"


def _text(pattern: str) -> Any:
    return Annotated[str, Meta(pattern=rf"\A(?:{pattern})\Z")]


def _whole(low: int, high: int) -> Any:
    return Annotated[int, Meta(ge=low, le=high)]


_ANY_TEXT = Annotated[str, Meta(min_length=1)]
_TYPES: dict[str, Any] = {
    "String": _ANY_TEXT,
    "Markdown": _ANY_TEXT,
    "Xhtml": _ANY_TEXT,
    "Base64Binary": _text(r"[0-9A-Za-z+/=]*"),
    "Code": _text(r"[^\s]+(\s[^\s]+)*"),
    "Id": _text(r"[A-Za-z0-9\-.]{1,64}"),
    "Uri": _ANY_TEXT,
    "Url": _ANY_TEXT,
    "Canonical": _ANY_TEXT,
    "Oid": _text(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+"),
    "Uuid": _text(r"urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    "Date": _text(rf"{_DAY}|{_PARTIAL}"),
    "DateTime": _text(rf"{_DAY}(T{_TIME}{_ZONE})?|{_PARTIAL}"),
    "Instant": _text(rf"{_DAY}T{_TIME}{_ZONE}"),
    "Time": _text(_TIME),
    "Boolean": bool,
    "Integer": _whole(-(2**31), 2**31 - 1),
    "UnsignedInt": _whole(0, 2**31 - 1),
    "PositiveInt": _whole(1, 2**31 - 1),
    "Decimal": float,
}


@lru_cache(maxsize=512)
def strict_decoder(name: str) -> msgspec.json.Decoder[Any] | None:
    """The decoder of a resource type, or None for a type that R4B does not have."""
    spec = type_spec(name)
    return msgspec.json.Decoder(_struct(name)) if spec is not None and spec.is_resource else None


_STRUCTS: dict[str, type[Struct]] = {}


def _struct(name: str) -> type[Struct]:
    """The struct of a type, with those of all types that it leads to."""
    if name in _STRUCTS:
        return _STRUCTS[name]
    spec = type_spec(name)
    assert spec is not None
    fields = [
        (_field_name(key), _annotation(element), *_default(spec, key))
        for key, element in spec.elements.items()
        if element.type_name != RESOURCE
    ]
    fields.sort(key=len)  # those without a default first
    names = {_field_name(key): key for key in spec.elements}
    # Annotations are texts, looked up in the class itself: types lead back to themselves.
    struct = msgspec.defstruct(
        _alias(name),
        fields,
        rename=names,
        forbid_unknown_fields=True,
        gc=False,
        namespace={"_types": _TYPES},
    )
    _STRUCTS[name] = struct
    for element in spec.elements.values():
        if element.type_name and element.type_name != RESOURCE:
            setattr(struct, _alias(element.type_name), _struct(element.type_name))
    return struct


def _alias(type_name: str) -> str:
    return f"Strict{type_name}"


def _field_name(key: str) -> str:
    return f"{key}_" if keyword.iskeyword(key) else key.replace("_", "ext_", 1)


def _annotation(element: Element) -> Any:
    if element.primitive is not None:
        held = f"_types['{element.primitive.name}']"
    else:
        held = _alias(element.type_name)
    return f"list[{held}]" if element.many else held


def _default(spec: Spec, key: str) -> tuple[Any, ...]:
    return () if key in spec.required else (UNSET,)
