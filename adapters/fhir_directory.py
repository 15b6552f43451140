"""Who is meant: FHIR references to local ids and ODS codes.

Rules:
- Where the source's local id is the resource's id (`local_id_system` unset), a reference
  `Patient/ID`, with or without a server before it, names local id ID, wherever that Patient is.
- Else, and for a Bundle's `urn:uuid:`, logical identifiers and contained patients, the feed itself
  is the directory: it is gone through once more, the first time that anybody asks. So the order of
  resources within a feed does not matter.
- A reference that two Patients answer to is as good as none: nothing is filed by guess.
- An Organization's ODS code is that of its identifier; an id of ODS form with a letter in it
  (`Organization/RA7`) counts as one where the feed does not say otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from adapters.fhir_codes import NHS_NUMBER_SYSTEMS, ods_identifier
from adapters.fhir_units import Head
from adapters.fhir_values import objects, text
from schemas.errors import InvalidValue
from schemas.identifiers import LocalId, OdsCode, parse_nhs_number, parse_ods_code
from schemas.settings import SourceSettings

_REFERENCE = re.compile(
    r"(?:.*/)?([A-Z][A-Za-z]{1,60})/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]+)?"
)
_ODS_ID = re.compile(r"(?=.*[A-Z])[A-Z0-9]{3,10}")


class Meant(Enum):
    """How the search for a subject ended."""

    CLIENT = "client"
    OTHER = "other"
    """The reference names something that is not a patient, or nothing at all."""
    UNRESOLVED = "unresolved"


class Subject(NamedTuple):
    """Whom a reference means."""

    meant: Meant
    local_id: LocalId | None = None


_NOBODY = Subject(Meant.OTHER)
_UNRESOLVED = Subject(Meant.UNRESOLVED)


def local_id_of(resource_id: Any, identifiers: Any, system: str | None) -> LocalId | None:
    """A Patient's local id: its identifier of the source's system, else the resource's id."""
    if system is not None:
        held = [i for i in objects(identifiers) if i.get("system") == system]
        held.sort(key=lambda i: i.get("use") == "old")
        value = next((text(i.get("value")) for i in held if text(i.get("value"))), None)
        if value:
            return LocalId(value)
    own = text(resource_id)
    return LocalId(own) if own else None


class Directory:
    """Answers for one feed. Loads itself from `heads` when first needed."""

    def __init__(self, source: SourceSettings, heads: Callable[[], Iterable[Head]]) -> None:
        self._system = source.local_id_system
        self.nhs_number_systems = NHS_NUMBER_SYSTEMS | set(source.nhs_number_systems)
        self._heads = heads
        self._loaded = False
        self._clients: dict[str, LocalId | None] = {}
        self._others: set[str] = set()
        self._organisations: dict[str, OdsCode] = {}
        self._medications: dict[str, Any] = {}

    def subject(self, reference: Any, owner: Mapping[str, Any]) -> Subject:
        """The client that a Reference means, which stands in the resource `owner`."""
        if not isinstance(reference, dict):
            return _NOBODY
        address = text(reference.get("reference"))
        found = self._addressed(address, owner) if address else _UNRESOLVED
        if found.meant is not Meant.UNRESOLVED:
            return found
        if reference.get("type") not in (None, "Patient"):
            return _NOBODY
        return self._identified(reference.get("identifier"))

    def _addressed(self, address: str, owner: Mapping[str, Any]) -> Subject:
        if address.startswith("#"):
            return self._contained(address[1:], owner)
        match = _REFERENCE.fullmatch(address)
        if match and match[1] != "Patient":
            return _NOBODY
        if match and self._system is None:
            return Subject(Meant.CLIENT, LocalId(match[2]))
        return self._looked_up(address, f"Patient/{match[2]}" if match else address)

    def _looked_up(self, address: str, relative: str) -> Subject:
        self._load()
        if address in self._others:
            return _NOBODY
        keys = (address, relative)
        known = next((self._clients[key] for key in keys if key in self._clients), None)
        if known:
            return Subject(Meant.CLIENT, known)
        own_id = address.removeprefix("urn:uuid:")
        if self._system is None and own_id != address and address not in self._clients:
            return Subject(Meant.CLIENT, LocalId(own_id))
        return _UNRESOLVED

    def _contained(self, anchor: str, owner: Mapping[str, Any]) -> Subject:
        for held in objects(owner.get("contained")):
            if held.get("id") == anchor:
                if held.get("resourceType") != "Patient":
                    return _NOBODY
                return self._identified(held.get("identifier"))
        return _UNRESOLVED

    def _identified(self, identifiers: Any) -> Subject:
        for identifier in objects(identifiers):
            system, value = text(identifier.get("system")), text(identifier.get("value"))
            if value is None:
                continue
            if system is not None and system == self._system:
                return Subject(Meant.CLIENT, LocalId(value))
            if system in self.nhs_number_systems:
                self._load()
                known = self._clients.get(_number_key(value))
                if known:
                    return Subject(Meant.CLIENT, known)
        return _UNRESOLVED

    def organisation(self, reference: Any) -> OdsCode | None:
        """The ODS code of the Organization that a Reference means, or None."""
        if not isinstance(reference, dict):
            return None
        direct = ods_identifier(reference.get("identifier"))
        address = text(reference.get("reference"))
        if direct or address is None:
            return direct
        match = _REFERENCE.fullmatch(address)
        if match and match[1] != "Organization":
            return None
        self._load()
        keys = (address, f"Organization/{match[2]}") if match else (address,)
        known = next((self._organisations[k] for k in keys if k in self._organisations), None)
        if known is None and match and _ODS_ID.fullmatch(match[2]):
            return parse_ods_code(match[2])
        return known

    def medication(self, reference: Any, owner: Mapping[str, Any]) -> Any:
        """The code of the Medication that a Reference means, contained or of the feed."""
        address = text(reference.get("reference")) if isinstance(reference, dict) else None
        if address is None:
            return None
        if address.startswith("#"):
            held = objects(owner.get("contained"))
            return next((m.get("code") for m in held if m.get("id") == address[1:]), None)
        self._load()
        return self._medications.get(address)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for head in self._heads():
            if head.full_url and head.kind != "Patient":
                self._others.add(head.full_url)
            enter = _ENTRIES.get(head.kind) if isinstance(head.kind, str) else None
            if enter is not None:
                keys = [head.full_url] if head.full_url else []
                if text(head.id):
                    keys.append(f"{head.kind}/{text(head.id)}")
                enter(self, keys, head)

    def _enter_client(self, keys: list[str], head: Head) -> None:
        local = local_id_of(head.id, head.identifier, self._system)
        if local is None:
            return
        keys.extend(
            _number_key(text(identifier.get("value")) or "")
            for identifier in objects(head.identifier)
            if text(identifier.get("system")) in self.nhs_number_systems
        )
        if self._system is None:
            # References by resource id answer for themselves.
            keys = [key for key in keys if not key.startswith("Patient/")]
        for key in keys:
            if key:
                self._clients[key] = local if self._clients.get(key, local) == local else None

    def _enter_organisation(self, keys: list[str], head: Head) -> None:
        code = ods_identifier(head.identifier)
        if code:
            self._organisations.update(dict.fromkeys(keys, code))

    def _enter_medication(self, keys: list[str], head: Head) -> None:
        self._medications.update(dict.fromkeys(keys, head.code))


_ENTRIES: dict[str, Callable[[Directory, list[str], Head], None]] = {
    "Patient": Directory._enter_client,
    "Organization": Directory._enter_organisation,
    "Medication": Directory._enter_medication,
}


def _number_key(value: str) -> str:
    """Key of a valid NHS number in the directory; '' for any other text."""
    try:
        return f"nhs|{parse_nhs_number(value)}"
    except InvalidValue:
        return ""
