"""What fields of rows become: records, care items, staff entries; what is kept as sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.delimited_values import full_address, full_name
from schemas.errors import FeedRefused, InvalidValue
from schemas.settings import FileSettings
from tests.adapters.delimited_feeds import file_settings, issues, loaded, read, rejections

FIELDS = (
    "local_id", "nhs_number", "nhs_number_status", "nhs_number_traced_on", "name.prefix",
    "name.given", "name.family", "name.suffix", "name.previous_family", "name.known_as",
    "name.full", "birth_date", "gender", "birth_sex", "ethnicity", "address.full",
    "address.postcode", "address.uprn", "previous_address.postcode", "phone", "mobile", "email",
    "gp_practice", "organisation", "death_date", "deceased", "restricted", "replaced_by", "as_at",
    "identifier.hosp", "detail.note",
)  # fmt: skip
ALL = file_settings(
    columns={name: (name.upper(),) for name in FIELDS}
    | {"address.line": ("L1", "L2"), "previous_address.line": ("P1",)},
    codes={"gender": {"M": "male", "F": "female"}},
    date_formats=("%d/%m/%Y", "%d/%m/%Y %H:%M"),
)
COLUMNS = [column for columns in ALL.columns.values() for column in columns]


def one(
    folder: Path, settings: FileSettings = ALL, **values: str
) -> tuple[dict[str, Any], list[Any], Any]:
    """Content, rejections and issues of a file with one row; `_` stands for a dot in names."""
    row = {"LOCAL_ID": "1", **{name.upper(): value for name, value in values.items()}}
    cells = [row.pop(column.replace(".", "_"), "") for column in COLUMNS]
    assert not row
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    batches = read(
        folder, f"{','.join(COLUMNS)}\n{quoted}\n", settings, identifier_systems={"hosp": "H"}
    )
    rows = loaded(batches)
    content = json.loads(rows[0]["content"]) if rows else {}
    return content, rejections(batches), issues(batches)


READ: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("nothing but the id", {}, {}),
    ("missing values", {"name_given": "NULL", "phone": " N/A "}, {}),
    (
        "a traced number",
        {
            "nhs_number": "943 476 5919", "nhs_number_status": "01",
            "nhs_number_traced_on": "1/2/2020",
        },
        {"nhs_number": {"value": "9434765919", "status": "01", "traced_on": "2020-02-01"}},
    ),
    (
        "names",
        {
            "name_prefix": "Ms", "name_given": "Ann  Mary", "name_family": "O'Neill-Smith",
            "name_previous_family": "Jones", "name_known_as": "Annie",
        },
        {
            "names": [
                {"prefix": "Ms", "given": ["Ann", "Mary"], "family": "O'Neill-Smith"},
                {"family": "Jones", "use": "old"},
                {"given": ["Annie"], "use": "nickname"},
            ]
        },
    ),
    (
        "the same former name",
        {"name_family": "Jones", "name_previous_family": "JONES"},
        {"names": [{"family": "Jones"}]},
    ),
    (
        "a full name beside its parts",
        {"name_full": "Ann Jones", "name_family": "Jones"},
        {"names": [{"family": "Jones", "text": "Ann Jones"}]},
    ),
    ("a twin", {"name_given": "Twin 2"}, {"names": [{"given": ["Twin", "2"]}]}),
    (
        "codes",
        {"gender": "M", "birth_sex": "Female", "ethnicity": "a"},
        {"gender": "male", "birth_sex": "female", "ethnicity": "A"},
    ),
    (
        "addresses",
        {
            "l1": "Flat 1\r\nThe Oaks", "l2": "Bath", "address_uprn": "0012",
            "address_postcode": "ba11aa", "p1": "Old Rd", "previous_address_postcode": "BS1 1AA",
        },
        {
            "addresses": [
                {"lines": ["Flat 1", "The Oaks", "Bath"], "postcode": "BA1 1AA", "uprn": "12"},
                {"lines": ["Old Rd"], "postcode": "BS1 1AA", "use": "old"},
            ]
        },
    ),
    (
        "an address in one text",
        {"address_full": "1 High St, Bath, BA1 1AA"},
        {"addresses": [{"lines": ["1 High St", "Bath"], "postcode": "BA1 1AA"}]},
    ),
    (
        "telecoms",
        {"phone": "0117 900", "mobile": "07700 900", "email": "a@b.org"},
        {
            "telecoms": [
                {"system": "phone", "value": "0117 900"},
                {"system": "phone", "value": "07700 900", "use": "mobile"},
                {"system": "email", "value": "a@b.org"},
            ]
        },
    ),
    (
        "organisations",
        {"gp_practice": "l81001", "organisation": "RA7"},
        {"gp_practice": "L81001", "organisation": "RA7"},
    ),
    ("died", {"death_date": "1/2/2020"}, {"death": {"on": "2020-02-01"}}),
    ("died, no date", {"deceased": "Y"}, {"death": {}}),
    ("alive", {"deceased": "false"}, {}),
    ("restricted", {"restricted": "1"}, {"restricted": True}),
    ("not restricted", {"restricted": "No"}, {}),
    ("replaced", {"replaced_by": "2"}, {"replaced_by": "2"}),
    (
        "an identifier and a detail",
        {"identifier_hosp": "X1", "detail_note": "a\nb"},
        {"identifiers": [{"system": "H", "value": "X1"}], "details": {"note": "a\nb"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "content"), [r[1:] for r in READ], ids=[r[0] for r in READ])
def test_read(tmp_path: Path, sent: dict[str, str], content: dict[str, Any]) -> None:
    found, rejected, kept = one(tmp_path, **sent)
    assert found == {"local_id": "1", **content}
    assert (rejected, kept) == ([], {})


KEPT: list[tuple[str, dict[str, str], dict[str, Any], str]] = [
    ("an NHS number", {"nhs_number": "9434765918"}, {}, "nhs_number"),
    ("a trace date", {"nhs_number_traced_on": "soon"}, {}, "nhs_number_traced_on"),
    ("a status", {"nhs_number_status": "99"}, {}, "nhs_number_status"),
    ("a gender not in its table", {"gender": "male"}, {}, "gender"),
    ("an ethnicity", {"ethnicity": "Martian"}, {}, "ethnicity"),
    ("a UPRN", {"address_uprn": "x"}, {}, "address.uprn"),
    ("a practice", {"gp_practice": "?"}, {}, "gp_practice"),
    ("an organisation", {"organisation": "The Trust"}, {}, "organisation"),
    ("a death date", {"death_date": "x"}, {}, "death_date"),
    ("a dead person's date", {"death_date": "x", "deceased": "Y"}, {"death": {}}, "death_date"),
    ("an as_at", {"as_at": "x"}, {}, "as_at"),
    ("a doubtful restriction", {"restricted": "?"}, {"restricted": True}, "restricted"),
    ("replaced by itself", {"replaced_by": "1"}, {}, "replaced_by"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "more", "field"), [k[1:] for k in KEPT], ids=[k[0] for k in KEPT])
def test_kept_as_sent(
    tmp_path: Path, sent: dict[str, str], more: dict[str, Any], field: str
) -> None:
    found, rejected, kept = one(tmp_path, **sent)
    text = sent[field.replace(".", "_")]
    assert found == {"local_id": "1", "unread": {field: text}, **more}
    assert (rejected, kept) == ([], {(field, "bad_value"): 1})


def test_a_denied_death_is_no_evidence(tmp_path: Path) -> None:
    found, _, kept = one(tmp_path, death_date="1/2/2020", deceased="N")
    assert found == {"local_id": "1", "unread": {"death_date": "2020-02-01"}}
    assert kept == {("death_date", "bad_value"): 1}


def test_a_bad_postcode_stays_with_its_address(tmp_path: Path) -> None:
    found, rejected, kept = one(
        tmp_path, l1="1 High St", address_postcode="BS1", previous_address_postcode="?"
    )
    assert found["addresses"] == [{"lines": ["1 High St", "BS1"]}, {"lines": ["?"], "use": "old"}]
    assert "unread" not in found
    assert not rejected
    assert set(kept.values()) == {1}


QUARANTINED = [
    ("no local id", {"local_id": " "}, "local_id", "missing_value"),
    ("an id over two lines", {"local_id": "1\n2"}, "local_id", "bad_value"),
    ("a birth date", {"birth_date": "1980-05-17"}, "birth_date", "bad_value"),
    ("a name for a birth date", {"birth_date": "Smith"}, "birth_date", "bad_value"),
    ("a date for a name", {"name_family": "17/05/1980"}, "name.family", "bad_value"),
    ("an ISO date", {"name_given": "1980-05-17"}, "name.given", "bad_value"),
    ("a date in words", {"name_given": "17 May 1980"}, "name.given", "bad_value"),
    ("a postcode for a name", {"name_family": "BS1 5TR"}, "name.family", "bad_value"),
    ("ten digits", {"name_full": "943 476 5919"}, "name.full", "bad_value"),
    ("a former name", {"name_previous_family": "9434765919"}, "name.previous_family", "bad_value"),
    ("a nickname", {"name_known_as": "bs15tr"}, "name.known_as", "bad_value"),
]


@pytest.mark.parametrize(
    ("sent", "field", "reason"), [q[1:] for q in QUARANTINED], ids=[q[0] for q in QUARANTINED]
)
def test_quarantined(tmp_path: Path, sent: dict[str, str], field: str, reason: str) -> None:
    found, rejected, kept = one(tmp_path, **sent)
    assert (found, rejected, kept) == ({}, [("line 2", field, reason)], {})


def test_the_message_hints_at_swapped_columns_and_shows_no_value(tmp_path: Path) -> None:
    columns = "LOCAL_ID,BIRTH_DATE"
    settings = file_settings(columns={"local_id": ("LOCAL_ID",), "birth_date": ("BIRTH_DATE",)})
    (batch,) = read(tmp_path, f"{columns}\n1,Brown\n", settings)
    message = batch.rejected[0].message
    assert "swapped" in message
    assert "Brown" not in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SMITH, John Paul", {"family": "SMITH", "given": ("John", "Paul")}),
        ("Smith, Mr John", {"family": "Smith", "given": ("John",), "prefix": "Mr"}),
        ("Smith, John (Mr)", {"family": "Smith", "given": ("John",), "prefix": "Mr"}),
        ("SMITH, John, Dr.", {"family": "SMITH", "given": ("John",), "prefix": "Dr"}),
        ("SMITH, John Jnr", {"family": "SMITH", "given": ("John",), "suffix": "Jnr"}),
        ("VAN DER BERG, Anna", {"family": "VAN DER BERG", "given": ("Anna",)}),
        ("Mr John Smith", {"family": "Smith", "given": ("John",), "prefix": "Mr"}),
        ("Prof. Dr. Ann Jones", {"family": "Jones", "given": ("Ann",), "prefix": "Prof. Dr."}),
        ("Mrs Anna van der Berg", {"family": "van der Berg", "given": ("Anna",), "prefix": "Mrs"}),
        ("Miss Jones", {"family": "Jones", "prefix": "Miss"}),
        ("Sir J Fox OBE", {"family": "Fox", "given": ("J",), "prefix": "Sir", "suffix": "OBE"}),
        ("smith john", {}),
        ("John Smith", {}),
        ("Mr", {}),
        ("Smith, ", {}),
        (",", {}),
        ("a, b, c", {}),
    ],
)  # fmt: skip
def test_full_name(text: str, parts: dict[str, Any]) -> None:
    name = full_name(text)
    found = {key: getattr(name, key) for key in ("family", "given", "prefix", "suffix")}
    assert {key: value for key, value in found.items() if value} == parts
    assert name.text == " ".join(text.split())


@pytest.mark.parametrize("text", ["J Smith 17/05/1980", "9434765919", "bs15tr", "19800517"])
def test_no_full_name(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        full_name(text)
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "lines", "postcode"),
    [
        ("1 High St, Bath BA1 1AA", ("1 High St", "Bath BA1 1AA"), "BA1 1AA"),
        ("1 High St\r\nBath\r\nba11aa", ("1 High St", "Bath"), "BA1 1AA"),
        ("1 High St, Bath", ("1 High St", "Bath"), None),
        ("Unit XBA1 1AA", ("Unit XBA1 1AA",), None),
        (", ,", (), None),
    ],
)
def test_full_address(text: str, lines: tuple[str, ...], postcode: str | None) -> None:
    assert full_address(text) == (lines, postcode)


def test_columns_joined_constants_and_codes(tmp_path: Path) -> None:
    settings = file_settings(
        columns={
            "local_id": ("A", "B"),
            "birth_date": ("D", "M", "Y"),
            "gender": ("S",),
            "birth_sex": ("S",),
            "gp_practice": ("P",),
            "phone": ("T1", "T2"),
        },
        codes={
            "gender": {"1": "male"},
            "birth_sex": {"1": "female"},
            "gp_practice": {"x": "L81001"},
        },
        constants={"organisation": "RA7", "gp_practice": "Y00001", "restricted": "Y"},
        date_formats=("%d %m %Y",),
    )
    data = "A,B,D,M,Y,S,P,T1,T2\na,1,17,5,1980,1,x,0,1\na,2,,,,2,,,\n"
    first, second = loaded(read(tmp_path, data, settings))
    assert json.loads(first["content"]) == {
        "local_id": "a 1", "birth_date": "1980-05-17", "gender": "male", "birth_sex": "female",
        "gp_practice": "L81001", "organisation": "RA7", "restricted": True,
        "telecoms": [{"system": "phone", "value": "0"}, {"system": "phone", "value": "1"}],
    }  # fmt: skip
    assert json.loads(second["content"])["gp_practice"] == "Y00001"
    assert json.loads(second["content"])["unread"] == {"gender": "2", "birth_sex": "2"}


def test_a_constant_that_is_none_of_its_field_refuses_the_file(tmp_path: Path) -> None:
    settings = file_settings(columns={"local_id": ("A",)}, constants={"gp_practice": "?"})
    with pytest.raises(FeedRefused):
        read(tmp_path, "A\n1\n", settings)


def test_when_a_row_stood_so(tmp_path: Path) -> None:
    settings = file_settings(
        columns={"local_id": ("A",), "as_at": ("T",)}, date_formats=("%d/%m/%Y %H:%M",)
    )
    rows = loaded(read(tmp_path, "A,T\n1,01/07/2026 10:00\n2,2026-07-01T10:00Z\n3,\n", settings))
    assert [row["as_at"] for row in rows] == ["2026-07-01T09:00:00Z", "2026-07-01T10:00:00Z", None]


ITEM_COLUMNS = (
    "local_id", "item_id", "heading", "code", "code_system", "display", "text", "status", "start",
    "end", "recorded_at", "author", "organisation", "sensitivity", "detail.site",
)  # fmt: skip
ITEMS = file_settings(
    kind="care_item",
    columns={name: (name.upper(),) for name in ITEM_COLUMNS},
    codes={"heading": {"APT": "appointment", "ALG": "allergy", "REG": "registration"}},
    date_formats=("%d/%m/%Y", "%d/%m/%Y %H:%M"),
)


def test_care_items(tmp_path: Path) -> None:
    rows = [
        "1,a,APT,,,Clinic,Bring x-ray,booked,01/07/2026 10:00,,02/03/2026 09:30,Dr A,,secret,Bath",
        "1,b,ALG,91936005,SNOMED,Penicillin allergy,,,17/05/1980,never,,,RA8,,",
        "1,c,REG,,,,,,,,,,,,",
        "1,d,ALG,,,,,,,,,,,,",
        "1,e,???,,,,x,,,,,,,,",
        "1,f,,,,,x,,,,,,,,",
        "1,,ALG,,,,x,,,,,,,,",
        ",h,ALG,,,,x,,,,,,,,",
    ]
    header = ",".join(name.upper() for name in ITEM_COLUMNS)
    batches = read(tmp_path, "\n".join([header, *rows]) + "\n", ITEMS)
    appointment, allergy, registration = [
        json.loads(row["content"]) for row in loaded(batches, "items")
    ]
    assert appointment == {
        "heading": "appointment", "item_id": "a", "subject": "1", "text": "Clinic: Bring x-ray",
        "status": "booked", "start": "2026-07-01T09:00:00Z", "recorded_at": "2026-03-02T09:30:00Z",
        "author": "Dr A", "organisation": "RA7", "sensitivity": ["secret"],
        "details": {"site": "Bath"},
    }  # fmt: skip
    assert allergy["codes"] == [
        {"code": "91936005", "system": "SNOMED", "display": "Penicillin allergy"}
    ]
    assert (allergy["start"], allergy["organisation"]) == ("1980-05-17", "RA8")
    assert allergy["details"] == {"unread": {"end": "never"}}
    assert registration["organisation"] == "RA7"
    assert rejections(batches) == [
        ("line 5", "", "missing_value"),
        ("line 6", "heading", "bad_value"),
        ("line 7", "heading", "missing_value"),
        ("line 8", "item_id", "missing_value"),
        ("line 9", "local_id", "missing_value"),
    ]
    assert issues(batches) == {("end", "bad_value"): 1}


STAFF = file_settings(
    kind="staff",
    columns={
        "staff_id": ("ID",), "organisation": ("ORG",), "role": ("ROLE",), "name": ("NAME",),
        "team": ("TEAM",), "start": ("FROM",), "end": ("TO",), "rota": ("ROTA",),
    },
    codes={"role": {"SW": "social-worker", "GP": "gp"}},
)  # fmt: skip


def test_staff(tmp_path: Path) -> None:
    data = (
        "ID,ORG,ROLE,NAME,TEAM,FROM,TO,ROTA\n"
        "1,RA8,SW,Ann,North,01/02/2020,,days\n"
        "2,,GP,,,,,\n"
        "3,,GP,,,,soon,\n"
        "4,,XX,,,,,\n"
        "5,,,,,,,\n"
        ",,GP,,,,,\n"
        "7,?,GP,,,,,\n"
    )
    batches = read(tmp_path, data, STAFF)
    first, second = [json.loads(row["content"]) for row in loaded(batches, "staff")]
    assert first == {
        "staff_id": "1", "organisation": "RA8", "role": "social-worker", "name": "Ann",
        "team": "North", "start": "2020-02-01", "rota": "days",
    }  # fmt: skip
    assert second == {"staff_id": "2", "organisation": "RA7", "role": "gp"}
    assert rejections(batches) == [
        ("line 4", "end", "bad_value"),
        ("line 5", "role", "bad_value"),
        ("line 6", "role", "missing_value"),
        ("line 7", "staff_id", "missing_value"),
        ("line 8", "organisation", "bad_value"),
    ]
