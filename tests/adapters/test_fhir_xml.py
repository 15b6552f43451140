"""FHIR XML to FHIR JSON: cardinality, types, companions, narrative, and what does not belong."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from adapters.fhir_xml import resource_of_xml
from schemas.errors import FeedRefused
from tests.adapters.fhir_feeds import read_bytes

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">A <b>bold</b> claim</div>'
ROWS: list[Any] = [
    ("Patient", '<active value="true"/>', {"active": True}),
    ("Patient", '<active value="yes"/>', {"active": "yes"}),
    ("Patient", '<multipleBirthInteger value="2"/>', {"multipleBirthInteger": 2}),
    ("Patient", '<name><given value="A"/></name>', {"name": [{"given": ["A"]}]}),
    ("Patient", '<name id="n"><family value="B"/></name>', {"name": [{"id": "n", "family": "B"}]}),
    (
        "Patient",
        '<name><given value="A"/><given><extension url="u"><valueCode value="c"/></extension>'
        '</given><given value="C" id="x"/><given value="D"/></name>',
        {"name": [{"given": ["A", None, "C", "D"],
                   "_given": [None, {"extension": [{"url": "u", "valueCode": "c"}]},
                              {"id": "x"}, None]}]},
    ),
    (
        "Patient",
        '<birthDate value="1970"><extension url="u"><valueDecimal value="1.50"/></extension>'
        "</birthDate>",
        {"birthDate": "1970",
         "_birthDate": {"extension": [{"url": "u", "valueDecimal": Decimal("1.50")}]}},
    ),
    ("Patient", f'<text><status value="generated"/>{DIV}</text>',
     {"text": {"status": "generated", "div": DIV}}),
    ("Patient", '<contained><Organization><name value="O"/></Organization></contained>',
     {"contained": [{"resourceType": "Organization", "name": "O"}]}),
    ("Patient", '<!-- note --><?pi?><gender value="male"/>', {"gender": "male"}),
    ("Encounter", '<class><code value="IMP"/></class>', {"class": {"code": "IMP"}}),
    ("Patient", '<gender value="a"/><gender value="b"/>', {"gender": ["a", "b"]}),
    ("Patient", "stray", {"#text": "stray"}),
    ("Patient", '<gender value="a" b="c"/>', {"gender": "a", "_gender": {"@b": "c"}}),
    ("Patient", '<x xmlns="urn:x" value="1"/>', {"{urn:x}x": "1"}),
    ("Patient", '<contained><A/><B/></contained>',
     {"contained": [{"#resources": [{"resourceType": "A"}, {"resourceType": "B"}]}]}),
    ("Zz", '<a value="1"/><b><c value="2"/></b><b d="3"/>',
     {"a": "1", "b": [{"c": "2"}, {"d": "3"}]}),
]  # fmt: skip


def document(kind: str, inside: str) -> bytes:
    return f'<{kind} xmlns="http://hl7.org/fhir">{inside}</{kind}>'.encode()


@pytest.mark.parametrize(("kind", "inside", "expected"), ROWS)
def test_conversion(kind: str, inside: str, expected: dict[str, Any]) -> None:
    assert resource_of_xml(document(kind, inside)) == {"resourceType": kind, **expected}


@pytest.mark.parametrize("inside", ["stray", '<gender value="a"/><gender value="b"/>',
                                    '<active value="maybe"/>', '<x xmlns="urn:x" value="1"/>',
                                    "<contained><Patient/><Patient/></contained>"])  # fmt: skip
def test_what_does_not_belong_is_rejected_not_lost(tmp_path: Path, inside: str) -> None:
    read = read_bytes(tmp_path, document("Patient", f'<id value="p"/>{inside}'))
    assert [r.reason for r in read.rejected] == ["bad_resource"]


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise("abcdefghi"))
    + ']><Patient xmlns="http://hl7.org/fhir"><id value="&i;"/></Patient>'
)  # fmt: skip
FILE = BOMB.replace('"ha"', 'SYSTEM "file:///etc/hostname"')


@pytest.mark.parametrize("text", [BOMB, FILE], ids=["entity bomb", "external entity"])
def test_entities_are_refused(text: str) -> None:
    with pytest.raises(FeedRefused) as caught:
        resource_of_xml(text.encode())
    assert caught.value.reason == "bomb"


def test_deep_xml_is_refused() -> None:
    deep = '<extension url="u">' * 5000 + "</extension>" * 5000
    with pytest.raises(FeedRefused) as caught:
        resource_of_xml(document("Patient", deep))
    assert caught.value.reason == "bad_syntax"
