"""Small tables of people for linkage tests, by hand or drawn by hypothesis; and models drawn by it:
any fields, levels, tests, rules and guards that one may hold."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from linkage.comparators import register
from linkage.guards import GUARDS
from linkage.model import (
    ColumnSpec,
    Dependence,
    Field,
    Frequencies,
    Level,
    Model,
    Rule,
    uk_person,
)
from schemas.columns import MATCH_SCHEMA

LISTS = {f.name for f in MATCH_SCHEMA if pa.types.is_list(f.type)}
EXTRA = (
    ColumnSpec("ward", "category"),
    ColumnSpec("remarks", "text"),
    ColumnSpec("chart", "identifier"),
    ColumnSpec("income", "number"),
    ColumnSpec("latitude", "number"),
    ColumnSpec("longitude", "number"),
    ColumnSpec("joined", "date"),
    ColumnSpec("tags", "set"),
)
"""Declared columns, one or more of each kind."""


def people_table(rows: Sequence[dict[str, Any]], extra: Sequence[ColumnSpec] = ()) -> pa.Table:
    """A table for `linkage.link`. A list may be given as one text; what is absent is missing."""
    types = {f.name: f.type for f in MATCH_SCHEMA}
    types |= {s.name: pa.list_(pa.string()) if s.kind == "set" else pa.string() for s in extra}
    columns: dict[str, Any] = {}
    for name, kind in types.items():
        values = [row.get(name) for row in rows]
        if pa.types.is_list(kind):
            values = [[v] if isinstance(v, str) else (v or []) for v in values]
        columns[name] = pa.array(values, kind)
    return pa.table(
        {
            "source": pa.array([r.get("source", "a") for r in rows], pa.string()),
            "founder": pa.array(
                [r.get("founder", f"{n:06d}").encode() for n, r in enumerate(rows)], pa.binary()
            ),
            **columns,
        }
    )


GIVEN = (
    "John", "Jon", "Jack", "John Paul", "Paul", "Mary", "Maria", "M", "J", "Mohammed", "Mohammad",
    "Baby", "Smith", "",
)  # fmt: skip
FAMILY = ("Smith", "Smyth", "Jones", "Smith-Jones", "O'Brien", "OBrien", "Khan", "John", "Paul", "")
BIRTHS = (
    "1980-05-04", "1980-04-05", "1980-05-05", "1981-05-04", "1980-01-01", "1980", "1980-05",
    "1950-05-04", "2020-06-30", None,
)  # fmt: skip
DEATHS = (None, None, None, "1999-12-01", "1980", "1980-05", "2003-01-31")
POSTCODES = ("BS1 5TR", "BS1 5TS", "BS1 4AA", "BS2 8HW", "ZZ99 3VZ")
ADDRESSES = (
    "1 High Street", "1 High St", "2 High Street", "High Street 1", "The Oaks, Long Lane",
    "Flat 2, 12 Church Rd", "12 Church Rd",
)  # fmt: skip
PHONES = ("0117 496 0001", "0117 496 0002", "07700 900003")
EMAILS = ("a@example.org", "b@example.org", "anna.berry@example.org", "ana.berry@example.org")
NUMBERS = ("9990000018", "9990000026", "9990000034")
TAGS = ("red", "green", "blue", "violet")


def some_of(values: Sequence[str], most: int) -> st.SearchStrategy[list[str]]:
    """A list of up to `most` values."""
    return st.lists(st.sampled_from(values), max_size=most)


def maybe(*values: str | None) -> st.SearchStrategy[str | None]:
    """One of the values or none."""
    return st.sampled_from((*values, None))


person = st.fixed_dictionaries(
    {
        "source": st.sampled_from(("a", "b", "c")),
        "nhs_number": maybe(None, *NUMBERS),
        "nhs_status": maybe("01", "02"),
        "names": st.lists(
            st.tuples(st.sampled_from(GIVEN), st.sampled_from(FAMILY)), min_size=1, max_size=3
        ),
        "birth_date": st.sampled_from(BIRTHS),
        "death": st.sampled_from(DEATHS),
        "gender": maybe("male", "female"),
        "postcode": some_of(POSTCODES, 2),
        "address": some_of(ADDRESSES, 2),
        "phone": some_of(PHONES, 2),
        "email": some_of(EMAILS, 1),
        "identifier": some_of(("mrn|1", "mrn|2", "chi|3", "chi|13"), 2),
        "gp_practice": maybe("L81001", "L81002"),
        "ward": maybe("North", "south-east", "South East"),
        "remarks": maybe("knee pain, left", "left knee pain", "asthma"),
        "chart": maybe("A-100", "A100", "A 101", "B200"),
        "income": maybe("100", "104.5", "0", "-3", "many"),
        "latitude": maybe("51.45", "51.46", "-33.9"),
        "longitude": maybe("-2.58", "-2.6", "151.2"),
        "joined": maybe("2001-03-01", "2001-02-27", "2001"),
        "tags": some_of(TAGS, 4),
    }
)


def as_row(drawn: dict[str, Any]) -> dict[str, Any]:
    """A drawn person as a row of `people_table`."""
    names = drawn["names"]
    return {
        **{k: v for k, v in drawn.items() if k != "names"},
        "given": [g for g, _ in names],
        "family": [f for _, f in names],
    }


@st.composite
def tables(draw: st.DrawFn, most: int = 14) -> pa.Table:
    """Records of few people: each is drawn anew or a copy of an earlier one with changes."""
    rows: list[dict[str, Any]] = []
    for base in draw(st.lists(person, min_size=2, max_size=most)):
        row = as_row(base)
        if rows and draw(st.booleans()):
            earlier = rows[draw(st.integers(0, len(rows) - 1))]
            changed = draw(st.sets(st.sampled_from(sorted(row)), max_size=5))
            row = {**earlier, **{name: row[name] for name in sorted(changed)}}
        rows.append(row)
    return people_table(rows, EXTRA)


def shared_letters(left: Sequence[str], right: Sequence[str]) -> list[float]:
    """A comparator of the tests' own: share of the letters that both texts have."""
    return [len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in zip(left, right, strict=True)]


register("shared_letters", shared_letters)

Menu = tuple[str, str, tuple[float, ...]]
"""A test, what it takes as `of`, and thresholds from strict to loose (none: it takes none)."""
SIMILAR = (0.95, 0.92, 0.85, 0.8, 0.5)
_TEXTS: tuple[Menu, ...] = (
    ("equal", "", ()),
    ("any_equal", "", ()),
    ("jaro_winkler", "", SIMILAR),
    ("jaro", "", SIMILAR),
    ("levenshtein", "", (0, 1, 2, 4)),
    ("damerau_levenshtein", "", (1, 2, 3)),
    ("levenshtein_share", "", SIMILAR),
    ("token_set", "", SIMILAR),
    ("token_sort", "", SIMILAR),
    ("custom:shared_letters", "", SIMILAR),
    ("same_part", "length", ()),
)
_NAMES: tuple[Menu, ...] = (
    *_TEXTS,
    ("nickname", "", ()),
    ("initial", "", ()),
    ("equal_to", "middle", ()),
    ("same_part", "initial", ()),
    ("same_part", "start", ()),
)
_DATES: tuple[Menu, ...] = (
    *(
        (test, "", ())
        for test in (
            "equal", "same_date", "same_first_january", "day_month_swapped", "one_digit",
            "partly_known", "two_parts", "same_month",
        )
    ),
    ("years_apart", "", (0, 1, 10)),
    ("days_apart", "", (0, 1, 30, 400)),
    ("same_part", "year", ()),
    ("same_part", "decade", ()),
)  # fmt: skip
MENU: dict[str, tuple[Menu, ...]] = {
    "nhs_number": (("equal", "", ()), ("levenshtein", "", (1, 2)), ("same_part", "start", ())),
    "given": (*_NAMES, ("transposed", "family", ()), ("equal_to", "family", ())),
    "family": (*_NAMES, ("transposed", "given", ()), ("equal_to", "given", ())),
    "middle": _NAMES,
    "birth_date": _DATES,
    "joined": _DATES,
    "sex": (("equal", "", ()), ("unequal", "", ())),
    "postcode": (
        *_TEXTS,
        *(("same_part", part, ()) for part in ("sector", "district", "area")),
    ),
    "address": (
        *_TEXTS,
        ("same_part", "figures", ()),
        ("other_part", "figures", ()),
        ("equal_in", "uprn", ()),
    ),
    "phone": _TEXTS,
    "email": _TEXTS,
    "practice": (("equal", "", ()), ("damerau_levenshtein", "", (1, 2))),
    "identifier": (*_TEXTS, ("same_part", "system", ())),
    "source": (("unequal", "", ()), ("flagged", "apart", ()), ("equal", "", ())),
    "ward": _TEXTS,
    "remarks": _TEXTS,
    "chart": _TEXTS,
    "income": (
        ("equal", "", ()),
        ("number_apart", "", (0, 4.5, 10)),
        ("share_apart", "", (0, 0.05, 0.5)),
    ),
    "latitude": (("equal", "", ()), ("km_apart", "longitude", (0.5, 2, 50))),
    "tags": (("any_equal", "", ()), ("overlap", "", (1.0, 0.5, 0.3, 0.1)), ("equal", "", ())),
}
"""Column → tests that suit it."""
KEYS = (
    "nhs_number", "birth_date", "birth_date.year", "birth_date.decade", "given", "given.initial",
    "given.start", "given.nickname", "family", "family[2]", "family[9]", "family.start",
    "given~family", "phone[2]", "phone", "email", "identifier[6]", "postcode[2]",
    "postcode.sector", "postcode.district", "postcode.area", "address", "address.figures",
    "sex", "practice", "source", "ward", "chart", "tags[8]", "tags", "joined", "income", "absent",
)  # fmt: skip
LEVEL_NAMES = (
    "same", "same 1 January", "one slip", "day and month swapped", "partly known",
    "two parts same", "same, kept apart", "close", "alike", "other",
)  # fmt: skip
"""Names of levels that guards ask for, and others."""


def _shares(rng: random.Random, count: int, *, rising: bool | None) -> list[float]:
    """Probabilities that sum to 1; sorted where wanted."""
    raw = [10 ** rng.uniform(-3.5, 0) for _ in range(count)]
    if rising is not None:
        raw.sort(reverse=not rising)
    return [x / sum(raw) for x in raw]


def _field(rng: random.Random, name: str, column: str, chosen: list[Menu], sensible: bool) -> Field:
    """A field with the tests chosen, thresholds of one measure from strict to loose."""
    tests: list[tuple[str, str, float]] = []
    for test, of, ats in chosen:
        if not ats:
            tests.append((test, of, 0.0))
            continue
        used = [ats.index(at) for known, part, at in tests if (known, part) == (test, of)]
        looser = ats[max(used, default=-1) + 1 :]
        if looser:
            tests.append((test, of, rng.choice(looser)))
    count = len(tests) + 1
    names = [*rng.sample(LEVEL_NAMES, count - 1), "different"]
    if rng.random() < 0.3:
        names = rng.sample(LEVEL_NAMES, count)
    shares = {
        "m": _shares(rng, count, rising=False if sensible else None),
        "r": _shares(rng, count, rising=None),
        "u": _shares(rng, count, rising=True if sensible else None),
    }
    levels = [
        Level(
            name=names[i],
            test=test,
            of=of,
            at=at,
            **{kind: p[i] for kind, p in shares.items()},
            frequency=rng.choice((0.0, 0.0, 0.5, 1.0)),
        )
        for i, (test, of, at) in enumerate([*tests, ("", "", 0.0)])
    ]
    comparable = "system" if column == "identifier" and rng.random() < 0.5 else ""
    return Field(name=name, column=column, comparable=comparable, levels=tuple(levels))


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A model of any shape. Numbers come from one drawn seed: they need no shrinking."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    columns = draw(st.lists(st.sampled_from(sorted(MENU)), min_size=1, max_size=8))
    sensible = draw(st.integers(0, 3)) > 0
    fields = []
    for place, column in enumerate(columns):
        chosen = draw(st.lists(st.sampled_from(MENU[column]), min_size=1, max_size=5))
        name = column if column not in columns[:place] else f"{column} {place}"
        fields.append(_field(rng, name, column, chosen, sensible))
    rules = []
    for place in range(draw(st.integers(1, 4))):
        keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
        several = [key for key in keys if "[" in key][1:]
        cap = draw(st.integers(1, 20))
        rules.append(Rule(f"rule {place}", tuple(k for k in keys if k not in several), cap))
    guards = draw(st.sets(st.sampled_from([guard.code for guard in GUARDS])))
    return Model(
        name="drawn",
        columns=EXTRA,
        fields=tuple(fields),
        rules=tuple(rules),
        guards=tuple(sorted(guards)),
        matches_per_record=rng.uniform(0.3, 3),
        relatives_per_record=rng.uniform(0.3, 6),
        records=draw(st.sampled_from((10, 100, 10_000))),
        frequencies={column: _frequencies(rng) for column in columns if rng.random() < 0.5},
        dependence=_bonds(rng, fields),
    )


def _frequencies(rng: random.Random) -> Frequencies:
    texts = ("JOHN", "SMITH", "MARY", "KHAN", "1 HIGH STREET", "BS1 5TR", "NORTH", "A100")
    listed = rng.sample(texts, rng.randint(0, 5))
    return Frequencies({t: 10 ** rng.uniform(-4, -1) for t in listed}, 10 ** rng.uniform(-5, -2))


def _bonds(rng: random.Random, fields: Sequence[Field]) -> tuple[Dependence, ...]:
    """Up to two pairs of fields that go together."""
    bonds: list[Dependence] = []
    for _ in range(rng.randint(0, 2) if len(fields) > 1 else 0):
        one, two = rng.sample(list(fields), 2)
        if any({bond.one, bond.two} == {one.name, two.name} for bond in bonds):
            continue
        tables = [
            tuple(tuple(rng.uniform(-3, 3) for _ in two.levels) for _ in one.levels) for _ in "mru"
        ]
        bonds.append(Dependence(one.name, two.name, *tables))
    return tuple(bonds)


def shipped_model(rules: tuple[Rule, ...] | None = None) -> Model:
    """The shipped model for a small table, with some name frequencies."""
    shipped = uk_person()
    common = Frequencies({"SMITH": 0.2, "JOHN": 0.1, "KHAN": 0.05}, 0.01)
    return Model(
        name="test",
        fields=shipped.fields,
        rules=rules or shipped.rules,
        guards=shipped.guards,
        matches_per_record=1.0,
        relatives_per_record=4.0,
        records=1_000,
        frequencies={"given": common, "family": common},
    )


def pairs_of(n: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of n rows, left < right."""
    left, right = np.triu_indices(n, 1)
    return left.astype(np.int32), right.astype(np.int32)
