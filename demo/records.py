"""What each system knows of each person: true values, spoilt at the rates of errors.py.

Rules:
- A `View` is one system's client records as columns of canonical text (dates ISO, gender M F O U);
  the writers turn them into the system's own format.
- An empty text is a missing value.
- Every spoilt field is written down (`View.errors`), with how many records could have had the error
  and how many were expected to, so that tests can hold the feeds against the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from demo import slips
from demo.errors import (
    DOUBLE_FACTOR,
    DOUBLE_LACKS_NUMBER,
    ERRORS,
    INFANT_FACTOR,
    MINORITY_FACTOR,
    VERIFIED_PERCENT,
)
from demo.households import EXTRACT_DAY, YEAR
from demo.names import CUSTOMS, ETHNIC_CODES, HOME_CUSTOMS, Flags, Ints, Texts, nicknames, variants
from demo.partnership import System
from demo.places import ADDRESS_UNKNOWN, NO_FIXED_ABODE
from demo.population import NEVER, Population

PLACEHOLDER_NUMBER = "9999999999"
"""Typed where a form insists on a number; it passes Modulus 11."""
KNOWS_RESTRICTION = frozenset(
    {"childrens", "acute_royal", "acute_northmoor", "mental_health", "community", "gp_harbour",
     "gp_moorland"}
)  # fmt: skip
"""Systems that can flag a person whose whereabouts are restricted."""
NEWBORN_SYSTEMS = frozenset({"acute_royal", "acute_northmoor", "acute_southcote", "community"})
NEWBORN_MOTHERS_NUMBER = 0.35
NEWBORN_NAMED_BABY = 0.55
"""Shares of newborns' records in those systems. Assumed."""


@dataclass(frozen=True)
class Tally:
    """How often an error could, should and did happen in one system."""

    eligible: int
    expected: float
    hits: int


@dataclass(eq=False)
class View:
    """One system's client records.

    Attributes:
        person: row of the population, per record.
        columns: canonical texts, by name.
        errors: kind of error → rows that have it.
        merges: (retired row, surviving row) that the system itself joined.
    """

    system: System
    person: Ints
    columns: dict[str, Texts]
    tally: dict[str, Tally] = field(default_factory=dict)
    errors: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    merges: list[tuple[int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.person)


def iso_days(days: npt.NDArray[np.int32]) -> Texts:
    """Days since 1970 as ISO dates."""
    return np.datetime_as_string(days.astype("datetime64[D]")).astype(object)


def _seconds(moments: npt.NDArray[np.int64]) -> Texts:
    return np.datetime_as_string(moments.astype("datetime64[s]")).astype(object)


class _Spoiler:
    """Applies errors to one view."""

    def __init__(
        self, rng: np.random.Generator, view: View, population: Population, double: Flags
    ) -> None:
        self.rng, self.view, self.double = rng, view, double
        self.columns, self.population = view.columns, population
        home = np.isin(np.arange(len(CUSTOMS)), [CUSTOMS.index(c) for c in HOME_CUSTOMS])
        self.minority = ~home[population.custom[view.person]]
        self.infant = EXTRACT_DAY - population.birth[view.person] < YEAR

    def hit(self, kind: str, eligible: Flags) -> npt.NDArray[np.int64]:
        """Rows that suffer this error; remembered."""
        spec = ERRORS[kind]
        rate = np.full(len(self.view), spec.rate(self.view.system.id))
        if spec.minority:
            rate[self.minority] *= MINORITY_FACTOR
        if spec.infant:
            rate[self.infant] *= INFANT_FACTOR
        rate[self.double] *= DOUBLE_FACTOR
        if kind == "nhs_missing":
            rate[self.double] += DOUBLE_LACKS_NUMBER
        rate = np.where(eligible, np.minimum(rate, 1.0), 0.0)
        rows = np.flatnonzero(self.rng.random(len(rate)) < rate)
        self.view.tally[kind] = Tally(int(eligible.sum()), float(rate.sum()), len(rows))
        self.view.errors[kind] = rows
        return rows

    def slip(self, kind: str, column: str, slip: slips.Slip, eligible: Flags) -> Flags:
        """Spoils a column with a slip of the pen; tells which rows are left whole."""
        rows, values = self.hit(kind, eligible), self.columns[column]
        lucks = self.rng.random(len(rows)).tolist()
        values[rows] = [slip(v, u) for v, u in zip(values[rows], lucks, strict=True)]
        return _without(eligible, rows)

    def put(self, kind: str, column: str, values: Texts | str, eligible: Flags) -> Flags:
        """Replaces values of a column; tells which rows are left whole."""
        rows = self.hit(kind, eligible)
        self.columns[column][rows] = values if isinstance(values, str) else values[rows]
        return _without(eligible, rows)


def _without(flags: Flags, rows: npt.NDArray[np.int64]) -> Flags:
    left = flags.copy()
    left[rows] = False
    return left


def _there(column: Texts) -> Flags:
    return np.asarray(column != "", dtype=bool)


def _any_match(column: Texts, test: Callable[[str], bool]) -> Flags:
    return np.fromiter((test(v) for v in column), dtype=bool, count=len(column))


def build_view(
    rng: np.random.Generator, system: System, population: Population, person: Ints, double: Flags,
    shared: Texts | None,
) -> View:  # fmt: skip
    """The records of `person` (rows, with second records flagged in `double`) in one system.

    Args:
        shared: for a system that holds another's client ids: that id per person, or empty.
    """
    view = View(system, person, _truth(rng, system, population, person))
    spoiler = _Spoiler(rng, view, population, double)
    _spoil_birth(spoiler)
    _spoil_names(spoiler)
    _spoil_address(spoiler)
    _spoil_contacts(spoiler)
    _spoil_number(spoiler)
    _spoil_rest(spoiler)
    if system.id in NEWBORN_SYSTEMS:
        _newborns(spoiler)
    if shared is not None:
        known = rng.random(len(person)) < 0.3
        view.columns["shared_id"] = np.where(known, shared[person], "").astype(object)
    return view


def _truth(
    rng: np.random.Generator, system: System, p: Population, person: Ints
) -> dict[str, Texts]:
    n = len(person)
    empty = np.full(n, "", dtype=object)
    female, age = p.female[person], (EXTRACT_DAY - p.birth[person]) / YEAR
    married = p.previous_family[person] != ""
    prefix = np.select(
        [female & (age < 16), female & married, female, age < 16],
        ["Miss", "Mrs", "Ms", "Master"],
        "Mr",
    ).astype(object)
    dead = p.death[person] != NEVER
    numbers = 10_000 + rng.permutation(3 * n + 20)[:n]
    age_of_entry = np.minimum(rng.exponential(200, size=n), np.maximum(age * YEAR - 1, 0.5))
    stamp = ((EXTRACT_DAY - age_of_entry) * 86_400).astype(np.int64)
    columns = {
        "local_id": np.array([system.local_id.format(x) for x in numbers.tolist()], dtype=object),
        "given": p.given[person], "middle": p.middle[person], "family": p.family[person],
        "known_as": p.known_as[person], "previous_family": p.previous_family[person],
        "prefix": prefix, "birth": iso_days(p.birth[person]),
        "gender": np.where(female, "F", "M").astype(object),
        "birth_sex": np.where(p.female_at_birth[person], "F", "M").astype(object),
        "ethnicity": np.array(ETHNIC_CODES, dtype=object)[p.ethnic[person]],
        "nhs": p.number[person], "mobile": p.mobile[person], "email": p.email[person],
        "death": np.where(dead, iso_days(np.where(dead, p.death[person], 0)), "").astype(object),
        "deceased": np.where(dead, "Y", "").astype(object),
        "gp_practice": practice_codes(p.practices)[p.practice[person]],
        "as_at": _seconds(stamp), "shared_id": empty.copy(), "ni": _insurance(rng, person, age),
        "chi": _scottish(rng, p.birth[person]),
        "organisation": _organisation(system, p, person),
    }  # fmt: skip
    known = p.restricted[person] & (rng.random(n) < 0.85) & (system.id in KNOWS_RESTRICTION)
    columns["restricted"] = np.where(known, "Y", "").astype(object)
    columns |= _address_columns(p, p.dwelling[person], "")
    columns |= _address_columns(p, p.previous_dwelling[person], "previous_")
    homeless = p.planted["no_fixed_abode"]
    columns["postcode"][np.isin(person, homeless)] = NO_FIXED_ABODE
    columns["line1"][np.isin(person, homeless)] = "No fixed abode"
    return {name: np.array(column, dtype=object) for name, column in columns.items()}


def practice_codes(practices: int) -> Texts:
    """ODS-like codes of the practice sites: the group's code, then the site."""
    return np.array([f"ZZG0{site % 4 + 1}{site // 4 + 1:02d}" for site in range(practices)],
                    dtype=object)  # fmt: skip


def _organisation(system: System, p: Population, person: Ints) -> Texts:
    """Which of the system's members a client belongs to."""
    codes = np.array(system.organisations, dtype=object)
    if system.format == "fhir" and len(codes) > 1:
        site_group = p.practice[person] % 4
        return codes[np.where(np.isin(site_group, (1, 3)), 1, 0)]
    if len(codes) == 3:
        area: Texts = codes[p.dwellings.area[np.maximum(p.dwelling[person], 0)]]
        return area
    last: Texts = codes[(person.astype(np.int64) * 7919 % 10 == 0) * (len(codes) - 1)]
    return last


def _address_columns(p: Population, dwelling: Ints, prefix: str) -> dict[str, Texts]:
    homes, lives = p.dwellings, dwelling >= 0
    names = ("line1", "line2", "town", "postcode", "uprn", "landline")
    return {
        f"{prefix}{name}": np.where(lives, getattr(homes, name)[dwelling], "").astype(object)
        for name in names
    }


def _insurance(rng: np.random.Generator, person: Ints, age: npt.NDArray[np.float64]) -> Texts:
    """National Insurance numbers of adults, with the prefix QQ that is never issued."""
    suffix = "ABCD"
    has = (age > 16) & (rng.random(len(person)) < 0.5)
    return np.array([f"QQ{row * 7 % 1_000_000:06d}{suffix[row % 4]}" if yes else ""
                     for row, yes in zip(person.tolist(), has.tolist(), strict=True)],
                    dtype=object)  # fmt: skip


def _scottish(rng: np.random.Generator, birth: npt.NDArray[np.int32]) -> Texts:
    """CHI-like numbers for one person in two hundred, with 40 added to the day: nobody's."""
    out = np.full(len(birth), "", dtype=object)
    for row in np.flatnonzero(rng.random(len(birth)) < 0.005).tolist():
        day = str(np.datetime64(int(birth[row]), "D"))
        out[row] = f"{int(day[8:]) + 40:02d}{day[5:7]}{day[2:4]}{row * 37 % 10_000:04d}"
    return out


def _spoil_birth(s: _Spoiler) -> None:
    birth = s.columns["birth"]
    whole = s.put("birth_missing", "birth", "", np.ones(len(birth), dtype=bool))
    can = whole & _any_match(birth, lambda d: d[8:] <= "12" and d[5:7] != d[8:] and d != "")
    left = s.slip("birth_day_month", "birth", slips.swap_day_month, can)
    whole &= ~can | left
    whole = s.slip("birth_digit", "birth", slips.slip_digit, whole)
    s.slip("birth_first_january", "birth", slips.first_of_january, whole)


def _spoil_names(s: _Spoiler) -> None:
    c = s.columns
    everyone = np.ones(len(s.view), dtype=bool)
    previous = s.population.previous_given[s.view.person]
    stale = _there(previous) & (s.rng.random(len(previous)) < 0.4)
    c["given"][stale] = previous[stale]
    c["gender"][stale] = np.where(c["gender"][stale] == "F", "M", "F")
    given = s.put("given_missing", "given", "", everyone)
    initials = np.array([name[:1] for name in c["given"]], dtype=object)
    given = s.put("given_initial", "given", initials, given)
    short, spelt = nicknames(), variants()
    can = given & _any_match(c["given"], short.__contains__)
    given &= ~can | s.slip("given_nickname", "given", slips.short_form, can)
    can = given & _there(c["middle"])
    given &= ~can | s.put("given_second", "given", c["middle"].copy(), can)
    can = given & _any_match(c["given"], spelt.__contains__)
    given &= ~can | s.slip("given_variant", "given", slips.other_spelling, can)
    s.slip("given_misspelt", "given", slips.misspell, given)
    c["middle"][c["middle"] == c["given"]] = ""
    s.put("middle_missing", "middle", "", _there(c["middle"]))
    family = s.put("family_missing", "family", "", everyone)
    can = family & _there(c["previous_family"])
    maiden = c["previous_family"].copy()
    stays = s.put("family_previous", "family", maiden, can)
    c["previous_family"][can & ~stays] = ""
    s.put("previous_name_missing", "previous_family", "", _there(c["previous_family"]))
    family &= ~can | stays
    can = family & _any_match(c["family"], lambda name: "-" in name[1:] or " " in name)
    family &= ~can | s.slip("family_part", "family", slips.part_of_name, can)
    s.slip("family_misspelt", "family", slips.misspell, family)
    both = _there(c["given"]) & _there(c["family"])
    rows = s.hit("names_swapped", both)
    c["given"][rows], c["family"][rows] = c["family"][rows], c["given"][rows].copy()
    s.put("known_as_missing", "known_as", "", _there(c["known_as"]))


_ADDRESS = ("line1", "line2", "town", "postcode", "uprn")


def _spoil_address(s: _Spoiler) -> None:
    c = s.columns
    lives = _there(c["town"])
    moved = lives & _there(c["previous_postcode"])
    rows = s.hit("address_old", moved)
    for name in (*_ADDRESS, "landline"):
        c[name][rows] = c[f"previous_{name}"][rows]
        c[f"previous_{name}"][rows] = ""
    rows = s.hit("previous_address_missing", moved & _there(c["previous_postcode"]))
    for name in _ADDRESS:
        c[f"previous_{name}"][rows] = ""
    rows = s.hit("address_missing", lives)
    for name in _ADDRESS:
        c[name][rows] = ""
    unknown = rows[s.rng.random(len(rows)) < 0.3]
    c["postcode"][unknown] = ADDRESS_UNKNOWN
    lives = _without(lives, rows)
    rows = s.hit("address_written_otherwise", lives)
    for name in ("line1", "line2"):
        lucks = s.rng.random(len(rows)).tolist()
        pairs = zip(c[name][rows], lucks, strict=True)
        c[name][rows] = [slips.rewrite_line(v, u) for v, u in pairs]
    left = s.put("postcode_missing", "postcode", "", lives)
    s.slip("postcode_typo", "postcode", slips.mistype_postcode, left)
    s.put("uprn_missing", "uprn", "", _there(c["uprn"]))


def _spoil_contacts(s: _Spoiler) -> None:
    c, p, person = s.columns, s.population, s.view.person
    s.put("landline_missing", "landline", "", _there(c["landline"]))
    mobile = _there(c["mobile"])
    old = p.previous_mobile[person]
    mobile &= ~_there(old) | s.put("mobile_old", "mobile", old, mobile & _there(old))
    mobile = s.put("mobile_missing", "mobile", "", _there(c["mobile"]))
    relative = p.relative[person]
    theirs = np.where(relative >= 0, p.mobile[relative], "").astype(object)
    s.put("mobile_relative", "mobile", theirs, _there(theirs))
    s.put("email_missing", "email", "", _there(c["email"]))


def _spoil_number(s: _Spoiler) -> None:
    c, p, person = s.columns, s.population, s.view.person
    number = c["nhs"]
    none = ~_there(number)
    right = s.put("nhs_superseded", "nhs", p.old_number[person],
                  ~none & _there(p.old_number[person]))  # fmt: skip
    right = ~none & (~_there(p.old_number[person]) | right)
    right = s.put("nhs_missing", "nhs", "", right)
    relative = p.relative[person]
    theirs = np.where(relative >= 0, p.number[relative], "").astype(object)
    can = right & _there(theirs)
    right &= ~can | s.put("nhs_relative", "nhs", theirs, can)
    strangers = p.number[s.rng.integers(0, len(p), size=len(person))]
    can = right & _there(strangers)
    right &= ~can | s.put("nhs_stranger", "nhs", strangers, can)
    right = s.slip("nhs_wrong_digit", "nhs", slips.wrong_digit, right)
    right = s.slip("nhs_transposed", "nhs", slips.transpose_digits, right)
    s.put("nhs_placeholder", "nhs", PLACEHOLDER_NUMBER, ~_there(number))
    traced = right & (s.rng.random(len(person)) < VERIFIED_PERCENT[s.view.system.id] / 100)
    others = np.array(["02", "03", "02", "06", "04"], dtype=object)
    other = others[s.rng.integers(0, len(others), size=len(person))]
    status = np.where(traced, "01", np.where(_there(number), other, "07"))
    c["nhs_status"] = status.astype(object)
    days = EXTRACT_DAY - s.rng.integers(1, 900, size=len(person))
    days = np.maximum(days, np.minimum(p.birth[person] + 3, EXTRACT_DAY - 1))
    c["traced_on"] = np.where(traced, iso_days(days.astype(np.int32)), "").astype(object)


def _spoil_rest(s: _Spoiler) -> None:
    c, p, person = s.columns, s.population, s.view.person
    left = s.put("gender_missing", "gender", "", np.ones(len(person), dtype=bool))
    other = np.where(c["gender"] == "F", "M", "F").astype(object)
    s.put("gender_wrong", "gender", other, left)
    known = s.put("ethnicity_missing", "ethnicity", "", _there(c["ethnicity"]))
    drawn = np.array([*ETHNIC_CODES, "A", "Z"], dtype=object)
    wrong = drawn[s.rng.integers(0, len(drawn), size=len(person))]
    s.put("ethnicity_wrong", "ethnicity", wrong, known & (c["ethnicity"] != "A"))
    previous = p.previous_practice[person]
    old = np.where(previous >= 0, practice_codes(p.practices)[previous], "").astype(object)
    s.put("gp_old", "gp_practice", old, _there(old) & _there(c["gp_practice"]))
    s.put("gp_missing", "gp_practice", "", _there(c["gp_practice"]))
    rows = s.hit("death_unknown", _there(c["deceased"]))
    c["death"][rows] = c["deceased"][rows] = ""
    rows = s.hit("death_slip", _there(c["death"]))
    later = [str(np.datetime64(d) + np.timedelta64(1 + int(u * 20), "D"))
             for d, u in zip(c["death"][rows], s.rng.random(len(rows)), strict=True)]  # fmt: skip
    late = np.array([min(d, "2026-02-28") for d in later], dtype=object)
    c["death"][rows] = np.where(s.rng.random(len(rows)) < 0.5, late, "")


def _newborns(s: _Spoiler) -> None:
    """Hospitals register some newborns under the mother's number, or as Baby, before both come."""
    c, p, person = s.columns, s.population, s.view.person
    newborn = np.isin(person, p.planted["newborn"])
    mother = np.where(newborn, p.mother[person], -1)
    hers = np.where(mother >= 0, p.number[mother], "").astype(object)
    rows = np.flatnonzero(_there(hers) & (s.rng.random(len(person)) < NEWBORN_MOTHERS_NUMBER))
    c["nhs"][rows], c["traced_on"][rows] = hers[rows], ""
    c["nhs_status"][rows] = np.where(s.rng.random(len(rows)) < 0.5, "02", "03")
    s.view.errors["newborn_mothers_number"] = rows
    rows = np.flatnonzero(newborn & (s.rng.random(len(person)) < NEWBORN_NAMED_BABY))
    c["given"][rows], c["middle"][rows], c["known_as"][rows] = "Baby", "", ""
    known = np.flatnonzero(newborn & (mother >= 0) & np.isin(np.arange(len(person)), rows))
    c["family"][known] = p.family[mother[known]]
    s.view.errors["newborn_baby_name"] = rows
