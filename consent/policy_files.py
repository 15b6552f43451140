"""The Cedar policies: read from this package, checked against their schema, asked in batches.

Rules:
- The files are the whole of the policy: `consent/policies/*.cedar`, in the order of their names.
- A policy has an id, a sentence and the rule that it serves; a forbidding one says what the
  requester may be told. Faults stop the program when it starts, all of them at once.
- A policy that fails while it is evaluated refuses: Cedar would pass it over, and a passed-over
  forbidding policy is a leak.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import cedarpy

from consent.shared import Decision, Obligation, Permit, Refusal, Ring, Tell
from schemas.errors import SettingsError

ANNOTATIONS = frozenset(
    {
        "id", "sentence", "rule", "tell", "remedy", "remedy_claim", "remedy_glass", "ring",
        "obliges", "otherwise", "escalate",
    }
)  # fmt: skip
_OF_CUSTODIAN = " of the custodian"
REMEMBERED = 10_000
"""Answers that are remembered before all are forgotten."""
Key = tuple[str, tuple[object, ...], tuple[object, ...], tuple[object, ...]]


@dataclass(frozen=True)
class Policy:
    """One policy's annotations.

    Attributes:
        file: the file's name; permits: else it forbids.
        actions: what it is about; empty for everything.
        otherwise: sentence for what this permitting policy does not cover, where no other does.
    """

    id: str
    file: str
    permits: bool
    actions: frozenset[str]
    rule: str
    sentence: str
    tell: Tell | None = None
    ring: str | None = None
    remedy: str | None = None
    remedy_claim: str | None = None
    remedy_glass: str | None = None
    otherwise: str | None = None
    obliges: Obligation | None = None
    escalate: bool = False


Attribute = str | bool | tuple[str, ...]
Attributes = Mapping[str, Attribute]
"""What policies read of a requester, a resource or a situation, in the schema's order."""


@dataclass(frozen=True)
class Asked:
    """One request: an action on a resource of a Cedar type, with these attributes."""

    action: str
    kind: str
    attributes: Attributes
    context: Attributes


class Policies:
    """The policy set, parsed and checked once. Thread-safe: the policies never change."""

    def __init__(self, texts: Mapping[str, str] | None = None, schema: str | None = None) -> None:
        """Args: file name → text, and the schema's; those of this package by default.

        Raises: SettingsError, with every fault found.
        """
        texts = packaged_texts() if texts is None else texts
        whole = "\n".join(texts.values())
        self._schema = _schema(packaged_schema() if schema is None else schema)
        _check(whole, self._schema)
        self.policies = _annotated(texts)
        self._sets = _by_action(whole, self.policies)
        self._otherwise = _defaults(self.policies)
        self._remembered: dict[Key, Decision] = {}
        self._by_position = {f"policy{n}": policy for n, policy in enumerate(self.policies)}

    def decide(
        self, principal: Attributes, asked: Sequence[Asked], *, checked: bool = False
    ) -> list[Decision]:
        """Decides each request by a full evaluation of all policies about its action.

        An answer is remembered by everything that was asked, and the policies never change: what
        is true of requester and person is worked out anew for each request, names nobody, and
        leads to the same answer only while it stays the same.

        Args:
            checked: hold entities and requests to the schema, and remember nothing (for tests).
        """
        who = tuple(principal.values())
        situations = {id(one.context): tuple(one.context.values()) for one in asked}
        keys: list[Key] = [
            (one.action, who, tuple(one.attributes.values()), situations[id(one.context)])
            for one in asked
        ]
        held = {} if checked else self._remembered
        found = {key: held[key] for key in keys if key in held}
        missing = {key: one for key, one in zip(keys, asked, strict=True) if key not in found}
        if missing:
            found |= self._evaluate(principal, missing, checked=checked)
            if not checked:
                self._remember(found)
        return [found[key] for key in keys]

    def _remember(self, found: Mapping[Key, Decision]) -> None:
        if len(self._remembered) > REMEMBERED:
            self._remembered = {}
        self._remembered |= found

    def _evaluate(
        self, principal: Attributes, missing: Mapping[Key, Asked], *, checked: bool
    ) -> dict[Key, Decision]:
        schema = self._schema if checked else None
        numbered = list(enumerate(missing.items()))
        entities = [_entity("Requester", "asks", principal)]
        entities += [_entity(one.kind, str(n), one.attributes) for n, (_, one) in numbered]
        held = cedarpy.Entities.from_json_str(json.dumps(entities), schema=schema)
        powers = frozenset(_listed(principal.get("powers", ())))
        decided: dict[Key, Decision] = {}
        for action in dict.fromkeys(one.action for one in missing.values()):
            chosen = [(n, key, one) for n, (key, one) in numbered if one.action == action]
            results = cedarpy.is_authorized_batch(
                [_request(n, one) for n, _, one in chosen], self._sets[action], held, schema=schema
            )
            for (_, key, one), result in zip(chosen, results, strict=True):
                decided[key] = self._decision(one, result, powers)
        return decided

    def _decision(self, asked: Asked, result: Any, powers: frozenset[str]) -> Decision:
        if result.diagnostics.errors:
            return Refusal(
                ("policy-error",), ("A policy could not be evaluated.",), Tell.MAY_BE_TOLD,
                Ring("IG officer"),
            )  # fmt: skip
        found = [self._by_position[reason] for reason in sorted(result.diagnostics.reasons)]
        found.sort(key=lambda policy: policy.id)
        if result.allowed:
            return Permit(
                tuple(policy.id for policy in found),
                tuple(policy.sentence for policy in found),
                frozenset(policy.obliges for policy in found if policy.obliges),
            )
        if not found:
            default = self._otherwise[asked.action]
            return _refusal([default], (default.otherwise or "",), powers)
        return _refusal(found, tuple(policy.sentence for policy in found), powers)


def _listed(value: Attribute) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _entity(kind: str, name: str, attributes: Attributes) -> dict[str, object]:
    return {"uid": {"type": kind, "id": name}, "attrs": dict(attributes), "parents": []}


def _request(number: int, asked: Asked) -> dict[str, object]:
    return {
        "principal": {"type": "Requester", "id": "asks"},
        "action": {"type": "Action", "id": asked.action},
        "resource": {"type": asked.kind, "id": str(number)},
        "context": dict(asked.context),
    }


def _by_action(whole: str, policies: Sequence[Policy]) -> dict[str, cedarpy.PolicySet]:
    """For each action the policies that can be about it: Cedar looks at every policy of a set.
    Policies keep the names that Cedar gives them by their place in the whole."""
    parsed = json.loads(cedarpy.policies_to_json_str(whole))
    actions = {action for policy in policies for action in policy.actions}
    sets = {}
    for action in actions:
        chosen = {
            f"policy{n}": parsed["staticPolicies"][f"policy{n}"]
            for n, policy in enumerate(policies)
            if not policy.actions or action in policy.actions
        }
        text = json.dumps(parsed | {"staticPolicies": chosen})
        sets[action] = cedarpy.PolicySet.from_json_str(text)
    return sets


def _refusal(found: Sequence[Policy], reasons: tuple[str, ...], powers: frozenset[str]) -> Refusal:
    silent = any(policy.tell is Tell.SILENT for policy in found)
    ring, remedies = None, list[str]()
    for policy in found if not silent else ():
        if ring is None and policy.ring:
            office = policy.ring.removesuffix(_OF_CUSTODIAN)
            ring = Ring(office, of_custodian=office != policy.ring)
        remedies += [policy.remedy] if policy.remedy else []
        remedies += [policy.remedy_claim] if policy.remedy_claim and "k" in powers else []
        remedies += [policy.remedy_glass] if policy.remedy_glass and "b" in powers else []
    return Refusal(
        tuple(policy.id for policy in found),
        reasons,
        Tell.SILENT if silent else Tell.MAY_BE_TOLD,
        ring,
        tuple(dict.fromkeys(remedies)),
        any(policy.escalate for policy in found),
    )


def packaged_texts() -> dict[str, str]:
    """The policy files of this package, by name, in order."""
    folder = files("consent") / "policies"
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".cedar"))
    return {entry.name: entry.read_text("utf-8") for entry in sorted(found, key=lambda e: e.name)}


def packaged_schema() -> str:
    """The schema that they are held to."""
    return (files("consent") / "policies" / "schema.cedarschema").read_text("utf-8")


def _schema(text: str) -> cedarpy.Schema:
    try:
        return cedarpy.Schema.from_str(text)
    except ValueError as error:
        raise SettingsError("the policies' schema", [str(error)]) from None


def _check(whole: str, schema: cedarpy.Schema) -> None:
    try:
        result = cedarpy.validate_policies(whole, schema)
    except ValueError as error:
        raise SettingsError("the policies", [str(error)]) from None
    if not result:
        raise SettingsError("the policies", [fault.error for fault in result.errors])


def _annotated(texts: Mapping[str, str]) -> tuple[Policy, ...]:
    """The policies' annotations in the order in which Cedar numbers them."""
    found: list[Policy] = []
    faults: list[str] = []
    for name, text in texts.items():
        parsed = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
        for number in range(len(parsed)):
            raw = parsed[f"policy{number}"]
            notes: dict[str, str] = raw.get("annotations", {})
            faults += [f"{name}, policy {number + 1}: {fault}" for fault in _faults(raw, notes)]
            if not faults:
                found.append(_policy(name, raw, notes))
    ids = [policy.id for policy in found]
    faults += [f"two policies have the id {one}" for one in sorted(set(ids)) if ids.count(one) > 1]
    if faults:
        raise SettingsError("the policies", faults)
    return tuple(found)


def _defaults(policies: Sequence[Policy]) -> dict[str, Policy]:
    """For each action the policy that says what it is to be refused because nothing permits it."""
    found = {action: one for one in policies if one.otherwise for action in one.actions}
    actions = {action for one in policies for action in one.actions}
    if without := sorted(actions - found.keys()):
        raise SettingsError("the policies", [f"no policy has @otherwise for {a}" for a in without])
    return found


def _faults(raw: Mapping[str, Any], notes: Mapping[str, str]) -> list[str]:
    faults = [f"@{name} is missing" for name in ("id", "sentence", "rule") if not notes.get(name)]
    faults += [f"@{name} is unknown" for name in sorted(notes.keys() - ANNOTATIONS)]
    told = raw["effect"] == "forbid" or "otherwise" in notes
    if told != ("tell" in notes):
        faults.append("@tell belongs to what forbids and to what has @otherwise")
    if notes.get("tell", Tell.SILENT) not in set(Tell):
        faults.append(f"@tell is one of: {', '.join(Tell)}")
    if notes.get("tell") == Tell.MAY_BE_TOLD and not notes.get("ring"):
        faults.append("what may be told says whom to @ring")
    if "obliges" in notes and notes["obliges"] not in set(Obligation):
        faults.append(f"@obliges is one of: {', '.join(Obligation)}")
    return faults


def _policy(name: str, raw: Mapping[str, Any], notes: Mapping[str, str]) -> Policy:
    action = raw["action"]
    entities = action.get("entities", [action["entity"]] if "entity" in action else [])
    return Policy(
        id=notes["id"],
        file=name,
        permits=raw["effect"] == "permit",
        actions=frozenset(one["id"] for one in entities),
        rule=notes["rule"],
        sentence=notes["sentence"],
        tell=Tell(notes["tell"]) if "tell" in notes else None,
        ring=notes.get("ring"),
        remedy=notes.get("remedy"),
        remedy_claim=notes.get("remedy_claim"),
        remedy_glass=notes.get("remedy_glass"),
        otherwise=notes.get("otherwise"),
        obliges=Obligation(notes["obliges"]) if "obliges" in notes else None,
        escalate="escalate" in notes,
    )
