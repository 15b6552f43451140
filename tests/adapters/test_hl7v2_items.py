"""Care items of HL7 v2 messages, and the ids they keep."""

from __future__ import annotations

from functools import partial

import pytest

from tests.adapters.hl7v2_feeds import PID, read_one, segment


@pytest.fixture
def one(tmp_path):
    """`read_one` in the test's own folder."""
    return partial(read_one, tmp_path)


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
