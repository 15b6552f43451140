"""XML extracts by declared paths: what is found, what is quarantined, what is refused."""

from __future__ import annotations

import gzip
import json
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns import UnitBatch
from schemas.errors import FeedRefused
from schemas.settings import FileSettings, Limits
from tests.adapters.delimited_feeds import issues, loaded, rejections
from tests.adapters.xml_feeds import PATHS, client, extract, file_settings, read, read_in_turn

CANARY = "Quillfeather"
SPACE = '<Extract xmlns="urn:example:extract" xmlns:o="urn:other">'
BILLION = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'


def content(folder: Path, *clients: str, **changes: Any) -> dict[str, Any]:
    """The one record of an extract."""
    (record,) = loaded(read(folder, extract(*clients), file_settings(**changes)))
    return json.loads(record["content"])


def test_values_are_found_by_their_paths(tmp_path: Path) -> None:
    found = content(tmp_path, client("C1", Tel="0117 496 0001</Tel><Tel>0117 496 0002"))
    assert found["local_id"] == "C1"
    assert found["nhs_number"]["value"] == "9434765919"
    assert found["names"] == [{"family": "Smith", "given": ["Ann", "Bea"]}]
    assert found["birth_date"] == "1980-05-17"
    assert found["gender"] == "female"
    assert found["addresses"][0]["lines"] == ["1 High Street", "Bristol"]
    assert [t["value"] for t in found["telecoms"]] == ["0117 496 0001", "0117 496 0002"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(extract(client(1), client(2), root=SPACE), id="a namespace"),
        pytest.param(extract(client(1), "<!-- <Client/> -->", client(2)), id="a comment"),
        pytest.param(extract(client(1), "<O><Client id='9'/></O>", client(2)), id="elsewhere"),
        pytest.param(gzip.compress(extract(client(1), client(2))), id="gzip"),
        pytest.param(extract(client(1), client(2)).decode().replace("UTF-8", "UTF-16")
                     .encode("utf-16"), id="UTF-16"),
        pytest.param(extract(client(1), client(2, "<![CDATA[A & B]]>")),
                     id="CDATA"),
    ],
)  # fmt: skip
def test_the_same_records_written_otherwise(tmp_path: Path, data: bytes) -> None:
    batches = read(tmp_path, data)
    assert [row["local_id"] for row in loaded(batches)] == ["1", "2"]
    assert rejections(batches) == []


def test_one_bad_record_is_quarantined_alone(tmp_path: Path) -> None:
    bad = client("", CANARY), client(3, CANARY, Born="Quillfeather"), client(4, "x" * 5_000)
    data = extract(client(1), *bad, client(5))
    batches = read(tmp_path, data, limits=Limits(max_unit_bytes=2048, batch_units=2))
    assert [row["local_id"] for row in loaded(batches)] == ["1", "5"]
    assert rejections(batches) == [
        ("record 2", "local_id", "missing_value"),
        ("record 3", "birth_date", "bad_value"),
        ("record 4", "", "too_long"),
    ]
    for rejected in (r for batch in batches for r in batch.rejected):
        assert rejected.raw
        assert CANARY not in repr(rejected)


def test_a_path_that_no_record_has_is_counted(tmp_path: Path) -> None:
    columns = {**PATHS, "email": ("EMail",), "mobile": ("Mob",)}
    file = file_settings(columns=columns, optional=frozenset({"Mob", "Tel[1]", "Tel[2]"}))
    data = extract(client(1), client(2))
    assert issues(read(tmp_path, data, file)) == {("EMail", "path not found in any record"): 1}


def test_a_list_of_nobody_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, extract()) == []


GOOD = [client(n, CANARY) for n in range(1, 4)]
REFUSED = [
    ("torn", extract(*GOOD)[:-15], "torn", "after record 3", 3),
    ("torn in a record", extract(*GOOD)[:-150], "torn", "after record 2", 2),
    ("ill-formed", extract(GOOD[0], "\n\n<Client id='7'><Born></Client>", GOOD[1]), "bad_syntax",
     "after record 1: line 3: the XML is not well-formed", 1),
    ("no XML", f"id,name\n1,{CANARY}\n".encode(), "bad_syntax", "not well-formed", 0),
    ("another root", b"<Report><Clients/></Report>", "not_the_format",
     "begins with 'Extract', but the file's root has another name", 0),
    ("no holder", b"<Extract><clients><Client/></clients></Extract>", "not_the_format",
     "under 'Extract' no element is called 'Clients'", 0),
    ("others in the holder", extract("<client/>"), "not_the_format",
     "under 'Extract/Clients' there are elements, but none is called 'Client'", 0),
    ("nothing for long", extract("<client><A>x</A></client>" * 9_000), "not_the_format",
     "no 'Extract/Clients/Client' in the first 20000 bytes", 0),
    ("a lone ampersand", extract(GOOD[0], client(2, "A & Co"), GOOD[1]), "bad_syntax",
     "after record 1: line 1: the XML is not well-formed", 1),
    ("a lone ampersand in a long file", extract(GOOD[0], client(2, "A & Co"), *GOOD * 500),
     "bad_syntax", "after record 1: line 1: the XML is not well-formed", 1),
    ("another encoding than it says", extract(GOOD[0], client(2, "é")).decode().encode("latin-1"),
     "encoding", "line 1: not in the encoding that the file declares", 1),
    ("an entity", extract(*GOOD, before=BILLION), "bomb", "document type", 0),
    ("an outside entity", extract(*GOOD, before='<!DOCTYPE x SYSTEM "file:///etc/passwd">'), "bomb",
     "document type", 0),
    ("a document type after long comments",
     extract(*GOOD, before=f"<!--{'x' * 100_000}-->{BILLION}"), "bomb", "document type", 0),
    ("another encoding with a document type",
     extract(*GOOD, before=BILLION).decode().replace("UTF-8", "UTF-16").encode("utf-16"), "bomb",
     "document type", 0),
    ("a record without end", extract(GOOD[0], f"<Client>{'<A>x</A>' * 100_000}"), "too_long",
     "after record 1", 1),
    ("nothing", b"", "empty", "no bytes", 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "reason", "message", "records"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_refused_with_the_whole_records_before_loaded(
    tmp_path: Path, data: bytes, reason: str, message: str, records: int
) -> None:
    batches: list[UnitBatch] = []
    with pytest.raises(FeedRefused, match=message) as caught:
        batches.extend(read_in_turn(tmp_path, data, limits=Limits(max_unit_bytes=20_000)))
    assert caught.value.reason == reason
    assert CANARY not in str(caught.value)
    assert sum(batch.records.num_rows for batch in batches) == records


def test_a_long_extract_is_read_in_bounded_memory(tmp_path: Path) -> None:
    data = extract(*(client(n) for n in range(6_000)))
    peaks = []
    for limits in (Limits(batch_units=100), Limits(batch_units=20_000)):
        tracemalloc.start()
        assert sum(b.units for b in read_in_turn(tmp_path, data, limits=limits)) == 6_000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < peaks[1] / 3


WORDS = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"),
    max_size=8,
)  # fmt: skip
PEOPLE = st.lists(st.tuples(WORDS, st.lists(WORDS, max_size=3), WORDS), max_size=8)


@given(PEOPLE)
@settings(max_examples=50, deadline=None)
def test_what_is_found_is_what_another_parser_finds(
    people: list[tuple[str, list[str], str]],
) -> None:
    root = ElementTree.Element("R", {"xmlns": "urn:x"})
    for number, (key, notes, last) in enumerate(people):
        record = ElementTree.SubElement(root, "C", {"id": str(number), "key": f"k{key}"})
        for note in notes:
            ElementTree.SubElement(ElementTree.SubElement(record, "N"), "T").text = note
        ElementTree.SubElement(record, "N", {"a": "b"}).text = last
    columns = {
        "local_id": ("@id",), "detail.key": ("@key",), "detail.all": ("N/T",),
        "detail.last": ("N[@a='b']",),
    }  # fmt: skip
    file = FileSettings("*", "xml", record="R/C", columns=columns, missing_values=frozenset({""}))
    with tempfile.TemporaryDirectory() as folder:
        batches = read(Path(folder), ElementTree.tostring(root, "utf-8"), file)
    found = [json.loads(row["content"]).get("details", {}) for row in loaded(batches)]
    expected = []
    for key, notes, last in people:
        texts = [note.strip() for note in notes if note.strip()]
        values = {"key": f"k{key}".strip(), "all": "\n".join(texts).strip(), "last": last.strip()}
        expected.append({name: text for name, text in values.items() if text})
    assert found == expected
