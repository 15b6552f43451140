"""The [[source]] blocks of partnership.toml: how the files of each source are read.

No I/O, save the zone table of the library.

Rules:
- A setting that its file's format does not use is a fault.
- Only fields of the rows' kind are mapped, and all those that they cannot do without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import InvalidValue
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
    Mapped,
    SheetSettings,
    SourceSettings,
    WholeList,
)
from schemas.settings_interfaces import (
    MESSAGES,
    WRITTEN_AS,
    Interface,
    MllpInterface,
    read_interface,
)
from schemas.settings_table import Table


def unique(table: Table, key: str, names: Iterable[str]) -> None:
    entries = [name for name in names if name]
    for twice in sorted({name for name in entries if entries.count(name) > 1}):
        table.fault(key, f"{twice} stands twice")


def ods_code(table: Table, key: str, text: str) -> OdsCode:
    if not text:
        return OdsCode("")
    try:
        return parse_ods_code(text)
    except InvalidValue as error:
        table.fault(key, error.reason)
        return OdsCode("")


COLLECTED = AsAt(re.compile(r"_([0-9]{8}T[0-9]{6}Z)\."), "%Y%m%dT%H%M%S%z")
"""When a file was asked for that an interface wrote (adapters.spool)."""
_SOURCE_ID = re.compile(r"[a-z][a-z0-9_]{0,30}")


def read_source(table: Table, known: set[OdsCode]) -> SourceSettings:
    source_id = table.text("id")
    if source_id and not _SOURCE_ID.fullmatch(source_id):
        table.fault("id", "expected lower-case letters, digits, _; 1 to 31 long")
    fmt = table.choice("format", FORMATS)
    interface = read_interface(table.table("interface"))
    files = tuple(_file(t, fmt, interface) for t in table.tables("file"))
    if interface is not None and not files and fmt != WRITTEN_AS[type(interface)]:
        table.fault("format", f"what this interface collects is {WRITTEN_AS[type(interface)]}")
    if not files and fmt in ("fhir", "hl7v2"):
        files = (_any_file(fmt, interface),)
    if sum(file.snapshot is not None for file in files) > 1:
        table.fault("file", "a source has one whole list; several files have snapshot set")
    if not files:
        table.fault("file", f"a source of format {fmt} needs at least one [[source.file]]")
    source = SourceSettings(
        id=SourceId(source_id),
        name=table.text("name"),
        organisations=_members(table, known),
        files=files,
        keeps_people_apart=table.flag("keeps_people_apart", True),
        fresh_hours=table.whole("fresh_hours", 36, 1, 10_000),
        time_zone=time_zone(table),
        identifier_systems=table.mapping("identifier_systems"),
        local_id_system=table.text("local_id_system", None),
        nhs_number_systems=table.texts("nhs_number_systems"),
        identity_change_sign=_identity_change_sign(table, fmt),
        interface=interface,
    )
    table.done()
    return source


_Z_SEGMENT = re.compile(r"Z[A-Z0-9]{2}")


def _identity_change_sign(table: Table, fmt: str) -> str | None:
    """What tells a protected change of identity, in the form that the format has for it."""
    sign: str | None = table.text("identity_change_sign", None)
    if sign is None:
        return None
    if _USED.get(fmt):
        table.fault("identity_change_sign", f"a file of format {fmt} says it by a row's action")
    elif fmt == "hl7v2" and not _Z_SEGMENT.fullmatch(sign):
        table.fault("identity_change_sign", "expected a Z segment: Z and two letters or digits")
    elif fmt == "fhir" and ":" not in sign:
        table.fault("identity_change_sign", "expected the URL of an extension")
    return sign


def _members(table: Table, known: set[OdsCode]) -> tuple[OdsCode, ...]:
    texts = table.texts("organisations", None)
    if not texts and "organisations" in table.values:
        table.fault("organisations", "expected at least one organisation")
    codes = tuple(ods_code(table, "organisations", text) for text in texts)
    for code in codes:
        if code and code not in known:
            table.fault("organisations", f"{code} is no [[organisation]] here")
    return codes


def time_zone(table: Table) -> str:
    name = table.text("time_zone", "Europe/London")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        table.fault("time_zone", f"{name!r} is no IANA time zone")
        return "Europe/London"
    return name


_ROWS = ("kind", "date_formats", "columns", "codes", "constants", "optional", "missing_values")
"""Settings of how rows are mapped to fields."""
_USED = {
    "delimited": {*_ROWS, "encoding", "delimiter", "quote", "header", "snapshot"},
    "excel": {"sheet", "snapshot"},
    "fhir": set[str](),
    "hl7v2": set[str](),
    "xml": {*_ROWS, "record", "snapshot"},
}
"""The settings that the files of each format use, beside those that all have."""
_FOR_ALL = {"pattern", "format", "as_at"}


def _any_file(fmt: str, interface: Interface | None) -> FileSettings:
    """How files are read of whose form nothing need be said."""
    if interface is None:
        return FileSettings(pattern="*", format=fmt)
    return FileSettings(pattern="*", format=fmt, as_at=COLLECTED, collected=True)


def _file(table: Table, source_format: str, interface: Interface | None) -> FileSettings:
    fmt = table.choice("format", FORMATS, source_format)
    defaults = FileSettings(pattern="*", format=fmt)
    file = FileSettings(
        pattern=_pattern(table),
        format=fmt,
        encoding=_encoding(table),
        delimiter=_one_character(table, "delimiter", defaults.delimiter),
        quote=_one_character(table, "quote", defaults.quote, empty=True),
        header=table.texts("header") or None,
        as_at=COLLECTED if interface else _as_at(table.table("as_at")),
        collected=interface is not None,
        snapshot=_whole_list(table),
        record=table.text("record", None) or None,
        sheets=tuple(_sheet(t) for t in table.tables("sheet")),
        **_mapping(table),
    )
    used = _USED.get(fmt, set())
    if interface is not None:
        _check_collected(table, file, interface)
    if "columns" in used:
        _check_rows(table, file)
        _check_header(table, file)
    if "record" in used:
        _check_paths(table, file)
    if "sheet" in used:
        if not file.sheets:
            table.fault("sheet", "a workbook needs at least one [[source.file.sheet]]")
        unique(table, "sheet", [sheet.name.casefold() for sheet in file.sheets])
    if "snapshot" in used:
        _check_whole_list(table, file)
    for key in table.values:
        if key in table.seen and key not in used | _FOR_ALL:
            table.fault(key, f"a file of format {fmt} has no such setting")
    table.done()
    return file


def _check_collected(table: Table, file: FileSettings, interface: Interface) -> None:
    """That nothing is said of the form of files that we write ourselves."""
    fmt = WRITTEN_AS[type(interface)]
    if file.format != fmt:
        table.fault("format", f"what this interface collects is written as {fmt}")
    if isinstance(interface, MllpInterface) and not fnmatchcase(f"{MESSAGES}_T.hl7", file.pattern):
        table.fault("pattern", f"expected one that fits {MESSAGES}_TIME.hl7")
    form = "with a header, commas and quotes, in UTF-8, and " if fmt == "delimited" else ""
    for key in ("encoding", "delimiter", "quote", "header", "as_at"):
        if key in table.values:
            message = (
                f"not to be set: what an interface collects is written {form}named by the time"
            )
            table.fault(key, message)


def _mapping(table: Table) -> dict[str, Any]:
    """How rows are mapped to fields: what `FileSettings` and `SheetSettings` share."""
    columns, codes = table.table("columns"), table.table("codes")
    defaults = SheetSettings("*")
    return {
        "kind": table.choice("kind", KINDS, defaults.kind),
        "date_formats": _date_formats(table, defaults.date_formats),
        "columns": {key: columns.texts(key) for key in columns.values},
        "codes": {key: codes.mapping(key) for key in codes.values},
        "constants": table.mapping("constants"),
        "optional": frozenset(table.texts("optional")),
        "missing_values": frozenset(table.texts("missing_values", tuple(defaults.missing_values))),
    }


def _sheet(table: Table) -> SheetSettings:
    row = table.whole("header_row", 0, 1, 1_048_576) if "header_row" in table.values else None
    sheet = SheetSettings(name=table.text("name"), header_row=row, **_mapping(table))
    _check_rows(table, sheet)
    table.done()
    return sheet


def _check_rows(table: Table, rows: Mapped) -> None:
    _check_mapped(table, rows)
    _check_codes(table, rows)
    _check_columns(table, rows)


def _check_mapped(table: Table, file: Mapped) -> None:
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


def _check_codes(table: Table, file: Mapped) -> None:
    """That code tables and constants lead to codes that their field can hold."""
    for name, allowed in CODE_LISTS.items():
        ours = sorted(set(file.codes.get(name, {}).values()) - allowed)
        if ours:
            table.fault(f"codes.{name}", f"{', '.join(ours)}: no code of this field")
        if name in file.constants and file.constants[name] not in allowed:
            table.fault(f"constants.{name}", f"{file.constants[name]!r} is no code of this field")


def _check_columns(table: Table, file: Mapped) -> None:
    """That fields have columns, and that optional columns are mapped."""
    for name, columns in file.columns.items():
        if not columns or not all(columns):
            table.fault(f"columns.{name}", "expected the names of one or more columns")
    for column in sorted(file.optional - _columns_of(file)):
        table.fault("optional", f"no field is mapped to {column!r}")


def _columns_of(file: Mapped) -> set[str]:
    return {column for columns in file.columns.values() for column in columns}


def _check_header(table: Table, file: FileSettings) -> None:
    """That a declared header has the mapped columns."""
    if file.header:
        unique(table, "header", file.header)
        for column in sorted(_columns_of(file) - set(file.header) - file.optional):
            table.fault("header", f"column {column!r} is mapped but not in the header")
    if file.delimiter == file.quote:
        table.fault("quote", "must differ from the delimiter")


_ELEMENT = r"[^\W\d][\w.\-]*"
_RECORD = re.compile(rf"{_ELEMENT}(/{_ELEMENT})*")
_STEP = rf"{_ELEMENT}(\[([1-9][0-9]?|@{_ELEMENT}='[^'\"\]]*')\])*"
_PATH = re.compile(rf"({_STEP}/)*({_STEP}|@{_ELEMENT})")


def _check_paths(table: Table, file: FileSettings) -> None:
    """That the record and the columns are paths."""
    if file.record is None or not _RECORD.fullmatch(file.record):
        table.fault("record", "expected the names of elements from the root on, as in A/B/C")
    for column in sorted(_columns_of(file)):
        if not _PATH.fullmatch(column):
            table.fault("columns", f"{column!r} is no path in a record, as A/B, A[2]/B or A/@b")


def _check_whole_list(table: Table, file: FileSettings) -> None:
    if file.snapshot is None:
        return
    parts: tuple[Mapped, ...] = file.sheets or (file,)
    if all(part.kind != "client_record" for part in parts):
        table.fault("snapshot", "only a client_record file can be a source's whole list")
    if file.as_at is None:
        table.fault("snapshot", "a whole list must say in its name of when it is: set as_at")
    if any("as_at" in {*part.columns, *part.constants} for part in parts):
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
