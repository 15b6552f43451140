"""Routes of wishes: directives of a person, as Consent.

Rules:
- Who may write which wish is decided by consent; a Consent that cannot be kept whole is refused.
- Feeds' own Consent resources are read with the record, as items under sharing preferences.
"""

from __future__ import annotations

from api.bundles import entry, searchset
from api.item_routes import PATIENT, person_of
from api.params import SHAPE
from api.render_consent import consent, directive_of, patient_of, reason_of
from api.route import Answer, Ask, Does, Form, Route, search_forms
from schemas.identifiers import PersonId


def create_consent(ask: Ask) -> Answer:
    """Keeps a wish. It counts from the next request on."""
    person = PersonId(patient_of(ask.body))
    made_by = f"staff {ask.requester.staff_id}"
    directive = directive_of(ask.body, made_by, ask.desk.clock())
    kept = ask.desk.sharing.write_directive(ask.requester, person, directive, reason_of(ask.body))
    address = f"{ask.base}/Consent/{kept.directive_id}"
    return Answer(consent(person, kept), status=201, headers={"Location": address})


def read_consent(ask: Ask) -> Answer:
    """One wish."""
    person, kept = ask.desk.sharing.directive(ask.requester, ask.path["id"])
    return Answer(consent(person, kept), etag=True)


def search_consents(ask: Ask) -> Answer:
    """The wishes of a person that stand."""
    person = person_of(ask)
    held = ask.desk.sharing.directives(ask.requester, person)
    entries = [entry(ask.base, consent(person, one)) for one in held]
    return Answer(searchset(entries, total=len(entries), links=[]))


def end_consent(ask: Ask) -> Answer:
    """Ends a wish. It counts no more from the next request on."""
    ask.desk.sharing.end_directive(ask.requester, ask.path["id"])
    told = {"name": "ended", "valueInstant": ask.desk.clock()}
    return Answer({"resourceType": "Parameters", "parameter": [told]})


CONSENT_ROUTES: tuple[Route, ...] = (
    Route(
        name="create Consent", action="directive-write",
        kind="Consent", does=Does.CREATE, letter="c",
        handler=create_consent, forms=(Form("POST", "Consent"),), body=("Consent",),
        summary="Keeps a wish of a person, or an order about their record", statuses=(201, 410),
    ),
    Route(
        name="read Consent", action="directives",
        kind="Consent", does=Does.READ, letter="r", handler=read_consent,
        forms=(Form("GET", "Consent/{id}"),), params=SHAPE, summary="One wish",
        statuses=(304, 410),
    ),
    Route(
        name="search Consent", action="directives",
        kind="Consent", does=Does.SEARCH, letter="s",
        handler=search_consents, forms=search_forms("Consent"), params=(PATIENT, *SHAPE),
        summary="The wishes of a person that stand", statuses=(410,),
    ),
    Route(
        name="end Consent", action="directive-end",
        kind="Consent", does=Does.OPERATION, letter="u", handler=end_consent,
        forms=(Form("POST", "Consent/{id}/$end"),), body=("Parameters",), operation="end",
        definition="urn:commonthread:operation:end-consent", summary="Ends a wish from now on",
    ),
)  # fmt: skip
