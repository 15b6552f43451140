"""`python -m bench.prior`: the prior that link-file is given on `bench.people`.

The shipped model with the six blocking rules that every engine uses there, none of their blocks
cut, and the guard rails that hold for any table: what the peers are asked to do, in our own terms.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from linkage.api import GUARDS
from linkage.model import Rule, uk_person

KEYS = (
    ("given", "birth_date"),
    ("family", "birth_date"),
    ("birth_date", "postcode"),
    ("given", "family"),
    ("phone",),
    ("given", "postcode"),
)
NO_CAP = 1_000_000


def write(path: Path) -> Path:
    """Writes the prior to a file; its path."""
    rules = tuple(Rule(", ".join(keys), keys, NO_CAP) for keys in KEYS)
    prior = msgspec.structs.replace(uk_person(), name="people", rules=rules, guards=GUARDS)
    path.write_bytes(prior.to_json())
    return path
