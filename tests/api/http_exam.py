"""One case of the matrix over HTTP, asked and judged by what the oracle says of its route."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from api.render_consent import REASON, consent
from api.words import HEADINGS_OF_TYPE, SOURCE_SYSTEM
from schemas.identifiers import PersonId
from schemas.items import HEADINGS, Heading
from schemas.sharing import Directive
from tests.api import http_oracle as rules
from tests.api.http_cases import BY_NAME, NARROW, Case, asks_of, who_of
from tests.api.http_oracle import Expected, Record, Sent
from tests.api.http_world import (
    NOBODY,
    SECOND,
    Placed,
    Someone,
    agree,
)
from tests.api.in_process import Api, matches
from tests.consent import oracle
from tests.consent.cases import wishes
from tests.consent.oracle import Thing

WORD = re.compile(r"Zq[a-z]{10}|Fam[a-z]{10}")
HARMLESS: dict[str, Directive] = {
    "national-data-opt-out": wishes("national-data-opt-out", ""),
    "bar-staff": wishes("bar a colleague", ""),
    "party": wishes("permit another", ""),
}
"""Wishes that change nothing for anybody who asks here, by kind."""


@dataclass
class Exam:
    """One case, asked and judged. `faults`: what was leaked, or refused wrongfully."""

    api: Api
    case: Case
    held: Someone
    rng: random.Random
    ended: set[str]
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.asks, self.who = asks_of(self.case), who_of(self.case, self.held)
        self.route = BY_NAME[self.case.route]
        self.items = [_sent(one) for one in self.held.items]
        self.records = [Record(r.agreement, r.name, r.old_name, r.place) for r in self.held.records]

    def judge(self) -> str:
        """Asks, judges, and gives the status in a word."""
        if self.case.standing == NARROW and self.route.kind not in (
            "Patient",
            "AllergyIntolerance",
        ):
            self._status(self._simplest(), Expected(403))
            return "narrow"
        if self.route.name in SPECIAL:
            SPECIAL[self.route.name](self)
        elif self.route.does.value == "read":
            self._read_item()
        else:
            self._search_items()
        return self.verdict

    def ask(self, path: str, method: str = "GET", person: str = "", **more: Any) -> httpx.Response:
        answer = self.api.ask(self.who, path, method, checked=self.rng.random() < 0.05, **more)
        self.verdict = str(answer.status_code)
        return answer

    def fault(self, what: str) -> None:
        self.faults.append(f"{self.case} {what}")

    def _simplest(self) -> httpx.Response:
        form = self.route.forms[0]
        return self.ask(form.path.format(id=self.held.person), form.method)

    # --- judging ----------------------------------------------------------------------------
    def _status(self, answer: httpx.Response, wanted: Expected) -> bool:
        """Whether the status is right, and worth looking further."""
        if answer.status_code != wanted.status:
            self.fault(f"{wanted.status} expected, {answer.status_code}: {answer.text[:300]}")
            return False
        if answer.status_code not in (200, 201):
            self._no_more_than(answer.text, set())
            hidden = rules.stripped(self.asks) and "changed" not in self.case.state
            if hidden and re.search("House|ZZX|System ", answer.text):
                self.fault("a refusal names a custodian of a restricted person")
        return answer.status_code == 200

    def _no_more_than(self, text: str, allowed: set[str]) -> None:
        if leaked := set(WORD.findall(text)) - allowed - {self.held.family}:
            self.fault(f"leaks {sorted(leaked)}")
        if self.held.family in text and not self.names_told:
            self.fault("leaks the family name")

    names_told: bool = False

    def _demographics(self, text: str, wanted: Expected, beside: set[str]) -> None:
        """Of words of records exactly those expected; of others none but `beside`."""
        told = set(WORD.findall(text))
        needed = wanted.names | wanted.old_names | wanted.places
        if missing := needed - told:
            self.fault(f"withholds {sorted(missing)} of {sorted(needed)}")
        self.names_told = bool(wanted.names)
        self._no_more_than(text, needed | beside)

    def _items(self, wanted: Expected, found: list[dict[str, Any]], text: str) -> None:
        """Exactly the items expected, each as its type; no word that may not be told."""
        by_key = {self.held.keys[one.item_id]: one.word for one in self.held.items}
        shown = {by_key.get(one["id"], one["id"]): one["resourceType"] for one in found}
        needed = {word: how.kind for word, how in wanted.items.items()}
        if shown != needed:
            extra, missing = shown.items() - needed.items(), needed.items() - shown.items()
            self.fault(f"shows {sorted(extra)} too much, {sorted(missing)} too little")
        words = {word for word, how in wanted.items.items() if how.words}
        self._demographics(text, wanted, words)
        if wanted.told and "withheld" not in text:
            self.fault("does not tell that something is withheld")
        restricted = self.asks.person & {"restricted", "household"}
        if restricted and re.search(r'"urn:commonthread:source:|"valueReference"|7 Zq', text):
            self.fault("names a source or custodian of a restricted person")

    def _notices(self) -> int:
        """Safeguarding flags that are told."""
        flagged = self.asks.person & {"flag", "flag of a stranger"}
        return int(bool(flagged) and oracle.flags(self.asks).word == "permit")

    def _as_if_nobody(self, answer: httpx.Response, path: str, method: str = "GET",
                      **more: Any) -> None:  # fmt: skip
        """What is silently refused is answered as what never was."""
        if answer.status_code == 404:
            other = self.api.ask(self.who, path, method, checked=False, **more)
            if (other.status_code, other.content) != (404, answer.content):
                self.fault(f"not as nobody: {answer.text[:200]} but {other.text[:200]}")

    # --- routes -----------------------------------------------------------------------------
    def _pick(self, kind: str | None) -> tuple[Placed, Sent]:
        pairs = [
            pair for pair in zip(self.held.items, self.items, strict=True)
            if kind in (None, pair[0].kind)
        ]  # fmt: skip
        return self.rng.choice(pairs)

    def _read_item(self) -> None:
        placed, sent = self._pick(self.route.kind)
        wanted = rules.read_item(self.asks, sent, self.route.kind)
        answer = self.ask(f"{self.route.kind}/{self.held.keys[placed.item_id]}")
        if self._status(answer, wanted):
            no_names = Expected(200, wanted.items)
            self._items(no_names, [answer.json()], answer.text)
        self._as_if_nobody(answer, f"{self.route.kind}/{'ab' * 16}")

    def _search_items(self) -> None:
        kind = self.route.kind
        wanted = rules.record(self.asks, self.items, self.records, {kind})
        form = {"patient": f"Patient/{self.held.person}"}
        include = self.rng.random() < 0.3
        if include:
            form["_include"] = f"{kind}:patient"
        if self.rng.random() < 0.5:
            answer = self.ask(f"{kind}/_search", "POST", data=form)
        else:
            answer = self.ask(kind, params=form)
        self._as_if_nobody(answer, kind, params={"patient": NOBODY})
        if not self._status(answer, wanted):
            return
        if not include or (self.case.standing == NARROW and kind == "Patient"):
            wanted = Expected(200, wanted.items, told=wanted.told)
        self._judge_bundle(wanted, matches(answer), answer.text, answer.json()["total"], kind)
        if self.rng.random() < 0.8:
            return
        counted = self.ask(kind, params={"patient": self.held.person, "_summary": "count"})
        if counted.json().get("total") != answer.json()["total"]:
            self.fault("the count is another than the total")

    def _judge_bundle(
        self, wanted: Expected, found: list[dict[str, Any]], text: str, total: int, kind: str
    ) -> None:
        notices = [one for one in found if one["id"].startswith(f"{self.held.person}-")]
        due = self._notices() if kind in ("Flag", "") and self._may_see("Flag") else 0
        if len(notices) != due:
            self.fault(f"{due} safeguarding notices expected, {len(notices)}")
        items = [
            one for one in found if one not in notices and one["resourceType"] != "Patient"
        ]  # fmt: skip
        if total != len(wanted.items) + due:
            self.fault(f"total {len(wanted.items) + due} expected, {total}")
        self._items(wanted, items, text)

    def _may_see(self, kind: str) -> bool:
        return self.case.standing != NARROW or kind in ("Patient", "AllergyIntolerance")

    def _everything(self) -> None:
        types = {kind for kind in HEADINGS_OF_TYPE if self._may_see(kind)}
        wanted = rules.record(self.asks, self.items, self.records, types)
        path = f"Patient/{self.held.person}/$everything"
        size = self.rng.choice([None, 5, 50])
        answer = self.ask(path, params={"_count": size} if size else {})
        self._as_if_nobody(answer, f"Patient/{NOBODY}/$everything")
        if not self._status(answer, wanted):
            return
        found, text, total = matches(answer), answer.text, answer.json()["total"]
        while following := [x["url"] for x in answer.json()["link"] if x["relation"] == "next"]:
            answer = self.ask(following[0])
            found, text = found + matches(answer), text + answer.text
        self._judge_bundle(wanted, found, text, total, "")

    def _read_patient(self) -> None:
        answer = self.ask(f"Patient/{self.held.person}")
        self._as_if_nobody(answer, f"Patient/{NOBODY}")
        wanted = rules.read_patient(self.asks, self.records)
        if self._status(answer, wanted):
            self._demographics(answer.text, wanted, set())
        elif answer.status_code == 403 and "Ring" not in answer.text:
            self.fault("does not tell whom to ring")

    def _search_patients(self) -> None:
        how = self.rng.choice(["name", "place", "_id", "alpha", "beta"])
        first = self.held.records[0]
        form = {
            "name": {"family": self.held.family, "birthdate": self.held.born},
            "place": {"family": self.held.family, "birthdate": self.held.born,
                      "address-postalcode": "BS1 5TR"},
            "_id": {"_id": self.held.person},
            "alpha": {"identifier": f"{SOURCE_SYSTEM}alpha|{first.local_id}"},
            "beta": {"identifier": f"{SOURCE_SYSTEM}beta|{self._local('beta')}"},
        }[how]  # fmt: skip
        answer = self.ask("Patient/_search", "POST", data=form)
        wanted = rules.trace(self.asks, self.records, by_place=how == "place")
        if how == "beta" and self.asks.person & {"restricted", "household"}:
            wanted = Expected(wanted.status)
        self._found(answer, wanted)

    def _local(self, source: str) -> str:
        return next(one.local_id for one in self.held.records if one.source == source)

    def _found(self, answer: httpx.Response, wanted: Expected) -> None:
        if not self._status(answer, wanted):
            return
        self._demographics(answer.text, wanted, set())
        persons = [one["id"] for one in matches(answer)]
        if persons != ([self.held.person] if wanted.names else []):
            self.fault(f"finds {persons}")
        if answer.json()["total"] != len(persons):
            self.fault("the total counts others")

    def _match(self) -> None:
        described = {"resourceType": "Patient", "birthDate": self.held.born,
                     "name": [{"family": self.held.family,
                               "given": [self.held.records[0].name]}]}  # fmt: skip
        self._found(
            self.ask("Patient/$match", "POST", json=described), rules.trace(self.asks, self.records)
        )

    def _pix(self) -> None:
        wanted = rules.trace(self.asks, self.records)
        source = f"{SOURCE_SYSTEM}alpha|{self.held.records[0].local_id}"
        body = {"resourceType": "Parameters",
                "parameter": [{"name": "sourceIdentifier", "valueString": source}]}  # fmt: skip
        answer = self.ask("Patient/$ihe-pix", "POST", json=body)
        if self._status(answer, wanted if wanted.names or wanted.status == 403 else Expected(404)):
            self._no_more_than(answer.text, set())
            if f"Patient/{self.held.person}" not in answer.text:
                self.fault("does not name the person")

    def _provenance(self) -> None:
        placed, sent = self._pick(None)
        if sent.kind == "Consent":
            placed, sent = self._pick("AllergyIntolerance")
        how = rules.shown(self.asks, sent)
        word = rules.reading(self.asks, sent.thing).word
        status = 200 if how else 403 if word == "told" else 404
        key = self.held.keys[placed.item_id]
        kind = how.kind if how else sent.kind
        if self.route.does.value == "read":
            answer = self.ask(f"Provenance/{key}")
            self._as_if_nobody(answer, f"Provenance/{'ab' * 16}")
        else:
            answer = self.ask("Provenance", params={"target": f"{kind}/{key}"})
        if self._status(answer, Expected(status)):
            self._no_more_than(answer.text, {sent.word} if how and how.words else set())
            if f"{kind}/{key}" not in answer.text:
                self.fault("does not name the item")

    def _lists(self) -> None:
        wanted = rules.record(self.asks, self.items, self.records, set(HEADINGS_OF_TYPE))
        answer = self.ask("List", params={"patient": self.held.person})
        self._as_if_nobody(answer, "List", params={"patient": NOBODY})
        if not self._status(answer, wanted):
            return
        self._no_more_than(answer.text, set())
        restricted = bool(self.asks.person & {"restricted", "household"})
        due = {
            (one.heading, "" if restricted else one.source)
            for one in self.held.items
            if one.word in wanted.items
        }
        told = {pair for one in matches(answer) for pair in _present(one)}
        if told != due:
            self.fault(f"lists as present {sorted(told ^ due)} wrongly")

    def _audit(self) -> None:
        officer = self.case.role == "ig_officer" and self.asks.active
        answer = self.ask("AuditEvent", params={"patient": self.held.person})
        if self._status(answer, Expected(200 if officer else 403)):
            self._no_more_than(answer.text, set())
            if oracle.unknown_person(self.asks) and answer.json()["total"]:
                self.fault("the log names a former identity")

    def _audit_read(self) -> None:
        officer = self.case.role == "ig_officer" and self.asks.active
        answer = self.ask("AuditEvent/leaf-0")
        if self._status(answer, Expected(200 if officer else 403)):
            self._no_more_than(answer.text, set())

    # --- wishes and declarations ------------------------------------------------------------
    def _create(self) -> None:
        kind = self.rng.choice(sorted(HARMLESS))
        word = rules.directing(self.asks, kind, lifts=kind == "party")
        made = self._wish(kind, self.held.person)
        answer = self.ask("Consent", "POST", json=made)
        self._as_if_nobody(answer, "Consent", "POST", json=self._wish(kind, NOBODY))
        self._status(answer, Expected({"permit": 201, "told": 403, "silent": 404}[word]))

    def _wish(self, kind: str, person: PersonId) -> dict[str, Any]:
        made = consent(person, HARMLESS[kind]) | {
            "extension": [{"url": REASON, "valueString": "asked for it at the desk"}]
        }
        return {name: value for name, value in made.items() if name != "id"}

    def _read_consent(self) -> None:
        word = rules.directing(self.asks, "national-data-opt-out")
        answer = self.ask(f"Consent/{self.held.directive}")
        self._as_if_nobody(answer, "Consent/d999999")
        self._status(answer, Expected(200 if word == "permit" else 404))

    def _search_consents(self) -> None:
        word = rules.directing(self.asks, "national-data-opt-out")
        absent = oracle.unknown_person(self.asks) or oracle.harmful(self.asks)
        answer = self.ask("Consent", params={"patient": self.held.person})
        self._as_if_nobody(answer, "Consent", params={"patient": NOBODY})
        if self._status(answer, Expected(404 if absent else 200)):
            shown = self.held.directive in [one["id"] for one in matches(answer)]
            if shown != (word == "permit"):
                self.fault(f"the wish is {'shown' if shown else 'not shown'}")

    def _end(self) -> None:
        word = rules.directing(self.asks, "national-data-opt-out", lifts=True)
        path = f"Consent/{self.held.directive}/$end"
        body = {"resourceType": "Parameters"}
        again = self.held.directive in self.ended
        status = {"permit": 400 if again else 200, "told": 403, "silent": 404}[word]
        answer = self.ask(path, "POST", json=body)
        self._as_if_nobody(answer, "Consent/d999999/$end", "POST", json=body)
        if self._status(answer, Expected(status)):
            self.ended.add(self.held.directive)

    def _claim(self) -> None:
        path, body = "Patient/{}/$claim-relationship", _parameters(text="seen in clinic today")
        answer = self.ask(path.format(self.held.person), "POST", json=body)
        self._as_if_nobody(answer, path.format(NOBODY), "POST", json=body)
        self._status(answer, rules.claim(self.asks))

    def _break_glass(self) -> None:
        second = self.rng.random() < 0.5
        if second:
            agree(self.api.sharing, self.held)
        path = "Patient/{}/$break-glass"
        body = _parameters(reason="unconscious", text="brought in by ambulance",
                           **({"secondPerson": SECOND} if second else {}))  # fmt: skip
        answer = self.ask(path.format(self.held.person), "POST", json=body)
        self._as_if_nobody(answer, path.format(NOBODY), "POST", json=body)
        self._status(answer, rules.break_glass(self.asks, second=second))


SPECIAL: dict[str, Callable[[Exam], None]] = {
    "read Patient": Exam._read_patient,
    "search Patient": Exam._search_patients,
    "match Patient": Exam._match,
    "cross-reference Patient": Exam._pix,
    "everything of Patient": Exam._everything,
    "break glass of Patient": Exam._break_glass,
    "claim a relationship to Patient": Exam._claim,
    "read Provenance": Exam._provenance,
    "search Provenance": Exam._provenance,
    "search List": Exam._lists,
    "create Consent": Exam._create,
    "read Consent": Exam._read_consent,
    "search Consent": Exam._search_consents,
    "end Consent": Exam._end,
    "search AuditEvent": Exam._audit,
    "read AuditEvent": Exam._audit_read,
}
"""Routes that are not of items, and how each is examined."""


def _sent(one: Placed) -> Sent:
    first = HEADINGS[Heading(one.heading)].fhir_types[0]
    return Sent(Thing(one.heading, one.agreement, one.label), one.kind, first, one.word)


def _present(listed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Heading and source of what a List says is there."""
    said = {one["url"]: one["valueCode"] for one in listed["extension"] if "valueCode" in one}
    if "present" in said.values():
        heading = listed["code"]["coding"][0]["code"].replace("-", "_")
        yield heading, said.get("urn:commonthread:extension:source", "")


def _parameters(**values: str) -> dict[str, Any]:
    given = [
        {"name": name, "valueCode" if name == "reason" else "valueString": value}
        for name, value in values.items()
    ]
    return {"resourceType": "Parameters", "parameter": given}
