"""Routes of persons: read, search, match, identifiers elsewhere, the whole record, break-glass.

Rules:
- A search by NHS number or another identifier comes by POST, so that no address holds it.
- More than may be shown answers as the Personal Demographics Service does: TOO_MANY_MATCHES, and
  nobody.
- $match follows IHE PDQm [ITI-119]; $ihe-pix follows IHE PIXm [ITI-83].
"""

from __future__ import annotations

from typing import Any

from api.asked import PATIENT_PARAMS, described, person_query, split_identifier
from api.bundles import entry, searchset
from api.item_routes import REVINCLUDE, told
from api.outcomes import Refused, outcome
from api.params import COUNT, CURSOR, SHAPE, Kind, Param
from api.render_items import kind_of, provenance, resource
from api.render_lists import notice, withheld
from api.render_patient import patient, reference
from api.route import Answer, Ask, Does, Form, Route, search_forms
from api.words import HEADINGS_OF_TYPE, PERSON_SYSTEM, SOURCE_SYSTEM
from consent.shared import SharedRecord
from schemas.fhir_items import Resource
from schemas.fhir_person import NHS_NUMBER
from schemas.identifiers import PersonId
from service.sharing_asked import Matched, Matches

MATCH_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"


def read_patient(ask: Ask) -> Answer:
    """One person; where nothing of them may be shown, whom to ring."""
    record = ask.desk.sharing.read(ask.requester, ask.person)
    told_why = withheld(record, ask.desk.naming)
    if told_why is not None and not record.demographics:
        return Answer(told_why, status=403)
    return Answer(patient(record), etag=True)


def search_patients(ask: Ask) -> Answer:
    """Persons by id, identifier or demographics."""
    asked = ask.params.names() - {param.name for param in (*SHAPE, COUNT)}
    for alone in ("_id", "identifier"):
        if alone in asked and asked != {alone}:
            raise Refused("INVALID_SEARCH_DATA", f"{alone}: it stands by itself")
    if "_id" in asked:
        person = PersonId(ask.params.one("_id") or "")
        return _listed(ask, ask.desk.sharing.find_by_identifier(
            ask.requester, PERSON_SYSTEM, person
        ))  # fmt: skip
    if "identifier" in asked:
        system, value = split_identifier("identifier", ask.params.one("identifier") or "")
        return _listed(ask, ask.desk.sharing.find_by_identifier(ask.requester, system, value))
    found = ask.desk.sharing.search(ask.requester, person_query(ask.params))
    if found.too_many:
        return Answer(
            outcome("TOO_MANY_MATCHES", "more persons match than may be shown: say more of them")
        )
    entries = [
        entry(ask.base, patient(one.record), score=round(one.score, 4)) for one in found.persons
    ]
    return Answer(searchset(entries, total=len(entries), links=[]))


def _listed(ask: Ask, records: tuple[SharedRecord, ...]) -> Answer:
    entries = [entry(ask.base, patient(record), score=1) for record in records]
    return Answer(searchset(entries, total=len(entries), links=[]))


# --- $match ------------------------------------------------------------------------------------

_CAUTIONS = {
    "too-common": "So many records share what was given that not all were looked at: give more.",
    "omitted": "More persons match than were asked for.",
}


def match_patients(ask: Ask) -> Answer:
    """Persons who may be the one that a Patient resource describes, graded."""
    given = parameters(ask.body, ("resource", "onlyCertainMatches", "count"))
    described_by = given.get("resource", ask.body)
    certain, count = given.get("onlyCertainMatches", False), given.get("count")
    if not isinstance(certain, bool):
        raise Refused("INVALID_VALUE", "onlyCertainMatches: expected a boolean")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise Refused("INVALID_VALUE", "count: expected a whole number of 1 or more")
    found = ask.desk.sharing.match(
        ask.requester, described(described_by), only_certain=certain, count=count
    )
    entries = [_matched(ask, one) for one in found.persons]
    return Answer(searchset([*entries, *_cautions(found)], total=len(entries), links=[]))


def _matched(ask: Ask, one: Matched) -> Resource:
    grade = [{"url": MATCH_GRADE, "valueCode": one.grade.value}] if one.grade else []
    return entry(ask.base, patient(one.record), score=round(one.score, 4), extension=grade)


def _cautions(found: Matches) -> list[Resource]:
    """OperationOutcomes that warn of an answer that stands (case 10)."""
    issues = [
        {"severity": "warning", "code": "incomplete", "diagnostics": _CAUTIONS[caution.value]}
        for caution in found.cautions
    ]
    told_so = {"resourceType": "OperationOutcome", "issue": issues}
    return [entry("", told_so, "outcome")] if issues else []


def parameters(body: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Name → value of a Parameters resource; {} for another resource. Raises: Refused."""
    if not isinstance(body, dict):
        raise Refused("INVALID_RESOURCE", "expected a Parameters resource")
    if body.get("resourceType") != "Parameters":
        return {}
    found: dict[str, Any] = {}
    held = body.get("parameter", [])
    for one in held if isinstance(held, list) else [None]:
        given = one if isinstance(one, dict) else {}
        name = given.get("name")
        values = [v for k, v in given.items() if k == "resource" or k.startswith("value")]
        if name not in names or name in found or len(values) != 1:
            raise Refused("INVALID_RESOURCE", f"expected parameters out of {', '.join(names)}")
        found[name] = values[0]
    return found


# --- $ihe-pix ----------------------------------------------------------------------------------


def cross_reference(ask: Ask) -> Answer:
    """The identifiers that other systems have for the person of one identifier."""
    if ask.body is not None:
        given = parameters(ask.body, ("sourceIdentifier", "targetSystem"))
        source = given.get("sourceIdentifier")
        if isinstance(source, dict):
            source = f"{source.get('system')}|{source.get('value')}"
        target = given.get("targetSystem")
    else:
        source, target = ask.params.one("sourceIdentifier"), ask.params.one("targetSystem")
    if not isinstance(source, str):
        raise Refused("MISSING_VALUE", "sourceIdentifier: expected SYSTEM|VALUE")
    system, value = split_identifier("sourceIdentifier", source)
    known = _systems(ask)
    if system not in known:
        raise Refused("SOURCE_SYSTEM_NOT_FOUND", "sourceIdentifier Assigning Authority not found")
    if target is not None and target not in known:
        raise Refused("TARGET_SYSTEM_NOT_FOUND", "targetSystem not found")
    found = ask.desk.sharing.find_by_identifier(ask.requester, system, value)
    if not found:
        raise Refused("IDENTIFIER_NOT_FOUND", "sourceIdentifier Patient Identifier not found")
    held = [
        {"name": "targetIdentifier", "valueIdentifier": {"system": one[0], "value": one[1]}}
        for record in found
        for one in _identifiers(record)
        if one != (system, value) and (target is None or one[0] == target)
    ]
    identities = [
        {"name": "targetId", "valueReference": reference(record)}
        for record in found
        if target is None or target == PERSON_SYSTEM
    ]
    answer: Resource = {"resourceType": "Parameters"}
    return Answer(answer | ({"parameter": [*held, *identities]} if held or identities else {}))


def _identifiers(record: SharedRecord) -> list[tuple[str, str]]:
    """System and value of each identifier that the record shows."""
    shown = patient(record).get("identifier", ())
    return [(one["system"], one["value"]) for one in shown if "system" in one]


def _systems(ask: Ask) -> frozenset[str]:
    """Identifier systems that are held here."""
    sources = (SOURCE_SYSTEM + source.id for source in ask.desk.settings.sources)
    return frozenset({NHS_NUMBER, PERSON_SYSTEM, *sources})


# --- $everything -------------------------------------------------------------------------------

_TYPE = Param("_type", Kind.WORDS, "Resource types to show, with commas between", standard=False)


def everything(ask: Ask) -> Answer:
    """The whole record: the Patient, items, what silence means; on wish with provenance."""
    wanted = frozenset(ask.params.words("_type"))
    types = frozenset(
        kind for kind in HEADINGS_OF_TYPE if ask.may(kind, "r") and (not wanted or kind in wanted)
    )
    headings = frozenset(h for kind in types for h in HEADINGS_OF_TYPE[kind])
    page = ask.desk.sharing.items(
        ask.requester,
        ask.person,
        headings,
        types=types,
        offset=ask.offset,
        count=ask.page_size(),
        action="everything",
    )
    record = page.record
    subject = reference(record)
    items = [one for one in record.items if kind_of(one.item)]
    first = ask.offset == 0
    entries = []
    if first and (not wanted or "Patient" in wanted):
        entries.append(entry(ask.base, patient(record)))
    if first and "Flag" in types:
        entries += [entry(ask.base, notice(record, f, ask.desk.naming)) for f in record.flags]
    entries += [entry(ask.base, resource(one, subject)) for one in items]
    if "_revinclude" in ask.params and ask.may("Provenance", "r"):
        entries += [entry(ask.base, provenance(one), "include") for one in items]
    if first:
        entries += told(ask, record, headings)
    total = page.total + (len(record.flags) if "Flag" in types else 0)
    return Answer(searchset(entries, total=total, links=ask.links(page.next)))


_BREAK_GLASS = ("reason", "text", "secondPerson")


def break_glass(ask: Ask) -> Answer:
    """Opens one record in an emergency, for a short time; raises an alert."""
    given = parameters(ask.body, _BREAK_GLASS)
    reason, text, second = (given.get(name) for name in _BREAK_GLASS)
    if not isinstance(reason, str) or not isinstance(text, str):
        raise Refused("MISSING_VALUE", "expected the parameters reason (a code) and text")
    if second is not None and not isinstance(second, str):
        raise Refused("INVALID_VALUE", "secondPerson: expected a staff id")
    opened = ask.desk.sharing.break_glass(
        ask.requester, ask.person, reason, text, second_person=second
    )
    values = [
        {"name": "reason", "valueCode": opened.reason},
        {"name": "from", "valueInstant": opened.at},
        {"name": "until", "valueInstant": opened.expires},
    ]
    return Answer({"resourceType": "Parameters", "parameter": values}, status=201)


def claim_relationship(ask: Ask) -> Answer:
    """The professional says that they care for the person; somebody checks it."""
    text = parameters(ask.body, ("text",)).get("text")
    if not isinstance(text, str):
        raise Refused("MISSING_VALUE", "expected the parameter text: why, in words")
    until = ask.desk.sharing.claim_relationship(ask.requester, ask.person, text)
    values = [{"name": "until", "valueInstant": until}]
    return Answer({"resourceType": "Parameters", "parameter": values}, status=201)


PATIENT_ROUTES: tuple[Route, ...] = (
    Route(
        name="read Patient", action="read",
        kind="Patient", does=Does.READ, letter="r", handler=read_patient,
        forms=(Form("GET", "Patient/{id}"),), params=SHAPE, summary="One person",
        statuses=(304, 410),
    ),
    Route(
        name="search Patient", action="search",
        kind="Patient", does=Does.SEARCH, letter="s",
        handler=search_patients, forms=search_forms("Patient"), rate="searches",
        params=(*PATIENT_PARAMS, COUNT, *SHAPE),
        summary="Persons by identifier or demographics, as the Personal Demographics Service does",
    ),
    Route(
        name="match Patient", action="match",
        kind="Patient", does=Does.OPERATION, letter="s",
        handler=match_patients, forms=(Form("POST", "Patient/$match"),), rate="searches",
        body=("Parameters", "Patient"), operation="match",
        definition="http://hl7.org/fhir/OperationDefinition/Patient-match",
        summary="Persons who may be the one described, graded (IHE PDQm ITI-119)",
    ),
    Route(
        name="cross-reference Patient", action="identify",
        kind="Patient", does=Does.OPERATION, letter="s",
        handler=cross_reference, rate="searches",
        forms=(Form("GET", "Patient/$ihe-pix"), Form("POST", "Patient/$ihe-pix")),
        params=(
            Param(
                "sourceIdentifier", Kind.TOKEN, "SYSTEM|VALUE", personal=True, standard=False
            ),
            Param("targetSystem", Kind.TOKEN, "Only identifiers of this system", standard=False),
            *SHAPE[2:],
        ),
        body=("Parameters",), operation="ihe-pix",
        definition="https://profiles.ihe.net/ITI/PIXm/OperationDefinition/IHE.PIXm.pix",
        summary="What other systems call the person of an identifier (IHE PIXm ITI-83)",
    ),
    Route(
        name="everything of Patient", action="everything",
        kind="Patient", does=Does.OPERATION, letter="r",
        handler=everything, forms=(Form("GET", "Patient/{id}/$everything"),),
        params=(_TYPE, REVINCLUDE, COUNT, CURSOR, *SHAPE), operation="everything",
        definition="http://hl7.org/fhir/OperationDefinition/Patient-everything",
        summary="The whole record that may be seen", statuses=(410,),
    ),
    Route(
        name="break glass of Patient", action="break-glass",
        kind="Patient", does=Does.OPERATION, letter="r",
        handler=break_glass, forms=(Form("POST", "Patient/{id}/$break-glass"),),
        body=("Parameters",), operation="break-glass",
        definition="urn:commonthread:operation:break-glass",
        summary="Opens one record in an emergency for a short time; raises an alert",
        statuses=(201, 410),
    ),
    Route(
        name="claim a relationship to Patient", action="claim",
        kind="Patient", does=Does.OPERATION, letter="r",
        handler=claim_relationship, forms=(Form("POST", "Patient/{id}/$claim-relationship"),),
        body=("Parameters",), operation="claim-relationship",
        definition="urn:commonthread:operation:claim-relationship",
        summary="Says that you care for the person, for a while; somebody checks it",
        statuses=(201, 410),
    ),
)  # fmt: skip
