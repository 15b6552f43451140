"""The settings of a partnership as frozen values, and the tables of what a file can be mapped to.

`schemas.settings_file` reads them from the text of partnership.toml and checks them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.codes import ETHNIC_CATEGORIES, Gender, NumberStatus
from schemas.identifiers import OdsCode, SourceId
from schemas.items import Heading
from schemas.records import WithdrawalReason
from schemas.settings_api import ApiSettings, IdentityProvider
from schemas.settings_audit import AuditSettings
from schemas.settings_interfaces import Interface
from schemas.settings_sharing import SharingSettings

FORMATS = ("delimited", "excel", "fhir", "hl7v2", "xml")
KINDS = ("client_record", "care_item", "staff")
"""What the rows of a delimited file or of a sheet are."""

RECORD_FIELDS = (
    "local_id", "nhs_number", "nhs_number_status", "nhs_number_traced_on",
    "name.prefix", "name.given", "name.family", "name.suffix", "name.previous_family",
    "name.known_as", "name.full", "birth_date", "gender", "birth_sex", "ethnicity",
    "address.line", "address.full", "address.postcode", "address.uprn",
    "previous_address.line", "previous_address.postcode",
    "phone", "mobile", "email", "gp_practice", "organisation", "death_date", "deceased",
    "restricted", "replaced_by", "former_local_id", "action", "as_at",
)  # fmt: skip
"""Fields a client-record file can map columns to; also `identifier.SYSTEM` and `detail.NAME`."""
ITEM_FIELDS = (
    "local_id", "item_id", "heading", "code", "code_system", "display", "text", "status", "start",
    "end", "recorded_at", "author", "organisation", "sensitivity", "as_at",
)  # fmt: skip
"""Fields a care-item file can map columns to; also `detail.NAME`."""
STAFF_FIELDS = (
    "staff_id", "organisation", "role", "name", "team", "start", "end", "rota", "as_at",
)  # fmt: skip
"""Fields a staff file can map columns to; also `detail.NAME`."""
FIELDS_BY_KIND = {"client_record": RECORD_FIELDS, "care_item": ITEM_FIELDS, "staff": STAFF_FIELDS}
REQUIRED_BY_KIND = {
    "client_record": ("local_id",),
    "care_item": ("local_id", "item_id"),
    "staff": ("staff_id", "role"),
}
IDENTITY_FIELDS = ("local_id", "item_id", "staff_id")
"""Fields that tell one row from another: mapped to columns that no file may lack."""
LISTED_FIELDS = (
    "address.line", "previous_address.line", "phone", "mobile", "email", "sensitivity",
)  # fmt: skip
"""Fields whose columns are kept as separate values; elsewhere several columns are joined."""
FLAG_VALUES = {
    form: meaning
    for meaning, texts in ((True, ("y", "yes", "1", "true")), (False, ("n", "no", "0", "false")))
    for text in texts
    for form in (text, text.upper(), text.title())
}
"""What a yes-or-no field understands."""
UPSERT = "upsert"
"""The action of a row that says a record, or says it anew."""
IDENTITY_CHANGED, IDENTITY_CHANGE_UNDONE = "identity_changed", "identity_change_undone"
"""The actions of a row that says a record under a protected new identity, or that it was said to be
one in error."""
CODE_LISTS: Mapping[str, frozenset[str]] = {
    "gender": frozenset(Gender),
    "birth_sex": frozenset(Gender),
    "nhs_number_status": frozenset(NumberStatus),
    "ethnicity": frozenset(ETHNIC_CATEGORIES),
    "deceased": frozenset(FLAG_VALUES),
    "restricted": frozenset(FLAG_VALUES),
    "heading": frozenset(Heading),
    "action": frozenset({UPSERT, IDENTITY_CHANGED, IDENTITY_CHANGE_UNDONE, *WithdrawalReason}),
}
"""Fields that hold a code, with the codes they can hold."""
OPEN_FIELDS = {
    "client_record": ("identifier.", "detail."),
    "care_item": ("detail.",),
    "staff": ("detail.",),
}
"""Beginnings of field names that the settings complete, by kind."""


@dataclass(frozen=True)
class AsAt:
    """Where a file says when it stood so: the first group of `file_name`, read by `format`."""

    file_name: re.Pattern[str]
    format: str


@dataclass(frozen=True)
class WholeList:
    """Says that a file is the whole list of its source's clients: who is not in it is none.

    Attributes:
        max_withdrawn: share of the source's records, 0 to 1; a file that lacks more of them is
            refused, and nothing is withdrawn.
        max_quarantined: share of the file's units, 0 to 1; where more were quarantined, nothing
            is withdrawn, because their records would be.
    """

    max_withdrawn: float = 0.05
    max_quarantined: float = 0.0


@dataclass(frozen=True)
class SheetSettings:
    """How to read the sheets of a workbook whose name matches `name`, with `*` and `?`, whatever
    their case. The rest is as in `FileSettings`.

    Attributes:
        header_row: as the sheet numbers its rows; None: the first row that has the columns.
    """

    name: str
    header_row: int | None = None
    kind: str = "client_record"
    date_formats: tuple[str, ...] = ("%Y-%m-%d",)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    missing_values: frozenset[str] = frozenset({"", "NULL", "null", "N/A"})


@dataclass(frozen=True)
class FileSettings:
    """How to read the files of one source that match `pattern`.

    For `delimited`: `columns` maps a canonical field (see `FIELDS_BY_KIND`) to one column or
    several joined by a space (`LISTED_FIELDS`: kept apart); `codes` maps a canonical field to
    {sent value: our value}; `constants` gives a field one value, for all rows or, where the field
    has columns too, for the rows in which they are empty.
    """

    pattern: str
    format: str
    kind: str = "client_record"
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    """Empty where the file quotes nothing."""
    header: tuple[str, ...] | None = None
    """Column names where the file has no header line."""
    date_formats: tuple[str, ...] = ("%Y-%m-%d",)
    as_at: AsAt | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    """Columns that the header may lack; a missing column that is not optional refuses the file."""
    missing_values: frozenset[str] = frozenset({"", "NULL", "null", "N/A"})
    """Texts that mean "nothing" in any column."""
    snapshot: WholeList | None = None
    record: str | None = None
    """For `xml`: the names of the elements that lead to a record's, from the root on; the columns
    are then paths in a record."""
    collected: bool = False
    """Whether we write these files, from an interface: whole once they have their name, and with
    quotes that are right whatever stands between them."""
    sheets: tuple[SheetSettings, ...] = ()
    """For `excel`: the sheets to read; the first that matches a sheet's name counts."""


Mapped = FileSettings | SheetSettings
"""What says how the columns of a table of rows are mapped to fields."""


@dataclass(frozen=True)
class SourceSettings:
    """One client record system.

    Attributes:
        organisations: ODS codes of the organisations it serves, the first the default custodian.
        keeps_people_apart: the source itself holds two of its records to be two people.
        fresh_hours: after this long without a feed, the source counts as stale.
        time_zone: IANA zone of times sent without one.
        identifier_systems: systems (URIs or assigning authorities) of identifiers this source
            shares with other sources, by the name under which they are kept.
        local_id_system: for FHIR and HL7 v2, the system or assigning authority whose identifier
            is the local id; None takes the resource's id (FHIR) or the first of PID-3 (HL7 v2).
        nhs_number_systems: further names under which NHS numbers arrive.
        identity_change_sign: for FHIR the URL of the Patient extension, for HL7 v2 the Z segment,
            by which the source declares a protected change of identity; None: it declares none.
        interface: where its feeds are collected; None: they are brought to the inbox.
    """

    id: SourceId
    name: str
    organisations: tuple[OdsCode, ...]
    files: tuple[FileSettings, ...]
    keeps_people_apart: bool = True
    fresh_hours: int = 36
    time_zone: str = "Europe/London"
    identifier_systems: Mapping[str, str] = field(default_factory=dict)
    local_id_system: str | None = None
    nhs_number_systems: tuple[str, ...] = ()
    identity_change_sign: str | None = None
    interface: Interface | None = None


@dataclass(frozen=True)
class Organisation:
    """A member of the partnership."""

    code: OdsCode
    name: str
    kind: str


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one bad file from stopping the night. Bytes and seconds."""

    max_unit_bytes: int = 1 << 20
    max_message_bytes: int = 16 << 20
    max_document_bytes: int = 256 << 20
    max_expanded_bytes: int = 8 << 30
    max_expansion_ratio: int = 200
    settle_seconds: float = 2.0
    batch_units: int = 4_000


@dataclass(frozen=True)
class LinkSettings:
    """Thresholds in bits of match weight, and the guard on publication.

    Each limit of the guard is a number and a share of what is published; a run is over it that
    is over both, so that few changes in a small partnership never stop a night.

    Attributes:
        join_bits: at or above, two records may be joined for care.
        review_bits: between this and `join_bits`, a pair becomes a review task.
        accept_test_numbers: NHS numbers of the reserved 999 range count as evidence (a demo
            partnership has no others).
        max_changed_fraction: a run that would join or split more than this share of the published
            persons is held, however few they are; None sets no such limit.
        max_joined, max_joined_fraction: persons that a run may merge into others.
        max_split, max_split_fraction: persons that a run may split.
        max_moved, max_moved_fraction: records that a run may bring to another person.
    """

    join_bits: float = 7.0
    review_bits: float = 1.0
    accept_test_numbers: bool = False
    max_changed_fraction: float | None = None
    max_joined: int = 100
    max_joined_fraction: float = 0.02
    max_split: int = 50
    max_split_fraction: float = 0.01
    max_moved: int = 200
    max_moved_fraction: float = 0.02


@dataclass(frozen=True)
class ReviewSettings:
    """Who reviews what.

    Attributes:
        two_people_above: a decision that would make a person of more records than this needs a
            second person.
        named_staff: accounts that may review restricted persons and colleagues' families.
        undecided_days: for so long a pair that somebody could not decide is left out of the queue.
        double_share: the share of a quality-control sample that two people judge.
        own_records: account → its own records, as SOURCE/LOCAL_ID: it never reviews these persons,
            nor those of their family name at their postcode.
    """

    two_people_above: int = 8
    named_staff: tuple[str, ...] = ()
    undecided_days: int = 30
    double_share: float = 0.2
    own_records: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """The whole of partnership.toml, checked."""

    name: str
    database: str
    demo: bool
    organisations: tuple[Organisation, ...]
    sources: tuple[SourceSettings, ...]
    actors: Mapping[str, str]
    """Operating-system account → role."""
    default_purpose: Mapping[str, str]
    limits: Limits = Limits()
    link: LinkSettings = LinkSettings()
    review: ReviewSettings = ReviewSettings()
    sharing: SharingSettings = field(default_factory=SharingSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    providers: tuple[IdentityProvider, ...] = ()

    def source(self, source_id: str) -> SourceSettings | None:
        """The source of this id, or None."""
        return next((s for s in self.sources if s.id == source_id), None)
