"""Whether a resource is FHIR R4: our own check of every one, the R4B models for the doubtful.

Rules:
- Every resource is walked once, against the tables of adapters/fhir_spec.py. The walk tests the
  format of every primitive, the presence of what is required, and lists against single values;
  and it gives the resource's *shape*: a number for the set of its key paths.
- The models of fhir.resources (R4B) are the oracle. They check a shape not met before in the feed,
  one unit in `SAMPLE_ONE_IN` (by a hash of its bytes), and every resource that the walk doubts.
- What the oracle rejects is `bad_resource`. What it lets through although the walk doubted it is
  kept, and the doubt is counted as an issue.
- A type that R4B does not have cannot be checked: it is kept and counted.
- Some things no reader can hold or hand on, whatever the models say: objects deeper than
  `MAX_DEPTH`, numbers outside double precision, a key that stands twice, a NUL in a text.
- Most resources take the quick way: their layout (keys in order) was met before, so that their
  shape is known, and a strict decoder (adapters/fhir_strict.py) finds every value of its type.
- A message names elements of FHIR and kinds of error. Keys that FHIR does not know may be
  anybody's words: they are written `?`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from pydantic import ValidationError

from adapters.fhir_json import DoubledKeys, count_keys, decode_document, doubled, keys_in
from adapters.fhir_spec import CHANGED_IN_R4B, RESOURCE, Element, Spec, resource_spec, type_spec
from adapters.fhir_strict import strict_decoder

MAX_DEPTH = 50
"""Objects and lists inside each other. Real resources stay below 20; the oracle copes with 100."""
SAMPLE_ONE_IN = 100
MAX_SHAPES = 200_000
"""Shapes remembered per feed; further ones go to the oracle each time."""
_NAMED_ERRORS = 5

_UNKNOWN, _NULL, _WRONG = 1, 2, 3
"""Tokens of shapes for what is not in the tables, for null, and for a value of the wrong kind."""


@dataclass(frozen=True)
class Verdict:
    """What became of one resource.

    Attributes:
        reason: a key of `schemas.records.REASONS` when it is rejected, else ''.
        field: the element at fault, '' for the whole.
        message: for a person; no values.
        issues: (place, reason) of what was doubted and kept.
    """

    reason: str = ""
    field: str = ""
    message: str = ""
    issues: tuple[tuple[str, str], ...] = ()


_GOOD = Verdict()
_TOO_DEEP = Verdict("bad_syntax", "", "objects and lists nest too deeply")


def in_sample(raw: bytes) -> bool:
    """Whether the oracle sees this unit whatever its shape."""
    return not zlib.crc32(raw) % SAMPLE_ONE_IN


def _layout(node: dict[str, Any]) -> int:
    """A number for the keys of an object and all that it holds, in their order and number. One
    shape has many layouts; a layout has one shape."""
    parts: list[Any] = [*node]
    for value in node.values():
        cls = value.__class__
        if cls is dict:
            parts.append(_layout(value))
        elif cls is list:
            parts.append(len(value))
            parts.extend([_layout(entry) for entry in value if entry.__class__ is dict])
    return hash(tuple(parts))


class Checker:
    """Checks the resources of one feed; remembers the shapes that the oracle let through."""

    def __init__(self) -> None:
        self._shapes: set[int] = set()
        self._layouts: dict[tuple[str, int], int] = {}

    def check(self, resource: Any, raw: bytes, suspect: bool = False) -> Verdict:
        """The verdict on one decoded resource.

        Args:
            resource: any decoded JSON value.
            raw: its bytes, or canonical JSON.
            suspect: whether it may hold doubled keys or NULs, to be looked for.
        """
        if not isinstance(resource, dict):
            return Verdict("bad_resource", "", f"expected an object; got {_kind(resource)}")
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or not kind:
            return Verdict(
                "bad_resource", "resourceType", f"expected a resource type; got {_kind(kind)}"
            )
        try:
            layout = (kind, _layout(resource))
        except RecursionError:
            return _TOO_DEEP
        if not suspect and self._known_good(layout, raw):
            return _GOOD
        return self._walk(resource, layout, raw, suspect)

    def _known_good(self, layout: tuple[str, int], raw: bytes) -> bool:
        """The quick way: a layout met before, outside the sample, strictly right."""
        if self._layouts.get(layout) != keys_in(raw) or in_sample(raw):
            return False
        decoder = strict_decoder(layout[0])
        try:
            return decoder is not None and decoder.decode(raw) is not None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False

    def _walk(
        self, resource: dict[str, Any], layout: tuple[str, int], raw: bytes, suspect: bool
    ) -> Verdict:
        if doubled(raw, resource):
            decoded = decode_document(raw)
            if decoded.reason:
                return Verdict(decoded.reason, "", decoded.message)
            resource, suspect = decoded.value, suspect or decoded.suspect
        spec = resource_spec(layout[0])
        walk = Walk()
        shape = walk.resource(resource, spec) if spec else _UNKNOWN
        if walk.doubts or suspect or spec is None:
            fault = next(_impossible(resource), None)
            if fault:
                return fault
        if spec is None:
            return Verdict(issues=(("resourceType", "not_supported"),))
        if walk.doubts or shape not in self._shapes or in_sample(raw):
            verdict = self._ask_oracle(resource, spec, shape, tuple(sorted(walk.doubts)))
            if verdict is not _GOOD:
                return verdict
        if len(self._layouts) < MAX_SHAPES:
            self._layouts[layout] = count_keys(resource)
        return _GOOD

    def _ask_oracle(
        self, resource: dict[str, Any], spec: Spec, shape: int, doubts: tuple[str, ...]
    ) -> Verdict:
        errors = oracle_errors(resource, spec)
        if not errors:
            if doubts:
                return Verdict(issues=tuple((place, "bad_value") for place in doubts))
            if len(self._shapes) < MAX_SHAPES:
                self._shapes.add(shape)
            return _GOOD
        if spec.name in CHANGED_IN_R4B:
            return Verdict(issues=((spec.name, "bad_resource"),))
        named = ", ".join(f"{place} ({kind})" for place, kind in errors[:_NAMED_ERRORS])
        more = f" and {len(errors) - _NAMED_ERRORS} more" if len(errors) > _NAMED_ERRORS else ""
        return Verdict("bad_resource", errors[0][0], f"breaks FHIR R4 at {named}{more}")


class Walk:
    """One walk over a resource: its shape, and the places that are doubtful."""

    __slots__ = ("doubts",)

    def __init__(self) -> None:
        self.doubts: set[str] = set()

    def resource(self, node: dict[str, Any], spec: Spec) -> int:
        """The shape of a resource of the given type."""
        return self._object(node, spec, 0)

    def _object(self, node: dict[str, Any], spec: Spec, depth: int) -> int:
        if depth > MAX_DEPTH or not node:
            self.doubts.add(spec.name)
            return _WRONG
        elements = spec.elements
        parts = [spec.token]
        for key, value in node.items():
            element = elements.get(key)
            if element is None:
                self.doubts.add(f"{spec.name}.?")
                parts.append(_UNKNOWN)
            elif not element.many:
                parts.append(self._one(element, value, depth))
            elif value.__class__ is list and value:
                inner = frozenset([self._one(element, v, depth, True) for v in value])
                parts.append(hash((element.token, inner)))
            else:
                self.doubts.add(element.place)
                parts.append(_WRONG)
        if spec.required or spec.choices:
            self._presence(node, spec)
        return hash(frozenset(parts))

    def _one(self, element: Element, value: Any, depth: int, in_list: bool = False) -> int:
        cls = value.__class__
        primitive = element.primitive
        if primitive is not None:
            if cls in primitive.classes:
                test = primitive.test
                if value == "" or (test is not None and not test(value)):
                    self.doubts.add(element.place)
                return element.token
        elif cls is dict:
            spec = (
                _held_resource(value)
                if element.type_name == RESOURCE
                else type_spec(element.type_name)
            )
            if spec is not None:
                return hash((element.token, self._object(value, spec, depth + 1)))
        if value is None and in_list:
            return _NULL
        self.doubts.add(element.place)
        return _WRONG

    def _presence(self, node: dict[str, Any], spec: Spec) -> None:
        for key in spec.required:
            if key not in node and f"_{key}" not in node:
                self.doubts.add(f"{spec.name}.{key}")
        for keys in spec.choices:
            if not any(key in node or f"_{key}" in node for key in keys):
                self.doubts.add(f"{spec.name}.{keys[0]}")


def _held_resource(node: dict[str, Any]) -> Spec | None:
    kind = node.get("resourceType")
    return resource_spec(kind) if isinstance(kind, str) else None


def _impossible(resource: dict[str, Any]) -> Iterator[Verdict]:
    """What no reader can hold, found without recursion."""
    pending: list[tuple[Any, int]] = [(resource, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > 2 * MAX_DEPTH:
            yield _TOO_DEEP
            return
        inner: Iterable[Any] = ()
        if isinstance(node, DoubledKeys):
            yield Verdict("bad_syntax", "", "a key stands twice in one object")
        if isinstance(node, dict):
            inner = (*node.keys(), *node.values())
        elif isinstance(node, list):
            inner = node
        elif isinstance(node, str):
            if "\0" in node:
                yield Verdict("nul", "", "a text holds a NUL character")
        elif not _in_range(node):
            yield Verdict("bad_resource", "", "a number is outside the range of double precision")
        pending.extend((value, depth + 1) for value in inner)


def _in_range(value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and (not value or abs(value.adjusted()) <= 300)
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def oracle_errors(resource: dict[str, Any], spec: Spec) -> list[tuple[str, str]]:
    """(element path, kind of error) for each fault that the R4B models find."""
    from fhir.resources.R4B import get_fhir_model_class  # noqa: PLC0415 - slow; when first needed

    try:
        get_fhir_model_class(spec.name).model_validate(resource)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return [(_place(e["loc"], spec), e["type"]) for e in found]
    except Exception as error:
        # On hostile input the models raise KeyError and others beside their own error.
        return [(spec.name, type(error).__name__)]
    return []


def _place(location: tuple[int | str, ...], spec: Spec) -> str:
    """A pydantic location as a FHIR path, with only names that the tables know."""
    path, here = spec.name, spec
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
            continue
        element = here.elements.get(part.removesuffix("__ext"))
        if element is None:
            return f"{path}.?"
        path = f"{path}.{part}"
        here = type_spec(element.type_name) or here if element.type_name else here
    return path


def _kind(value: Any) -> str:
    """A JSON value's kind in words."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    if value is None:
        return "nothing"
    return kinds.get(type(value), "a number")
