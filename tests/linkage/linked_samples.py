"""Small linked tables of every shape that a report must stand: large, tiny, empty, frozen."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping

import msgspec
import pandas as pd

from linkage.api import Linked, link
from linkage.model import Field, Level, Model, Rule, uk_person

FORENAMES = ("Zorwina", "Quexley", "Brunthild", "Ottkar", "Mivelda", "Fennimor", "Jasperine")
SURNAMES = ("Vornhagen", "Tzibula", "Wexcombe", "Aldrovar", "Pluckrose", "Grindelmay")
STREETS = ("Quagmoor", "Snibbury", "Hexwater", "Ploverdene")
"""Names that stand nowhere else: a page that holds one has shown a person's value."""


def people(records: int = 300, seed: int = 7) -> pd.DataFrame:
    """Two or three records a person from three sources, with slips and gaps."""
    rng = random.Random(seed)
    rows: list[dict[str, object]] = []
    while len(rows) < records:
        year, month, day = rng.randint(1930, 2015), rng.randint(1, 12), rng.randint(2, 28)
        person = {
            "first_name": rng.choice(FORENAMES),
            "surname": rng.choice(SURNAMES) + rng.choice(("", "son", "by", "ton")),
            "dob": f"{year}-{month:02}-{day:02}",
            "sex": rng.choice(("female", "male")),
            "postcode": f"BS{rng.randint(1, 9)} {rng.randint(1, 9)}XQ",
            "address": f"{rng.randint(1, 90)} {rng.choice(STREETS)} Road",
            "case_no": f"K{rng.randint(10_000, 99_999)}",
        }
        for source in rng.sample(("clinic", "housing", "ward"), rng.randint(1, 3)):
            row = {**person, "system": source, "record_id": f"r{len(rows):04}"}
            if rng.random() < 0.3:
                row["dob"] = f"{year}-{month:02}-{max(2, day - 1):02}"
            if rng.random() < 0.2:
                row["surname"] = str(row["surname"])[:-1]
            for gap in ("address", "postcode", "case_no", "sex"):
                if rng.random() < 0.15:
                    row[gap] = None
            rows.append(row)
    return pd.DataFrame(rows[:records])


def values(table: pd.DataFrame) -> set[str]:
    """What a person's record says, word by word: of these none may stand in a report."""
    told = table.drop(columns=["record_id", "system", "sex"], errors="ignore")
    texts = [str(v) for column in told for v in told[column].dropna()]
    words = {word for text in texts for word in text.split()}
    return {text for text in {*texts, *words} if len(text) > 4 and text != "Road"}


def _plain(table: pd.DataFrame, **options: object) -> Linked:
    return link(table, source_column="system", threads=1, **options)  # type: ignore[arg-type]


@functools.cache
def trained() -> Linked:
    """300 records, a model trained on them, an identifier that was named."""
    return _plain(people(), identifiers=["case_no"])


def frozen() -> Linked:
    """Other records, by the model of `trained`, at a threshold that is on no grid."""
    return _plain(people(120, 8), model=trained().model, join_bits=3.3, identifiers=["case_no"])


def two_records() -> Linked:
    """The least that can be linked."""
    return _plain(people(2))


def no_pairs() -> Linked:
    """Rules that propose no pair at all."""
    model = msgspec.structs.replace(uk_person(), rules=(Rule("number", ("nhs_number",), 10),))
    return _plain(people(40), model=model)


def cut() -> Linked:
    """A rule of which blocks are cut."""
    rules = (Rule("year", ("birth_date.year",), 3), Rule("name", ("given", "family"), 50))
    return _plain(people(120), prior=msgspec.structs.replace(uk_person(), rules=rules))


def disputed() -> Linked:
    """A source that keeps its own people apart, and holds everybody twice."""
    table = people(90)
    twice = table[table["system"] == "ward"]
    twice = twice.assign(record_id=twice["record_id"] + "x")
    return _plain(pd.concat([table, twice]), keeps_apart=["ward"])


def one_field() -> Linked:
    """A model of one field, and nothing but that."""
    same = Level(name="same", test="equal", m=0.9, r=0.1, u=0.01)
    different = Level(name="different", m=0.1, r=0.9, u=0.99)
    model = Model(
        name="one field",
        fields=(Field(name="born", column="birth_date", levels=(same, different)),),
        rules=(Rule("born", ("birth_date",), 50),),
        matches_per_record=1.0,
        relatives_per_record=1.0,
        records=100,
    )
    return _plain(people(60)[["record_id", "system", "dob"]], model=model)


SHAPES: Mapping[str, Callable[[], Linked]] = {
    "trained": trained,
    "frozen": functools.cache(frozen),
    "two records": functools.cache(two_records),
    "no pairs": functools.cache(no_pairs),
    "cut": functools.cache(cut),
    "disputed": functools.cache(disputed),
    "one field": functools.cache(one_field),
}
