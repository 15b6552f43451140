"""Cases for the matrix over HTTP, in words: chosen so that every pair of values of different kinds
stands in some case."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import combinations, product

from api.demo_issuer import SCOPES
from api.table import ROUTES
from tests.api.http_world import (
    INACTIVE,
    NOBODY,
    OWN,
    PROXY,
    STATES,
    TEAM,
    TIES,
    WISHES,
    Someone,
    staff_id,
)
from tests.api.in_process import Who
from tests.consent import oracle
from tests.consent.cases import OURS
from tests.consent.oracle import Asks

NARROW = "people and allergies"
SCOPES_OF = {"all": SCOPES, NARROW: "user/Patient.rs user/AllergyIntolerance.rs"}
STANDINGS = ("at work", "left", NARROW)
BY_NAME = {route.name: route for route in ROUTES}
CHANGING = (
    "create Consent", "end Consent", "claim a relationship to Patient", "break glass of Patient",
)  # fmt: skip
"""Routes after which something is otherwise: asked last, in this order."""
MIXED = ("tie", "wish", "state")
KINDS = ("role", "purpose", *MIXED, "standing", "route")
Pair = tuple[str, str, str, str]
Mixture = tuple[str, str, str]


@dataclass(frozen=True)
class Case:
    """One request, in words."""

    role: str
    purpose: str
    tie: str
    wish: str
    state: str
    standing: str
    route: str

    @property
    def spec(self) -> tuple[str, str, str]:
        """Whose record: a person of this mixture."""
        return self.tie if self.tie != "declared" else "", self.wish, self.state


VALUES: dict[str, tuple[str, ...]] = {
    "role": tuple(oracle.READS),
    "purpose": tuple(sorted({p for its in oracle.PURPOSES.values() for p in its})),
    "tie": TIES,
    "wish": WISHES,
    "state": STATES,
    "standing": STANDINGS,
    "route": tuple(BY_NAME),
}


def mixtures(rng: random.Random) -> list[Mixture]:
    """Mixtures of relationship, wish and state, every two values together in one at least."""
    kinds = ("tie", "wish", "state")
    missing = {
        (one, a, two, b)
        for one, two in combinations(kinds, 2)
        for a in VALUES[one]
        for b in VALUES[two]
    }
    found = [("related", wish, "") for wish in WISHES]
    found += [("related", "", state) for state in STATES]
    for mixture in found:
        missing -= _pairs(dict(zip(kinds, mixture, strict=True)))
    for one, a, two, b in sorted(missing):
        if (one, a, two, b) not in missing:
            continue
        fixed = {one: a, two: b}
        (third,) = set(kinds) - fixed.keys()
        tried = [fixed | {third: value} for value in VALUES[third]]
        rng.shuffle(tried)
        best = max(tried, key=lambda mixture: len(missing & _pairs(mixture)))
        missing -= _pairs(best)
        found.append((best["tie"], best["wish"], best["state"]))
    return found


def _pairs(values: dict[str, str]) -> set[Pair]:
    """The pairs of values that stand together."""
    kinds = [kind for kind in KINDS if kind in values]
    return {(one, values[one], two, values[two]) for one, two in combinations(kinds, 2)}


def drawn(
    rng: random.Random, fixed: dict[str, str], among: dict[Mixture, list[Mixture]]
) -> dict[str, str]:
    """A case with some of its values given, about one of the mixtures; plain ones half the time,
    and the purpose is one that the role has."""
    chosen = dict(fixed)
    fits = among[fixed.get("tie", "*"), fixed.get("wish", "*"), fixed.get("state", "*")]
    plain = [one for one in fits if one[0] == "related" and "" in one[1:]]
    mixture = rng.choice(plain if plain and rng.random() < 0.7 else fits)
    chosen |= dict(zip(MIXED, mixture, strict=True))
    chosen.setdefault("standing", rng.choice(("at work", "at work", "at work", *STANDINGS)))
    chosen.setdefault("route", rng.choice(VALUES["route"]))
    if "role" not in chosen:
        having = [r for r, its in oracle.PURPOSES.items() if fixed.get("purpose", "") in its]
        chosen["role"] = rng.choice(having or VALUES["role"])
    chosen.setdefault("purpose", rng.choice(sorted(oracle.PURPOSES[chosen["role"]])))
    return chosen


def chosen_cases(seed: int, number: int) -> list[Case]:
    """Cases that cover every pair, and as many more as are wanted. Of a role only the purposes that
    it has: that no other opens anything is tested of the decisions."""
    rng = random.Random(seed)
    among: dict[Mixture, list[Mixture]] = {}
    for mixture in mixtures(rng):
        for known in product((True, False), repeat=3):
            tie, wish, state = (v if k else "*" for v, k in zip(mixture, known, strict=True))
            among.setdefault((tie, wish, state), []).append(mixture)
    missing = {
        (one, a, two, b)
        for one, two in combinations(KINDS, 2)
        for a in VALUES[one]
        for b in VALUES[two]
        if (one, two) != ("role", "purpose") or b in oracle.PURPOSES[a]
    }
    order = sorted(missing)
    rng.shuffle(order)
    found: list[Case] = []
    for one, a, two, b in order:
        if (one, a, two, b) in missing:
            tried = [drawn(rng, {one: a, two: b}, among) for _ in range(8)]
            best = max(tried, key=lambda case: len(missing & _pairs(case)))
            missing -= _pairs(best)
            found.append(Case(**best))
    while len(found) < number:
        found.append(Case(**drawn(rng, {}, among)))
    return found


def asks_of(case: Case) -> Asks:
    """The case as the oracle hears it."""
    words = {part for part in case.state.split(" + ") if part}
    staff = case.role not in ("person", "proxy")
    if not staff or case.standing == "left":
        words -= {"own", "in identity team", "investigator"}
    return Asks(
        case.role,
        case.purpose,
        frozenset({case.tie} if case.tie else ()),
        frozenset({case.wish} if case.wish else ()),
        frozenset(words),
        active=case.standing != "left" or not staff,
        scope="allergies" if case.standing == NARROW else "all",
    )


def who_of(case: Case, held: Someone) -> Who:
    """Who asks, and what their token says."""
    if case.role == "person":
        staff = NOBODY if case.state == "somebody else" else held.person
    elif case.role == "proxy":
        staff = "PX2" if case.state == "somebody else" else PROXY
    else:
        flavour = OWN if case.state == "own" else TEAM if TEAM in case.state else ""
        staff = staff_id(case.role, INACTIVE if case.standing == "left" else flavour)
    scopes = SCOPES_OF.get(case.standing, SCOPES)
    return Who(staff, OURS, case.role, case.purpose, scopes, emergency=case.tie == "declared")
