"""A partnership for the matrix over HTTP: a person for each mixture of relationship, wish and
state, each with items of every type, under every agreement, with every label.

Words are those of `tests.consent.oracle`; here they become records, items, provisions and claims in
a real store. Every value is a word of its own, so that a leak can be seen in an answer's text.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from audit.events import AuditEvent, EventOutcome
from schemas.codes import NameUse
from schemas.dates import Instant, PartialDate
from schemas.demographics import Address, Death, HumanName
from schemas.held import Competence, Proxy, ProxyBasis
from schemas.identifiers import LocalId, PersonId, Postcode, SourceId
from schemas.items import HEADINGS, CareItem, Coding, Heading
from schemas.records import ClientRecord, StaffEntry
from schemas.settings_file import parse_settings
from schemas.sharing import Category, Label, Targets
from service.sharing import Sharing
from service.sharing_ports import Claim, ClaimKind, Provision
from store.keyring import KEY_FILE, FileKey, create_keyring
from store.sql_store import SqlStore, open_store
from tests.api.in_process import Who
from tests.consent.cases import AT, CUSTODIANS, ELSEWHERE, OURS, agreements, wishes
from tests.consent.oracle import READS
from tests.linkage.people import shipped_model
from tests.store_samples import Unit, load, one, publication, publish, renew

SOURCES = {"alpha": "own", "beta": "agreed", "gamma": "none", "delta": "renewed"}
"""Source → how its organisation stands with that of who asks."""
SOURCE_OF = {word: source for source, word in SOURCES.items()}
CHANGED = Instant("2026-02-01T00:00:00Z")
LAID = Instant("2026-01-02T00:00:00Z")
BEGAN, ENDS = Instant("2026-03-01T09:30:00Z"), Instant("2026-03-01T10:30:00Z")
NOBODY = PersonId("pnobody")
COLLEAGUE, SECOND, PROXY = "ST-colleague", "ST0777", "PX1"
INACTIVE, OWN, TEAM = "left", "own", "in identity team"
FLAVOURS = ("", INACTIVE, OWN, TEAM)
STAFF_ROLES = tuple(sorted(READS.keys() - {"person", "proxy"}))
WORDS = tuple(word for word, code in CUSTODIANS.items() if code is not None)
TYPES = tuple((heading, kind) for heading, spec in HEADINGS.items() for kind in spec.fhir_types)
"""Heading and FHIR type of every sort of item."""
TIES = (
    "", "related", "ended", "not begun", "of another organisation", "claimed",
    "claimed by a colleague", "declared", "glass", "glass with second", "glass with oneself",
    "glass mended",
)  # fmt: skip
WISHES = (
    "", "opt-out", "opt-out taken back", "opt-out not begun", "opt-out for planning", "gp-dissent",
    "seal allergies", "seal allergies invisibly", "seal allergies from another", "deny us",
    "deny us invisibly", "deny another", "deny our role allergies", "permit us",
    "permit us allergies", "permit another", "bar me", "bar a colleague", "type-1",
    "national-data-opt-out", "permission sexual-health", "permission fertility",
    "permission adoption",
)  # fmt: skip
STATES = (
    "", "restricted", "household", "own", "dead lately", "dead long", "former identity",
    "changed identity", "somebody else", "no proxy", "child of ten", "competent on conditions",
    "flag", "flag of a stranger", "former identity + in identity team",
    "changed identity + in identity team", "investigator",
)  # fmt: skip


def letters(number: int) -> str:
    """A number as letters: part of a word that is nobody else's."""
    digits = []
    for _ in range(5):
        number, digit = divmod(number, 20)
        digits.append("bcdfghjklmnpqrstvwxz"[digit])
    return "".join(f"{d}{'aeiou'[n]}" for n, d in enumerate(reversed(digits)))


@dataclass(frozen=True)
class Placed:
    """One item as it was sent. `kind`: its FHIR type; `word`: what only it says."""

    heading: str
    kind: str
    agreement: str
    label: str | None
    word: str
    source: str
    item_id: str


@dataclass(frozen=True)
class Told:
    """One record as it was sent: its agreement, and words that only it says."""

    agreement: str
    source: str
    local_id: str
    name: str
    old_name: str
    place: str


@dataclass
class Someone:
    """A person of one mixture of words."""

    person: PersonId
    tie: str
    wish: str
    state: str
    number: int
    items: list[Placed] = field(default_factory=list)
    records: list[Told] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    """Item id → its name on the wire."""
    directive: str = ""
    """Id of a wish that changes nothing for anybody."""

    @property
    def family(self) -> str:
        return f"Fam{letters(self.number)}"

    @property
    def born(self) -> str:
        """Of age, and nobody else's birthday."""
        if "child" in self.state:
            return f"2016-{1 + self.number % 2:02d}-{1 + self.number % 27:02d}"
        if "competent" in self.state:
            return f"2012-{1 + self.number % 12:02d}-{1 + self.number % 27:02d}"
        month, day = 1 + self.number % 11, 2 + self.number // 11 % 26
        return f"{1950 + self.number // 286}-{month:02d}-{day:02d}"


def staff_id(role: str, flavour: str = "") -> str:
    """The member of staff of a role; of a flavour, another."""
    return f"ST-{role}{'-' + flavour.replace(' ', '-') if flavour else ''}".replace("_", "-")


def settings_text(own: Sequence[Someone]) -> str:
    """The partnership's settings."""
    names = [f'"alpha/{one.records[0].local_id}"' for one in own]
    owners = "".join(f"{staff_id(role, OWN)} = [{', '.join(names)}]\n" for role in STAFF_ROLES)
    team = ", ".join(f'"{staff_id(role, TEAM)}"' for role in STAFF_ROLES)
    codes = [*(code for code in CUSTODIANS.values() if code), ELSEWHERE]
    served = {word: [CUSTODIANS[word]] for word in SOURCES.values()}
    listed = [code for word, code in CUSTODIANS.items() if code and word not in served]
    served["renewed"] += listed
    return (
        '[partnership]\nname = "Matrix"\n[sharing]\nstaff_directory = "staff"\n'
        f"identity_team = [{team}]\n[sharing.own_records]\n{owners}"
        + "".join(
            f'[[organisation]]\ncode = "{code}"\nname = "House {code}"\nkind = "acute"\n'
            for code in codes
        )
        + "".join(
            f'[[source]]\nid = "{source}"\nname = "System {source}"\nformat = "fhir"\n'
            f"organisations = {[str(code) for code in served[word]]}\n".replace("'", '"')
            for source, word in SOURCES.items()
        )
        + f'[[source]]\nid = "staff"\nname = "Staff"\norganisations = ["{OURS}"]\n'
        'format = "delimited"\n[[source.file]]\nkind = "staff"\n'
        'columns = { staff_id = "ID", role = "ROLE" }\n'
    )


class Builder:
    """Makes the persons, then sends, publishes and lays down what is known of them."""

    def __init__(self, specs: Iterable[tuple[str, str, str]], seed: int) -> None:
        self.rng = random.Random(seed)
        self.units: dict[str, list[Unit]] = {source: [] for source in SOURCES}
        self.later: list[tuple[Someone, Someone]] = []
        self.people: dict[tuple[str, str, str], Someone] = {}
        self.words = 0
        self.rows: dict[tuple[str, str], int] = {}
        for spec in sorted(set(specs)):
            self.people[spec] = self._someone(*spec)
        for spec, held in list(self.people.items()):
            if "identity" in held.state:
                self._other_side(spec, held)

    def _someone(self, tie: str, wish: str, state: str) -> Someone:
        held = Someone(PersonId(f"p{len(self.people):05d}"), tie, wish, state, len(self.people))
        self._records(held)
        self._items(held)
        return held

    def _word(self) -> str:
        self.words += 1
        return f"Zq{letters(self.words)}"

    def _records(self, held: Someone, sources: Iterable[str] = SOURCES) -> None:
        home = self._word()
        for source in sources:
            word = SOURCES[source]
            told = Told(
                word, source, f"{source[0]}{held.number}", self._word(), self._word(), self._word()
            )
            held.records.append(told)
            line = home if held.state == "household" and source == "alpha" else told.place
            self.units[source].append(one(self._client(held, told, line)))
            if line is home:
                hidden = ClientRecord(
                    local_id=LocalId(f"h{held.number}"), restricted=True,
                    names=(HumanName(family=self._word(), given=(self._word(),)),),
                    addresses=(_home(line),),
                )  # fmt: skip
                self.units[source].append(one(hidden))

    def _client(self, held: Someone, told: Told, line: str) -> ClientRecord:
        died = {"dead lately": "2026-02-20", "dead long": "2025-06-01"}.get(held.state)
        return ClientRecord(
            local_id=LocalId(told.local_id),
            names=(
                HumanName(family=held.family, given=(told.name,)),
                HumanName(family=told.old_name, given=("Pat",), use=NameUse.OLD),
            ),
            birth_date=PartialDate(held.born),
            addresses=(_home(line),),
            restricted=held.state == "restricted" and told.source == "alpha",
            death=Death(on=PartialDate(died)) if died else None,
        )

    def _items(self, held: Someone) -> None:
        for heading, kind in (*TYPES, (Heading.ALLERGY, "AllergyIntolerance")):
            agreement = self.rng.choice((*WORDS, "own", "agreed", "agreed"))
            label = self.rng.choice((*Label, None, None, None, None, None, None))
            self._item(held, heading, kind, agreement, label, "2024-03-01", "2024-03-02")
        tie = {
            "related": (Heading.CASELOAD, "own", "2026-01-01", None),
            "ended": (Heading.CASELOAD, "own", "2025-01-01", "2025-06-01"),
            "not begun": (Heading.REFERRAL, "own", "2026-05-01", None),
            "of another organisation": (Heading.CASELOAD, "none", "2026-01-01", None),
        }.get(held.tie)
        if tie:
            heading, word, start, end = tie
            kind = HEADINGS[heading].fhir_types[0]
            self._item(held, heading, kind, word, None, start, end)
        if held.state in ("flag", "flag of a stranger"):
            word = "agreed" if held.state == "flag" else "none"
            self._item(held, Heading.SAFEGUARDING, "Flag", word, None, "2025-01-01", None, "LAC")
        if held.wish == "gp-dissent":
            self._item(
                held, Heading.SHARING_PREFERENCE, "Consent", "agreed", None, "2026-01-01", None,
                "93C1",
            )  # fmt: skip

    def _item(
        self, held: Someone, heading: Heading, kind: str, agreement: str, label: str | None,
        start: str, end: str | None, code: str | None = None,
    ) -> None:  # fmt: skip
        word, source = self._word(), SOURCE_OF.get(agreement, "delta")
        local = next(told.local_id for told in held.records if told.source == source)
        item_id = f"i{held.number}-{len(held.items)}"
        sent = CareItem(
            heading=heading, item_id=item_id, subject=LocalId(local), text=word, status="active",
            codes=(Coding(code, "urn:local"),) if code else (), author=word,
            start=PartialDate(start), end=PartialDate(end) if end else None,
            organisation=CUSTODIANS[agreement], sensitivity=(label,) if label else (),
            original=None if kind == HEADINGS[heading].fhir_types[0] else _original(kind, word),
        )  # fmt: skip
        self.units[source].append(one(sent))
        held.items.append(Placed(heading.value, kind, agreement, label, word, source, item_id))

    def _other_side(self, spec: tuple[str, str, str], held: Someone) -> None:
        """Who somebody was before, or is after, a protected change."""
        number = len(self.people)
        self.people[*spec[:2], f"other side of {number}"] = other = Someone(
            PersonId(f"p{number:05d}"), "", "", "other side", number
        )
        self._records(other, ["alpha"])
        pair = (held, other) if held.state.startswith("former") else (other, held)
        self.later.append(pair)

    # --- into the store ---------------------------------------------------------------------
    def send(self, store: SqlStore) -> None:
        """Loads, publishes, and declares the changes of identity."""
        for source, units in self.units.items():
            load(store, units, f"{source}.feed", SourceId(source))
        load(store, [one(entry) for entry in staff()], "staff.feed", SourceId("staff"))
        opened = [
            (self._record(store, told), held.person)
            for held in self.people.values()
            for told in held.records
        ]
        founders = {person: record for record, person in reversed(opened)}
        late = {new.person for _, new in self.later}
        before = [row for row in opened if row[1] not in late]
        founded = [(person, record) for person, record in founders.items() if person not in late]
        publish(store, publication(founded=founded, opened=before))
        changes = [
            one(renew(old.records[0].local_id, new.records[0].local_id), CHANGED)
            for old, new in self.later
        ]
        if changes:
            load(store, changes, "changes.feed", SourceId("alpha"))
            founded = [(person, founders[person]) for person in sorted(late)]
            after = [row for row in opened if row[1] in late]
            publish(store, publication(founded=founded, opened=after))

    def _record(self, store: Any, told: Told) -> int:
        """The row of a record, looked up once."""
        name = told.source, told.local_id
        if name not in self.rows:
            held = store.record(SourceId(told.source), LocalId(told.local_id))
            assert held is not None
            self.rows[name] = int(held.record_id)
        return self.rows[name]

    def lay_down(self, sharing: Sharing) -> None:
        """Wishes, proxies, findings: whatever is not sent by feeds."""
        store = sharing.store
        for held in self.people.values():
            if held.state.startswith("other side"):
                continue
            records = [self._record(store, told) for told in held.records]
            for what in _provisions(held):
                laid = Provision(made_by="test", made_at=LAID, reason="a story", **what)
                kept = store.write_provision(laid, records, _event("consent-write"))
                if kept.directive and kept.directive.kind == "national-data-opt-out":
                    held.directive = kept.directive.directive_id

    def learn_keys(self, sharing: Sharing) -> None:
        """What each item is called on the wire."""
        held = {one.person: one for one in self.people.values()}
        views = sharing.store.views_now(sorted(held), None, AT)[1]
        for person, view in views.items():
            opened = sharing.store.open_items(view.items)
            held[person].keys = {
                item.item_id: sealed.name for item, sealed in zip(opened, view.items, strict=True)
            }


def _provisions(held: Someone) -> Iterator[dict[str, Any]]:
    harmless = wishes("national-data-opt-out", "")
    yield {"directive": harmless}
    if held.wish not in ("", "gp-dissent", "national-data-opt-out"):
        wish = wishes(held.wish, "")
        if held.wish == "bar me":
            everybody = frozenset(staff_id(r, f) for r in STAFF_ROLES for f in FLAVOURS)
            wish = replace(wish, targets=Targets(staff=everybody))
        if held.wish == "deny our role allergies":
            wish = replace(
                wish,
                targets=Targets(roles=frozenset(READS), categories=frozenset({Category.ALLERGY})),
            )
        yield {"directive": wish}
    child = "child" in held.state or "competent" in held.state
    yield {
        "proxy": Proxy(
            proxy_id=PROXY, evidenced=held.state != "no proxy", orders_checked=True,
            basis=ProxyBasis.PARENTAL_RESPONSIBILITY if child else ProxyBasis.LASTING_POWER,
            start=PartialDate("2020-01-01"), reviewed_on=PartialDate("2025-12-01"),
        )
    }  # fmt: skip
    if "competent" in held.state:
        about = frozenset({Category.CONDITION})
        yield {"competence": Competence(about, "ST0500", PartialDate("2026-01-01"))}
    if held.state == "investigator":
        for role in STAFF_ROLES:
            yield {"investigator": staff_id(role)}


def staff() -> Iterator[StaffEntry]:
    """Four of each role: at work, left, one with records of their own, one of the named team."""
    for role in STAFF_ROLES:
        for flavour in FLAVOURS:
            yield StaffEntry(
                staff_id=staff_id(role, flavour), organisation=OURS, role=role,
                end=PartialDate("2026-02-28") if flavour == INACTIVE else None,
            )  # fmt: skip


def claim(sharing: Sharing, held: Someone, who: Who) -> None:
    """Writes down what the word of a tie says that somebody declared."""
    second = {"glass with second": SECOND, "glass with oneself": who.staff_id}.get(held.tie)
    staff_of = COLLEAGUE if held.tie == "claimed by a colleague" else who.staff_id
    glass = held.tie.startswith("glass")
    made = Claim(
        kind=ClaimKind.BREAK_GLASS if glass else ClaimKind.RELATIONSHIP,
        person=held.person, staff_id=staff_of, organisation=OURS, role=who.role,
        purpose=who.purpose, reason="life-at-risk" if glass else "care",
        text="unconscious in resus", made_at=BEGAN,
        expires_at=AT if held.tie == "glass mended" else ENDS, second_person=second,
    )  # fmt: skip
    sharing.store.write_claim(made, _event("claim"))


def agree(sharing: Sharing, held: Someone) -> None:
    """A second person breaks the glass of the same record."""
    made = Claim(
        kind=ClaimKind.BREAK_GLASS, person=held.person, staff_id=SECOND, organisation=OURS,
        role="nurse", purpose="vital-interests", reason="life-at-risk",
        text="unconscious in resus", made_at=BEGAN, expires_at=ENDS,
    )  # fmt: skip
    sharing.store.write_claim(made, _event("claim"))


def _event(action: str) -> AuditEvent:
    return AuditEvent(
        at=AT, action=action, outcome=EventOutcome.PERMITTED, actor="a", role="r", purpose="audit"
    )


def _home(line: str) -> Address:
    return Address(lines=(f"7 {line} Row",), postcode=Postcode("BS1 5TR"))


def _original(kind: str, word: str) -> dict[str, Any]:
    code = {"text": word}
    return {"resourceType": kind} | {
        "MedicationRequest": {"status": "active", "intent": "order",
                              "medicationCodeableConcept": code},
        "MedicationAdministration": {"status": "completed", "medicationCodeableConcept": code,
                                     "effectiveDateTime": "2024-03-01"},
        "MedicationDispense": {"status": "completed", "medicationCodeableConcept": code},
        "DiagnosticReport": {"status": "final", "code": code},
        "Binary": {"contentType": "text/plain", "data": "SGVsbG8="},
    }[kind]  # fmt: skip


@dataclass
class World:
    """The partnership, ready to be asked."""

    sharing: Sharing
    keys: Path
    people: dict[tuple[str, str, str], Someone]


@contextmanager
def matrix_world(folder: Path, specs: Iterable[tuple[str, str, str]], seed: int) -> Iterator[World]:
    """The partnership with a person of each of these relationships, wishes and states."""
    made = Builder(specs, seed)
    keys = create_keyring(folder / "keys", FileKey(folder / "keys" / KEY_FILE))
    store = open_store(f"sqlite:///{folder}/matrix.db", keys)
    made.send(store)
    store.write_agreements(agreements("direct-care"), _event("agreement-write"))
    model = folder / "model.json"
    model.write_bytes(shipped_model().to_json())
    own = [held for held in made.people.values() if held.state == "own"]
    sharing = Sharing(store, parse_settings(settings_text(own)), model, lambda: AT)
    made.lay_down(sharing)
    made.learn_keys(sharing)
    try:
        yield World(sharing, folder / "keys", made.people)
    finally:
        store.close()
