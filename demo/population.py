"""The people of the partnership as they truly are; records.py makes what each system knows of them.

Rules:
- One row per person, as columns; rows are in order of household.
- NHS numbers are distinct, pass Modulus 11 and lie in the 999 range kept for tests.
- After the living people come *past identities* (before an adoption or a gender recognition, under
  the old number: to the partnership another person, whom nobody may link), then test patients.
- `planted` lists who is a hard case, and of which kind (`PLANTED`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo import families
from demo.households import (
    ALONE,
    CHILD,
    EXTRACT_DAY,
    RESIDENT,
    SECOND,
    SHARER,
    YEAR,
    Households,
    build_households,
)
from demo.names import CUSTOM, CUSTOMS, ETHNIC_CODES, ETHNIC_SHARES, Flags, Ints, Texts
from demo.partnership import SYSTEM_IDS
from demo.places import COMMUNAL, Dwellings, build_dwellings, mobiles
from schemas.errors import InputError

MOST_PEOPLE = 700_000
"""The 999 range holds 909,090 valid numbers, and some people have two."""
LEAST_PEOPLE = 200

NEVER = -1

PLANTED: dict[str, str] = {
    "twin": "one of twins: same birth date, family name and address",
    "twin_same_initial": "one of twins of one sex whose forenames begin alike",
    "sibling_same_initial": "siblings of one sex at one address whose forenames begin alike",
    "namesake_parent": "a father whose son bears his name",
    "namesake_child": "a son who bears his father's name",
    "newborn": "born within the last 40 days",
    "superseded_number": "has an NHS number that replaced another, still in some systems",
    "no_number": "has no NHS number at all",
    "gender_changed": "changed gender and forename, under the same number",
    "gender_recognition": "new identity and number; the past identity is another person here",
    "adopted": "new identity and number; the past identity is another person here",
    "past_identity": "who a person was before a protected change; still in a system or two",
    "restricted": "whereabouts are restricted in the systems that know it",
    "no_fixed_abode": "has the pseudo-postcode ZZ99 3VZ",
    "birth_on_1_january": "of unknown birth date, recorded everywhere as 1 January",
    "lives_in_care_home": "shares address and telephone with unrelated people",
    "lives_in_hall": "shares the address with unrelated people",
    "lives_in_hostel": "shares address and telephone with unrelated people",
    "lives_in_prison": "shares the address with unrelated people",
    "died": "died in the last five years",
    "test_patient": "no person: made by staff to try the system out",
    "newborn_mothers_number": "has a record under the mother's NHS number",
    "newborn_baby_name": "has a record under the forename Baby",
}
"""Kinds of hard case. The last two arise in records, the others in the population."""


@dataclass(frozen=True, eq=False)
class Population:
    """Everybody, as columns of equal length; days are integers since 1970, `NEVER` for no day.

    Attributes:
        label: the person's id in truth.parquet.
        given, middle, family, known_as, previous_given, previous_family: names; empty if none.
        female: as lived now; `female_at_birth` as born.
        ethnic: index into `ETHNIC_CODES`; `custom`: into `CUSTOMS`.
        dwelling, previous_dwelling: index into `dwellings`, -1 for none.
        mother: row, or -1; `relative`: row of somebody of the household, or -1.
        number, old_number: NHS number and the one it replaced; empty if none.
        practice, previous_practice: index of the practice site, -1 for none.
        only_system: the single system that knows a test patient or past identity, or -1.
    """

    label: Texts
    given: Texts
    middle: Texts
    family: Texts
    known_as: Texts
    previous_given: Texts
    previous_family: Texts
    female: Flags
    female_at_birth: Flags
    birth: Ints
    death: Ints
    ethnic: npt.NDArray[np.int8]
    custom: Ints
    dwelling: Ints
    previous_dwelling: Ints
    mother: Ints
    relative: Ints
    number: Texts
    old_number: Texts
    practice: Ints
    previous_practice: Ints
    mobile: Texts
    previous_mobile: Texts
    email: Texts
    restricted: Flags
    only_system: npt.NDArray[np.int8]
    dwellings: Dwellings
    practices: int
    planted: Mapping[str, Ints]

    def __len__(self) -> int:
        return len(self.label)


def draw_numbers(rng: np.random.Generator, count: int) -> Texts:
    """`count` distinct NHS numbers of the 999 test range, in random order.

    Modulus 11: NHS Data Dictionary, NHS NUMBER. Raises: InputError if the range is exhausted.
    """
    tail = np.arange(1_000_000)
    total = 9 * (10 + 9 + 8) + sum((tail // 10**place % 10) * (place + 2) for place in range(6))
    check = (11 - total % 11) % 11
    valid = np.flatnonzero((check != 10) & (tail != 999_999))
    if count > len(valid):
        raise InputError(f"the 999 range holds {len(valid)} NHS numbers; {count} were asked for")
    drawn = rng.permutation(valid)[:count]
    pairs = zip(drawn.tolist(), check[drawn].tolist(), strict=True)
    return np.array([f"999{t:06d}{c}" for t, c in pairs], dtype=object)


def build_population(rng: np.random.Generator, people: int) -> Population:
    """`people` people, then past identities and test patients. Raises: InputError."""
    if not LEAST_PEOPLE <= people <= MOST_PEOPLE:
        raise InputError(f"--people: expected {LEAST_PEOPLE:,} to {MOST_PEOPLE:,}; got {people:,}")
    homes = build_households(rng, people)
    ethnic, custom = _ethnic(rng, homes)
    named = families.name_everybody(rng, homes, custom)
    planted = dict(named.planted)
    columns: dict[str, object] = {
        "given": named.given, "middle": named.middle, "family": named.family,
        "known_as": named.known_as, "previous_family": named.previous_family,
        "previous_given": np.full(people, "", dtype=object),
        "female": homes.female.copy(), "female_at_birth": homes.female,
        "birth": homes.birth, "ethnic": ethnic, "custom": custom,
        "mother": homes.mother, "relative": _relatives(rng, homes),
    }  # fmt: skip
    planted["newborn"] = np.flatnonzero(EXTRACT_DAY - homes.birth <= 40).astype(np.int32)
    dwellings = build_dwellings(rng, homes.homes + max(20, homes.homes // 30), homes.communal)
    columns |= _homes(rng, homes, dwellings, planted)
    columns |= _circumstances(rng, homes, columns, planted)
    columns |= _contacts(rng, homes, columns, custom)
    return _with_others(rng, columns, dwellings, max(4, people // 9000), planted)


def _ethnic(rng: np.random.Generator, homes: Households) -> tuple[npt.NDArray[np.int8], Ints]:
    """Ethnic category and naming custom: of the household, but one partner in ten is of another;
    sharers and residents each of their own; children of two groups are of a mixed one."""
    n = len(homes.birth)
    shares = np.array([share for share, _ in ETHNIC_SHARES.values()])
    of_house = rng.choice(len(shares), size=int(homes.household[-1]) + 1, p=shares / shares.sum())
    own = rng.choice(len(shares), size=n, p=shares / shares.sum())
    alone = (homes.kind == RESIDENT) | np.isin(homes.role, [ALONE, SHARER])
    alone |= (homes.role == SECOND) & (rng.random(n) < 0.10)
    ethnic = np.where(alone, own, of_house[homes.household])
    custom = np.zeros(n, dtype=np.int32)
    for number, (_, customs) in enumerate(ETHNIC_SHARES.values()):
        rows = np.flatnonzero(ethnic == number)
        weights = list(customs.values())
        drawn = rng.choice(len(weights), size=int(homes.household[-1]) + 1, p=weights)
        numbers = np.array([CUSTOM[c] for c in customs], dtype=np.int32)
        custom[rows] = numbers[drawn[homes.household[rows]]]
    child = homes.role == CHILD
    namer = np.where(homes.father >= 0, homes.father, homes.mother)
    custom[child] = custom[namer[child]]
    both = (homes.father >= 0) & (homes.mother >= 0)
    differ = both & (ethnic[homes.father] != ethnic[homes.mother])
    ethnic[differ] = [
        _mixed(ETHNIC_CODES[a], ETHNIC_CODES[b])
        for a, b in zip(ethnic[homes.father[differ]], ethnic[homes.mother[differ]], strict=True)
    ]
    return ethnic.astype(np.int8), custom


_MIXED_WITH_WHITE = {"M": "D", "P": "D", "N": "E", "H": "F", "J": "F", "K": "F", "L": "F", "R": "F"}


def _mixed(one: str, other: str) -> int:
    pair = {one, other}
    rest = [code for code in pair if code not in ("A", "B", "C")]
    if not rest:
        return ETHNIC_CODES.index("C")
    mixed = _MIXED_WITH_WHITE.get(rest[0], "G") if len(rest) < len(pair) else "G"
    return ETHNIC_CODES.index(mixed)


def _relatives(rng: np.random.Generator, homes: Households) -> Ints:
    """A random other member of the same family, or -1."""
    n = len(homes.birth)
    size = np.bincount(homes.household)[homes.household]
    first = np.searchsorted(homes.household, homes.household)
    step = 1 + (rng.random(n) * np.maximum(size - 1, 1)).astype(np.int64)
    other = first + (np.arange(n) - first + step) % size
    alone = (size < 2) | np.isin(homes.role, [ALONE, SHARER])
    return np.where(alone, -1, other).astype(np.int32)


def _homes(
    rng: np.random.Generator, homes: Households, dwellings: Dwellings, planted: dict[str, Ints]
) -> dict[str, object]:
    n = len(homes.birth)
    private = len(dwellings.line1) - len(homes.communal)
    of_house = np.concatenate(
        [rng.permutation(private)[: homes.homes], private + np.arange(len(homes.communal))]
    )
    dwelling = of_house[homes.household].astype(np.int32)
    households = int(homes.household[-1]) + 1
    moved = np.where(homes.kind == RESIDENT, 0.5, 0.38) > rng.random(households)[homes.household]
    moved &= EXTRACT_DAY - homes.birth > 60
    before = rng.integers(0, private, size=households)[homes.household]
    own = rng.integers(0, private, size=n)
    previous = np.where(np.isin(homes.role, [ALONE, SHARER]), own, before)
    previous = np.where(moved & (previous != dwelling), previous, -1)
    for house in COMMUNAL:
        rows = np.flatnonzero(dwellings.kind[dwelling] == house.kind)
        planted[f"lives_in_{house.kind}"] = rows.astype(np.int32)
    adult = np.flatnonzero((homes.role == ALONE) & (homes.kind != RESIDENT)
                           & (homes.birth < EXTRACT_DAY - 18 * YEAR))  # fmt: skip
    homeless = rng.permutation(adult)[: max(2, n // 800)].astype(np.int32)
    dwelling[homeless] = -1
    planted["no_fixed_abode"] = np.sort(homeless)
    return {"dwelling": dwelling, "previous_dwelling": previous.astype(np.int32)}


def _some(rng: np.random.Generator, among: Flags, count: int) -> Ints:
    """`count` random rows of those flagged, in order."""
    return np.sort(rng.permutation(np.flatnonzero(among))[:count]).astype(np.int32)


def _circumstances(
    rng: np.random.Generator, homes: Households, columns: dict[str, object],
    planted: dict[str, Ints],
) -> dict[str, object]:  # fmt: skip
    """Deaths, NHS numbers, practices, restrictions, births recorded as 1 January."""
    n = len(homes.birth)
    age = (EXTRACT_DAY - homes.birth) / YEAR
    risk = np.interp(age, [0, 1, 40, 60, 70, 80, 90, 104],
                     [0.003, 0, 0.002, 0.02, 0.06, 0.18, 0.45, 0.9])  # fmt: skip
    dead = rng.random(n) < risk
    ago = np.minimum(rng.integers(5, int(5 * YEAR), size=n), (age * YEAR - 1).astype(np.int64))
    death = np.where(dead, EXTRACT_DAY - ago, NEVER).astype(np.int32)
    planted["died"] = np.flatnonzero(dead).astype(np.int32)
    adult = age > 18
    custom = np.asarray(columns["custom"])
    abroad = np.isin(custom, [CUSTOM[c] for c in ("somali", "arabic", "eastern", "bengali")])
    january = _some(rng, abroad & adult, max(2, n // 500))
    year = (homes.birth[january].astype("datetime64[D]")).astype("datetime64[Y]")
    homes.birth[january] = year.astype("datetime64[D]").astype(np.int32)
    planted["birth_on_1_january"] = january
    replaced = _some(rng, ~dead, max(4, n // 220))
    planted["superseded_number"] = replaced
    numbers = draw_numbers(rng, n + len(replaced) + n // 1000 + 10)
    old = np.full(n, "", dtype=object)
    old[replaced] = numbers[n : n + len(replaced)]
    unnumbered = ~np.isin(np.arange(n), replaced) & (rng.random(n) < np.where(abroad, 0.02, 0.002))
    number = np.where(unnumbered, "", numbers[:n]).astype(object)
    planted["no_number"] = np.flatnonzero(unnumbered).astype(np.int32)
    restricted = np.isin(np.arange(n), _some(rng, ~dead, max(3, n // 900)))
    planted["restricted"] = np.flatnonzero(restricted).astype(np.int32)
    sites = max(4, n // 9000)
    practice = rng.integers(0, sites, size=int(homes.household[-1]) + 1)[homes.household]
    changed = (np.asarray(columns["relative"]) < 0) & (rng.random(n) < 0.3)
    previous = np.where(changed, rng.integers(0, sites, size=n), -1)
    return {
        "death": death, "number": number, "old_number": old, "restricted": restricted,
        "practice": practice.astype(np.int32),
        "previous_practice": np.where(previous == practice, -1, previous).astype(np.int32),
        "spare_numbers": numbers[n + len(replaced) :],
    }  # fmt: skip


def _contacts(
    rng: np.random.Generator, homes: Households, columns: dict[str, object], custom: Ints
) -> dict[str, object]:
    n = len(homes.birth)
    age = (EXTRACT_DAY - homes.birth) / YEAR
    numbers = mobiles(rng, 2 * n)
    has = rng.random(n) < np.interp(age, [10, 13, 18, 60, 75, 90], [0, 0.6, 0.95, 0.9, 0.65, 0.3])
    mobile = np.where(has, numbers[:n], "").astype(object)
    changed = has & (rng.random(n) < 0.35)
    written = has & (rng.random(n) < np.interp(age, [14, 18, 60, 85], [0.1, 0.8, 0.75, 0.25]))
    given, family = np.asarray(columns["given"]), np.asarray(columns["family"])
    digits = rng.integers(1, 1000, size=n).tolist()
    email = np.full(n, "", dtype=object)
    for row in np.flatnonzero(written).tolist():
        email[row] = _email(given[row], family[row], digits[row])
    changes = _gender_changes(rng, homes, columns, custom, age)
    return {"mobile": mobile, "email": email,
            "previous_mobile": np.where(changed, numbers[n:], "").astype(object),
            **changes}  # fmt: skip


def _email(given: str, family: str, digits: int) -> str:
    name = f"{given}.{family}".lower()
    kept = "".join(c for c in name if c.isascii() and (c.isalnum() or c == "."))
    return f"{kept}{digits}@example.{('org', 'com', 'net')[digits % 3]}"


def _gender_changes(
    rng: np.random.Generator, homes: Households, columns: dict[str, object], custom: Ints,
    age: npt.NDArray[np.float64],
) -> dict[str, object]:  # fmt: skip
    """A few adults live in another gender under another forename; the number stays."""
    rows = _some(rng, (age > 18) & (homes.kind != RESIDENT), max(2, len(age) // 1500))
    given = np.asarray(columns["given"])
    previous = np.asarray(columns["previous_given"])
    female = np.asarray(columns["female"])
    previous[rows] = given[rows]
    female[rows] = ~female[rows]
    given[rows] = families.forenames_of(rng, custom[rows], female[rows], homes.birth[rows])
    named = columns["known_as"]
    assert isinstance(named, np.ndarray)
    named[rows] = ""
    return {"changed_gender": rows}


def _with_others(
    rng: np.random.Generator, columns: dict[str, object], dwellings: Dwellings, practices: int,
    planted: dict[str, Ints],
) -> Population:  # fmt: skip
    """The population with past identities and test patients appended."""
    changed = np.asarray(columns.pop("changed_gender"))
    spare = np.asarray(columns.pop("spare_numbers"))
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    n = len(arrays["given"])
    age = (EXTRACT_DAY - arrays["birth"]) / YEAR
    half = changed[: max(1, len(changed) // 2)]
    planted["gender_recognition"] = half
    planted["gender_changed"] = changed[len(half) :]
    free = (arrays["death"] == NEVER) & (arrays["old_number"] == "")
    adopted = _some(rng, (age > 1) & (age < 16) & free, max(2, n // 2500))
    planted["adopted"] = adopted
    past = np.concatenate([half, adopted]).astype(np.int32)
    tests = 2 * len(SYSTEM_IDS)
    rows = np.concatenate([np.arange(n), past, np.zeros(tests, dtype=np.int64)])
    out = {name: column[rows].copy() for name, column in arrays.items()}
    label = [f"p{row:07d}" for row in range(n)] + [f"p{row:07d}-before" for row in past.tolist()]
    label += [f"test-{SYSTEM_IDS[t // 2]}-{t % 2 + 1}" for t in range(tests)]
    only = np.full(len(rows), -1, dtype=np.int8)
    known_in = [SYSTEM_IDS.index(s) for s in ("childrens", "acute_royal", "community")]
    only[n : n + len(past)] = rng.choice(known_in, size=len(past))
    only[n + len(past) :] = np.arange(tests) // 2
    out["restricted"][past] = True
    out["number"][n : n + len(past)] = spare[: len(past)]
    _past_identities(rng, out, n, past, len(half))
    _test_patients(out, n + len(past))
    planted["past_identity"] = np.arange(n, n + len(past), dtype=np.int32)
    planted["test_patient"] = np.arange(n + len(past), len(rows), dtype=np.int32)
    return Population(label=np.array(label, dtype=object), only_system=only, dwellings=dwellings,
                      practices=practices, planted=planted, **out)  # fmt: skip


def _past_identities(
    rng: np.random.Generator, out: dict[str, npt.NDArray[np.generic]], n: int, past: Ints,
    recognised: int,
) -> None:  # fmt: skip
    """Gives the rows from `n` the names, gender and address before the change, and the present
    rows nothing that leads back."""
    now, before = past, slice(n, n + len(past))
    out["old_number"][now] = ""
    given = out["previous_given"][now].copy()
    birth_family = families.surnames_of(
        rng, out["custom"][now].astype(np.int32), out["female"][now].astype(np.bool_)
    )
    out["female"][before] = out["female_at_birth"][now]
    out["given"][before] = np.where(given == "", out["given"][now], given)
    adopted = np.arange(len(past)) >= recognised
    out["family"][before] = np.where(adopted, birth_family, out["family"][now])
    old = out["previous_dwelling"][now]
    out["dwelling"][before] = np.where(adopted, old, out["dwelling"][now])
    for name in ("previous_given", "previous_family", "known_as", "email", "mobile",
                 "previous_mobile"):  # fmt: skip
        out[name][before] = ""
    out["previous_given"][now] = ""
    out["female_at_birth"][now] = out["female"][now]
    for name in ("mother", "relative", "previous_dwelling", "previous_practice"):
        out[name][before] = -1
    out["previous_dwelling"][now[adopted]] = -1


def _test_patients(out: dict[str, npt.NDArray[np.generic]], start: int) -> None:
    """Names that no clerk would take for a person, and as little else as clerks type."""
    rows = slice(start, len(out["given"]))
    count = len(out["given"]) - start
    names = [("Test", "Zzztest"), ("Donotuse", "Xxtestpatient"), ("Mickey", "Testpatient")]
    out["given"][rows] = np.array([names[i % 3][0] for i in range(count)], dtype=object)
    out["family"][rows] = np.array([names[i % 3][1] for i in range(count)], dtype=object)
    for name in ("middle", "known_as", "previous_given", "previous_family", "number", "old_number",
                 "mobile", "previous_mobile", "email"):  # fmt: skip
        out[name][rows] = ""
    for name in ("dwelling", "previous_dwelling", "mother", "relative", "previous_practice"):
        out[name][rows] = -1
    out["death"][rows] = NEVER
    out["restricted"][rows] = False
    out["custom"][rows] = CUSTOMS.index("british")
    out["birth"][rows] = int(np.datetime64("1900-01-01", "D").astype(np.int64))
