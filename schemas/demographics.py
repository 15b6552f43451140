"""Who a person is, as one source says it: names, addresses, telecoms, identifiers.

All are frozen and check themselves when built: an instance that exists is valid. They are
msgspec structs, because a nightly feed builds millions (docs/adr/0005-msgspec-structs.md).
"""

from __future__ import annotations

import msgspec

from schemas.codes import AddressUse, NameUse, NumberStatus, TelecomSystem
from schemas.dates import Instant, PartialDate, check_partial_date
from schemas.errors import InvalidValue
from schemas.identifiers import NhsNumber, Postcode, Uprn, parse_nhs_number


class Period(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """From and until when something held; an open end is None."""

    start: PartialDate | None = None
    end: PartialDate | None = None

    def __post_init__(self) -> None:
        for value in (self.start, self.end):
            if value is not None:
                check_partial_date(value[:10])


class NhsNumberClaim(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An NHS number with how far it can be trusted.

    `status` VERIFIED means traced: then `traced_on` and `traced_by` say when and by whom, where
    the source tells.
    """

    value: NhsNumber
    status: NumberStatus = NumberStatus.PRESENT_NOT_TRACED
    traced_on: PartialDate | None = None
    traced_by: str | None = None

    def __post_init__(self) -> None:
        if parse_nhs_number(self.value) != self.value:
            raise InvalidValue("an NHS number is held as ten digits without separators")


class Identifier(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Another identifier: a hospital number, a CHI number, a case number shared between systems."""

    system: str
    value: str

    def __post_init__(self) -> None:
        if not self.system or not self.value:
            raise InvalidValue("an identifier needs a system and a value")


class HumanName(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One name. `given` holds forenames in order. At least one of family, given, text is there."""

    family: str | None = None
    given: tuple[str, ...] = ()
    use: NameUse | None = None
    prefix: str | None = None
    suffix: str | None = None
    text: str | None = None
    """The name as one text, where the source does not take it apart."""
    period: Period | None = None

    def __post_init__(self) -> None:
        if not (self.family or self.given or self.text):
            raise InvalidValue("a name needs a family name, a given name or a text")


class Address(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One address. `postcode` is canonical; what could not be read as one stays in `lines`."""

    lines: tuple[str, ...] = ()
    postcode: Postcode | None = None
    uprn: Uprn | None = None
    use: AddressUse | None = None
    period: Period | None = None

    def __post_init__(self) -> None:
        if not (self.lines or self.postcode or self.uprn):
            raise InvalidValue("an address needs lines, a postcode or a UPRN")


class Telecom(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A telephone number, e-mail address or the like, as the source wrote it."""

    system: TelecomSystem
    value: str
    use: str | None = None
    period: Period | None = None

    def __post_init__(self) -> None:
        if not self.value:
            raise InvalidValue("a telecom needs a value")


class Death(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """That the person died, and when if known."""

    on: PartialDate | None = None
    recorded_at: Instant | None = None
