"""The HL7 v2 reader as a whole: what a message becomes, and what damage does not do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2 import read_hl7v2
from adapters.hl7v2_tables import EVENTS
from schemas.dates import Instant
from schemas.errors import FeedRefused, SettingsError
from schemas.identifiers import OdsCode, SourceId
from schemas.settings import FileSettings, Limits, SourceSettings
from service.ports import FeedFile

SPEC = Path(__file__).parent.parent / "spec"
SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "hl7v2"
NUMBER = "9434765919"


def source(**given) -> SourceSettings:
    given = {"organisations": (OdsCode("RA7"),), "files": (), **given}
    return SourceSettings(id=SourceId("pas"), name="PAS", **given)


def read(path: Path, data: bytes, of: SourceSettings | None = None, limits=None, **file):
    path = path / "feed.hl7" if path.is_dir() else path
    path.write_bytes(data)
    feed = FeedFile(
        path,
        "0" * 64,
        len(data),
        Instant("2026-01-01T00:00:00Z"),
        FileSettings(pattern="*", format="hl7v2", **file),
    )
    return list(read_hl7v2(feed, of or source(), limits or Limits()))


def message(*segments: str, kind: str = "ADT^A31", control: str = "M1", head: str = "") -> bytes:
    head = head or f"MSH|^~\\&|PAS|RA7|CT|CT|20260102030405||{kind}|{control}|P|2.4"
    return "".join(f"{line}\r" for line in (head, *segments)).encode()


PID = f"PID|1||R1^^^RA7^PI~{NUMBER}^^^NHS^NH||HIGGS^Ann||19800517|F"


def segment(name: str, *first: str, **numbered: str) -> str:
    """A segment from its first fields and others by number: segment("PV1", "1", f19="V1")."""
    fields = dict(enumerate(first, 1)) | {int(k[1:]): v for k, v in numbered.items()}
    return "|".join([name, *(fields.get(n, "") for n in range(1, max(fields) + 1))])


@pytest.fixture
def one(tmp_path):
    """Reads one message: (records, items, merges, batch), contents as plain data."""

    def run(*segments: str, of: SourceSettings | None = None, file=None, **given):
        (batch,) = read(tmp_path, message(*segments, **given), of, **(file or {}))
        assert batch.units == 1
        return (
            [json.loads(c) for c in batch.records["content"].to_pylist()],
            [json.loads(c) for c in batch.items["content"].to_pylist()],
            list(zip(*(batch.merges[c].to_pylist() for c in ("retired", "survivor")), strict=True)),
            batch,
        )

    return run


# --- the person ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("pid", "field", "expected"),
    [
        (PID, "local_id", "R1"),
        (PID, "nhs_number", {"value": NUMBER}),
        (PID, "birth_date", "1980-05-17"),
        (PID, "gender", "female"),
        ("PID|1||R1||A^B||1980", "birth_date", "1980"),
        ("PID|1||R1||A^B||198005171230+0000", "birth_date", "1980-05-17"),
        ('PID|1||R1||A^B||""', "birth_date", None),
        ("PID|1||R1||A^B|||1", "gender", "male"),
        ("PID|1||R1||A^B|||A", "gender", "other"),
        ("PID|1||R1||A^B|||q", "unread", {"gender": "q"}),
        ('PID|1||R1||A^B|||""', "gender", None),
        (segment("PID", f3="R1", f5="A^B", f22="C"), "ethnicity", "C"),
        ("PID|1||R1||A^B|||||C", "ethnicity", "C"),
        (segment("PID", f3="R1", f22="N^NOT HISPANIC^HL70189"), "unread", {"ethnicity": "N"}),
        (segment("PID", f3="R1", f29="20250102"), "death", {"on": "2025-01-02"}),
        (segment("PID", f3="R1", f30="Y"), "death", {}),
        (segment("PID", f3="R1", f29="20250102", f30="N"), "death", None),
        (segment("PID", f3="R1", f29="soon", f30="Y"), "unread", {"death_date": "soon"}),
        (PID + "|" * 24 + "01", "nhs_number", {"value": NUMBER, "status": "01"}),
        (PID + "|" * 24 + "1", "nhs_number", {"value": NUMBER, "status": "01"}),
        ("PID|1||R1~9434765918^^^NHS||A^B", "unread", {"nhs_number": "9434765918"}),
        ("PID|1||R1~943 476 5919^^^NHS||A^B", "nhs_number", {"value": NUMBER}),
        (
            f"PID|1||R1~{NUMBER}^^^&2.16.840.1.113883.2.1.4.1&ISO||A^B",
            "nhs_number",
            {"value": NUMBER},
        ),
        ("PID|1||R1||A^B|MOTHER^Eve", "details", {"mothers_maiden_name": "MOTHER Eve"}),
        (segment("PID", f3="R1", f21="R77^^^RA7"), "details", {"mothers_identifier": "R77"}),
    ],
)
def test_fields_of_the_person(one, pid, field, expected):
    ((record,), *_) = one(pid)
    default = None if field != "unread" else {}
    assert record.get(field, default) == expected


def test_names_put_the_current_one_first(one):
    pid = "PID|1||R1||OLD^Ann^^^^^M~BOND^Jim^^^^^P~HIGGS^Ann^^^^^L||1980||NICK^Annie"
    ((record,), *_) = one(pid)
    assert [n["family"] for n in record["names"]] == ["HIGGS", "OLD", "NICK"]
    assert record["details"]["partner_name"] == ["BOND Jim P"]


def test_addresses_put_the_current_one_first(one):
    pid = "PID|1||R1||A^B||||||9 Old^^Bath^^BA1 1AA^^BA~1 New^^Bristol^^BS1 5TR^^H"
    ((record,), *_) = one(pid)
    assert [a["postcode"] for a in record["addresses"]] == ["BS1 5TR", "BA1 1AA"]


def test_identifiers_keep_whose_they_are(one):
    ids = "R1^^^RA7~C1^^^CHI~77^^^&1.2.3&ISO~5^^^^MR"
    pid = segment("PID", "1", "X9", ids, "ALT^^^LAB", "A^B", f19="S19")
    ((record,), *_) = one(pid, of=source(identifier_systems={"chi": "CHI", "lims": "1.2.3"}))
    assert {i["system"]: i["value"] for i in record["identifiers"]} == {
        "chi": "C1",
        "lims": "77",
        "pas:MR": "5",
        "pas:PID-2": "X9",
        "LAB": "ALT",
        "pas:PID-19": "S19",
    }


@pytest.mark.parametrize(
    ("system", "pid", "local"),
    [
        (None, f"PID|1||{NUMBER}^^^NHS~R1^^^RA7~R2^^^RVJ", "R1"),
        ("RVJ", "PID|1||R1^^^RA7~R2^^^RVJ", "R2"),
        ("rvj", "PID|1||R1^^^RA7~R2^^^RVJ", "R2"),
        ("1.2.3", "PID|1||R1^^^RA7~R2^^^RVJ&1.2.3&ISO", "R2"),
        ("PID-2", "PID|1|R9|R1^^^RA7", "R9"),
        ("MR", "PID|1||R1^^^RA7^PI~R2^^^RA7^MR", "R2"),
        ("NHS", f"PID|1||R1^^^RA7~{NUMBER}^^^NHS", NUMBER),
    ],
)
def test_the_local_id_is_the_one_of_its_system(one, system, pid, local):
    ((record,), *_) = one(
        pid + "||A^B" if system == "x" else pid, of=source(local_id_system=system)
    )
    assert record["local_id"] == local


def test_nhs_numbers_under_a_name_of_the_sources_own(one):
    ((record,), *_) = one(
        segment("PID", f3="R1", f5="A^B", f19=NUMBER), of=source(nhs_number_systems=("PID-19",))
    )
    assert record["nhs_number"]["value"] == NUMBER
    assert "identifiers" not in record


@pytest.mark.parametrize(
    ("pd1", "field", "expected"),
    [
        ("PD1|||The Surgery^^L81075|G8500001^Doc^Tor", "gp_practice", "L81075"),
        ("PD1||||L81075^Surgery", "gp_practice", "L81075"),
        ("PD1||||G8500001^Doc^Tor^^^Dr", "details", {"gp": "Dr Tor Doc (G8500001)"}),
        ("PD1|||Surgery^^not a code", "unread", {"gp_practice": "not a code"}),
        ("PD1||||||||||||Y", "restricted", True),
        ("PD1||||||||||||N", "restricted", None),
    ],
)
def test_practice_and_protection(one, pd1, field, expected):
    ((record,), *_) = one(PID, pd1)
    assert record.get(field) == expected


@pytest.mark.parametrize(
    "sent", [segment("PV1", "1", "I", f16="R"), "ARV|1|A|DEM", segment("PV1", "1", "N", f16="V")]
)
def test_restrictions_of_the_person(one, sent):
    ((record,), *_) = one(PID, sent)
    assert record["restricted"] is True


def test_codes_of_the_settings_are_used(one):
    ((record,), *_) = one(
        segment("PID", f3="R1", f8="W", f22="WB"),
        file={"codes": {"gender": {"W": "female"}, "ethnicity": {"WB": "A"}}},
    )
    assert (record["gender"], record["ethnicity"]) == ("female", "A")


def test_the_sending_facility_is_the_organisation_where_there_are_several(one):
    both = source(organisations=(OdsCode("RVJ"), OdsCode("RA7")))
    ((record,), items, *_) = one(PID, "AL1|1|DA|P^Penicillin", of=both)
    assert (record["organisation"], items[0]["organisation"]) == ("RA7", "RA7")


# --- events -------------------------------------------------------------------------------------
def _rows(name: str) -> list[list[str]]:
    lines = (SPEC / name).read_text("utf-8").splitlines()
    return [[c.strip() for c in line.split("|")] for line in lines if not line.startswith("#")]


EVENT_ROWS = _rows("hl7v2_events.txt")


def test_the_table_of_events_lists_every_event():
    assert {row[0] for row in EVENT_ROWS} == set(EVENTS)


@pytest.mark.parametrize(
    ("kind", "visit", "named", "pointing", "merges"), EVENT_ROWS, ids=[row[0] for row in EVENT_ROWS]
)
def test_what_each_event_does(one, kind, visit, named, pointing, merges):
    visit_segment = segment("PV1", "1", "I", f19="V1", f44="20260101")
    others = ("MRG|OLD^^^RA7||||V0", visit_segment, "AL1|1|DA|P^Penicillin")
    for pid, expected in (
        ("PID|1||NEW^^^RA7||HIGGS^Ann||1980", named),
        ("PID|1||NEW^^^RA7", pointing),
    ):
        records, items, merged, batch = one(pid, *others, kind=kind)
        assert batch.rejected == ()
        status = records[0].get("details", {}).get("status", "record") if records else "-"
        assert status == expected
        assert merged == ([] if merges == "-" else [("OLD", "NEW")])
        visits = {
            i["status"] for i in items if i["item_id"] == "V1" and i["heading"] == "admission"
        }
        assert visits == (set() if visit == "-" else {visit})


@pytest.mark.parametrize("kind", ["QBP^Q22", "ACK", "ADT^A20", "ADT^A19", "ORM^O01", "VXU^V04"])
def test_types_that_are_not_taken_are_kept(one, kind):
    *_, batch = one(PID, kind=kind)
    (rejected,) = batch.rejected
    assert (rejected.reason, rejected.field) == ("not_supported", "MSH-9")
    assert rejected.raw.startswith(b"MSH")


@pytest.mark.parametrize(
    ("kind", "segments", "reason", "field"),
    [
        ("ADT^A01", ("PV1|1|I",), "missing_value", "PID"),
        ("ADT^A01", ("PID|1||||A^B",), "missing_value", "PID-3"),
        ("ADT^A01", (f"PID|1||{NUMBER}^^^NHS||A^B",), "missing_value", "PID-3"),
        ("ADT^A01", ("PID|1||R1||A^B||17/05/1980",), "bad_value", "PID-7"),
        ("ADT^A01", ("PID|1||R1||A^B||19801350",), "bad_value", "PID-7"),
        ("ADT^A40", (PID,), "missing_value", "MRG-1"),
        ("ADT^A40", (PID, "MRG|"), "missing_value", "MRG-1"),
        ("ADT^A01", (PID, PID), "bad_syntax", "PID"),
        ("ADT^A01", ("EVN|A01", PID, "EVN|A01", PID), "bad_syntax", "EVN"),
        ("", (PID,), "bad_syntax", "MSH-9"),
        ("ORU^R01", ("PID|1||R1",), "not_supported", ""),
    ],
)
def test_messages_that_cannot_be_loaded(one, kind, segments, reason, field):
    records, items, merges, batch = one(*segments, kind=kind)
    (rejected,) = batch.rejected
    assert (rejected.reason, rejected.field) == (reason, field)
    assert rejected.where == ("message 1" + (f", {field}" if field else ""))
    assert (records, items, merges) == ([], [], [])


def test_trigger_from_evn_where_the_header_names_none(one):
    records, *_ = one("EVN|A31|20260101", PID, kind="ADT")
    assert len(records) == 1


@pytest.mark.parametrize(
    ("evn", "as_at"),
    [
        ("EVN|A31|20260701120000", "2026-07-01T11:00:00Z"),
        ("EVN|A31|20260701120000+0000", "2026-07-01T12:00:00Z"),
        ("EVN|A31|", "2026-01-02T03:04:05Z"),
        ("EVN|A31|yesterday", "2026-01-02T03:04:05Z"),
    ],
)
def test_when_a_message_stood_so(one, evn, as_at):
    *_, batch = one(evn, PID)
    assert batch.records["as_at"].to_pylist() == [as_at]


@pytest.mark.parametrize(
    ("head", "issue"),
    [
        ("MSH|^~\\&|A|B|C|D|2026||ADT^A31|1|P|9.9", ("MSH-12", "unknown version")),
        ("MSH|^~\\&|A|B|C|D|2026||ADT^A31|1|P", ("MSH-12", "no version")),
        ("MSH|^~\\&|A|B|C|D|2026||ADT^A31|1|D|2.4", ("MSH-11", "marked as training or debugging")),
    ],
)
def test_headers_that_are_read_on_but_counted(one, head, issue):
    records, *_, batch = one(PID, head=head)
    assert len(records) == 1
    assert batch.issues == {issue: 1}


def test_a_merge_of_several_and_of_itself(one):
    _, _, merges, _ = one(PID, "MRG|R2^^^RA7~R3^^^RA7~9434765870^^^NHS~77^^^LAB", kind="ADT^A40")
    assert merges == [("R2", "R1"), ("R3", "R1")]
    _, _, merges, batch = one(PID, "MRG|R1^^^RA7", kind="ADT^A40")
    assert merges == []
    assert batch.issues == {("MRG-1", "names the surviving id"): 1}


def test_a_merge_message_with_several_persons(one):
    second = "PID|2||R5^^^RA7||JONES^Bo||1970"
    records, _, merges, _ = one(PID, "MRG|R2", second, "MRG|R6", kind="ADT^A40")
    assert [r["local_id"] for r in records] == ["R1", "R5"]
    assert merges == [("R2", "R1"), ("R6", "R5")]


def test_linked_persons_are_noted_not_merged(one):
    records, _, merges, _ = one(PID, "PID|2||R5||JONES^Bo||1970", kind="ADT^A24")
    assert [r["details"]["linked"] for r in records] == [["R5"], ["R1"]]
    assert merges == []


# --- items --------------------------------------------------------------------------------------
def _visit(kind: str, one, number="V1", code="I", times="20260101", extra=()):
    start, _, end = times.partition("|")
    pv1 = segment("PV1", "1", code, "W1^B2^3^RA7", f7="C1^Con^Sult", f19=number, f44=start, f45=end)
    _, items, _, batch = one(PID, *extra, pv1, kind=kind)
    return items, batch


def test_a_visit_is_one_item_through_its_life(one):
    ((admitted,), _) = _visit("ADT^A01", one)
    ((discharged,), _) = _visit("ADT^A03", one, times="20260101|20260105")
    ((reopened,), _) = _visit("ADT^A13", one, times="20260101|20260105")
    ((cancelled,), _) = _visit("ADT^A11", one)
    ids = {i["item_id"] for i in (admitted, discharged, reopened, cancelled)}
    assert ids == {"V1"}
    assert [i["status"] for i in (admitted, discharged, reopened, cancelled)] == [
        *("in-progress", "finished", "in-progress", "cancelled")
    ]
    assert (discharged["end"], reopened.get("end")) == ("2026-01-05", None)
    assert admitted["author"] == "Sult Con (C1)"
    assert admitted["details"]["location"] == "RA7, W1, B2, 3"


def test_a_visit_without_number_is_told_by_its_start(one):
    ((first,), _) = _visit("ADT^A01", one, number="")
    ((again,), _) = _visit("ADT^A11", one, number="")
    ((other,), _) = _visit("ADT^A01", one, number="", times="20260201")
    assert first["item_id"] == again["item_id"] != other["item_id"]


@pytest.mark.parametrize(
    ("code", "heading"),
    [
        ("I", "admission"),
        ("P", "admission"),
        ("E", "encounter"),
        ("O", "encounter"),
        ("?", "encounter"),
    ],
)
def test_classes_of_visit(one, code, heading):
    ((item,), _) = _visit("ADT^A08", one, code=code)
    assert item["heading"] == heading


def test_class_not_applicable_is_no_visit(one):
    items, _ = _visit("ADT^A08", one, code="N")
    assert items == []


def test_a_bare_visit_is_counted_not_invented(one):
    _, items, _, batch = one(PID, "PV1||I", kind="ADT^A01")
    assert items == []
    assert batch.issues == {("PV1-19", "names no visit"): 1}


def test_an_attendance_that_becomes_an_admission_ends(one):
    items, _ = _visit("ADT^A06", one)
    assert {(i["heading"], i["item_id"], i["status"]) for i in items} == {
        ("admission", "V1", "in-progress"),
        ("encounter", "V1", "finished"),
    }


def test_a_renumbered_visit_leaves_its_old_number(one):
    items, _ = _visit("ADT^A50", one, extra=("MRG|R1||||V0",))
    assert {(i["item_id"], i["subject"], i["status"]) for i in items} == {
        ("V1", "R1", "in-progress"),
        ("V0", "R1", "entered-in-error"),
    }


ITEMS = [
    ("AL1|1|DA|91936005^Penicillin allergy^SCT|SV|Rash~Hives|20200101", "allergy"),
    ("IAM|1|DA|91936005^Penicillin allergy^SCT|SV|Rash|A", "allergy"),
    ("DG1|1|I10|I21^MI||20260101|W", "condition"),
    ("PR1|1|OPCS4|K40^CABG||20260101||60|||||C1^Sur^Geon", "procedure"),
    ("NK1|1|HIGGS^Bob|SPO^Spouse|1 High St^^Bristol|0117", "personal_contact"),
    ("OBX|1|NM|8867-4^Heart rate^LN||72|/min|60-100|N|||F|||20260101", "observation"),
    ("OBR|1|P1|F1|FBC^Full blood count|||20260101", "observation"),
    ("TXA|1|DS^Discharge summary|TX|20260101||||||||D1", "document"),
    ("SCH|P1|F1||||||CHK^Check||||^^^202601010900^202601010930", "appointment"),
    ("RF1|A^Accepted|R||||REF1|20260101|||CP^Chest pain", "referral"),
]


@pytest.mark.parametrize(("sent", "heading"), ITEMS, ids=[s[:3] for s, _ in ITEMS])
def test_the_same_content_sent_again_is_the_same_item(one, sent, heading):
    _, first, _, _ = one(PID, sent, control="M1")
    _, again, _, _ = one("EVN|A31|20270101", PID, sent, control="M2")
    assert first == again
    assert first[0]["heading"] == heading
    assert first[0]["subject"] == "R1"


def test_two_alike_in_one_message_are_both_kept(one):
    allergy = "AL1|1|DA|P^Penicillin"
    _, items, _, _ = one(PID, allergy, allergy)
    assert len({i["item_id"] for i in items}) == 2


def test_derived_ids_show_nothing_of_the_person(one):
    _, items, _, _ = one(PID, "NK1|1|HIGGS^Bob|SPO", "AL1|1|DA|P^Penicillin")
    assert all(
        len(i["item_id"]) == 24 and set(i["item_id"]) <= set("0123456789abcdef") for i in items
    )


def test_an_allergy_taken_back(one):
    _, (item,), _, _ = one(PID, "IAM|1|DA|P^Penicillin|||D", kind="ADT^A60")
    assert item["status"] == "entered-in-error"


def test_results_belong_to_their_order(one):
    _, items, _, _ = one(
        PID,
        "ORC|RE|P1|F1",
        "OBR|1|P1|F1|FBC^Full blood count|||202601010900|||||||||||||||202601011000|||F",
        "NTE|1||fasting",
        "OBX|1|NM|718-7^Hb^LN||140|g/L|130-170|N|||F",
        "OBX|2|CWE|ORG^Organism||112283007^E coli^SCT~X^Other||||||C",
        "NTE|1||heavy growth",
        "OBX|3|ED|PDF^Report||LAB^application^pdf^Base64^QUJD||||||F",
        "OBR|2|P2|F2|CRP^C-reactive protein|||202601010900||||||||||||||||||I",
        kind="ORU^R01",
    )
    hb, organism, report, crp = items
    assert (hb["text"], hb["status"], hb["start"]) == ("140 g/L", "final", "2026-01-01T09:00:00Z")
    assert hb["recorded_at"] == "2026-01-01T10:00:00Z"
    assert hb["details"]["notes"] == ["fasting"]
    assert hb["details"]["order_segments"] == ["ORC|RE|P1|F1"]
    assert (organism["text"], organism["status"]) == ("E coli, Other", "corrected")
    assert [c["code"] for c in organism["details"]["value_codes"]] == ["112283007", "X"]
    assert organism["details"]["notes"] == ["heavy growth"]
    assert report["details"]["attachment"]["data"] == "QUJD"
    assert (crp["item_id"], crp["status"]) == ("F2", "registered")


def test_results_of_several_persons_stay_apart(one):
    records, items, _, _ = one(
        PID, "OBX|1|ST|A^A||1||||||F", "PID|2||R5||JONES^Bo||1970", "OBX|1|ST|A^A||2||||||F",
        kind="ORU^R01",
    )  # fmt: skip
    assert [r["local_id"] for r in records] == ["R1", "R5"]
    assert [(i["subject"], i["text"]) for i in items] == [("R1", "1"), ("R5", "2")]


def test_a_document_is_its_text_and_attachments(one):
    _, (item,), _, _ = one(
        PID,
        "TXA|1|DS^Discharge summary|TX|20260101|C1^Doc^Tor|||||||D1|D0||||LA|V|AV",
        "OBX|1|TX|1^Text||Dear GP~all well",
        "OBX|2|TX|2^Text||Yours",
        "OBX|3|ED|3^Letter||^application^pdf^Base64^QUJD",
        kind="MDM^T02",
    )
    assert (item["item_id"], item["text"]) == ("D1", "Dear GP\nall well\nYours")
    assert (item["status"], item["sensitivity"]) == ("current", ["V"])
    assert item["details"]["attachments"][0]["data"] == "QUJD"
    assert item["details"]["replaces"] == "D0"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("SIU^S12", "booked"),
        ("SIU^S15", "cancelled"),
        ("SIU^S17", "entered-in-error"),
        ("SIU^S26", "noshow"),
    ],
)
def test_appointments(one, kind, status):
    _, (item,), _, _ = one(
        "SCH|P1|F1||||||CHK^Check-up",
        PID,
        "RGS|1",
        "AIS|1||CHK^Check-up|202601010900",
        "AIL|1||ROOM1^^^RA7",
        "AIP|1||C1^Doc^Tor",
        kind=kind,
    )
    assert (item["item_id"], item["status"], item["start"]) == (
        "F1",
        status,
        "2026-01-01T09:00:00Z",
    )
    assert item["details"]["locations"] == ["RA7, ROOM1"]
    assert item["details"]["people"] == ["Tor Doc (C1)"]


def test_segments_without_a_reader_are_kept_where_they_stand(one):
    ((record,), (item,), _, _) = one(
        PID, "ZPD|a|b^c", "AL1|1|DA|P^Penicillin", "ZAL|x", "ZAL|y", "IN1|1|secret"
    )
    assert record["details"] == {"ZPD": ["a|b^c"]}
    assert item["details"]["ZAL"] == ["x", "y"]
    assert "IN1" not in item["details"]


@pytest.mark.parametrize("sent", ["AL1|1|DA", "DG1|1", "PR1|1", "NK1|1||SPO", "OBX|1|ST"])
def test_a_segment_that_names_nothing_is_kept_and_counted(one, sent):
    ((record,), items, _, batch) = one(PID, sent)
    assert items == []
    assert list(record["details"]) == [sent[:3]]
    assert len(batch.issues) == 1


# --- files --------------------------------------------------------------------------------------
def test_a_file_of_items_gives_no_records(one):
    records, items, _, _ = one(
        PID, "OBX|1|ST|A^A||1||||||F", kind="ORU^R01", file={"kind": "care_item"}
    )
    assert (len(records), len(items)) == (0, 1)


def test_a_file_of_staff_is_refused(tmp_path):
    with pytest.raises(FeedRefused):
        read(tmp_path, message(PID), kind="staff")


def test_an_unknown_time_zone_is_a_fault_of_the_settings(tmp_path):
    with pytest.raises(SettingsError):
        read(tmp_path, message(PID), source(time_zone="Europe/Nowhere"))


def test_batches_hold_no_more_than_they_may_and_lose_nothing(tmp_path):
    data = b"".join(message(PID.replace("R1", f"R{n}")) for n in range(10))
    batches = read(tmp_path, data, limits=Limits(batch_units=3))
    assert [(b.first_unit, b.units) for b in batches] == [(0, 3), (3, 3), (6, 3), (9, 1)]
    ids = [i for b in batches for i in b.records["local_id"].to_pylist()]
    assert ids == [f"R{n}" for n in range(10)]


def test_one_bad_message_leaves_the_others(tmp_path):
    good = message(PID)
    long = message(PID, "OBX|1|TX|A||" + "x" * 5000)
    bad = [good.replace(b"Ann", b"\xff"), good.replace(b"Ann", b"\0"), long]
    (batch,) = read(
        tmp_path, good.join([b"", *bad, b""]) + good[:-3], limits=Limits(max_message_bytes=2000)
    )
    reasons = [(r.unit, r.reason) for r in batch.rejected]
    assert reasons == [(1, "encoding"), (3, "nul"), (5, "too_long"), (7, "torn")]
    assert batch.records["unit"].to_pylist() == [0, 2, 4, 6]


def test_an_envelope_that_disagrees_is_counted(tmp_path):
    (batch,) = read(tmp_path, b"BHS|^~\\&|A\r" + message(PID) + b"BTS|7\r")
    assert batch.issues == {("BTS-1", "count differs"): 1}
    assert (batch.units, batch.records.num_rows) == (1, 1)


# --- damage -------------------------------------------------------------------------------------
COUNT = 6
GOOD = [
    message(
        "EVN|A01|20260101",
        f"PID|1||R{n}^^^RA7~{NUMBER}^^^NHS||Sickert^Walburga||19800517|F|||7 Quay^^^^BS1 5TR",
        segment("PV1", "1", "I", "W1", f19=f"V{n}", f44="20260101"),
        "AL1|1|DA|P^Penicillin",
        kind="ADT^A01",
        control=f"M{n}",
    )
    for n in range(COUNT)
]
SPANS = [(sum(map(len, GOOD[:n])), sum(map(len, GOOD[: n + 1]))) for n in range(COUNT)]


def _untouched(places: list[int]) -> set[str]:
    """Messages with no damage in them, nor two bytes of it in the header that ends them."""
    whole = set()
    for n, (start, end) in enumerate(SPANS):
        inside = any(start <= p < end for p in places)
        header_after = sum(end <= p < end + 8 for p in places)
        if not inside and header_after < 2:
            whole.add(f"R{n}")
    return whole


@settings(max_examples=150, deadline=None)
@given(
    damage=st.lists(
        st.tuples(st.integers(0, sum(map(len, GOOD)) - 1), st.integers(0, 255)),
        min_size=1,
        max_size=4,
    )
)
def test_damaged_bytes_lose_nothing_else(tmp_path_factory, damage):
    data = bytearray(b"".join(GOOD))
    for place, byte in damage:
        data[place] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.hl7"
    (batch,) = read(path, bytes(data))
    accounted = set(batch.records["unit"].to_pylist()) | {r.unit for r in batch.rejected}
    accounted |= set(batch.items["unit"].to_pylist())
    assert accounted == set(range(batch.units))
    assert _untouched([p for p, _ in damage]) <= set(batch.records["local_id"].to_pylist())
    for rejected in batch.rejected:
        words = f"{rejected.message} {rejected.where} {rejected.field}"
        assert not any(v in words for v in ("Sickert", "Walburga", NUMBER, "1980", "Quay"))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, sum(map(len, GOOD))))
def test_a_file_cut_anywhere_keeps_what_came_whole(tmp_path_factory, cut):
    path = tmp_path_factory.getbasetemp() / "cut.hl7"
    try:
        (batch,) = read(path, b"".join(GOOD)[:cut])
    except FeedRefused:
        assert cut < 8
        return
    whole = {f"R{n}" for n, (_, end) in enumerate(SPANS) if end <= cut}
    assert whole <= set(batch.records["local_id"].to_pylist())
    assert batch.units == sum(start < cut for start, _ in SPANS)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.hl7"
    try:
        batches = read(path, b"MSH|^~\\&|" + data)
    except FeedRefused:
        return
    assert sum(b.units for b in batches) >= 1


# --- real senders -------------------------------------------------------------------------------
@pytest.fixture
def samples() -> Path:
    """The public samples beside the checkout; only the checks on them are skipped without."""
    if not SAMPLES.is_dir():
        pytest.skip("the public HL7 v2 samples are not here")
    return SAMPLES


SAMPLE_ROWS = _rows("hl7v2_samples.txt")


@pytest.mark.parametrize(
    ("name", "fate", "record", "items", "merges"), SAMPLE_ROWS, ids=[row[0] for row in SAMPLE_ROWS]
)
def test_fate_of_each_public_sample(tmp_path, samples, name, fate, record, items, merges):
    (batch,) = read(tmp_path, (samples / name).read_bytes())
    assert batch.units == 1
    assert (" ".join(r.reason for r in batch.rejected) or "loaded") == fate
    assert (" ".join(batch.records["local_id"].to_pylist()) or "-") == record
    assert (" ".join(sorted(batch.items["heading"].to_pylist())) or "-") == items
    pairs = zip(
        batch.merges["retired"].to_pylist(), batch.merges["survivor"].to_pylist(), strict=True
    )
    assert (" ".join(f"{a}>{b}" for a, b in pairs) or "-") == merges


def test_every_public_sample_is_in_the_table(samples):
    found = {
        str(path.relative_to(samples))
        for path in [*samples.glob("*.hl7"), *samples.glob("openhie/*.txt")]
    }
    assert found == {row[0] for row in SAMPLE_ROWS}


def test_all_public_samples_in_one_file(tmp_path, samples):
    bodies = [(samples / row[0]).read_bytes().strip() + b"\n" for row in SAMPLE_ROWS]
    (batch,) = read(tmp_path, b"".join(bodies))
    loaded = sum(row[1] == "loaded" for row in SAMPLE_ROWS)
    assert (batch.units, batch.units - len(batch.rejected)) == (len(SAMPLE_ROWS), loaded)
