"""Reads partnership.toml: text in, frozen settings out. No I/O, save the zone table of the library.

Rules:
- Every fault is found and reported at once, each with its place (`source[2].file[0].columns`).
- An unknown key is a fault: a misspelt setting must not silently fall back to its default.
- A setting that its file's format does not use is a fault for the same reason.
- No settings are built while any fault stands.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.codes import PURPOSES
from schemas.errors import InvalidValue, SettingsError
from schemas.identifiers import OdsCode, SourceId, parse_ods_code
from schemas.settings import (
    CODE_LISTS,
    FIELDS_BY_KIND,
    FORMATS,
    IDENTITY_FIELDS,
    KINDS,
    LISTED_FIELDS,
    OPEN_FIELDS,
    REQUIRED_BY_KIND,
    AsAt,
    FileSettings,
    Limits,
    LinkSettings,
    Organisation,
    ReviewSettings,
    Settings,
    SourceSettings,
    WholeList,
)
from schemas.settings_api_file import read_api, read_provider
from schemas.settings_audit import read_audit
from schemas.settings_sharing import read_sharing
from schemas.settings_table import Checker, Table


def parse_settings(text: str, where: str = "partnership.toml") -> Settings:
    """Settings from the text of partnership.toml. Raises: SettingsError with every fault."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(where, [f"not TOML: {error}"]) from None
    checker = Checker()
    settings = _settings(Table(document, "", checker))
    if checker.faults:
        raise SettingsError(where, checker.faults)
    return settings


def _settings(root: Table) -> Settings:
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
    providers = tuple(read_provider(t) for t in root.tables("identity_provider"))
    _unique(root, "identity_provider", [p.issuer for p in providers])
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
        review=_review(root.table("review"), {s.id for s in sources}),
        sharing=read_sharing(root.table("sharing"), {s.id for s in sources}, known),
        api=read_api(root.table("api")),
        audit=read_audit(root.table("audit"), _time_zone),
        providers=providers,
    )
    root.done()
    return settings


def _unique(table: Table, key: str, names: Iterable[str]) -> None:
    entries = [name for name in names if name]
    for twice in sorted({name for name in entries if entries.count(name) > 1}):
        table.fault(key, f"{twice} stands twice")


def _purposes(root: Table) -> dict[str, str]:
    purposes = root.mapping("default_purpose")
    for command, purpose in purposes.items():
        if purpose not in PURPOSES:
            root.fault(f"default_purpose.{command}", f"expected one of {', '.join(PURPOSES)}")
    return purposes


def _organisation(table: Table) -> Organisation:
    code = _ods(table, "code", table.text("code"))
    organisation = Organisation(code, table.text("name"), table.text("kind"))
    table.done()
    return organisation


def _ods(table: Table, key: str, text: str) -> OdsCode:
    if not text:
        return OdsCode("")
    try:
        return parse_ods_code(text)
    except InvalidValue as error:
        table.fault(key, error.reason)
        return OdsCode("")


_SOURCE_ID = re.compile(r"[a-z][a-z0-9_]{0,30}")


def _source(table: Table, known: set[OdsCode]) -> SourceSettings:
    source_id = table.text("id")
    if source_id and not _SOURCE_ID.fullmatch(source_id):
        table.fault("id", "expected lower-case letters, digits, _; 1 to 31 long")
    fmt = table.choice("format", FORMATS)
    files = tuple(_file(t, fmt) for t in table.tables("file"))
    if not files and fmt in ("fhir", "hl7v2"):
        files = (FileSettings(pattern="*", format=fmt),)
    if sum(file.snapshot is not None for file in files) > 1:
        table.fault("file", "a source has one whole list; several files have snapshot set")
    if not files:
        table.fault("file", "a delimited source needs at least one [[source.file]]")
    source = SourceSettings(
        id=SourceId(source_id),
        name=table.text("name"),
        organisations=_members(table, known),
        files=files,
        keeps_people_apart=table.flag("keeps_people_apart", True),
        fresh_hours=table.whole("fresh_hours", 36, 1, 10_000),
        time_zone=_time_zone(table),
        identifier_systems=table.mapping("identifier_systems"),
        local_id_system=table.text("local_id_system", None),
        nhs_number_systems=table.texts("nhs_number_systems"),
        identity_change_sign=_identity_change_sign(table, fmt),
    )
    table.done()
    return source


_Z_SEGMENT = re.compile(r"Z[A-Z0-9]{2}")


def _identity_change_sign(table: Table, fmt: str) -> str | None:
    """What tells a protected change of identity, in the form that the format has for it."""
    sign: str | None = table.text("identity_change_sign", None)
    if sign is None:
        return None
    if fmt == "delimited":
        table.fault("identity_change_sign", "a delimited file says it by the action of a row")
    elif fmt == "hl7v2" and not _Z_SEGMENT.fullmatch(sign):
        table.fault("identity_change_sign", "expected a Z segment: Z and two letters or digits")
    elif fmt == "fhir" and ":" not in sign:
        table.fault("identity_change_sign", "expected the URL of an extension")
    return sign


def _members(table: Table, known: set[OdsCode]) -> tuple[OdsCode, ...]:
    texts = table.texts("organisations", None)
    if not texts and "organisations" in table.values:
        table.fault("organisations", "expected at least one organisation")
    codes = tuple(_ods(table, "organisations", text) for text in texts)
    for code in codes:
        if code and code not in known:
            table.fault("organisations", f"{code} is no [[organisation]] here")
    return codes


def _time_zone(table: Table) -> str:
    name = table.text("time_zone", "Europe/London")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        table.fault("time_zone", f"{name!r} is no IANA time zone")
        return "Europe/London"
    return name


_DELIMITED_ONLY = (
    "kind", "encoding", "delimiter", "quote", "header", "date_formats", "columns", "codes",
    "constants", "optional", "missing_values", "snapshot",
)  # fmt: skip


def _file(table: Table, source_format: str) -> FileSettings:
    fmt = table.choice("format", FORMATS, source_format)
    kind = table.choice("kind", KINDS, "client_record")
    columns_table = table.table("columns")
    columns = {key: columns_table.texts(key) for key in columns_table.values}
    codes_table = table.table("codes")
    defaults = FileSettings(pattern="*", format=fmt)
    file = FileSettings(
        pattern=_pattern(table),
        format=fmt,
        kind=kind,
        encoding=_encoding(table),
        delimiter=_one_character(table, "delimiter", defaults.delimiter),
        quote=_one_character(table, "quote", defaults.quote, empty=True),
        header=table.texts("header") or None,
        date_formats=_date_formats(table, defaults.date_formats),
        as_at=_as_at(table.table("as_at")),
        columns=columns,
        codes={key: codes_table.mapping(key) for key in codes_table.values},
        constants=table.mapping("constants"),
        optional=frozenset(table.texts("optional")),
        missing_values=frozenset(table.texts("missing_values", tuple(defaults.missing_values))),
        snapshot=_whole_list(table),
    )
    if fmt == "delimited":
        _check_mapped(table, file)
        _check_codes(table, file)
        _check_columns(table, file)
        _check_whole_list(table, file)
    for key in _DELIMITED_ONLY if fmt in ("fhir", "hl7v2") else ():
        if key in table.values:
            table.fault(key, f"a file of format {fmt} has no such setting")
    table.done()
    return file


def _check_mapped(table: Table, file: FileSettings) -> None:
    """That only fields of the file's kind are mapped, and all those it cannot do without."""
    fields, open_fields = FIELDS_BY_KIND[file.kind], OPEN_FIELDS[file.kind]
    for key, names in (
        ("columns", file.columns),
        ("codes", file.codes),
        ("constants", file.constants),
    ):
        for name in names:
            prefix = next((p for p in open_fields if name.startswith(p)), name)
            if name not in fields and (prefix not in open_fields or name == prefix):
                table.fault(key, f"{name!r} is no field of a {file.kind} file")
    if "action" in file.constants:
        table.fault("constants", "'action' cannot be the same in all rows")
    for name in REQUIRED_BY_KIND[file.kind]:
        if name not in file.columns and (name in IDENTITY_FIELDS or name not in file.constants):
            table.fault("columns", f"a {file.kind} file must map {name!r}")
    for name in sorted(set(file.constants) & set(IDENTITY_FIELDS)):
        table.fault("constants", f"{name!r} cannot be the same in all rows")
    for name in sorted(set(file.constants) & set(file.columns) & set(LISTED_FIELDS)):
        table.fault("constants", f"{name!r} has columns; it takes those or a constant")
    if file.kind == "care_item" and not {"heading"} & {*file.columns, *file.constants}:
        table.fault("constants.heading", "a care_item file must say its heading")


def _check_codes(table: Table, file: FileSettings) -> None:
    """That code tables and constants lead to codes that their field can hold."""
    for name, allowed in CODE_LISTS.items():
        ours = sorted(set(file.codes.get(name, {}).values()) - allowed)
        if ours:
            table.fault(f"codes.{name}", f"{', '.join(ours)}: no code of this field")
        if name in file.constants and file.constants[name] not in allowed:
            table.fault(f"constants.{name}", f"{file.constants[name]!r} is no code of this field")


def _check_columns(table: Table, file: FileSettings) -> None:
    """That the columns, the header and the optional columns speak of the same names."""
    for name, columns in file.columns.items():
        if not columns or not all(columns):
            table.fault(f"columns.{name}", "expected the names of one or more columns")
    mapped = {column for columns in file.columns.values() for column in columns}
    for column in sorted(file.optional - mapped):
        table.fault("optional", f"no field is mapped to {column!r}")
    if file.header:
        _unique(table, "header", file.header)
        for column in sorted(mapped - set(file.header) - file.optional):
            table.fault("header", f"column {column!r} is mapped but not in the header")
    if file.delimiter == file.quote:
        table.fault("quote", "must differ from the delimiter")


def _check_whole_list(table: Table, file: FileSettings) -> None:
    if file.snapshot is None:
        return
    if file.kind != "client_record":
        table.fault("snapshot", "only a client_record file can be a source's whole list")
    if file.as_at is None:
        table.fault("snapshot", "a whole list must say in its name of when it is: set as_at")
    if "as_at" in {*file.columns, *file.constants}:
        table.fault("snapshot", "all rows of a whole list stood so at one moment: map no 'as_at'")


def _whole_list(table: Table) -> WholeList | None:
    """`snapshot = true`, or a table of its limits."""
    if not isinstance(table.values.get("snapshot"), dict):
        return WholeList() if table.flag("snapshot", False) else None
    limits, d = table.table("snapshot"), WholeList()
    whole_list = WholeList(
        max_withdrawn=limits.number("max_withdrawn", d.max_withdrawn, 0, 1),
        max_quarantined=limits.number("max_quarantined", d.max_quarantined, 0, 1),
    )
    limits.done()
    return whole_list


def _pattern(table: Table) -> str:
    pattern = table.text("pattern", "*")
    if not pattern or "/" in pattern:
        table.fault("pattern", "expected a pattern for file names, without folders")
    return pattern


def _encoding(table: Table) -> str:
    """An encoding whose line ends can be found before decoding, or UTF-16."""
    name = table.text("encoding", "utf-8")
    try:
        fits = "\n".encode(name) == b"\n" or name.lower().replace("_", "-").startswith("utf-16")
    except (LookupError, ValueError):
        table.fault("encoding", f"{name!r} is no known encoding")
        return "utf-8"
    if not fits:
        table.fault("encoding", f"{name!r} is not supported: its line ends are not those of ASCII")
        return "utf-8"
    return name


def _one_character(table: Table, key: str, default: str, empty: bool = False) -> str:
    value = table.text(key, default)
    if (len(value) != 1 and not (empty and not value)) or value in ("\n", "\r", "\0"):
        table.fault(key, "expected one character, and no line end")
        return default
    return value


_SAMPLE = datetime(2001, 2, 28, 13, 5, 9, tzinfo=UTC)


def _works(fmt: str) -> bool:
    """Whether text written in the format can be read back by it."""
    try:
        datetime.strptime(_SAMPLE.strftime(fmt), fmt)  # noqa: DTZ007 - only the form is tried
    except ValueError:
        return False
    return True


def _date_formats(table: Table, default: tuple[str, ...]) -> tuple[str, ...]:
    formats = table.texts("date_formats", default)
    if not formats:
        table.fault("date_formats", "expected at least one format")
    for fmt in formats:
        if "%y" in fmt or "%Y" not in fmt:
            table.fault("date_formats", "a format needs a four-digit year (%Y)")
        elif not _works(fmt) or ("%d" in fmt and not re.search("%[mbB]", fmt)):
            table.fault("date_formats", f"{fmt!r} is no format of a date")
    return formats


def _as_at(table: Table) -> AsAt | None:
    if not table.values:
        return None
    pattern, fmt = table.text("file_name"), table.text("format", "%Y%m%d")
    table.done()
    if not _works(fmt) or not re.search("%[Yy]", fmt):
        table.fault("format", f"{fmt!r} is no format of a date")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        table.fault("file_name", f"not a regular expression: {error}")
        return None
    if compiled.groups != 1:
        table.fault("file_name", "expected exactly one group, around the date")
        return None
    return AsAt(compiled, fmt)


def _limits(table: Table) -> Limits:
    d = Limits()
    limits = Limits(
        max_unit_bytes=table.whole("max_unit_bytes", d.max_unit_bytes, 1024, 1 << 30),
        max_message_bytes=table.whole("max_message_bytes", d.max_message_bytes, 1024, 1 << 30),
        max_document_bytes=table.whole("max_document_bytes", d.max_document_bytes, 1024, 1 << 32),
        max_expanded_bytes=table.whole("max_expanded_bytes", d.max_expanded_bytes, 1024, 1 << 40),
        max_expansion_ratio=table.whole("max_expansion_ratio", d.max_expansion_ratio, 2, 100_000),
        settle_seconds=table.number("settle_seconds", d.settle_seconds, 0, 3600),
        batch_units=table.whole("batch_units", d.batch_units, 1, 1_000_000),
    )
    table.done()
    return limits


_MOST = 1_000_000_000


def _link(table: Table) -> LinkSettings:
    d = LinkSettings()
    guarded = "max_changed_fraction" in table.values
    link = LinkSettings(
        join_bits=table.number("join_bits", d.join_bits, -50, 100),
        review_bits=table.number("review_bits", d.review_bits, -50, 100),
        accept_test_numbers=table.flag("accept_test_numbers", d.accept_test_numbers),
        max_changed_fraction=table.number("max_changed_fraction", 1, 0, 1) if guarded else None,
        max_joined=table.whole("max_joined", d.max_joined, 0, _MOST),
        max_joined_fraction=table.number("max_joined_fraction", d.max_joined_fraction, 0, 1),
        max_split=table.whole("max_split", d.max_split, 0, _MOST),
        max_split_fraction=table.number("max_split_fraction", d.max_split_fraction, 0, 1),
        max_moved=table.whole("max_moved", d.max_moved, 0, _MOST),
        max_moved_fraction=table.number("max_moved_fraction", d.max_moved_fraction, 0, 1),
    )
    table.done()
    if link.review_bits > link.join_bits:
        table.fault("review_bits", "must not be above join_bits")
    return link


def _review(table: Table, sources: set[SourceId]) -> ReviewSettings:
    d = ReviewSettings()
    own = table.table("own_records")
    review = ReviewSettings(
        two_people_above=table.whole("two_people_above", d.two_people_above, 1, 10_000),
        named_staff=table.texts("named_staff", d.named_staff),
        undecided_days=table.whole("undecided_days", d.undecided_days, 1, 3_650),
        double_share=table.number("double_share", d.double_share, 0, 1),
        own_records={account: own.texts(account) for account in own.values},
    )
    table.done()
    for account, records in review.own_records.items():
        for record in records:
            source, slash, local_id = record.partition("/")
            if not slash or not local_id or source not in sources:
                own.fault(account, "expected records as SOURCE/LOCAL_ID, of a source in this file")
    return review
