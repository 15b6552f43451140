"""FHIR Patient to ClientRecord.

Rules:
- What cannot be read as its type stays in `unread` as sent and is counted as an issue; the rest of
  the record is loaded. `original` is the whole resource as received.
- The current entry of names, addresses and telecoms comes first: by use, what has ended last.
- Of several NHS numbers the verified and current one is the claim; the others are identifiers.
- Identifiers keep the name that `identifier_systems` gives their system, or the system itself.
  The identifier that is the local id is not repeated, unless its system is named there.
- A security label of restriction, by whatever code list, restricts the record: the cautious way.
- The extension that the settings name declares a protected change of identity: a boolean of the one
  local id (false takes it back), or parts `former` (the local id before) and `undone`. One of
  another form quarantines the Patient: a declaration must not be lost.
- A link `replaced-by` or `replaces` is a source merge. One whose other side is not known here is
  kept in `unread`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from adapters.fhir_codes import BIRTH_SEXES, NUMBER_STATUSES, ethnic_category, is_restricted
from adapters.fhir_directory import Directory, Meant, local_id_of
from adapters.fhir_values import (
    Issue,
    at,
    extension_code,
    extensions,
    first_code,
    has_ended,
    held,
    instant,
    objects,
    partial_date,
    period,
    text,
    texts,
)
from schemas.codes import AddressUse, Gender, NameUse, NumberStatus, TelecomSystem
from schemas.demographics import Address, Death, HumanName, Identifier, NhsNumberClaim, Telecom
from schemas.errors import InvalidValue
from schemas.identifiers import (
    LocalId,
    OdsCode,
    Postcode,
    Uprn,
    parse_nhs_number,
    parse_ods_code,
    parse_postcode,
    parse_uprn,
)
from schemas.records import ClientRecord, IdentityChanged, SourceMerge
from schemas.settings import SourceSettings

_ENDED = 100
_NAME_RANK: dict[str | None, int] = {
    "usual": 0, "official": 1, None: 2, "temp": 3, "nickname": 4, "anonymous": 5, "maiden": 8,
    "old": 9,
}  # fmt: skip
_ADDRESS_RANK: dict[str | None, int] = {
    "home": 0, None: 1, "temp": 2, "work": 3, "billing": 4, "old": 9,
}  # fmt: skip
_LAST = 7
_GENDERS = {g.value: g for g in Gender}
_NAME_USES = {u.value: u for u in NameUse}
_ADDRESS_USES = {u.value: u for u in AddressUse}
_TELECOM_SYSTEMS = {s.value: s for s in TelecomSystem}

T = TypeVar("T")


class PatientReader:
    """Reads the Patients of one feed.

    Args:
        source: whose identifiers they bear.
        directory: resolves their references.
        today: ISO date of the feed; what ended before it is history.
        issue: counts what could not be read.
    """

    def __init__(
        self, source: SourceSettings, directory: Directory, today: str, issue: Issue
    ) -> None:
        self._source, self._directory, self._today, self._issue = source, directory, today, issue

    def local_id(self, patient: dict[str, Any]) -> LocalId | None:
        """The Patient's local id, or None where it has neither identifier nor id."""
        system = self._source.local_id_system
        return local_id_of(patient.get("id"), patient.get("identifier"), system)

    def read(
        self, patient: dict[str, Any], local_id: LocalId
    ) -> tuple[ClientRecord, list[SourceMerge]]:
        """The client record of a Patient, and the merges that it tells of.

        Raises: InvalidValue (a record that would not be one; the models let it through).
        """
        unread: dict[str, str] = {}
        ethnicity, birth_sex = self._extended(patient, unread)
        claim, identifiers = self._identifiers(patient, unread)
        merges, replaced_by = self._links(patient, local_id, unread)
        record = ClientRecord(
            local_id=local_id,
            nhs_number=claim,
            identifiers=identifiers,
            names=self._names(patient),
            birth_date=self._birth_date(patient, unread),
            gender=self._looked_up(_GENDERS, "gender", text(patient.get("gender")), unread),
            birth_sex=birth_sex,
            ethnicity=ethnicity,
            addresses=self._addresses(patient),
            telecoms=self._telecoms(patient),
            gp_practice=self._gp_practice(patient, unread),
            organisation=self._organisation(patient),
            death=self._death(patient),
            restricted=is_restricted(patient),
            replaced_by=replaced_by,
            unread=unread,
            details=_details(patient),
            original=held(patient),
        )
        return record, merges

    def identity_changes(self, patient: dict[str, Any], local_id: LocalId) -> list[IdentityChanged]:
        """The protected changes of identity that a Patient declares. Raises: InvalidValue."""
        sign = self._source.identity_change_sign
        told = [e for e in objects(patient.get("extension")) if sign and e.get("url") == sign]
        return [_identity_change(one, local_id) for one in told]

    def _looked_up(
        self, table: dict[str, T], field: str, code: str | None, unread: dict[str, str]
    ) -> T | None:
        if code is None:
            return None
        value = table.get(code)
        if value is None:
            self._keep_unread(field, code, unread)
        return value

    def _keep_unread(self, field: str, sent: str, unread: dict[str, str]) -> None:
        unread[field] = sent
        self._issue(field, "bad_value")

    def _parsed(
        self, parse: Callable[[str], T], field: str, sent: str, unread: dict[str, str]
    ) -> T | None:
        try:
            return parse(sent)
        except InvalidValue:
            self._keep_unread(field, sent, unread)
            return None

    def _extended(
        self, patient: dict[str, Any], unread: dict[str, str]
    ) -> tuple[str | None, Gender | None]:
        """Ethnic category and birth sex, from extensions."""
        ethnicity: str | None = None
        birth_sex: Gender | None = None
        for name, extension in extensions(patient):
            if name == "EthnicCategory":
                code = extension_code(extension)
                category = ethnic_category(code) if code else None
                if code and category is None:
                    self._keep_unread("ethnicity", code, unread)
                ethnicity = category or ethnicity
            elif name == "BirthSex":
                code = (extension_code(extension) or "").upper()
                birth_sex = self._looked_up(BIRTH_SEXES, "birth_sex", code or None, unread)
        return ethnicity, birth_sex

    def _identifiers(
        self, patient: dict[str, Any], unread: dict[str, str]
    ) -> tuple[NhsNumberClaim | None, tuple[Identifier, ...]]:
        claims: list[tuple[int, NhsNumberClaim, str]] = []
        others: list[Identifier] = []
        for sent in objects(patient.get("identifier")):
            system, value = text(sent.get("system")), text(sent.get("value"))
            if value is None:
                continue
            if system in self._directory.nhs_number_systems:
                number = self._parsed(parse_nhs_number, "nhs_number", value, unread)
                if number is not None:
                    status = self._number_status(sent)
                    past = sent.get("use") == "old" or has_ended(
                        period(sent.get("period")), self._today
                    )
                    rank = _ENDED * past + (status is not NumberStatus.VERIFIED)
                    claims.append((rank, NhsNumberClaim(number, status), str(system)))
                continue
            kept = self._kept_as(sent, system)
            if kept is not None:
                others.append(Identifier(kept, value))
        claims.sort(key=lambda claim: claim[0])
        spare = [Identifier(system, claim.value) for _, claim, system in claims[1:]]
        return (claims[0][1] if claims else None), tuple(others + spare)

    def _kept_as(self, identifier: dict[str, Any], system: str | None) -> str | None:
        """The name under which an identifier is kept, None if it is not."""
        if system is None:
            code = first_code(identifier.get("type"))
            if code is None:
                self._issue("identifier", "missing_value")
            return code
        named = self._source.identifier_systems.get(system)
        if named is not None:
            return named
        return None if system == self._source.local_id_system else system

    def _number_status(self, identifier: dict[str, Any]) -> NumberStatus:
        for name, extension in extensions(identifier):
            if name == "NHSNumberVerificationStatus":
                status = NUMBER_STATUSES.get((extension_code(extension) or "").lower())
                if status is not None:
                    return status
                self._issue("nhs_number_status", "bad_value")
        return NumberStatus.PRESENT_NOT_TRACED

    def _names(self, patient: dict[str, Any]) -> tuple[HumanName, ...]:
        return self._current_first(human_names(patient.get("name"), self._issue), _NAME_RANK)

    def _current_first(self, held: list[T], ranks: dict[str | None, int]) -> tuple[T, ...]:
        if len(held) < 2:
            return tuple(held)

        def rank(entry: Any) -> int:
            ended = has_ended(entry.period, self._today)
            return ranks.get(entry.use and str(entry.use), _LAST) + _ENDED * ended

        return tuple(sorted(held, key=rank))

    def _birth_date(self, patient: dict[str, Any], unread: dict[str, str]) -> Any:
        sent = text(patient.get("birthDate"))
        found = partial_date(sent)
        if sent is not None and found is None:
            self._keep_unread("birth_date", sent, unread)
        return found

    def _addresses(self, patient: dict[str, Any]) -> tuple[Address, ...]:
        read = [self._address(sent) for sent in objects(patient.get("address"))]
        return self._current_first([a for a in read if a is not None], _ADDRESS_RANK)

    def _address(self, sent: dict[str, Any]) -> Address | None:
        lines = texts(sent.get("line"))
        for key in ("district", "city", "state"):
            part = text(sent.get(key))
            if part and part.casefold() not in [line.casefold() for line in lines]:
                lines.append(part)
        if not lines:
            lines = [text(sent.get("text")) or ""]
        postcode = self._postcode(sent, lines)
        uprn = self._uprn(sent) if "extension" in sent else None
        kept = tuple(line for line in lines if line)
        if not (kept or postcode or uprn):
            return None
        use = text(sent.get("use"))
        if use is not None and use not in _ADDRESS_USES:
            self._issue("address.use", "bad_value")
        return Address(
            kept, postcode, uprn, _ADDRESS_USES.get(use or ""), period(sent.get("period"))
        )

    def _postcode(self, sent: dict[str, Any], lines: list[str]) -> Postcode | None:
        code = text(sent.get("postalCode"))
        if code is None:
            return None
        try:
            return parse_postcode(code)
        except InvalidValue:
            lines.append(code)
            self._issue("address.postcode", "bad_value")
            return None

    def _uprn(self, sent: dict[str, Any]) -> Uprn | None:
        for name, extension in extensions(sent):
            if name != "AddressKey":
                continue
            parts = {text(p.get("url")): p for p in objects(extension.get("extension"))}
            kind = extension_code(parts.get("type", {})) or ""
            value = text(parts.get("value", {}).get("valueString"))
            if kind.upper() == "UPRN" and value:
                try:
                    return parse_uprn(value)
                except InvalidValue:
                    self._issue("address.uprn", "bad_value")
        return None

    def _telecoms(self, patient: dict[str, Any]) -> tuple[Telecom, ...]:
        found: list[tuple[int, Telecom]] = []
        for sent in objects(patient.get("telecom")):
            value = text(sent.get("value"))
            if value is None:
                continue
            system = _TELECOM_SYSTEMS.get(text(sent.get("system")) or "")
            if system is None:
                self._issue("telecom.system", "bad_value")
            use, held = text(sent.get("use")), period(sent.get("period"))
            rank = sent.get("rank")
            place = min(rank, _ENDED - 1) if isinstance(rank, int) and rank > 0 else _LAST
            past = use == "old" or has_ended(held, self._today)
            telecom = Telecom(system or TelecomSystem.OTHER, value, use, held)
            found.append((place + _ENDED * past, telecom))
        found.sort(key=lambda entry: entry[0])
        return tuple(telecom for _, telecom in found)

    def _gp_practice(self, patient: dict[str, Any], unread: dict[str, str]) -> OdsCode | None:
        """The first general practitioner that is an organisation with an ODS code."""
        for reference in objects(patient.get("generalPractitioner")):
            code = self._directory.organisation(reference)
            if code is not None:
                return code
            if text(reference.get("type")) == "Organization":
                sent = text(at(reference, ("identifier", "value")))
                if sent is not None:
                    self._parsed(parse_ods_code, "gp_practice", sent, unread)
        return None

    def _organisation(self, patient: dict[str, Any]) -> OdsCode | None:
        managing = patient.get("managingOrganization")
        return self._directory.organisation(managing) if managing else None

    def _death(self, patient: dict[str, Any]) -> Death | None:
        sent = patient.get("deceasedDateTime")
        if sent is not None:
            on = partial_date(sent)
            if on is None:
                self._issue("death", "bad_value")
            return Death(on)
        return Death() if patient.get("deceasedBoolean") in (True, "true") else None

    def _links(
        self, patient: dict[str, Any], local_id: LocalId, unread: dict[str, str]
    ) -> tuple[list[SourceMerge], LocalId | None]:
        merges: list[SourceMerge] = []
        replaced_by: LocalId | None = None
        for link in objects(patient.get("link")):
            kind, other = link.get("type"), link.get("other")
            if kind not in ("replaced-by", "replaces"):
                continue
            subject = self._directory.subject(other, patient)
            if subject.meant is not Meant.CLIENT or subject.local_id in (None, local_id):
                sent = text(at(other, ("reference",))) or text(at(other, ("identifier", "value")))
                unread[f"link.{kind}"] = sent or "unnamed"
                self._issue("link", "missing_value")
            elif kind == "replaced-by":
                replaced_by = subject.local_id
                merges.append(SourceMerge(local_id, LocalId(str(subject.local_id))))
            else:
                merges.append(SourceMerge(LocalId(str(subject.local_id)), local_id))
        return merges, replaced_by


def human_names(value: Any, issue: Issue) -> list[HumanName]:
    """The names in a list of HumanName; an empty one is left out."""
    found = []
    for sent in objects(value):
        use = text(sent.get("use"))
        if use is not None and use not in _NAME_USES:
            issue("name.use", "bad_value")
        family, given = text(sent.get("family")), tuple(texts(sent.get("given")))
        whole = text(sent.get("text"))
        if family or given or whole:
            found.append(
                HumanName(
                    family,
                    given,
                    _NAME_USES.get(use or ""),
                    " ".join(texts(sent.get("prefix"))) or None,
                    " ".join(texts(sent.get("suffix"))) or None,
                    whole,
                    period(sent.get("period")),
                )
            )
    return found


def _identity_change(extension: dict[str, Any], local_id: LocalId) -> IdentityChanged:
    """Raises: InvalidValue."""
    whole = extension.get("valueBoolean")
    if isinstance(whole, bool):
        return IdentityChanged(local_id, local_id, undone=not whole)
    parts = {part.get("url"): part for part in objects(extension.get("extension"))}
    former = text(parts.get("former", {}).get("valueString"))
    undone = parts.get("undone", {}).get("valueBoolean", False)
    if former is None or not isinstance(undone, bool):
        raise InvalidValue("a declared change of identity names neither a local id nor a boolean")
    return IdentityChanged(LocalId(former), local_id, undone)


def _details(patient: dict[str, Any]) -> dict[str, Any]:
    """What has no field of its own and is worth having at hand; the rest is in the original."""
    languages = [
        code
        for entry in objects(patient.get("communication"))
        if (code := first_code(entry.get("language")))
    ]
    found = {
        "birth_time": _birth_time(patient) if "_birthDate" in patient else None,
        "languages": languages,
        "marital_status": first_code(patient.get("maritalStatus")),
        "multiple_birth": patient.get("multipleBirthInteger")
        or patient.get("multipleBirthBoolean"),
        "inactive": patient.get("active") is False,
    }
    return {name: value for name, value in found.items() if value}


def _birth_time(patient: dict[str, Any]) -> str | None:
    for companion in objects(patient.get("_birthDate")):
        for name, extension in extensions(companion):
            if name == "birthTime":
                return instant(extension.get("valueDateTime"))
    return None
