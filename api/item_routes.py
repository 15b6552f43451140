"""Routes of care items: read and search by resource type, provenance, and what silence means.

Rules:
- A search is of one person: `patient` is required. Totals are of what may be seen.
- With the first page come Lists that say per source what silence under the heading means, and an
  OperationOutcome that says what is withheld and may be told.
- An id that names an item of another type is absent here.
"""

from __future__ import annotations

import re

from api.bundles import entry, searchset
from api.outcomes import Refused
from api.params import COUNT, CURSOR, SHAPE, TOTAL, Kind, Param, Span, date_span
from api.render_items import kind_of, provenance, resource
from api.render_lists import lists, notice, notice_id, withheld
from api.render_patient import patient, reference
from api.route import Answer, Ask, Does, Form, Route, absent, search_forms
from api.words import HEADINGS_OF_TYPE
from consent.shared import SharedItem, SharedRecord
from schemas.fhir_items import Resource
from schemas.identifiers import PersonId
from schemas.items import Heading

PATIENT = Param("patient", Kind.REFERENCE, "Whose: Patient/ID, or the id alone")
REVINCLUDE = Param(
    "_revinclude", Kind.TOKEN, "Provenance of each", choices=("Provenance:target",), standard=False
)
INCLUDE = Param("_include", Kind.TOKEN, "The Patient as well", standard=False)

_DATE_OF: dict[str, str] = {
    "AllergyIntolerance": "onset",
    "Condition": "onset-date",
    "MedicationStatement": "effective",
    "MedicationRequest": "authoredon",
    "MedicationAdministration": "effective-time",
    "MedicationDispense": "whenhandedover",
    "QuestionnaireResponse": "authored",
    "ServiceRequest": "authored",
    "RelatedPerson": "",
    "Binary": "",
    "DocumentReference": "date",
}
"""Type → FHIR R4 search parameter of its date, where that is not `date`; '' where it has none."""
_STATUS_OF: dict[str, str] = {
    "AllergyIntolerance": "clinical-status",
    "Condition": "clinical-status",
    "RelatedPerson": "",
    "Binary": "",
}
_CODE_OF: dict[str, str] = {
    "Encounter": "type",
    "EpisodeOfCare": "type",
    "Immunization": "vaccine-code",
    "CarePlan": "category",
    "CareTeam": "category",
    "Appointment": "service-type",
    "DocumentReference": "type",
    "RelatedPerson": "relationship",
    "QuestionnaireResponse": "",
    "Binary": "",
    "Flag": "",
}
SEARCHED = tuple(kind for kind in HEADINGS_OF_TYPE if kind not in ("Binary", "Consent"))
READ = tuple(kind for kind in HEADINGS_OF_TYPE if kind != "Consent")
"""Types with routes here. Consents have their own; a Binary belongs to its document."""

_REFERENCE = re.compile(r"(?:(?:https?://[^|?#]+/)?Patient/)?([A-Za-z0-9.\-]{1,64})")


def person_of(ask: Ask) -> PersonId:
    """The person that `patient` names. Raises: Refused."""
    value = ask.params.one("patient")
    if value is None:
        raise Refused("MISSING_VALUE", "patient: a search is of one person; expected Patient/ID")
    match = _REFERENCE.fullmatch(value)
    if match is None:
        raise Refused("INVALID_VALUE", "patient: expected Patient/ID, or the id alone")
    return PersonId(match.group(1))


def read_item(ask: Ask) -> Answer:
    """One item."""
    kind, key = ask.route.kind, ask.path["id"]
    if kind == "Flag" and (found := _notice(ask, key)) is not None:
        return Answer(found, etag=True)
    record, one = _item(ask, HEADINGS_OF_TYPE[kind], key)
    if kind_of(one.item) != kind:
        raise absent(kind)
    return Answer(resource(one, reference(record)), etag=True)


def _item(
    ask: Ask, headings: frozenset[Heading] | None, key: str
) -> tuple[SharedRecord, SharedItem]:
    record = ask.desk.sharing.item(ask.requester, headings, key)
    one = next((held for held in record.items if held.item_key == key), None)
    if one is None or kind_of(one.item) is None:
        raise absent(ask.route.kind)
    return record, one


def _notice(ask: Ask, key: str) -> Resource | None:
    """A safeguarding notice, by an id that begins with its person's."""
    person, dash, _ = key.partition("-")
    if not dash:
        return None
    page = ask.desk.sharing.items(
        ask.requester, PersonId(person), HEADINGS_OF_TYPE["Flag"], offset=0, count=0
    )
    for flag in page.record.flags:
        if notice_id(page.record, flag) == key:
            return notice(page.record, flag, ask.desk.naming)
    raise absent("Flag")


def search_items(ask: Ask) -> Answer:
    """A person's items of one type, newest first."""
    kind = ask.route.kind
    date = _DATE_OF.get(kind, "date")
    span = date_span(date, ask.params.all(date)) if date else Span()
    status, code = _STATUS_OF.get(kind, "status"), _CODE_OF.get(kind, "code")
    size = 0 if ask.params.one("_summary") == "count" else ask.page_size()
    page = ask.desk.sharing.items(
        ask.requester,
        person_of(ask),
        HEADINGS_OF_TYPE[kind],
        types=frozenset({kind}),
        offset=ask.offset,
        count=size,
        status=ask.params.one(status) if status else None,
        since=span.start,
        until=span.end,
        code=_bare(ask.params.one(code)) if code else None,
    )
    record = page.record
    subject = reference(record)
    entries = [entry(ask.base, resource(one, subject)) for one in record.items if kind_of(one.item)]
    first = ask.offset == 0 and size > 0
    if kind == "Flag" and first:
        notices = [notice(record, flag, ask.desk.naming) for flag in record.flags]
        entries = [entry(ask.base, flag) for flag in notices] + entries
    if "_include" in ask.params and first and ask.may("Patient", "r"):
        entries.append(entry(ask.base, patient(record), "include"))
    if "_revinclude" in ask.params and ask.may("Provenance", "r"):
        entries += [
            entry(ask.base, provenance(one), "include") for one in record.items if kind_of(one.item)
        ]
    if first:
        entries += told(ask, record, HEADINGS_OF_TYPE[kind])
    total = page.total + (len(record.flags) if kind == "Flag" else 0)
    return Answer(searchset(entries, total=total, links=ask.links(page.next)))


def told(ask: Ask, record: SharedRecord, headings: frozenset[Heading] | None) -> list[Resource]:
    """What silence means under the headings, and what is withheld, as entries."""
    shown = [entry(ask.base, one, "include") for one in lists(record, ask.desk.naming, headings)]
    outcome = withheld(record, ask.desk.naming)
    return [*shown, entry(ask.base, outcome, "outcome")] if outcome else shown


def _bare(token: str | None) -> str | None:
    """The code of SYSTEM|CODE."""
    return token.rpartition("|")[2] if token else None


def read_provenance(ask: Ask) -> Answer:
    """Where one item comes from; it has the item's id."""
    _, one = _item(ask, None, ask.path["id"])
    if not ask.may(kind_of(one.item) or "", "r"):
        raise absent("Provenance")
    return Answer(provenance(one), etag=True)


def search_provenance(ask: Ask) -> Answer:
    """The provenance of one item."""
    target = ask.params.one("target")
    if target is None:
        raise Refused("MISSING_VALUE", "target: expected TYPE/ID of an item")
    kind, slash, key = target.rpartition("/")
    kind = kind.rpartition("/")[2]
    if not slash or kind not in HEADINGS_OF_TYPE:
        raise Refused("INVALID_VALUE", "target: expected TYPE/ID of an item")
    if not ask.may(kind, "r"):
        raise Refused("INSUFFICIENT_SCOPE", f"the token's scopes do not include {kind}")
    _, one = _item(ask, HEADINGS_OF_TYPE[kind], key)
    found = [entry(ask.base, provenance(one))] if kind_of(one.item) == kind else []
    return Answer(searchset(found, total=len(found), links=[]))


def search_lists(ask: Ask) -> Answer:
    """What silence means, per heading and source of a person."""
    page = ask.desk.sharing.items(ask.requester, person_of(ask), frozenset(Heading), count=0)
    shown = lists(page.record, ask.desk.naming)
    return Answer(searchset([entry(ask.base, one) for one in shown], total=len(shown), links=[]))


def _params(kind: str) -> tuple[Param, ...]:
    date, status = _DATE_OF.get(kind, "date"), _STATUS_OF.get(kind, "status")
    code = _CODE_OF.get(kind, "code")
    own = [PATIENT]
    if date:
        own.append(Param(date, Kind.DATE, "When it was, or began", many=2))
    if status:
        own.append(Param(status, Kind.TOKEN, "Its status"))
    if code:
        own.append(Param(code, Kind.TOKEN, "A code of it: SYSTEM|CODE or CODE"))
    return (*own, INCLUDE, REVINCLUDE, COUNT, CURSOR, *TOTAL, *SHAPE)


ITEM_ROUTES: tuple[Route, ...] = (
    *(
        Route(
            name=f"read {kind}", action="item",
            kind=kind, does=Does.READ, letter="r", handler=read_item,
            forms=(Form("GET", f"{kind}/{{id}}"),), params=SHAPE,
            summary=f"One {kind}", statuses=(304, 410),
        )
        for kind in READ
    ),
    *(
        Route(
            name=f"search {kind}", action="items",
            kind=kind, does=Does.SEARCH, letter="s", handler=search_items,
            forms=search_forms(kind), params=_params(kind),
            summary=f"A person's {kind} resources, newest first", statuses=(410,),
        )
        for kind in SEARCHED
    ),
    Route(
        name="read Provenance", action="item",
        kind="Provenance", does=Does.READ, letter="r",
        handler=read_provenance, forms=(Form("GET", "Provenance/{id}"),), params=SHAPE,
        summary="Where an item comes from; it has the item's id", statuses=(304, 410),
    ),
    Route(
        name="search Provenance", action="item",
        kind="Provenance", does=Does.SEARCH, letter="s",
        handler=search_provenance, forms=search_forms("Provenance"),
        params=(Param("target", Kind.REFERENCE, "The item: TYPE/ID"), *SHAPE),
        summary="The provenance of an item", statuses=(410,),
    ),
    Route(
        name="search List", action="items",
        kind="List", does=Does.SEARCH, letter="s", handler=search_lists,
        forms=search_forms("List"), params=(PATIENT, *SHAPE),
        summary="Per heading and source, what silence means", statuses=(410,),
    ),
)  # fmt: skip
