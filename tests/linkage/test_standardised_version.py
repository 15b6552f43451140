"""What standardising gives of a fixed corpus changes only with its version.

Kept features and link state are gone on from while the version stands: code that gives something
else under the same version would mix two ways of reading in one partition.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from linkage import model, standardise
from linkage.columns import TEXT_PARTS, Column
from linkage.features import build_features
from service.inputs import Inputs
from tests.linkage.people import people_table

CORPUS: list[dict[str, Any]] = [
    {"given": "Mr. Seán", "family": "O\u2019Brien-Smith Jr", "birth_date": "1971-03-04"},
    {"given": "Łukasz", "family": "Żak", "gender": "male", "birth_date": "1971-03"},
    {"given": "mary  ann", "family": "van der Berg", "gender": "female", "birth_date": "1971"},
    {"given": "Baby", "family": "Unknown", "birth_date": "1900-01-01"},
    {"given": "J P", "family": "MacDonald", "birth_date": "1980-12-31"},
    {"given": "", "family": "", "name_text": "Dr Siobhan MCDONALD (nee Jones)"},
    {"given": "Müller", "family": "Weiß", "nhs_number": "9434765919", "nhs_status": "01"},
    {"given": "Mohammed", "family": "Al-Khan", "nhs_number": "943 476 5870"},
    {"given": "Test", "family": "Patient", "nhs_number": "9999999999"},
    {"given": "Ann", "address": "Flat 2, 14 St. John's Rd.", "postcode": "bs1 5tr"},
    {"given": "Ann", "address": "14a Saint Johns Road, Bristol", "postcode": "BS15TR"},
    {"given": "Ann", "address": "The Cottage, Church Lane", "postcode": "ZZ99 3VZ"},
    {"given": "Ann", "phone": "+44 (0)117 496 0001", "email": " Ann@Example.ORG "},
    {"given": "Ann", "phone": "01174960001", "email": "unknown"},
    {"given": "Ann", "phone": "07700 900 123", "uprn": "000123456789"},
    {"given": "Ann", "gp_practice": " l81012 ", "identifier": "https://a.example/id| 12-34 a"},
    {"given": "Ann", "identifier": "urn:chi|0101701234", "death": "2020-02-29"},
    {"given": "Ann", "gender": "other", "death": "yes"},
]  # fmt: skip
GIVEN = {2: "94f46b412aa371a8e880470c08611131d288a5f22a8ebb6fb603aca34dbe833f"}
"""Version → the digest of what it gives. A new version gets a row of its own."""


def told(column: Column) -> list[list[Any]]:
    """The values of each record, and every part of them that is a text, by its first bearer."""
    values = column.values.array.to_pylist()
    found = [[None if code < 0 else values[code] for code in row] for row in column.codes.tolist()]
    if column.values.kind == "text" and values:
        for name in TEXT_PARTS:
            part = column.values.part(name).tolist()
            first = {number: value for value, number in reversed([*zip(values, part, strict=True)])}
            alike = [[value, first[n]] for value, n in zip(values, part, strict=True) if n >= 0]
            found.append(sorted([name, *pair] for pair in alike))
    return found


def digest() -> str:
    features = build_features(people_table(CORPUS), accept_test_numbers=True)
    columns = {name: told(column) for name, column in sorted(features.columns.items())}
    return hashlib.sha256(json.dumps(columns, sort_keys=True).encode()).hexdigest()


def test_what_it_gives_changes_with_the_version_alone() -> None:
    assert digest() == GIVEN[standardise.VERSION], (
        "standardising gives something else: raise VERSION in linkage/standardise.py, and add a row"
    )


def test_every_way_of_reading_is_in_the_corpus() -> None:
    features = build_features(people_table(CORPUS), accept_test_numbers=True)
    expected = {
        "nhs_number", "birth_date", "death", "sex", "practice", "address", "postcode", "phone",
        "uprn", "email", "identifier", "source", "given", "family",
    }  # fmt: skip
    assert expected <= features.columns.keys()


@pytest.mark.parametrize(
    ("module", "name"), [(standardise, "VERSION"), (model, "KERNEL_VERSION")], ids=str
)
def test_a_raised_version_makes_anew_what_a_link_goes_on_from(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    """Also of a model that is in force again, whose hash is of another time."""
    inputs = Inputs("a former model's hash", 1.0, 0.0, False, ())
    before = inputs.hash, model.uk_person().hash
    monkeypatch.setattr(module, name, getattr(module, name) + 1)
    assert inputs.hash != before[0]
    assert model.uk_person().hash != before[1]
