"""Names within families: who bears whose name, twins, namesakes, siblings with one initial.

Rules:
- Every custom's marriage rule (names.MARRIAGE) decides what wives and children are called.
- Two children of one household have different forenames, except where custom puts one first name
  before all of them (Mohammed).
- Hard cases are planted at the rates below, and at least a few however small the population.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo.households import (
    ALONE,
    CHILD,
    EXTRACT_DAY,
    FIRST,
    GRANDPARENT,
    SECOND,
    SHARER,
    YEAR,
    Households,
)
from demo.names import (
    CUSTOM,
    CUSTOMS,
    MARRIAGE,
    MOHAMMED_FIRST,
    Flags,
    Ints,
    Texts,
    draw_forenames,
    draw_middle_names,
    draw_surnames,
    feminine,
    forename_pool,
    nicknames,
)

TWINS_ALIKE = 0.40
"""Share of same-sex twins whose forenames are made to begin alike. Assumed."""
SIBLINGS_ALIKE = 0.03
"""Share of next-born siblings of one sex whose forenames are made to begin alike. Assumed."""
NAMESAKES = 0.025
"""Share of sons named as their father. Assumed."""
_AT_LEAST = 3


@dataclass(frozen=True, eq=False)
class FamilyNames:
    """Names of everybody, and the hard cases among them (kind → rows)."""

    given: Texts
    middle: Texts
    family: Texts
    known_as: Texts
    previous_family: Texts
    planted: Mapping[str, Ints]


def birth_years(birth: Ints) -> Ints:
    """Years of birth from days of birth."""
    return (birth.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970).astype(
        np.int32
    )


def forenames_of(rng: np.random.Generator, custom: Ints, female: Flags, birth: Ints) -> Texts:
    """Forenames for people of these customs, sexes and days of birth."""
    return draw_forenames(rng, custom, female, birth_years(birth))


def surnames_of(rng: np.random.Generator, custom: Ints, female: Flags) -> Texts:
    """Family names as borne unmarried."""
    return draw_surnames(rng, custom, female)


def name_everybody(rng: np.random.Generator, homes: Households, custom: Ints) -> FamilyNames:
    """Names for all households."""
    years = birth_years(homes.birth)
    given = draw_forenames(rng, custom, homes.female, years)
    family = draw_surnames(rng, custom, homes.female)
    middle = draw_middle_names(rng, custom, homes.female, years, given, family)
    planted = {
        "twin": np.flatnonzero(homes.twin_of >= 0).astype(np.int32),
        **_alike(rng, homes, custom, given, years),
    }
    planted["twin"] = np.union1d(planted["twin"], homes.twin_of[planted["twin"]]).astype(np.int32)
    _distinct_siblings(rng, homes, custom, given, years)
    previous = _marry(rng, homes, custom, family)
    _children(rng, homes, custom, given, middle, family)
    planted |= _namesakes(rng, homes, given, middle, family)
    known_as = _known_as(rng, custom, given, middle)
    return FamilyNames(given, middle, family, known_as, previous, planted)


def _same_initial(
    rng: np.random.Generator, custom: int, female: bool, year: int, model: str
) -> str | None:
    """A forename that begins as `model` does and differs, or None if sixty draws give none."""
    pool = forename_pool(CUSTOMS[custom], "F" if female else "M", year)
    for name in pool.draw(rng, 60).tolist():
        if name[0] == model[0] and name != model:
            return str(name)
    return None


def _alike(
    rng: np.random.Generator, homes: Households, custom: Ints, given: Texts, years: Ints
) -> dict[str, Ints]:
    """Renames some twins and siblings so that their forenames begin as the one before."""
    n = len(given)
    before = np.arange(n) - 1
    next_born = (homes.role == CHILD) & (homes.role[before] == CHILD)
    next_born &= (homes.household == homes.household[before]) & (
        homes.female == homes.female[before]
    )
    next_born[0] = False
    out: dict[str, Ints] = {}
    twin = homes.twin_of >= 0
    for kind, among, share in (
        ("twin_same_initial", next_born & twin, TWINS_ALIKE),
        ("sibling_same_initial", next_born & ~twin, SIBLINGS_ALIKE),
    ):
        rows = np.flatnonzero(among)
        rows = np.sort(rng.permutation(rows)[: max(_AT_LEAST, round(share * len(rows)))])
        done: list[int] = []
        for row in rows.tolist():
            name = _same_initial(
                rng, int(custom[row]), bool(homes.female[row]), int(years[row]), given[row - 1]
            )
            if name is not None:
                given[row] = name
                done += [row - 1, row]
        out[kind] = np.unique(np.array(done, dtype=np.int32))
    return out


def _distinct_siblings(
    rng: np.random.Generator, homes: Households, custom: Ints, given: Texts, years: Ints
) -> None:
    """Draws again where a child has the forename of one of the three siblings before."""
    for _ in range(6):
        again = np.zeros(len(given), dtype=bool)
        for back in (1, 2, 3):
            same = given[back:] == given[:-back]
            same &= homes.household[back:] == homes.household[:-back]
            same &= (homes.role[back:] == CHILD) & (homes.role[:-back] == CHILD)
            again[back:] |= same
        called = np.isin(custom, [CUSTOM["pakistani"], CUSTOM["bengali"]]) & ~homes.female
        rows = np.flatnonzero(again & ~called)
        given[rows] = draw_forenames(rng, custom[rows], homes.female[rows], years[rows])


def _rates(custom: Ints, of: str) -> npt.NDArray[np.float64]:
    return np.array([getattr(MARRIAGE[c], of) for c in CUSTOMS])[custom]


def _marry(rng: np.random.Generator, homes: Households, custom: Ints, family: Texts) -> Texts:
    """Gives wives their married names; returns everybody's previous family name."""
    n = len(family)
    previous = np.full(n, "", dtype=object)
    husband = np.minimum(np.arange(n) + 1, n - 1)
    wife = (homes.role == FIRST) & (homes.role[husband] == SECOND) & homes.female
    wife &= ~homes.female[husband]
    age = (EXTRACT_DAY - homes.birth) / YEAR
    luck = rng.random(n)
    takes = wife & (luck < _rates(custom, "wife_takes") + np.where(age > 55, 0.2, 0.0))
    joins = wife & ~takes & (luck > 1 - _rates(custom, "hyphenates")) & (age < 55)
    previous[takes | joins] = family[takes | joins]
    family[takes] = family[husband[takes]]
    joined = [f"{a}-{b}" if "-" not in a + b else b
              for a, b in zip(family[joins], family[husband[joins]], strict=True)]  # fmt: skip
    family[joins] = np.array(joined, dtype=object)
    polish = (takes | joins) & (custom[husband] == CUSTOM["polish"])
    family[polish] = [feminine(name) for name in family[polish]]
    once = np.isin(homes.role, [ALONE, GRANDPARENT, SHARER]) & homes.female & (age > 28)
    once &= rng.random(n) < np.interp(age, [28, 45, 70], [0.05, 0.35, 0.8]) * _rates(
        custom, "wife_takes"
    )
    maiden = draw_surnames(rng, custom[once], homes.female[once])
    previous[once] = maiden
    previous[previous == family] = ""
    return previous


def _children(
    rng: np.random.Generator, homes: Households, custom: Ints, given: Texts, middle: Texts,
    family: Texts,
) -> None:  # fmt: skip
    """Gives children their family names, by the custom of the parent who names them."""
    bears = np.array([MARRIAGE[c].child_bears for c in CUSTOMS], dtype=object)[custom]
    child = homes.role == CHILD
    parent = np.where(homes.father >= 0, homes.father, homes.mother)
    of_house = rng.random(int(homes.household[-1]) + 1)[homes.household]
    own = (bears == "own") & (of_house < 0.5)
    plain = np.flatnonzero(child & np.isin(bears, ["father", "own"]) & ~own)
    mother_only = homes.father < 0
    absent = plain[(mother_only & (of_house < 0.45))[plain]]
    inherits = np.setdiff1d(plain, absent)
    family[inherits] = family[parent[inherits]]
    eldest = absent[homes.household[absent] != homes.household[np.maximum(absent - 1, 0)]]
    eldest = np.union1d(eldest, absent[homes.role[absent - 1] != CHILD])
    eldest_of = dict(zip(homes.household[eldest].tolist(), eldest.tolist(), strict=True))
    family[absent] = [family[eldest_of[h]] for h in homes.household[absent].tolist()]
    hyphen = np.flatnonzero(
        child & (custom == CUSTOM["british"]) & ~mother_only & (of_house > 0.95)
    )
    for row in hyphen.tolist():
        names = [family[homes.mother[row]], family[homes.father[row]]]
        if names[0] != names[1] and not any("-" in name for name in names):
            family[row] = "-".join(names)
    daughters = child & homes.female & (custom == CUSTOM["polish"])
    family[daughters] = [feminine(name) for name in family[daughters]]
    for row in np.flatnonzero(child & (bears == "two")).tolist():
        mother, father = homes.mother[row], homes.father[row]
        parts = [str(family[p]).split(" ")[0] for p in (father, mother) if p >= 0]
        family[row] = " ".join(parts)
    chain = np.flatnonzero(child & (bears == "patronymic") & (homes.father >= 0))
    middle[chain] = given[homes.father[chain]]
    family[chain] = middle[homes.father[chain]]


def _namesakes(
    rng: np.random.Generator, homes: Households, given: Texts, middle: Texts, family: Texts
) -> dict[str, Ints]:
    sons = (homes.role == CHILD) & ~homes.female & (homes.father >= 0)
    sons &= (homes.twin_of < 0) & ~np.isin(np.arange(len(given)), homes.twin_of)
    sons &= family == family[homes.father]
    rows = np.flatnonzero(sons)
    _, first = np.unique(homes.household[rows], return_index=True)
    rows = rows[first]
    count = max(_AT_LEAST, round(NAMESAKES * len(rows)))
    rows = np.sort(rng.permutation(rows)[:count])
    given[rows] = given[homes.father[rows]]
    middle[rows] = np.where(rng.random(len(rows)) < 0.3, middle[homes.father[rows]], middle[rows])
    return {"namesake_child": rows.astype(np.int32), "namesake_parent": homes.father[rows]}


def _known_as(rng: np.random.Generator, custom: Ints, given: Texts, middle: Texts) -> Texts:
    """What people go by: the middle name of a Mohammed, a short form, a western name."""
    n = len(given)
    out = np.full(n, "", dtype=object)
    called = np.isin(custom, [CUSTOM["pakistani"], CUSTOM["bengali"]])
    called &= np.isin(given.astype(str), sorted(MOHAMMED_FIRST)) & (middle != "")
    out[called] = middle[called]
    short = nicknames()
    luck, pick = rng.random(n), rng.random(n)
    home = np.isin(custom, [CUSTOM[c] for c in ("british", "welsh", "irish", "caribbean")])
    for row in np.flatnonzero(home & (luck < 0.22)).tolist():
        forms = short.get(given[row])
        if forms:
            out[row] = forms[int(pick[row] * len(forms))]
    chinese = np.flatnonzero((custom == CUSTOM["chinese"]) & (luck < 0.35))
    western = (
        "David",
        "Kevin",
        "Jason",
        "Tony",
        "Peter",
        "Grace",
        "Amy",
        "Mandy",
        "Winnie",
        "Joyce",
    )
    out[chinese] = [western[int(pick[row] * len(western))] for row in chinese.tolist()]
    return out
