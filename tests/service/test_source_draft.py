"""Drafts of a source's settings: what names and values of columns tell, and only that."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.samples import sample_of
from demo.generate import generate
from demo.layouts import LAYOUTS
from demo.settings_text import settings_text
from schemas.errors import InputError
from schemas.settings import Limits
from schemas.settings_file import parse_settings
from service.source_draft import (
    Column,
    Draft,
    Found,
    Sample,
    TableSample,
    drafted,
    source_lines,
    spaced,
)
from tests.adapters.excel_feeds import workbook

LIMITS = Limits()
IDS = Column("Ref", ("7", "8", "9"))
NUMBERS = ("9434765919", "943 476 5870", "")


def mapped(draft: Draft) -> dict[str, list[str]]:
    return {name: columns for name, (columns, _) in draft.mapped.items()}


@pytest.mark.parametrize(
    ("name", "words"),
    [("FamilyName", "family name"), ("DOB", "dob"), ("NHSNumber", "nhs number"),
     ("Addr1", "addr 1"), ("post_code", "post code"), ("M/F", "m f"), (" E-Mail ", "e mail")],
)  # fmt: skip
def test_words_of_a_name(name: str, words: str) -> None:
    assert spaced(name) == words


COLUMNS = [
    # name, values, field, how it was found
    ("Surname", ("Teal", "Wren", ""), "name.family", Found.BY_NAME),
    ("DOB", ("31/01/1950", "", "01/12/1971"), "birth_date", Found.BY_BOTH),
    ("NHS_NO", NUMBERS, "nhs_number", Found.BY_BOTH),
    ("X7", NUMBERS, "nhs_number", Found.BY_VALUES),
    ("X7", ("a@example.org", "", "b@example.org"), "email", Found.BY_VALUES),
    ("X7", ("BS1 5TR", "bs15tr", "GL7 6EA"), "address.postcode", Found.BY_VALUES),
    ("OLD_POSTCODE", ("BS1 5TR", "", ""), "previous_address.postcode", Found.BY_BOTH),
    ("SEX", ("M", "F", "f"), "gender", Found.BY_BOTH),
    ("MOBILE2", ("07700 900001", "", ""), "mobile", Found.BY_BOTH),
    (
        "Home address",
        ("1 High Street, Bristol", "", "2 Low Street, Yate"),
        "address.full",
        Found.BY_NAME,
    ),
    ("Contact no", ("0117 496 0001", "", "07700 900001"), "phone", Found.BY_BOTH),
    ("Contact number", ("07700 900001", "+44 7700 900002", ""), "mobile", Found.BY_BOTH),
    ("Email", ("", "", ""), "email", Found.BY_NAME),
]


@pytest.mark.parametrize(("name", "values", "field", "found"), COLUMNS)
def test_a_column_is_taken_for(
    name: str, values: tuple[str, ...], field: str, found: Found
) -> None:
    assert drafted([IDS, Column(name, values)]).mapped[field] == ([name], found)


@pytest.mark.parametrize(
    ("name", "values", "field"),
    [("NHS_NO", ("1234567890", "1", "2"), "nhs_number"),
     ("DOB", ("Teal", "Wren", ""), "birth_date"),
     ("Postcode", ("1", "2", "3"), "address.postcode"), ("Sex", ("yes", "no", "no"), "gender")],
)  # fmt: skip
def test_what_a_name_says_and_its_values_deny_is_not_mapped(
    name: str, values: tuple[str, ...], field: str
) -> None:
    draft = drafted([IDS, Column(name, values)])
    assert draft.denied == {name: field}
    assert field not in draft.mapped


def test_the_local_id_is_a_column_whose_values_are_all_unlike() -> None:
    alike = Column("Client ID", ("7", "7", "8"))
    assert mapped(drafted([alike, Column("Key", ("a", "b", "c"))])) == {"local_id": ["Key"]}
    assert "local_id" not in drafted([alike]).mapped
    assert mapped(drafted([Column("N.B.", ("x", "y", "z"))])) == {"local_id": ["N.B."]}
    both = [Column("Ref", ("1", "2", "3")), Column("Client ID", ("4", "5", "6"))]
    assert mapped(drafted(both)) == {"local_id": ["Ref"]}


def test_of_two_columns_for_one_field_the_better_found_is_mapped() -> None:
    draft = drafted([IDS, Column("X", NUMBERS), Column("NHS", NUMBERS)])
    assert mapped(draft)["nhs_number"] == ["NHS"]
    assert draft.left == {"X": "could be nhs_number, too"}


@pytest.mark.parametrize(
    ("values", "formats", "unsure"),
    [
        (("31/01/1950", "01/12/1971"), ["%d/%m/%Y"], False),
        (("01/02/1950", "03/12/1971"), ["%d/%m/%Y"], True),
        (("01/31/1950", "03/12/1971"), ["%m/%d/%Y"], False),
        (("1950-01-31", "1971-12-01"), ["%Y-%m-%d"], False),
        (("31 Jan 1950", ""), ["%d %b %Y"], False),
        (("", ""), [], False),
    ],
)
def test_formats_of_dates(values: tuple[str, ...], formats: list[str], unsure: bool) -> None:
    draft = drafted([Column("Ref", ("1", "2")), Column("DOB", values)])
    assert (draft.dates, draft.unsure) == (formats, unsure)


def test_codes_are_drafted_for_values_that_are_known() -> None:
    columns = [
        Column("Ref", tuple("1234")),
        Column("Sex", ("1", "Female", "9", "")),
        Column("Ethnicity", ("White: British", "Z", "White - Irish", "purple")),
    ]
    assert drafted(columns).codes == {
        "gender": {"1": "male", "9": "other", "Female": "female"},
        "ethnicity": {"White - Irish": "B", "White: British": "A"},
    }


NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(st.lists(NAME, min_size=1, max_size=5, unique=True), st.lists(NAME, min_size=0, max_size=3))
def test_any_names_and_values_give_a_draft_that_is_toml(
    names: list[str], values: list[str]
) -> None:
    rows = tuple(tuple(values[n % len(values)] for n in range(len(names))) for _ in values)
    sample = Sample("excel", (TableSample("S", tuple(names), rows),), {"delimiter": names[0]})
    text = "\n".join(source_lines("s", names[0], ("A1A1A",), "file 1.csv", sample))
    (source,) = tomllib.loads(text)["source"]
    assert source["name"] == names[0]


# --- the demo's systems -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo")
    generate(root, people=300)
    return root


def test_drafts_of_the_demo_are_nearly_what_its_settings_say(demo: Path) -> None:
    """Of the columns that the demo's own settings map, so many are drafted alike; none is given to
    a field that is another's."""
    settings = parse_settings(settings_text())
    right, missing, wrong = 0, [], []
    for system, layout in LAYOUTS.items():
        source = settings.source(system)
        assert source is not None
        (path,) = (demo / "inbox" / system).glob(f"{layout.clients}_*")
        sample = sample_of(path, LIMITS)
        (table,) = sample.tables
        assert sample.said.get("delimiter", ",") == layout.delimiter
        draft = drafted(table.columns())
        assert draft.dates[0] == layout.dates
        proposed = {c: name for name, (columns, _) in draft.mapped.items() for c in columns}
        known = {c: name for name, columns in source.files[0].columns.items() for c in columns}
        for column, name in known.items():
            right += proposed.get(column) == name
            missing += [(system, column)] if column not in proposed else []
            wrong += [(system, column)] if proposed.get(column, name) != name else []
    assert wrong == []
    assert right > 0.85 * (right + len(missing)), missing


@pytest.mark.parametrize("system", LAYOUTS)
def test_a_draft_is_taken_as_it_stands(demo: Path, system: str) -> None:
    (path,) = (demo / "inbox" / system).glob(f"{LAYOUTS[system].clients}_*")
    block = source_lines(system, "A system", ("ZZ901",), path.name, sample_of(path, LIMITS))
    head = "[partnership]\nname = 'P'\n[[organisation]]\ncode = 'ZZ901'\nname = 'O'\nkind = 'k'\n"
    (source,) = parse_settings(head + "\n".join(block)).sources
    assert source.files[0].pattern == path.name.replace("20260301", "*")


# --- files of every form ------------------------------------------------------------------------


def sample(tmp_path: Path, name: str, data: bytes) -> Any:
    path = tmp_path / name
    path.write_bytes(data)
    return sample_of(path, LIMITS)


FORMS = [
    ("commas", b"ID,NAME\n1,Teal\n2,Wren\n", {}, ("ID", "NAME")),
    ("bars", b"ID|NAME\n1|Teal, A\n2|Wren, B\n", {"delimiter": "|"}, ("ID", "NAME")),
    ("tabs", b"ID\tNAME\n1\tTeal\n", {"delimiter": "\t"}, ("ID", "NAME")),
    ("Windows", "ID;NAME\n1;Zoë\n".encode("cp1252"), {"delimiter": ";", "encoding": "cp1252"},
     ("ID", "NAME")),
    ("a mark", "\ufeffID,NAME\n1,Zoë\n".encode("utf-16"), {}, ("ID", "NAME")),
    ("no header", b"10001,Teal\n10002,Wren\n", {"header": ["column 1", "column 2"]},
     ("column 1", "column 2")),
    ("a title above", b"Report of clients\nID,NAME\n1,Teal\n2,Wren\n", {}, ("ID", "NAME")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "said", "header"), [f[1:] for f in FORMS], ids=[f[0] for f in FORMS]
)
def test_form(tmp_path: Path, data: bytes, said: dict[str, Any], header: tuple[str, ...]) -> None:
    found = sample(tmp_path, "a.csv", data)
    assert (found.format, found.said) == ("delimited", said)
    assert found.tables[0].header == header
    assert found.tables[0].rows


def test_sheets_of_a_workbook(tmp_path: Path) -> None:
    clients = [["Register 2026"], [], ["No", "Name", "Born"], ["1", "Teal", "1950-01-31"],
               ["2", "Wren", "1960-01-31"]]  # fmt: skip
    found = sample(tmp_path, "a.xlsx", workbook({"Clients": clients, "Empty": []}))
    (table,) = found.tables
    assert (found.format, table.name, table.header) == ("excel", "Clients", ("No", "Name", "Born"))
    assert table.rows[0] == ("1", "Teal", "1950-01-31")


@pytest.mark.parametrize(
    ("data", "format_"), [(b"MSH|^~\\&|A|B\r", "hl7v2"), (b'{"resourceType": "Patient"}\n', "fhir")]
)
def test_what_needs_no_mapping(tmp_path: Path, data: bytes, format_: str) -> None:
    found = sample(tmp_path, "a.dat", data)
    assert (found.format, found.tables) == (format_, ())


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"<a/>", "XML"), (b"", "no bytes"), (b" \n", "holds nothing"), (b"\0\1", "no text"),
     (b"Pemberton\n", "delimiter"), (b"PK\x03\x04", "torn")],
)  # fmt: skip
def test_what_cannot_be_drafted_for(tmp_path: Path, data: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        sample(tmp_path, "a.xlsx" if told == "torn" else "a.csv", data)
    assert "Pemberton" not in str(caught.value)
