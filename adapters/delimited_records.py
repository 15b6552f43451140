"""Client records from the rows of a delimited file.

Rules:
- A row whose action says that the source has the client no more is a withdrawal: its local id is
  all that is read of it. An action that the settings do not know quarantines the row, because it
  might be one.
- A row whose action says that the client has a protected new identity says the record as well. The
  local id before it stands in `former_local_id`; where that is empty, it is the same.
- A row without its local id, with a birth date that is no date, or with a name that cannot be one
  is no client record: these say who the person is.
- Any other value that is not what its field says is kept as sent in `unread` and counted; a
  postcode that is none stays with its address instead.
- A flag `restricted` that cannot be read restricts: hiding too much can be put right.
- A death date beside a flag that denies the death is no evidence of one; it is kept as read.
- A former family name is a name of its own, and so is the name that the person is known as.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from adapters.delimited_fields import RowFields, needed
from adapters.delimited_values import address_lines, full_address
from adapters.mapping import Unread, Values
from schemas.codes import AddressUse, NameUse, NumberStatus, TelecomSystem
from schemas.demographics import Address, Death, HumanName, Identifier, NhsNumberClaim, Telecom
from schemas.identifiers import LocalId
from schemas.records import ClientRecord, IdentityChanged, Withdrawal, WithdrawalReason
from schemas.settings import (
    IDENTITY_CHANGE_UNDONE,
    IDENTITY_CHANGED,
    UPSERT,
    Mapped,
    SourceSettings,
)

_TELECOMS = (
    ("phone", TelecomSystem.PHONE, None),
    ("mobile", TelecomSystem.PHONE, "mobile"),
    ("email", TelecomSystem.EMAIL, None),
)
_IDENTITY_ACTIONS = (IDENTITY_CHANGED, IDENTITY_CHANGE_UNDONE)
_TRACE = NumberStatus.PRESENT_NOT_TRACED


class RecordFields(RowFields):
    """Reads rows of kind `client_record`."""

    vital: ClassVar[frozenset[str]] = frozenset({
        "birth_date", "name.given", "name.family", "name.full", "name.previous_family",
        "name.known_as", "action",
    })  # fmt: skip

    def __init__(self, header: Sequence[str], settings: Mapped, source: SourceSettings) -> None:
        super().__init__(header, settings, source)
        slot, slots, systems = self.plan.slot, self.plan.slots, source.identifier_systems
        self._local_id, self._action = slot("local_id"), slot("action")
        self._former = slot("former_local_id")
        self._nhs = slot("nhs_number"), slot("nhs_number_status"), slot("nhs_number_traced_on")
        self._name = slot("name.family"), slot("name.given"), slot("name.full")
        self._affixes = slot("name.prefix"), slot("name.suffix")
        self._other_names = slot("name.previous_family"), slot("name.known_as")
        self._plain = (
            slot("birth_date"), slot("gender"), slot("birth_sex"), slot("ethnicity"),
            slot("gp_practice"), slot("organisation"), slot("restricted"), slot("replaced_by"),
        )  # fmt: skip
        self._lines, self._full = slots("address.line"), slot("address.full")
        self._place = slot("address.postcode"), slot("address.uprn")
        self._old_lines = slots("previous_address.line")
        self._old_postcode = slot("previous_address.postcode")
        self._telecoms = tuple(
            (at, system, use) for field, system, use in _TELECOMS for at in slots(field)
        )
        self._death = slot("death_date"), slot("deceased")
        self._identifiers = tuple(
            (systems.get(name, name), at) for name, at in self.plan.open_slots("identifier.")
        )

    def withdrawal(self, values: Values) -> Withdrawal | None:
        """The withdrawal that a row's action says. Raises: Unfit."""
        action = values[self._action]
        if action is None or action == UPSERT or action in _IDENTITY_ACTIONS:
            return None
        local_id = needed("local_id", values[self._local_id])
        return Withdrawal(LocalId(local_id), WithdrawalReason(action))

    def identity_change(self, values: Values) -> IdentityChanged | None:
        """The change of identity that a row's action says. Raises: Unfit."""
        action = values[self._action]
        if action not in _IDENTITY_ACTIONS:
            return None
        local_id = LocalId(needed("local_id", values[self._local_id]))
        former = LocalId(values[self._former] or local_id)
        return IdentityChanged(former, local_id, action == IDENTITY_CHANGE_UNDONE)

    def unit(self, values: Values, unread: Unread) -> ClientRecord:
        """The client record of a row. Raises: Unfit."""
        birth_date, gender, birth_sex, ethnicity, practice, organisation, restricted, other = [
            values[at] for at in self._plain
        ]
        local_id = LocalId(needed("local_id", values[self._local_id]))
        if other == local_id:
            unread["replaced_by"], other = local_id, None
        identifiers = [
            Identifier(system, text) for system, at in self._identifiers if (text := values[at])
        ]
        telecoms = [
            Telecom(system, text, use) for at, system, use in self._telecoms if (text := values[at])
        ]
        addresses, death = self._addresses(values, unread), self._died(values, unread)
        return ClientRecord(
            local_id=local_id,
            nhs_number=self._nhs_number(values),
            identifiers=tuple(identifiers),
            names=self._names(values),
            birth_date=birth_date,
            gender=gender,
            birth_sex=birth_sex,
            ethnicity=ethnicity,
            addresses=addresses,
            telecoms=tuple(telecoms),
            gp_practice=practice,
            organisation=organisation,
            death=death,
            restricted=bool(restricted) or "restricted" in unread,
            replaced_by=other,
            unread=unread,
            details=self.details(values),
        )

    def _nhs_number(self, values: Values) -> NhsNumberClaim | None:
        number, status, traced = self._nhs
        value = values[number]
        return value and NhsNumberClaim(value, values[status] or _TRACE, values[traced])

    def _names(self, values: Values) -> tuple[HumanName, ...]:
        family, given, full = [values[at] for at in self._name]
        prefix, suffix = [values[at] for at in self._affixes]
        previous, known_as = [values[at] for at in self._other_names]
        names: tuple[HumanName, ...] = ()
        if family or given:
            text = full.text if full else None
            names = (HumanName(family, given or (), None, prefix, suffix, text),)
        elif full:
            names = (full,)
        if previous and (not family or previous.casefold() != family.casefold()):
            names += (HumanName(previous, use=NameUse.OLD),)
        if known_as:
            names += (HumanName(given=known_as, use=NameUse.NICKNAME),)
        return names

    def _addresses(self, values: Values, unread: Unread) -> tuple[Address, ...]:
        lines = address_lines([text for at in self._lines if (text := values[at])])
        postcode, uprn = [values[at] for at in self._place]
        full = values[self._full]
        if full:
            more, found = full_address(full)
            lines, postcode = lines + more, postcode or found
        old_lines = [text for at in self._old_lines if (text := values[at])]
        old_postcode = values[self._old_postcode]
        if unread:
            lines += _not_a_postcode(unread, "address.postcode")
            old_lines += _not_a_postcode(unread, "previous_address.postcode")
        addresses: tuple[Address, ...] = ()
        if lines or postcode or uprn:
            addresses = (Address(lines, postcode, uprn),)
        if old_lines or old_postcode:
            old = Address(address_lines(old_lines), old_postcode, None, AddressUse.OLD)
            addresses += (old,)
        return addresses

    def _died(self, values: Values, unread: Unread) -> Death | None:
        on_at, flag_at = self._death
        on, flag = values[on_at], values[flag_at]
        if on and flag is False:
            unread["death_date"] = on
            return None
        return Death(on) if on or flag else None


def _not_a_postcode(unread: Unread, field: str) -> tuple[str, ...]:
    text = unread.pop(field, None)
    return (text,) if text else ()
