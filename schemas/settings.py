"""What partnership.toml says, checked. Text in, frozen settings out; no I/O.

Rules:
- Every fault is found and reported at once, each with its place (`source[2].file[0].columns`).
- An unknown key is a fault: a misspelt setting must not silently fall back to its default.
- No settings are built while any fault stands.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.codes import PURPOSES
from schemas.errors import InvalidValue, SettingsError
from schemas.identifiers import OdsCode, SourceId, parse_ods_code
from schemas.items import Heading

FORMATS = ("delimited", "fhir", "hl7v2")
KINDS = ("client_record", "care_item", "staff")
"""What the rows of a delimited file are."""

RECORD_FIELDS = (
    "local_id", "nhs_number", "nhs_number_status", "nhs_number_traced_on",
    "name.prefix", "name.given", "name.family", "name.suffix", "name.previous_family",
    "name.known_as", "name.full", "birth_date", "gender", "birth_sex", "ethnicity",
    "address.line", "address.full", "address.postcode", "address.uprn",
    "previous_address.line", "previous_address.postcode",
    "phone", "mobile", "email", "gp_practice", "organisation", "death_date", "deceased",
    "restricted", "replaced_by", "as_at",
)  # fmt: skip
"""Fields a client-record file can map columns to; also `identifier.SYSTEM` and `detail.NAME`."""
ITEM_FIELDS = (
    "local_id", "item_id", "heading", "code", "display", "text", "status", "start", "end",
    "recorded_at", "author", "organisation", "sensitivity", "as_at",
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
_OPEN_FIELDS = {
    "client_record": ("identifier.", "detail."),
    "care_item": ("detail.",),
    "staff": ("detail.",),
}


@dataclass(frozen=True)
class AsAt:
    """Where a file says when it stood so: the first group of `file_name`, read by `format`."""

    file_name: re.Pattern[str]
    format: str


@dataclass(frozen=True)
class FileSettings:
    """How to read the files of one source that match `pattern`.

    For `delimited`: `columns` maps a canonical field (see `FIELDS_BY_KIND`) to one column or
    several joined by a space (for `address.line`: kept as separate lines); `codes` maps a
    canonical field to {sent value: our value}; `constants` gives a field one value for all rows.
    """

    pattern: str
    format: str
    kind: str = "client_record"
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
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

    Attributes:
        join_bits: at or above, two records may be joined for care.
        review_bits: between this and `join_bits`, a pair becomes a review task.
        accept_test_numbers: NHS numbers of the reserved 999 range count as evidence (a demo
            partnership has no others).
        max_changed_fraction: a run that would change more than this share of the published
            persons stops and asks; None lets it through.
    """

    join_bits: float = 12.0
    review_bits: float = 4.0
    accept_test_numbers: bool = False
    max_changed_fraction: float | None = None


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

    def source(self, source_id: str) -> SourceSettings | None:
        """The source of this id, or None."""
        return next((s for s in self.sources if s.id == source_id), None)


def parse_settings(text: str, where: str = "partnership.toml") -> Settings:
    """Settings from the text of partnership.toml. Raises: SettingsError with every fault."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(where, [f"not TOML: {error}"]) from None
    checker = _Checker()
    settings = _settings(_Table(document, "", checker))
    if checker.faults:
        raise SettingsError(where, checker.faults)
    return settings


class _Checker:
    """Collects faults."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def fault(self, where: str, what: str) -> None:
        self.faults.append(f"{where}: {what}" if where else what)


class _Table:
    """One TOML table being read: typed getters that collect faults instead of raising."""

    def __init__(self, values: Mapping[str, Any], where: str, checker: _Checker) -> None:
        self.values, self.where, self.checker = values, where, checker
        self.seen: set[str] = set()

    def at(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def get(self, key: str, kind: type | tuple[type, ...], default: Any, expected: str) -> Any:
        self.seen.add(key)
        if key not in self.values:
            if default is ...:
                self.checker.fault(self.at(key), f"missing; expected {expected}")
                return None
            return default
        value = self.values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.checker.fault(self.at(key), f"expected {expected}; got {type(value).__name__}")
            return None if default is ... else default
        return value

    def text(self, key: str, default: Any = ...) -> str:
        value = self.get(key, str, default, "text")
        return value if value is not None or default is None else ""

    def flag(self, key: str, default: bool) -> bool:
        return bool(self.get(key, bool, default, "true or false"))

    def number(self, key: str, default: float, low: float, high: float) -> float:
        value = self.get(key, (int, float), default, "a number")
        if not low <= value <= high:
            self.checker.fault(self.at(key), f"expected {low:g} to {high:g}; got {value:g}")
            return default
        return float(value)

    def texts(self, key: str, default: tuple[str, ...] | None = ()) -> tuple[str, ...]:
        value = self.get(
            key, (str, list), default if default is not None else ..., "text or a list of texts"
        )
        entries = [value] if isinstance(value, str) else list(value or ())
        if not all(isinstance(v, str) for v in entries):
            self.checker.fault(self.at(key), "expected a list of texts")
            return default or ()
        return tuple(entries)

    def choice(self, key: str, choices: tuple[str, ...], default: Any = ...) -> str:
        value = self.text(key, default)
        if value and value not in choices:
            self.checker.fault(self.at(key), f"expected one of {', '.join(choices)}")
            return choices[0]
        return value

    def mapping(self, key: str) -> dict[str, str]:
        table = self.get(key, dict, {}, "a table of texts")
        bad = [k for k, v in table.items() if not isinstance(v, str)]
        if bad:
            self.checker.fault(self.at(key), f"expected texts; {', '.join(bad)} are not")
        return {k: v for k, v in table.items() if isinstance(v, str)}

    def table(self, key: str) -> _Table:
        return _Table(self.get(key, dict, {}, "a table"), self.at(key), self.checker)

    def tables(self, key: str) -> list[_Table]:
        entries = self.get(key, list, [], "a list of tables")
        if not all(isinstance(e, dict) for e in entries):
            self.checker.fault(self.at(key), "expected a list of tables ([[...]])")
            return []
        return [_Table(e, f"{self.at(key)}[{n}]", self.checker) for n, e in enumerate(entries)]

    def done(self) -> None:
        for key in sorted(set(self.values) - self.seen):
            self.checker.fault(self.at(key), "unknown setting")


def _settings(root: _Table) -> Settings:
    head = root.table("partnership")
    name = head.text("name")
    database = head.text("database", "sqlite:///partnership.db")
    demo = head.flag("demo", False)
    head.done()
    organisations = tuple(_organisation(t) for t in root.tables("organisation"))
    known = {o.code for o in organisations}
    sources = tuple(_source(t, known) for t in root.tables("source"))
    _unique(root, "source", [s.id for s in sources])
    _unique(root, "organisation", [o.code for o in organisations])
    settings = Settings(
        name=name,
        database=database,
        demo=demo,
        organisations=organisations,
        sources=sources,
        actors=root.mapping("actors"),
        default_purpose=_purposes(root),
        limits=_limits(root.table("limits")),
        link=_link(root.table("link")),
    )
    root.done()
    return settings


def _unique(root: _Table, what: str, ids: list[Any]) -> None:
    for twice in sorted({i for i in ids if ids.count(i) > 1}):
        root.checker.fault(what, f"{twice} stands twice")


def _purposes(root: _Table) -> dict[str, str]:
    purposes = root.mapping("default_purpose")
    for command, purpose in purposes.items():
        if purpose not in PURPOSES:
            root.checker.fault(
                f"default_purpose.{command}", f"expected one of {', '.join(PURPOSES)}"
            )
    return purposes


def _organisation(table: _Table) -> Organisation:
    code = _ods(table, "code", table.text("code"))
    organisation = Organisation(code, table.text("name"), table.text("kind"))
    table.done()
    return organisation


def _ods(table: _Table, key: str, text: str) -> OdsCode:
    try:
        return parse_ods_code(text)
    except InvalidValue as error:
        table.checker.fault(table.at(key), error.reason)
        return OdsCode("")


_SOURCE_ID = re.compile(r"[a-z][a-z0-9_]{0,30}")


def _source(table: _Table, known: set[OdsCode]) -> SourceSettings:
    source_id = table.text("id")
    if not _SOURCE_ID.fullmatch(source_id):
        table.checker.fault(table.at("id"), "expected lower-case letters, digits, _; 1 to 31 long")
    codes = tuple(_ods(table, "organisations", c) for c in table.texts("organisations", None))
    for code in codes:
        if code and code not in known:
            table.checker.fault(table.at("organisations"), f"{code} is no [[organisation]] here")
    fmt = table.choice("format", FORMATS)
    files = tuple(_file(t, fmt) for t in table.tables("file"))
    if not files and fmt in ("fhir", "hl7v2"):
        files = (FileSettings(pattern="*", format=fmt),)
    if not files:
        table.checker.fault(
            table.at("file"), "a delimited source needs at least one [[source.file]]"
        )
    source = SourceSettings(
        id=SourceId(source_id),
        name=table.text("name"),
        organisations=codes,
        files=files,
        keeps_people_apart=table.flag("keeps_people_apart", True),
        fresh_hours=int(table.number("fresh_hours", 36, 1, 10_000)),
        time_zone=table.text("time_zone", "Europe/London"),
        identifier_systems=table.mapping("identifier_systems"),
        local_id_system=table.text("local_id_system", None),
        nhs_number_systems=table.texts("nhs_number_systems"),
    )
    table.done()
    return source


def _file(table: _Table, source_format: str) -> FileSettings:
    fmt = table.choice("format", FORMATS, source_format)
    kind = table.choice("kind", KINDS, "client_record")
    columns_table = table.table("columns")
    columns = {key: columns_table.texts(key) for key in columns_table.values}
    codes_table = table.table("codes")
    codes = {key: codes_table.mapping(key) for key in codes_table.values}
    constants = table.mapping("constants")
    if fmt == "delimited":
        _check_fields(table, kind, columns, codes, constants)
    defaults = FileSettings(pattern="*", format=fmt)
    header = table.texts("header")
    file = FileSettings(
        pattern=table.text("pattern", "*"),
        format=fmt,
        kind=kind,
        encoding=_encoding(table),
        delimiter=_one_character(table, "delimiter", defaults.delimiter),
        quote=_one_character(table, "quote", defaults.quote),
        header=header or None,
        date_formats=_date_formats(table, defaults.date_formats),
        as_at=_as_at(table.table("as_at")),
        columns=columns,
        codes=codes,
        constants=constants,
        optional=frozenset(table.texts("optional")),
        missing_values=frozenset(table.texts("missing_values", tuple(defaults.missing_values))),
    )
    table.done()
    return file


def _check_fields(
    table: _Table,
    kind: str,
    columns: Mapping[str, tuple[str, ...]],
    codes: Mapping[str, Mapping[str, str]],
    constants: Mapping[str, str],
) -> None:
    fields, open_fields = FIELDS_BY_KIND[kind], _OPEN_FIELDS[kind]
    for name in [*columns, *codes, *constants]:
        if name not in fields and not name.startswith(open_fields):
            table.checker.fault(table.at("columns"), f"{name!r} is no field of a {kind} file")
    for name in REQUIRED_BY_KIND[kind]:
        if name not in columns and name not in constants:
            table.checker.fault(table.at("columns"), f"a {kind} file must map {name!r}")
    headings = (
        {constants["heading"]} if "heading" in constants else set(codes.get("heading", {}).values())
    )
    for heading in sorted(headings - {h.value for h in Heading}):
        table.checker.fault(table.at("constants.heading"), f"{heading!r} is no heading")
    if kind == "care_item" and "heading" not in columns and "heading" not in constants:
        table.checker.fault(table.at("constants.heading"), "a care_item file must say its heading")


def _encoding(table: _Table) -> str:
    name = table.text("encoding", "utf-8")
    try:
        "".encode(name)
    except LookupError:
        table.checker.fault(table.at("encoding"), f"{name!r} is no known encoding")
        return "utf-8"
    return name


def _one_character(table: _Table, key: str, default: str) -> str:
    value = table.text(key, default)
    if len(value) != 1:
        table.checker.fault(table.at(key), "expected one character")
        return default
    return value


def _date_formats(table: _Table, default: tuple[str, ...]) -> tuple[str, ...]:
    formats = table.texts("date_formats", default)
    for fmt in formats:
        if "%y" in fmt or "%Y" not in fmt:
            table.checker.fault(table.at("date_formats"), "a format needs a four-digit year (%Y)")
            return default
    return formats


def _as_at(table: _Table) -> AsAt | None:
    if not table.values:
        return None
    pattern, fmt = table.text("file_name"), table.text("format", "%Y%m%d")
    table.done()
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        table.checker.fault(table.at("file_name"), f"not a regular expression: {error}")
        return None
    if compiled.groups != 1:
        table.checker.fault(table.at("file_name"), "expected exactly one group, around the date")
        return None
    return AsAt(compiled, fmt)


def _limits(table: _Table) -> Limits:
    d = Limits()
    limits = Limits(
        max_unit_bytes=int(table.number("max_unit_bytes", d.max_unit_bytes, 1024, 1 << 30)),
        max_message_bytes=int(
            table.number("max_message_bytes", d.max_message_bytes, 1024, 1 << 30)
        ),
        max_document_bytes=int(
            table.number("max_document_bytes", d.max_document_bytes, 1024, 1 << 32)
        ),
        max_expanded_bytes=int(
            table.number("max_expanded_bytes", d.max_expanded_bytes, 1024, 1 << 40)
        ),
        max_expansion_ratio=int(
            table.number("max_expansion_ratio", d.max_expansion_ratio, 2, 100_000)
        ),
        settle_seconds=table.number("settle_seconds", d.settle_seconds, 0, 3600),
        batch_units=int(table.number("batch_units", d.batch_units, 1, 1_000_000)),
    )
    table.done()
    return limits


def _link(table: _Table) -> LinkSettings:
    d = LinkSettings()
    fraction = table.number("max_changed_fraction", -1.0, -1.0, 1.0)
    link = LinkSettings(
        join_bits=table.number("join_bits", d.join_bits, -50, 100),
        review_bits=table.number("review_bits", d.review_bits, -50, 100),
        accept_test_numbers=table.flag("accept_test_numbers", d.accept_test_numbers),
        max_changed_fraction=None if fraction < 0 else fraction,
    )
    table.done()
    if link.review_bits > link.join_bits:
        table.checker.fault(table.at("review_bits"), "must not be above join_bits")
    return link
