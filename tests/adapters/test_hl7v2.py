"""What an HL7 v2 message becomes: the person, and what each event does."""

from __future__ import annotations

from functools import partial

import pytest

from adapters.hl7v2_tables import EVENTS
from schemas.errors import FeedRefused, SettingsError
from schemas.identifiers import OdsCode
from schemas.settings import Limits
from tests.adapters.hl7v2_feeds import (
    NUMBER,
    PID,
    message,
    read,
    read_one,
    segment,
    source,
    spec_rows,
)


@pytest.fixture
def one(tmp_path):
    """`read_one` in the test's own folder."""
    return partial(read_one, tmp_path)


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
    ((record,), *_) = one(pid, of=source(identifier_systems={"CHI": "chi", "1.2.3": "lims"}))
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
EVENT_ROWS = spec_rows("hl7v2_events.txt")


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


VISIT = segment("PV1", "1", "I", f19="V1", f44="20260101")


@pytest.mark.parametrize(
    ("kind", "segments", "withdrawn", "records"),
    [
        ("ADT^A29", (PID,), [("R1", "deleted")], []),
        ("ADT^A29", ("PID|1||R1",), [("R1", "deleted")], []),
        ("ADT^A29", ("PID|1||R1", VISIT), [("R1", "deleted")], []),
        ("ADT^A23", ("PID|1||R1",), [("R1", "in_error")], []),
        ("ADT^A23", (PID, "PV1|1|N"), [("R1", "in_error")], []),
        ("ADT^A23", (PID, "PV1|1|I"), [], ["R1"]),
        ("ADT^A23", (PID, VISIT), [], ["R1"]),
        ("ADT^A11", (PID, VISIT), [], ["R1"]),
    ],
)
def test_what_withdraws_a_person(one, kind, segments, withdrawn, records):
    found, _, _, batch = one(*segments, kind=kind)
    columns = (batch.withdrawals[c].to_pylist() for c in ("local_id", "reason"))
    assert list(zip(*columns, strict=True)) == withdrawn
    assert batch.withdrawals["as_at"].to_pylist() == ["2026-01-02T03:04:05Z"] * len(withdrawn)
    assert [record["local_id"] for record in found] == records


@pytest.mark.parametrize(
    ("segment_sent", "declared"),
    [
        ("ZPI", [("R1", "R1", False)]),
        ("ZPI||", [("R1", "R1", False)]),
        ("ZPI|R0", [("R0", "R1", False)]),
        ("ZPI|R0|N", [("R0", "R1", False)]),
        ("ZPI|R0|y", [("R0", "R1", True)]),
        ("ZPX|R0", []),
    ],
)
def test_a_declared_segment_is_a_new_identity(one, segment_sent, declared):
    told = source(identity_change_sign="ZPI")
    records, _, _, batch = one(PID, segment_sent, kind="ADT^A31", of=told)
    columns = (batch.changes[c].to_pylist() for c in ("before", "after", "undone"))
    assert list(zip(*columns, strict=True)) == declared
    assert batch.changes["as_at"].to_pylist() == ["2026-01-02T03:04:05Z"] * len(declared)
    assert [record["local_id"] for record in records] == ["R1"]
    *_, undeclared = one(PID, segment_sent, kind="ADT^A31")
    assert undeclared.changes.num_rows == 0


def test_a_new_identity_that_cannot_be_read_is_quarantined_not_lost(one):
    told = source(identity_change_sign="ZPI")
    *_, batch = one(PID, "ZPI|R0|maybe", kind="ADT^A31", of=told)
    assert [(r.where, r.reason) for r in batch.rejected] == [("message 1, ZPI-2", "bad_value")]
    assert (batch.records.num_rows, batch.changes.num_rows) == (0, 0)


def test_a_file_of_items_withdraws_nobody(one):
    *_, batch = one("PID|1||R1", kind="ADT^A29", file={"kind": "care_item"})
    assert (batch.withdrawals.num_rows, batch.rejected[0].reason) == (0, "not_supported")


def test_persons_unlinked_are_a_merge_undone(one):
    records, _, merges, batch = one(PID, "PID|2||R5||JONES^Bo||1970", kind="ADT^A37")
    assert [r["details"]["unlinked"] for r in records] == [["R5"], ["R1"]]
    assert (merges, batch.merges["undone"].to_pylist()) == ([("R5", "R1")], [True])
    _, _, merges, _ = one(PID, "PID|2||R1||JONES^Bo||1970", kind="ADT^A37")
    assert merges == []


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
