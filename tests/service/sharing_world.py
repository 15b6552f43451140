"""A small partnership to share in: a practice, a hospital, a council, a sexual health service.

One story a person; the clock stands still. The store is SQLite; nothing is faked.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audit.events import AuditEvent, EventOutcome
from consent.shared import SharedRecord
from schemas.codes import TelecomSystem
from schemas.dates import Instant, PartialDate
from schemas.demographics import Address, HumanName, NhsNumberClaim, Telecom
from schemas.errors import NotFound, NotPermitted
from schemas.identifiers import LocalId, NhsNumber, OdsCode, PersonId, Postcode, SourceId
from schemas.items import CareItem, Coding, Heading
from schemas.records import ClientRecord, StaffEntry
from schemas.settings_file import parse_settings
from schemas.sharing import (
    Agreement,
    Category,
    Directive,
    DirectiveKind,
    Effect,
    Requester,
    SignedIn,
)
from service.sharing import PersonQuery, Sharing
from service.sharing_ports import Provision
from store.keyring import KEY_FILE, FileKey, create_keyring
from store.sql_store import SqlStore, open_store
from tests.linkage.people import shipped_model
from tests.store_samples import Unit, load, one, publication, publish

NOW = Instant("2026-11-02T12:00:00Z")
GP, TRUST, COUNCIL, CLINIC = (OdsCode(code) for code in ("GP001", "TR001", "CO001", "SH001"))
ANN, TOM, EVE, AMY, MUM = (PersonId(f"p{name}") for name in ("ann", "tom", "eve", "amy", "mum"))
BORN, CHILD = PartialDate("1980-05-04"), PartialDate("2014-02-03")
"""Birth dates of the adults, and of the children."""
HOME = Address(lines=("7 Hidden Row",), postcode=Postcode("BS1 5TR"))
ELSEWHERE = Address(lines=("1 Open Street",), postcode=Postcode("BS2 8AA"))
NHS = NhsNumber("9434765919")

SETTINGS = """
[partnership]
name = "Story"
[sharing]
staff_directory = "staff"
identity_team = ["ST9"]
[sharing.own_records]
ST4 = ["gp/tom"]
[[organisation]]
code = "GP001"
name = "Practice"
kind = "general_practice"
[[organisation]]
code = "TR001"
name = "Trust"
kind = "acute"
[[organisation]]
code = "CO001"
name = "Council"
kind = "council"
[[organisation]]
code = "SH001"
name = "Clinic"
kind = "sexual_health"
[[source]]
id = "gp"
name = "Practice"
organisations = ["GP001"]
format = "fhir"
[[source]]
id = "pas"
name = "Hospital"
organisations = ["TR001"]
format = "hl7v2"
[[source]]
id = "care"
name = "Council"
organisations = ["CO001"]
format = "fhir"
[[source]]
id = "clinic"
name = "Clinic"
organisations = ["SH001"]
format = "fhir"
[[source]]
id = "never"
name = "Not connected yet"
organisations = ["CO001"]
format = "fhir"
[[source]]
id = "staff"
name = "Staff"
organisations = ["TR001"]
format = "delimited"
[[source.file]]
kind = "staff"
columns = { staff_id = "ID", role = "ROLE" }
"""

STAFF = (
    ("ST1", TRUST, "doctor"),
    ("ST2", TRUST, "nurse"),
    ("ST3", COUNCIL, "social_worker"),
    ("ST4", TRUST, "nurse"),
    ("ST5", COUNCIL, "safeguarding_lead"),
    ("ST6", GP, "gp"),
    ("ST7", TRUST, "receptionist"),
    ("ST8", TRUST, "ig_officer"),
    ("ST9", COUNCIL, "social_worker"),
)
LEFT = ("ST0", TRUST, "doctor")
"""Left the day before."""


def client(local_id: str, given: str, family: str, **more: Any) -> ClientRecord:
    """A client record."""
    names = (HumanName(family=family, given=(given,)),)
    return ClientRecord(local_id=LocalId(local_id), names=names, **more)


def care(heading: Heading, item_id: str, subject: str, text: str, **more: Any) -> CareItem:
    """A care item that began a week ago, at a minute of its own, where nothing else is said."""
    minute = zlib.crc32(item_id.encode()) % 1_440
    began = Instant(f"2026-10-26T{minute // 60:02d}:{minute % 60:02d}:00Z")
    more.setdefault("start", began)
    return CareItem(heading=heading, item_id=item_id, subject=LocalId(subject), text=text, **more)


def _feeds() -> dict[str, list[Unit]]:
    phone = (Telecom(TelecomSystem.PHONE, "0117 496 0001"),)
    practice = {"gp_practice": OdsCode("GP001"), "organisation": GP}
    gp = [
        client("ann", "Ann", "Hidden", birth_date=BORN, addresses=(HOME,), telecoms=phone,
               nhs_number=NhsNumberClaim(NHS), restricted=True, **practice),
        client("tom", "Tom", "Open", birth_date=BORN, addresses=(ELSEWHERE,), **practice),
        client("eve", "Eve", "Adopted", birth_date=CHILD, addresses=(ELSEWHERE,), **practice),
        client("amy", "Amy", "Hidden", birth_date=CHILD, addresses=(HOME,), telecoms=phone,
               **practice),
        client("mum", "Una", "Plain", birth_date=BORN,
               addresses=(Address(("9 Plain Way",), Postcode("BS3 1AA")),), **practice),
        care(Heading.ALLERGY, "a1", "ann", "Penicillin"),
        care(Heading.ALLERGY, "a2", "tom", "Peanut"),
        care(Heading.CONDITION, "c1", "tom", "Asthma"),
        care(Heading.CONDITION, "c2", "eve", "Adoption panel on 3 May", sensitivity=("ADOPTION",)),
        care(Heading.CONDITION, "c3", "eve", "Eczema"),
        care(Heading.ALLERGY, "a3", "mum", "Latex"),
    ]  # fmt: skip
    pas = [
        client("h1", "Ann", "Hidden", birth_date=BORN, addresses=(HOME,)),
        client("h2", "Tom", "Open", birth_date=BORN, addresses=(ELSEWHERE,)),
        client("h3", "Eve", "Adopted", birth_date=CHILD),
        client("h4", "Amy", "Hidden", birth_date=CHILD),
        client("h5", "Una", "Plain", birth_date=BORN),
        *(care(Heading.ADMISSION, f"v{n}", f"h{n}", "Admitted") for n in (1, 2, 3, 4)),
        care(Heading.DOCUMENT, "d1", "h1", "Discharge letter to 7 Hidden Row"),
    ]
    council = [
        client("s1", "Tom", "Open", birth_date=BORN),
        client("s2", "Eve", "Adopted", birth_date=CHILD),
        care(Heading.CASELOAD, "w1", "s1", "Social work"),
        care(Heading.CASELOAD, "w2", "s2", "Social work"),
        care(Heading.SAFEGUARDING, "p1", "s2", "Plan", codes=(Coding("CPP"),)),
    ]
    clinic = [
        client("x1", "Tom", "Open", birth_date=BORN),
        care(Heading.CONDITION, "k1", "x1", "Treated"),
        client("x2", "Zed", "Away", birth_date=BORN),
        care(Heading.CONDITION, "k2", "x2", "Treated"),
    ]
    entries = [
        StaffEntry(staff_id=staff_id, organisation=where, role=role)
        for staff_id, where, role in STAFF
    ]
    left = StaffEntry(staff_id=LEFT[0], organisation=LEFT[1], role=LEFT[2],
                      end=PartialDate("2026-11-01"))  # fmt: skip
    feeds: dict[str, list[Any]] = {
        "gp": gp, "pas": pas, "care": council, "clinic": clinic, "staff": [*entries, left],
    }  # fmt: skip
    return {source: [one(part) for part in parts] for source, parts in feeds.items()}


MEMBERS = {
    ANN: (("gp", "ann"), ("pas", "h1")),
    TOM: (("gp", "tom"), ("pas", "h2"), ("care", "s1"), ("clinic", "x1")),
    EVE: (("gp", "eve"), ("pas", "h3"), ("care", "s2")),
    AMY: (("gp", "amy"), ("pas", "h4")),
    MUM: (("gp", "mum"), ("pas", "h5")),
}


def _agreements() -> list[Agreement]:
    members = (GP, TRUST, COUNCIL)
    return [
        Agreement(
            agreement_id=f"{a}-{b}", version=1, provider=a, receiver=b,
            categories=frozenset(Category) - {Category.UNCLASSIFIED},
            purposes=frozenset({"direct-care", "vital-interests", "safeguarding"}),
            start=PartialDate("2026-01-01"), end=PartialDate("2027-01-01"), article_6="6(1)(e)",
            article_9="9(2)(h)", schedule_1="paragraph 2", confidentiality="implied",
            gateway="section 251B", signed_by=frozenset({a, b}),
        )
        for a in members
        for b in members
        if a != b
    ]  # fmt: skip


@contextmanager
def world(folder: Path, without: Collection[str] = ()) -> Iterator[Sharing]:
    """The partnership, ready to be asked. without: ids of items, or local ids of clients, that
    nobody has ever sent."""
    keys = create_keyring(folder / "keys", FileKey(folder / "keys" / KEY_FILE))
    store = open_store(f"sqlite:///{folder}/story.db", keys)
    fill(store, without)
    model = folder / "model.json"
    model.write_bytes(shipped_model().to_json())
    sharing = Sharing(store, parse_settings(SETTINGS), model, lambda: NOW)
    try:
        yield sharing
    finally:
        store.close()


def fill(store: SqlStore, without: Collection[str] = ()) -> None:
    """Loads the feeds, publishes the persons, signs the agreements."""
    for source, units in _feeds().items():
        sent = [unit for unit in units if not without or _name(unit) not in without]
        load(store, sent, f"{source}.feed", SourceId(source))
    ids = {
        person: [
            _record(store, source, local_id)
            for source, local_id in members
            if local_id not in without
        ]
        for person, members in MEMBERS.items()
    }
    founded = [(person, records[0]) for person, records in ids.items() if records]
    opened = [(record, person) for person, records in ids.items() for record in records]
    publish(store, publication(founded=founded, opened=opened))
    signed = AuditEvent(
        at=NOW, action="agreement-write", outcome=EventOutcome.PERMITTED, actor="a", role="r",
        purpose="audit",
    )  # fmt: skip
    store.write_agreements(_agreements(), signed)


def _name(unit: Unit) -> str:
    part = unit[0][0]
    return str(getattr(part, "item_id", None) or getattr(part, "local_id", ""))


def _record(store: SqlStore, source: str, local_id: str) -> int:
    held = store.record(SourceId(source), LocalId(local_id))
    assert held is not None
    return held.record_id


def asks(sharing: Sharing, staff_id: str, purpose: str = "direct-care", **more: Any) -> Requester:
    """A member of staff who asks, in their own role."""
    where, role = next((o, r) for s, o, r in (*STAFF, LEFT) if s == staff_id)
    return sharing.requester(
        SignedIn(
            issuer="test", subject=staff_id, organisation=where, role=role, purpose=purpose, **more
        )
    )


def told(record: SharedRecord) -> str:
    """All that a record says, as text."""
    return str({name: value for name, value in vars(record).items() if name != "token"})


def sees(sharing: Sharing, who: Any, person: PersonId) -> bool:
    """Whether any item of the person's is shown."""
    try:
        return bool(sharing.everything(who, person).items)
    except (NotFound, NotPermitted):
        return False


def wish(kind: DirectiveKind, effect: Effect = Effect.DENY, **more: Any) -> Directive:
    return Directive(
        directive_id="new", kind=kind, effect=effect, start=PartialDate("2026-01-01"),
        made_by="person", **more,
    )  # fmt: skip


def lay_down(sharing: Sharing, person: PersonId, **what: Any) -> Provision:
    laid_down = Provision(made_by="test", made_at=NOW, reason="a story", **what)
    ids = [held.record_id for held in sharing.store.person_records(person)]
    event = sharing.event(asks(sharing, "ST8", "audit"), "consent-write", EventOutcome.PERMITTED)
    return sharing.store.write_provision(laid_down, ids, event)


def last_event(sharing: Sharing) -> Any:
    return list(sharing.store.events())[-1]


def found(sharing: Sharing, staff_id: str, born: PartialDate = BORN, **fields: Any) -> list[str]:
    query = PersonQuery(fields, born=(born, born))
    return [one.record.person for one in sharing.search(asks(sharing, staff_id), query).persons]
