"""Directives as FHIR R4 Consent, and back.

Rules:
- The kind of directive stands as a category of ours; what it is about, in the provision: actors,
  purposes (v3 ActReason), classes (headings), security labels, one item.
- A Consent that says more than a directive can hold is refused: a wish half kept is a wish broken.
- Messages name the element, never its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from api.outcomes import Refused
from api.params import ID
from api.words import EXTENSION, HEADING_CODES, LABEL_CODES, slug
from schemas.dates import Instant, PartialDate, check_partial_date, parse_instant
from schemas.errors import InvalidValue
from schemas.fhir_items import ODS_CODE, TERMINOLOGY, Resource, organisation, without_empty
from schemas.identifiers import OdsCode, PersonId, parse_ods_code
from schemas.sharing import (
    ACT_REASONS,
    Category,
    Directive,
    DirectiveKind,
    Effect,
    Label,
    Targets,
)

DIRECTIVE_CODES = "urn:commonthread:directive"
ROLE_SYSTEM = "urn:commonthread:role"
STAFF_SYSTEM = "urn:commonthread:staff"
REASON = EXTENSION + "reason"
INVISIBLE = EXTENSION + "invisible"
_ACT_REASON = f"{TERMINOLOGY}/v3-ActReason"
_PURPOSE_OF_CODE = {code: purpose for purpose, code in ACT_REASONS.items()}

Element = TypeVar("Element")


def consent(person: PersonId, directive: Directive) -> Resource:
    """A directive as a Consent."""
    deny = directive.effect is Effect.DENY
    rule = {"system": f"{TERMINOLOGY}/v3-ActCode", "code": "OPTOUT" if deny else "OPTIN"}
    scope = {"system": f"{TERMINOLOGY}/consentscope", "code": "patient-privacy"}
    return without_empty(
        {
            "resourceType": "Consent",
            "id": directive.directive_id,
            "extension": [{"url": INVISIBLE, "valueBoolean": True}] if directive.invisible else [],
            "status": "active" if directive.end is None else "inactive",
            "scope": {"coding": [scope]},
            "category": [{"coding": [{"system": DIRECTIVE_CODES, "code": directive.kind.value}]}],
            "patient": {"reference": f"Patient/{person}", "type": "Patient"},
            "dateTime": directive.start,
            "performer": [{"display": directive.made_by}],
            "policyRule": {"coding": [rule]},
            "provision": _provision(directive),
        }
    )


def _provision(directive: Directive) -> Resource:
    targets = directive.targets
    return without_empty(
        {
            "type": directive.effect.value,
            "period": without_empty({"start": directive.start, "end": directive.end}),
            "actor": [
                *(_actor(organisation(code)) for code in sorted(targets.organisations)),
                *(_actor(_known(ROLE_SYSTEM, role)) for role in sorted(targets.roles)),
                *(_actor(_known(STAFF_SYSTEM, staff)) for staff in sorted(targets.staff)),
            ],
            "purpose": [
                {"system": _ACT_REASON, "code": ACT_REASONS[purpose]}
                for purpose in sorted(targets.purposes)
            ],
            "securityLabel": [
                {"system": LABEL_CODES, "code": label.value} for label in sorted(targets.labels)
            ],
            "class": [
                {"system": HEADING_CODES, "code": slug(category)}
                for category in sorted(targets.categories)
            ],
            "data": [
                {
                    "meaning": "instance",
                    "reference": {"identifier": {"value": directive.item_key}},
                }
            ]
            if directive.item_key
            else [],
        }
    )


def _actor(who: Resource | None) -> Resource:
    system = f"{TERMINOLOGY}/v3-ParticipationType"
    return {"role": {"coding": [{"system": system, "code": "IRCP"}]}, "reference": who}


def _known(system: str, value: str) -> Resource:
    return {"identifier": {"system": system, "value": value}}


# --- from a Consent ----------------------------------------------------------------------------

_READ = frozenset(
    ("resourceType", "id", "meta", "extension", "status", "scope", "category", "patient",
     "dateTime", "performer", "organization", "policyRule", "policy", "provision", "text",
     "language")
)  # fmt: skip
_READ_PROVISION = frozenset(
    ("type", "period", "actor", "purpose", "securityLabel", "class", "data")
)


def patient_of(body: Any) -> str:
    """The id of the person whose Consent it is. Raises: Refused."""
    held = _object(body, "Consent")
    if held.get("resourceType") != "Consent":
        raise Refused("INVALID_RESOURCE", "expected a Consent")
    said = _object(held.get("patient"), "Consent.patient").get("reference")
    kind, slash, person = said.rpartition("/") if isinstance(said, str) else ("", "", "")
    if not slash or kind.rpartition("/")[2] != "Patient" or not ID.fullmatch(person):
        raise Refused("INVALID_RESOURCE", "Consent.patient: expected a reference Patient/ID")
    return person


def reason_of(body: dict[str, Any]) -> str:
    """Why it was made, in words. Raises: Refused."""
    for extension in _objects(body, "extension", "Consent"):
        if extension.get("url") == REASON and isinstance(extension.get("valueString"), str):
            return str(extension["valueString"])
    raise Refused("MISSING_VALUE", f"Consent.extension: expected {REASON} with a valueString")


def directive_of(body: dict[str, Any], made_by: str, now: Instant) -> Directive:
    """The directive that a Consent says. Its id is given when it is kept.

    Raises: Refused: not a Consent that can be kept whole; InvalidValue: see Directive.
    """
    provision = _object(body.get("provision", {}), "Consent.provision")
    for held, known, where in (
        (body, _READ, "Consent"),
        (provision, _READ_PROVISION, "Consent.provision"),
    ):
        unknown = {name.lstrip("_") for name in held} - known
        if unknown:
            raise Refused(
                "INVALID_RESOURCE",
                f"{where}: {len(unknown)} element(s) that a directive cannot keep; there are"
                f" {', '.join(sorted(known))}",
            )
    if body.get("status") != "active":
        raise Refused("INVALID_RESOURCE", "Consent.status: expected active")
    period = _object(provision.get("period", {}), "Consent.provision.period")
    start = period.get("start") or body.get("dateTime")
    return Directive(
        directive_id="new",
        kind=_kind(body),
        effect=_choice(Effect, provision.get("type", "deny"), "Consent.provision.type"),
        start=_moment(start, "Consent.dateTime") if start else now,
        end=_moment(period["end"], "Consent.provision.period") if "end" in period else None,
        made_by=made_by,
        targets=_targets(provision),
        item_key=_item_key(provision),
        invisible=any(
            one.get("url") == INVISIBLE and one.get("valueBoolean") is True
            for one in _objects(body, "extension", "Consent")
        ),
    )


def _kind(body: dict[str, Any]) -> DirectiveKind:
    codes = [
        coding.get("code")
        for category in _objects(body, "category", "Consent")
        for coding in _objects(category, "coding", "Consent.category")
        if coding.get("system") == DIRECTIVE_CODES
    ]
    if len(codes) != 1:
        raise Refused("INVALID_RESOURCE", f"Consent.category: expected one of {DIRECTIVE_CODES}")
    return _choice(DirectiveKind, codes[0], "Consent.category")


def _targets(provision: dict[str, Any]) -> Targets:
    organisations: set[OdsCode] = set()
    roles: set[str] = set()
    staff: set[str] = set()
    for actor in _objects(provision, "actor", "Consent.provision"):
        who = _object(actor.get("reference"), "Consent.provision.actor.reference")
        said = _object(who.get("identifier"), "Consent.provision.actor.reference.identifier")
        system, value = said.get("system"), said.get("value")
        if not isinstance(value, str) or not value:
            raise Refused("INVALID_RESOURCE", "Consent.provision.actor: expected an identifier")
        if system == ODS_CODE:
            organisations.add(_ods(value))
        elif system in (ROLE_SYSTEM, STAFF_SYSTEM):
            (roles if system == ROLE_SYSTEM else staff).add(value)
        else:
            wanted = f"{ODS_CODE}, {ROLE_SYSTEM}, {STAFF_SYSTEM}"
            raise Refused("INVALID_RESOURCE", f"Consent.provision.actor: expected one of {wanted}")
    return Targets(
        organisations=frozenset(organisations),
        roles=frozenset(roles),
        staff=frozenset(staff),
        purposes=frozenset(_codes(provision, "purpose", lambda code: _PURPOSE_OF_CODE[code])),
        categories=frozenset(
            _codes(provision, "class", lambda code: Category(code.replace("-", "_")))
        ),
        labels=frozenset(_codes(provision, "securityLabel", Label)),
    )


def _ods(value: str) -> OdsCode:
    try:
        return parse_ods_code(value)
    except InvalidValue as error:
        raise Refused("INVALID_VALUE", f"Consent.provision.actor: {error.reason}") from None


def _codes(
    provision: dict[str, Any], element: str, read: Callable[[str], Element]
) -> Iterator[Element]:
    for coding in _objects(provision, element, "Consent.provision"):
        code = coding.get("code")
        try:
            yield read(code if isinstance(code, str) else "")
        except (KeyError, ValueError):
            raise Refused(
                "INVALID_VALUE", f"Consent.provision.{element}: a code that is not known here"
            ) from None


def _item_key(provision: dict[str, Any]) -> str | None:
    held = list(_objects(provision, "data", "Consent.provision"))
    if not held:
        return None
    said = _object(held[0].get("reference"), "Consent.provision.data.reference")
    named = (
        said.get("identifier", {}).get("value")
        if isinstance(said.get("identifier"), dict)
        else None
    )
    key = named or str(said.get("reference", "")).rpartition("/")[2]
    if len(held) > 1 or not isinstance(key, str) or not key:
        raise Refused("INVALID_RESOURCE", "Consent.provision.data: expected one item, TYPE/ID")
    return key


def _moment(value: Any, where: str) -> Instant | PartialDate:
    text = value if isinstance(value, str) else ""
    try:
        return parse_instant(text) if "T" in text else check_partial_date(text)
    except InvalidValue as error:
        raise Refused("INVALID_VALUE", f"{where}: {error.reason}") from None


def _choice(choices: type[Element], value: Any, where: str) -> Element:
    try:
        return choices(value)  # type: ignore[call-arg]
    except ValueError:
        wanted = ", ".join(choices)  # type: ignore[arg-type]
        raise Refused("INVALID_VALUE", f"{where}: expected one of {wanted}") from None


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused("INVALID_RESOURCE", f"{where}: expected an object")
    return value


def _objects(holder: dict[str, Any], element: str, where: str) -> Iterator[dict[str, Any]]:
    held = holder.get(element, [])
    if not isinstance(held, list):
        raise Refused("INVALID_RESOURCE", f"{where}.{element}: expected a list")
    for one in held:
        yield _object(one, f"{where}.{element}")
