"""What the profiles of IHE Basic Audit Log Patterns ask for, as tables, and a check by them.

Derived from the FHIR Shorthand of the implementation guide (PatientRead, PatientQuery,
PatientCreate, AuthZ, Disclose): fixed codes, cardinalities, slices, what must not be there. Each
row of a slice is a line of that text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

PREFIX = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
T = "http://terminology.hl7.org/CodeSystem/"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
SCT = "http://snomed.info/sct"
BALP = "https://profiles.ihe.net/ITI/BALP/CodeSystem/"
REST = (f"{T}audit-event-type", "rest")
PERSON, OBJECT = (f"{T}audit-entity-type", "1"), (f"{T}audit-entity-type", "2")
XREQUEST = (f"{BALP}BasicAuditEntityType", "XrequestId")
USER_ONLY = ("media", "network")
NONE_OF_A_USER = ("altId", "location", "media", "network")


@dataclass(frozen=True)
class Slice:
    """One slice.

    Attributes:
        types: (system, code) that tell it; low, high: how many (high None: any number).
        needs, lacks: elements that it must have, and must not have.
        requestor: what that must be, None where it is open.
        roles: codes of object-role that it may have; empty where the role is open.
        observer: whether its `who` is the source's observer.
    """

    types: tuple[tuple[str, str], ...]
    low: int
    high: int | None
    needs: tuple[str, ...] = ("who",)
    lacks: tuple[str, ...] = ()
    requestor: bool | None = None
    roles: tuple[str, ...] = ()
    observer: bool = False


@dataclass(frozen=True)
class Profile:
    """One profile.

    Attributes:
        type: fixed; subtypes: at least one of them; only_subtypes: all of them are.
        success: whether the outcome is fixed to 0.
        closed: whether entities other than these slices are forbidden.
        agents_low, entities_low: how many at least.
    """

    type: tuple[str, str]
    subtypes: tuple[tuple[str, str], ...]
    action: str
    agents: dict[str, Slice]
    entities: dict[str, Slice]
    success: bool = True
    only_subtypes: bool = False
    closed: bool = False
    agents_low: int = 2
    entities_low: int = 1
    absent: tuple[str, ...] = field(default=())


def _interaction(*codes: str) -> tuple[tuple[str, str], ...]:
    return tuple(("http://hl7.org/fhir/restful-interaction", code) for code in codes)


SENDER, RECEIVER = ((DCM, "110153"),), ((DCM, "110152"),)
IRCP = ((f"{T}v3-ParticipationType", "IRCP"),)
AUTHORS = tuple((f"{T}v3-ParticipationType", code) for code in ("AUT", "INF", "CST"))
TRANSACTION = Slice((XREQUEST,), 0, 1, ("what.identifier.value",))
PATIENT = Slice((PERSON,), 1, 1, ("what",), roles=("1",))
DATA = Slice((OBJECT,), 1, 1, ("what",), roles=("4", "3", "20"))
QUERIED = Slice((OBJECT,), 1, 1, ("query",), ("what", "lifecycle", "detail"), roles=("24",))


def _rest_agents(
    client: tuple[tuple[str, str], ...],
    server: tuple[tuple[str, str], ...],
    user: tuple[tuple[str, str], ...],
) -> dict[str, Slice]:
    return {
        "client": Slice(client, 1, 1, ("who", "network"), ("media",)),
        "server": Slice(server, 1, 1, ("who", "network"), ("media",)),
        "user": Slice(user, 0, 1, ("who",), USER_ONLY, requestor=True),
    }


_READ = {"transaction": TRANSACTION, "data": DATA}
_QUERY = {"transaction": TRANSACTION, "query": QUERIED}
_BARE = ("altId", "location", "media", "network", "role", "name", "policy")
PROFILES: dict[str, Profile] = {
    "Read": Profile(
        REST, _interaction("read", "vread"), "R", _rest_agents(RECEIVER, SENDER, IRCP), _READ
    ),
    "PatientRead": Profile(
        REST, _interaction("read", "vread"), "R", _rest_agents(RECEIVER, SENDER, IRCP),
        {**_READ, "patient": PATIENT}, entities_low=2,
    ),
    "Query": Profile(
        REST, _interaction("search", "search-type", "search-system"), "E",
        _rest_agents(SENDER, RECEIVER, IRCP), _QUERY,
    ),
    "PatientQuery": Profile(
        REST, _interaction("search", "search-type", "search-system"), "E",
        _rest_agents(SENDER, RECEIVER, IRCP), {**_QUERY, "patient": PATIENT},
    ),
    "PatientCreate": Profile(
        REST, _interaction("create"), "C", _rest_agents(SENDER, RECEIVER, AUTHORS),
        {**_READ, "patient": PATIENT}, entities_low=2,
    ),
    "AuthZconsent": Profile(
        (DCM, "110113"), ((f"{BALP}AuthZsubType", "AuthZ-Consent"),
                          (f"{BALP}AuthZsubType", "AuthZ-Role")), "E",
        {
            "client": Slice(
                ((DCM, "110150"),), 1, 1, ("who", "network"),
                ("role", "altId", "name", "location", "media", "purposeOfUse"),
            ),
            "user": Slice(IRCP, 1, 1, ("who",), NONE_OF_A_USER, requestor=True),
            "userorg": Slice(
                ((f"{T}v3-RoleClass", "PROV"),), 1, 1, ("who",), _BARE, requestor=False
            ),
            "authorizer": Slice(
                ((f"{T}extra-security-role-type", "authserver"),), 1, 1, ("who",),
                (*_BARE, "purposeOfUse"), requestor=False, observer=True,
            ),
        },
        {
            "patient": PATIENT,
            "consent": Slice(
                (("http://hl7.org/fhir/resource-types", "Consent"),), 1, None, ("what",)
            ),
            "token": Slice(((f"{BALP}UserAgentTypes", "UserOauthAgent"),), 0, 1),
        },
        success=False, only_subtypes=True, closed=True, entities_low=2,
        absent=("modifierExtension",),
    ),
    "PrivacyDisclosure.Source": Profile(
        (DCM, "110106"), ((f"{T}iso-21089-lifecycle", "disclose"),), "R",
        {
            "source": Slice(SENDER, 1, 1, ("who", "network"), observer=True),
            "recipient": Slice(RECEIVER, 1, 1, ("who", "network")),
            "custodian": Slice(((SCT, "159541003"),), 0, 1),
            "authorizer": Slice(((SCT, "429577009"),), 0, 1),
        },
        {"patient": PATIENT}, success=False, entities_low=2, absent=("modifierExtension",),
    ),
    "PrivacyDisclosure.Recipient": Profile(
        (DCM, "110107"), ((f"{T}iso-21089-lifecycle", "disclose"),), "C",
        {
            "source": Slice(SENDER, 1, 1, ("who", "network")),
            "recipient": Slice(RECEIVER, 1, 1, ("who", "network"), observer=True),
            "custodian": Slice(((SCT, "159541003"),), 0, 1),
            "authorizer": Slice(((SCT, "429577009"),), 0, 1),
        },
        {"patient": PATIENT}, success=False, entities_low=2, absent=("modifierExtension",),
    ),
}  # fmt: skip
"""Name of the profile, behind `IHE.BasicAudit.` → what it asks for."""


def faults(event: dict[str, Any], name: str) -> Iterator[str]:
    """Where an AuditEvent does not do what a profile asks for."""
    profile = PROFILES[name]
    if _coding(event.get("type")) != profile.type:
        yield "type"
    subtypes = [_coding(one) for one in event.get("subtype", ())]
    if not set(subtypes) & set(profile.subtypes):
        yield "subtype"
    if profile.only_subtypes and not set(subtypes) <= set(profile.subtypes):
        yield "subtype: others than those of the value set"
    if event.get("action") != profile.action:
        yield "action"
    for element in ("recorded", "outcome", "source"):
        if element not in event:
            yield element
    if profile.success and event.get("outcome") != "0":
        yield "outcome: not a success"
    yield from (f"{one}: there" for one in profile.absent if one in event)
    observer = event.get("source", {}).get("observer")
    agents, entities = event.get("agent", ()), event.get("entity", ())
    if len(agents) < profile.agents_low:
        yield "agent: too few"
    if len(entities) < profile.entities_low:
        yield "entity: too few"
    taken = 0
    for where, held, slices, key in (
        ("agent", agents, profile.agents, lambda one: _coding(_first(one.get("type")))),
        ("entity", entities, profile.entities, lambda one: _coding(one.get("type"))),
    ):
        for label, wanted in slices.items():
            mine = [one for one in held if key(one) in wanted.types]
            taken += len(mine) if where == "entity" else 0
            yield from (f"{where}[{label}] {one}" for one in _sliced(mine, wanted, observer))
    if profile.closed and taken != len(entities):
        yield "entity: others than the slices"


def _sliced(held: list[dict[str, Any]], wanted: Slice, observer: Any) -> Iterator[str]:
    if len(held) < wanted.low or (wanted.high is not None and len(held) > wanted.high):
        yield f"{len(held)} of {wanted.low}..{wanted.high}"
    for one in held:
        yield from (f"lacks {path}" for path in wanted.needs if _at(one, path) is None)
        yield from (f"has {path}" for path in wanted.lacks if path in one)
        if wanted.requestor is not None and one.get("requestor") is not wanted.requestor:
            yield "requestor"
        role = one.get("role")
        if wanted.roles and (
            not isinstance(role, dict)
            or (role.get("system"), role.get("code"))
            not in {(f"{T}object-role", code) for code in wanted.roles}
        ):
            yield "role"
        if wanted.observer and one.get("who") != observer:
            yield "who is not the observer"
        reference = one.get("what", {}).get("reference", "Patient/")
        if wanted is PATIENT and not reference.startswith("Patient/"):
            yield "what is no Patient"


def _first(concept: Any) -> Any:
    return next(iter((concept or {}).get("coding", ())), None)


def _coding(one: Any) -> tuple[str, str]:
    return (one or {}).get("system", ""), (one or {}).get("code", "")


def _at(held: Any, path: str) -> Any:
    for name in path.split("."):
        held = held.get(name) if isinstance(held, dict) else None
    return held
