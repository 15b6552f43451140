"""SMART App Launch v2 scopes: which resource types a token lets its bearer read, search, create.

Rules:
- A scope is LEVEL/TYPE.LETTERS: letters out of c, r, u, d, s, in that order; the former words read
  (rs), write (cud) and * (cruds) are understood.
- A scope narrowed by a query (`?category=…`) grants nothing: that it does not narrow must not be
  assumed, and how it narrows is not known here. So does a patient scope: no launch gave a patient.
- Scopes only ever narrow. Who sees what is decided by consent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SCOPE = re.compile(r"(user|system)/(\*|[A-Z][A-Za-z]*)\.([a-z*]+)")
_FORMER = {"read": "rs", "write": "cud", "*": "cruds"}
_LETTERS = re.compile(r"c?r?u?d?s?")


def granted(scopes: Iterable[str] | None, system: bool) -> dict[str, frozenset[str]] | None:
    """Resource type (or `*`) → letters, of those scopes that are for a system or for a user; None
    where no scopes narrow anything."""
    if scopes is None:
        return None
    level = "system" if system else "user"
    found: dict[str, frozenset[str]] = {}
    for scope in scopes:
        match = _SCOPE.fullmatch(scope)
        if match is None or match.group(1) != level:
            continue
        letters = _FORMER.get(match.group(3), match.group(3))
        if _LETTERS.fullmatch(letters):
            kind = match.group(2)
            found[kind] = found.get(kind, frozenset()) | frozenset(letters)
    return found


def allows(grants: dict[str, frozenset[str]] | None, kind: str, letter: str) -> bool:
    """Whether resources of a type may be read (r), searched (s), created (c)."""
    if grants is None:
        return True
    return any(letter in grants.get(name, ()) for name in (kind, "*"))
