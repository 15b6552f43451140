"""Small tables of people for linkage tests: written by hand, or drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from schemas.columns import MATCH_SCHEMA

LISTS = {f.name for f in MATCH_SCHEMA if pa.types.is_list(f.type)}


def people_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """A table for `linkage.link`. List columns may be given as one text; absent ones are missing.

    `given` and `family` default to one empty name, as a record without a name has none.
    """
    columns: dict[str, Any] = {}
    for field in MATCH_SCHEMA:
        values = [row.get(field.name) for row in rows]
        if field.name in LISTS:
            values = [[v] if isinstance(v, str) else (v or []) for v in values]
        columns[field.name] = pa.array(values, field.type)
    return pa.table(
        {
            "source": pa.array([r.get("source", "a") for r in rows], pa.string()),
            "founder": pa.array(
                [r.get("founder", f"{n:06d}").encode() for n, r in enumerate(rows)], pa.binary()
            ),
            **columns,
        }
    )


GIVEN = ("John", "Jon", "Jack", "Mary", "Maria", "M", "Mohammed", "Mohammad", "Baby", "Smith", "")
FAMILY = ("Smith", "Smyth", "Jones", "Smith-Jones", "O'Brien", "OBrien", "Khan", "John", "")
BIRTHS = (
    "1980-05-04", "1980-04-05", "1980-05-05", "1981-05-04", "1980-01-01", "1980", "1950-05-04",
    "2020-06-30", None,
)  # fmt: skip
POSTCODES = ("BS1 5TR", "BS1 5TS", "BS1 4AA", "BS2 8HW", "ZZ99 3VZ")
ADDRESSES = ("1 High Street", "1 High St", "2 High Street", "The Oaks, Long Lane", "12 Church Rd")
NUMBERS = ("9990000018", "9990000026", "9990000034")


def some_of(values: Sequence[str], most: int) -> st.SearchStrategy[list[str]]:
    """A list of up to `most` values."""
    return st.lists(st.sampled_from(values), max_size=most)


person = st.fixed_dictionaries(
    {
        "source": st.sampled_from(("a", "b", "c")),
        "nhs_number": st.one_of(st.none(), st.sampled_from(NUMBERS)),
        "nhs_status": st.sampled_from(("01", "02", None)),
        "names": st.lists(
            st.tuples(st.sampled_from(GIVEN), st.sampled_from(FAMILY)), min_size=1, max_size=3
        ),
        "birth_date": st.sampled_from(BIRTHS),
        "gender": st.sampled_from(("male", "female", None)),
        "postcode": some_of(POSTCODES, 2),
        "address": some_of(ADDRESSES, 2),
        "phone": some_of(("0117 496 0001", "0117 496 0002", "07700 900003"), 2),
        "email": some_of(("a@example.org", "b@example.org"), 1),
        "identifier": some_of(("mrn|1", "mrn|2", "chi|3"), 2),
        "gp_practice": st.sampled_from(("L81001", "L81002", None)),
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


tables = st.lists(person, min_size=2, max_size=14).map(
    lambda rows: people_table([as_row(r) for r in rows])
)
