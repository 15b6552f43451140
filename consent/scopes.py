"""What a token is for: SMART on FHIR v2 scopes, as categories.

Rules:
- `user/AllergyIntolerance.rs` is for reading and searching one type; `*` for all; version 1's
  `.read` and `.*` count as `rs` and as everything.
- A scope with a query (`?category=…`) narrows in a way that is not kept here: it grants nothing.
- What cannot be read grants nothing.
"""

from __future__ import annotations

import re

from schemas.items import HEADINGS
from schemas.sharing import PERSONAL, Category

_SCOPE = re.compile(r"(?:user|system|patient)/([A-Za-z]+|\*)\.(read|\*|c?r?u?d?s?)")
ALL: frozenset[Category] = frozenset(Category)
PERSON_TYPE = "Patient"


def _by_type() -> dict[str, frozenset[Category]]:
    found: dict[str, set[Category]] = {PERSON_TYPE: set(PERSONAL)}
    for heading, spec in HEADINGS.items():
        for name in spec.fhir_types:
            found.setdefault(name, set()).add(Category(heading.value))
    return {name: frozenset(categories) for name, categories in found.items()}


CATEGORIES_OF_TYPE = _by_type()
"""FHIR resource type → categories that it shows."""


def categories_in(scopes: frozenset[str] | None) -> frozenset[Category]:
    """The categories that scopes let a token read; all of them where the way in knows none."""
    if scopes is None:
        return ALL
    found: set[Category] = set()
    for scope in scopes:
        match = _SCOPE.fullmatch(scope)
        if match is None:
            continue
        name, letters = match.groups()
        if letters in ("read", "*") or "r" in letters:
            found |= ALL if name == "*" else CATEGORIES_OF_TYPE.get(name, frozenset())
    return frozenset(found)
