"""The matching core: tables in, tables out. No I/O, no clock, no database, no global random."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linkage.api import Linked, link
    from linkage.comparators import register
    from linkage.model import Model, uk_person

__all__ = ["Linked", "Model", "link", "register", "uk_person"]

_HOMES = {
    "Linked": "linkage.api",
    "link": "linkage.api",
    "register": "linkage.comparators",
    "Model": "linkage.model",
    "uk_person": "linkage.model",
}
"""Where each name lives: the engine is brought in by those who use it, not by all who share its
tables."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'linkage' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
