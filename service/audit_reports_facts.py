"""What reports take from detection: what explains an access, and who bears whose surname.

Rules:
- A report asks detection; it explains nothing by itself, so that an alert and a report never say
  two things of one access.
- Surnames are compared here and told nowhere.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from audit.detect_explain import explain
from audit.detect_facts import NOBODY, OUTCOMES, Accesses, Facts, Vocabulary, accesses, vocabulary
from audit.detect_levels import LEVELS, NONE
from service.audit_reports import Leaves

_PERMITTED = OUTCOMES.index("permitted")
LEVEL_WORDS: dict[str, str] = {
    "none": "",
    "standing": "with the organisation as such",
    "episode": "with the organisation",
    "own": "with the member of staff or their team",
}
"""How close a tie is → in words that follow what it is."""
assert tuple(LEVEL_WORDS) == LEVELS  # detection names them


def explanations(events: pa.Table, facts: Facts, zone: str) -> dict[int, str]:
    """Leaf of each permitted opening of a person's record → what explains it; "" for nothing."""
    rows, words = _rows(events, facts, zone)
    found = explain(rows, facts, words)
    told: dict[int, str] = {}
    for at in np.flatnonzero(rows.opens & (rows.outcome == _PERMITTED)).tolist():
        leaf = int(rows.leaf[at])
        level = int(found.level[at])
        said = ""
        if level != NONE:
            said = f"{found.kinds[found.kind[at]]} {LEVEL_WORDS[LEVELS[level]]}"
        told[leaf] = told.get(leaf) or said
    return told


def namesakes(events: pa.Table, facts: Facts, zone: str) -> Leaves:
    """The entries in which somebody looked at a person who bears their own surname."""
    rows, words = _rows(events, facts, zone)
    pairs = facts.staff[["actor", "family"]].merge(facts.names, on="family")
    pairs = pairs[pairs["family"] != ""]
    width = len(words.persons) + 1
    actors, persons = words.actors.codes(pairs["actor"]), words.persons.codes(pairs["person"])
    same = np.unique(actors.astype(np.int64) * width + persons)
    asked = rows.actor.astype(np.int64) * width + rows.person
    named = (rows.person != NOBODY) & (rows.actor != NOBODY)
    return Leaves.of(rows.leaf[named & np.isin(asked, same)])


def _rows(events: pa.Table, facts: Facts, zone: str) -> tuple[Accesses, Vocabulary]:
    words = vocabulary(facts, events)
    return accesses(events, facts, words, zone), words
