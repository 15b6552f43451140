"""The message parser against a naive splitter of the same rules, and tables of its parts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2_message import MessageFault, Segment, parse_message, syntax_of
from adapters.hl7v2_types import (
    read_address,
    read_clinician,
    read_codes,
    read_date,
    read_instant,
    read_name,
    read_telecoms,
    read_time,
)
from schemas.codes import AddressUse, NameUse, TelecomSystem
from schemas.errors import InvalidValue

USUAL = "|^~\\&"
HEAD = "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.4"
SYNTAX = syntax_of("|", "^~\\&")


def naive(text: str, marks: str) -> list[list[list[list[list[str]]]]]:
    """Segments, fields, repetitions, components, subcomponents, each still escaped."""
    field, component, repetition, _, sub = marks
    return [
        [
            [[c.split(sub) for c in r.split(component)] for r in f.split(repetition)]
            for f in segment.split(field)
        ]
        for segment in text.split("\r")
        if segment
    ]


def escaped(text: str, marks: str) -> str:
    letters = {marks[0]: "F", marks[1]: "S", marks[2]: "R", marks[3]: "E", marks[4]: "T"}
    return "".join(f"{marks[3]}{letters[c]}{marks[3]}" if c in letters else c for c in text)


values = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), max_size=8
).filter(lambda t: t != '""')
marks = st.sampled_from([USUAL, "$%@!*", "#^~\\&", "|^~/&"])
trees = st.lists(
    st.lists(st.lists(values, min_size=1, max_size=4), min_size=1, max_size=3),
    min_size=1,
    max_size=5,
)


@settings(max_examples=80, deadline=None)
@given(fields=trees, marks=marks, end=st.sampled_from(["\r", "\n", "\r\n"]))
def test_what_was_escaped_and_joined_comes_back(fields, marks, end):
    line = marks[0].join(
        marks[2].join(marks[1].join(escaped(v, marks) for v in parts) for parts in field)
        for field in fields
    )
    head = f"MSH{marks}" + marks[0].join(["", "A", "B", "C", "D", "", "", "ADT", "1", "P", "2.4"])
    message = parse_message(f"{head}{end}ZZZ{marks[0]}{line}{end}".encode(), "utf-8")
    ((name, body),) = message.segments()
    segment = Segment(message.syntax, body)
    assert name == "ZZZ"
    reference = naive(body, marks)[0]
    for number, field in enumerate(fields, 1):
        sent = [
            marks[2].join(marks[1].join(marks[4].join(subs) for subs in r) for r in [rep])
            for rep in reference[number]
        ]
        assert list(segment.repetitions(number)) == [r for r in sent if r]
        first = field[0]
        assert message.syntax.parts(sent[0], len(first))[: len(first)] == first
        assert [segment.value(number, n) for n in range(1, len(first) + 1)] == first


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_text_that_is_no_escape_stays(text):
    kept = text.replace("\\", "")
    assert SYNTAX.plain(kept) == ("" if kept.strip() == '""' else kept.strip())


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (r"A\F\B", "A|B"),
        (r"A\S\B", "A^B"),
        (r"A\T\B", "A&B"),
        (r"A\R\B", "A~B"),
        (r"A\E\B", "A\\B"),
        (r"\E\T\E\ ".strip(), "\\T\\"),
        (r"A\.br\B", "A\nB"),
        (r"A\H\B\N\C", "ABC"),
        (r"A\X0D\B", "A\rB"),
        (r"A\XC3A9\B", "AéB"),
        (r"A\XE9\B", "AéB"),
        (r"A\X00\B", r"A\X00\B"),
        (r"A\Zx\B", r"A\Zx\B"),
        (r"A\C2842\B", r"A\C2842\B"),
        (r"C:\temp\T\x", r"C:\temp&x"),
        ("A\\", "A\\"),
        ('""', ""),
        ('A ""', 'A ""'),
    ],
)
def test_escapes(sent, read):
    assert SYNTAX.plain(sent) == read


@pytest.mark.parametrize(
    "head",
    [
        "MSH",
        "MSH|",
        "MSH|^~\\&",
        "MSH|^~|A|B",
        "MSH|^^\\&|A|B",
        "MSH|A~\\&|A|B",
        "MSHX^~\\&XAXB",
        "MSH|^~\\&#!|A|B",
        "MSH ^~\\& A B",
    ],
)
def test_delimiters_that_cannot_be_used(head):
    with pytest.raises(MessageFault) as fault:
        parse_message(head.encode() + b"\rPID|1\r", "utf-8")
    assert (fault.value.code, fault.value.field) == ("bad_syntax", "MSH-2")


@pytest.mark.parametrize(
    ("declared", "data", "default", "read"),
    [
        ("", "é".encode(), "utf-8", "é"),
        ("", b"\xe9", "iso8859-1", "é"),
        ("UNICODE UTF-8", "é".encode(), "ascii", "é"),
        ("8859/1", b"\xe9", "utf-8", "é"),
        ("8859/15", b"\xa4", "utf-8", "€"),
        ("8859/1~ISO IR87", b"\xe9", "utf-8", "é"),
        ("ASCII", b"\xe9", "utf-8", None),
        ("", b"\xe9", "utf-8", None),
        ("UNICODE UTF-32", b"e", "utf-8", None),
        ("KOI-8", b"e", "utf-8", None),
    ],
)
def test_character_sets(declared, data, default, read):
    raw = f"{HEAD}||||||{declared}\rPID|1|".encode() + data + b"\r"
    if read is None:
        with pytest.raises(MessageFault) as fault:
            parse_message(raw, default)
        assert fault.value.code == "encoding"
        return
    message = parse_message(raw, default)
    assert Segment(message.syntax, message.lines[0]).value(2) == read


def test_nul_bytes_quarantine():
    with pytest.raises(MessageFault) as fault:
        parse_message(HEAD.encode() + b"\rPID|\0\r", "utf-8")
    assert fault.value.code == "nul"


def test_a_line_feed_inside_a_field_is_text_where_segments_end_in_cr():
    message = parse_message(f"{HEAD}\rOBX|1|TX|||one\ntwo\r\nPV1|1\r".encode(), "utf-8")
    assert [name for name, _ in message.segments()] == ["OBX", "PV1"]
    assert Segment(message.syntax, message.lines[0]).value(5) == "one\ntwo"


@pytest.mark.parametrize("line", ["pid|1", "P", "PI|1", "A_1|1", "PIDX|1", "40|P|2.5"])
def test_a_line_that_is_no_segment_is_damage(line):
    message = parse_message(f"{HEAD}\r{line}\r".encode(), "utf-8")
    with pytest.raises(MessageFault) as fault:
        list(message.segments())
    assert fault.value.code == "bad_syntax"


@pytest.mark.parametrize(
    ("sent", "date", "time"),
    [
        ("1980", "1980", "1980"),
        ("198005", "1980-05", "1980-05"),
        ("19800517", "1980-05-17", "1980-05-17"),
        ("1980051709", "1980-05-17", "1980-05-17T08:00:00Z"),
        ("198001170930", "1980-01-17", "1980-01-17T09:30:00Z"),
        ("19800117093015", "1980-01-17", "1980-01-17T09:30:15Z"),
        ("19800117093015.1234", "1980-01-17", "1980-01-17T09:30:15Z"),
        ("198001170930+0215", "1980-01-17", "1980-01-17T07:15:00Z"),
        ("19800117093015-0600", "1980-01-17", "1980-01-17T15:30:15Z"),
    ],
)
def test_times_keep_their_precision(sent, date, time):
    assert (read_date(sent), read_time(sent, "Europe/London")) == (date, time)


@pytest.mark.parametrize("sent", ["", "80", "17/05/1980", "19801301", "19800230", "18400101", "x"])
def test_what_is_no_date(sent):
    with pytest.raises(InvalidValue):
        read_date(sent)


@pytest.mark.parametrize("sent", ["1980011725", "198001170960", "19800117093015+9900"])
def test_what_is_no_time(sent):
    with pytest.raises(InvalidValue):
        read_time(sent, "Europe/London")


@pytest.mark.parametrize(
    ("sent", "instant"),
    [
        ("20260701", "2026-06-30T23:00:00Z"),
        ("202601", "2026-01-01T00:00:00Z"),
        ("2026", "2026-01-01T00:00:00Z"),
        ("20260701120000", "2026-07-01T11:00:00Z"),
    ],
)
def test_instants_in_the_zone_of_the_source(sent, instant):
    assert read_instant(sent, "Europe/London") == instant


@pytest.mark.parametrize(
    ("sent", "family", "given", "use"),
    [
        ("HIGGS^Ann^May Joy^^Mrs^^L", "HIGGS", ("Ann", "May", "Joy"), NameUse.OFFICIAL),
        ("HIGGS^Ann^^^^^M", "HIGGS", ("Ann",), NameUse.MAIDEN),
        ("van Dyck&van&Dyck^Ann", "van Dyck", ("Ann",), None),
        ("HIGGS", "HIGGS", (), None),
        ("^Ann", None, ("Ann",), None),
    ],
)
def test_names(sent, family, given, use):
    name = read_name(SYNTAX, sent)
    assert name is not None
    assert (name.family, name.given, name.use) == (family, given, use)


@pytest.mark.parametrize("sent", ["^^^^^^L", "SMITH^Bob^^^^^P", '""^""'])
def test_names_of_nobody_or_of_the_partner(sent):
    assert read_name(SYNTAX, sent) is None


def test_addresses():
    issues: list[tuple[str, str]] = []
    sent = "1&High Street&&^Flat 2^Bristol^Avon^bs15tr^GBR^H^UPRN:000123456"
    address = read_address(SYNTAX, sent, "PID-11", issues)
    assert address is not None
    assert address.lines == ("1 High Street", "Flat 2", "Bristol", "Avon")
    assert (address.postcode, address.uprn, address.use) == ("BS1 5TR", "123456", AddressUse.HOME)
    assert issues == []
    foreign = read_address(SYNTAX, "1 Elm^^Reno^NV^89501^USA^BA^123456", "PID-11", issues)
    assert foreign is not None
    assert foreign.lines == ("1 Elm", "Reno", "NV", "89501", "USA", "123456")
    assert (foreign.uprn, foreign.use) == (None, AddressUse.OLD)
    assert issues == [("PID-11.5", "not a UK postcode")]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("0117 496 0000", [(TelecomSystem.PHONE, "0117 496 0000", "home")]),
        ("a@example.org", [(TelecomSystem.EMAIL, "a@example.org", "home")]),
        ("07700900000^PRS^CP", [(TelecomSystem.PHONE, "07700900000", "mobile")]),
        ("^NET^Internet^a@example.org", [(TelecomSystem.EMAIL, "a@example.org", "home")]),
        ("a@example.org^NET^Internet", [(TelecomSystem.EMAIL, "a@example.org", "home")]),
        ("^WPN^PH^^44^117^4960000^12", [(TelecomSystem.PHONE, "+44 117 4960000 ext 12", "work")]),
        ("^PRN^PH^^^^^^^^^01174960000", [(TelecomSystem.PHONE, "01174960000", "home")]),
        ("1234^WPN^FX", [(TelecomSystem.FAX, "1234", "work")]),
        (
            "0117^PRN^PH^a@example.org",
            [(TelecomSystem.PHONE, "0117", "home"), (TelecomSystem.EMAIL, "a@example.org", "home")],
        ),
        ("^PRN^PH", []),
    ],
)
def test_telecoms(sent, read):
    telecoms = read_telecoms(SYNTAX, sent, "home", "PID-13", [])
    assert [(t.system, t.value, t.use) for t in telecoms] == read


def test_codes_and_their_alternative():
    codes = read_codes(SYNTAX, "22298006^MI^SCT^I21^Infarct^I10")
    assert [(c.code, c.system, c.display) for c in codes] == [
        ("22298006", "http://snomed.info/sct", "MI"),
        ("I21", "http://hl7.org/fhir/sid/icd-10", "Infarct"),
    ]
    assert read_codes(SYNTAX, "^only words") == ()


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("C1^Alaz^Mo^^^Dr", "Dr Mo Alaz (C1)"),
        ("C1&Alaz&Mo", "Mo Alaz (C1)"),
        ("C1", "C1"),
        ("^Alaz", "Alaz"),
        ("", ""),
    ],
)
def test_clinicians(sent, shown):
    assert read_clinician(SYNTAX, sent) == shown
