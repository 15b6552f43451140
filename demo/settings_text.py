"""The text of the demo's partnership.toml, written from the same tables as the feeds."""

from __future__ import annotations

import json

from demo.layouts import (
    ACTIONS,
    ITEM_COLUMNS,
    LAYOUTS,
    STAFF_COLUMNS,
    Layout,
    header_of,
    item_files,
)
from demo.partnership import ORGANISATIONS, STAFF_DIRECTORY, SYSTEMS, System
from demo.write_delimited import heading_label
from demo.write_fhir import BUNDLE_SYSTEMS
from demo.write_hl7v2 import SENDERS

DEMO_ROLE = "data_team"
"""The role that the account which made the demo has in it."""

_HEAD = """\
# A synthetic partnership: every organisation, person and number in it is made up.
# Made by `commonthread demo`; docs/demo-partnership.md says what is in it.

[partnership]
name = "Two Rivers Shared Record (demo)"
database = "sqlite:///partnership.db"
demo = true

# Operating-system account = role. The account that made the demo is of the data team.
[actors]
{actor} = "{role}"

# The demo has one reviewer, who is named staff too: see docs/settings.md.
[review]
named_staff = [{actor}]

# Staff are who the staff directory says they are.
[sharing]
staff_directory = "staff_directory"

# The purpose that a command has where none is given.
[default_purpose]
explain = "data-quality"
"person-show" = "data-quality"
"person-export" = "data-quality"

# Thresholds in bits of match weight. The demo's NHS numbers all lie in the 999 range that is kept
# for tests, which a real partnership does not accept as evidence.
[link]
accept_test_numbers = true

# The feeds were written before anybody could read them: none is still growing.
[limits]
settle_seconds = 0
"""

_OUR_GENDERS = {"M": "male", "F": "female", "O": "other", "U": "unknown"}


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False)


def _listed(texts: tuple[str, ...] | list[str]) -> str:
    return "[" + ", ".join(_quoted(t) for t in texts) + "]"


def settings_text(actor: str = "demo") -> str:
    """The whole partnership.toml.

    Args:
        actor: the operating-system account that gets the data team's role.
    """
    parts = [_HEAD.format(actor=_quoted(actor), role=DEMO_ROLE)]
    parts += [
        f"[[organisation]]\ncode = {_quoted(member.code)}\nname = {_quoted(member.name)}\n"
        f"kind = {_quoted(member.kind)}\n"
        for member in ORGANISATIONS
    ]
    parts += [_source(system) for system in SYSTEMS]
    parts.append(_staff_source())
    return "\n".join(parts)


def _source(system: System) -> str:
    lines = [
        "[[source]]",
        f"id = {_quoted(system.id)}",
        f"name = {_quoted(system.name)}",
        f"organisations = {_listed(system.organisations)}",
        f"format = {_quoted(system.format)}",
        f"keeps_people_apart = {'true' if system.keeps_people_apart else 'false'}",
    ]
    files = {"delimited": _delimited_files, "fhir": _fhir_files, "hl7v2": _hl7v2_files}
    sender = SENDERS.get(system.id)
    if sender:
        lines.append(f"local_id_system = {_quoted(sender.authority)}")
    if sender and sender.shared_authority and system.shares:
        lines.append(
            f"identifier_systems = {{ {_quoted(sender.shared_authority)} = "
            f"{_quoted(system.shares)} }}"
        )
    return "\n".join(lines) + "\n" + files[system.format](system)


def _as_at(extension: str) -> str:
    pattern = rf".*_(\d{{8}})\.{extension}"
    return f"as_at = {{ file_name = '{pattern}', format = \"%Y%m%d\" }}"


def _fhir_files(system: System) -> str:
    extension = "json" if system.id in BUNDLE_SYSTEMS else "ndjson"
    return f'\n[[source.file]]\npattern = "*.{extension}"\n{_as_at(extension)}\n'


def _hl7v2_files(system: System) -> str:
    """Messages say their character set themselves (MSH-18)."""
    del system
    return f'\n[[source.file]]\npattern = "*.hl7"\n{_as_at("hl7")}\n'


def _columns(columns: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    """Canonical field → headers, in order; `#n` tells the parts of one field."""
    out: dict[str, list[str]] = {}
    for header, name in columns:
        out.setdefault(name.partition("#")[0], []).append(header)
    return out


def _file(
    pattern: str, kind: str, layout: Layout, columns: tuple[tuple[str, str], ...]
) -> list[str]:
    lines = [
        "",
        "[[source.file]]",
        f"pattern = {_quoted(pattern)}",
        f"kind = {_quoted(kind)}",
        f"delimiter = {_quoted(layout.delimiter)}",
        f"encoding = {_quoted(layout.encoding)}",
        f"date_formats = {_listed([layout.dates])}",
        _as_at(layout.extension),
        "[source.file.columns]",
    ]
    for name, headers in _columns(columns).items():
        value = _quoted(headers[0]) if len(headers) == 1 else _listed(headers)
        lines.append(f"{_quoted(name)} = {value}")
    return lines


def _codes(name: str, codes: dict[str, str]) -> list[str]:
    return [
        f"[source.file.codes.{_quoted(name)}]",
        *(f"{_quoted(sent)} = {_quoted(ours)}" for sent, ours in codes.items()),
    ]


def _delimited_files(system: System) -> str:
    layout = LAYOUTS[system.id]
    pattern = f"{layout.clients}_*.{layout.extension}"
    lines = _file(pattern, "client_record", layout, layout.columns)
    if layout.whole_list:
        lines.insert(lines.index("[source.file.columns]"), "snapshot = true")
    genders = {sent: _OUR_GENDERS[ours] for ours, sent in layout.genders.items()}
    for name in ("gender", "birth_sex"):
        if any(column == name for _, column in layout.columns):
            lines += _codes(name, genders)
    if any(column == "action" for _, column in layout.columns):
        lines += _codes("action", ACTIONS)
    for stem, headings in item_files(system.id).items():
        columns = tuple(
            (header_of(words, layout.headers), name)
            for words, name in ITEM_COLUMNS
            if name != "heading" or len(headings) > 1
        )
        lines += _file(f"{stem}_*.{layout.extension}", "care_item", layout, columns)
        if len(headings) == 1:
            lines += ["[source.file.constants]", f"heading = {_quoted(headings[0])}"]
        else:
            lines += _codes("heading", {heading_label(h): h for h in headings})
    return "\n".join(lines) + "\n"


def _staff_source() -> str:
    layout = Layout((), {})
    codes = tuple(member.code for member in ORGANISATIONS)
    lines = [
        "[[source]]",
        f"id = {_quoted(STAFF_DIRECTORY)}",
        'name = "Staff directory"',
        f"organisations = {_listed(codes)}",
        'format = "delimited"',
        *_file("staff_*.csv", "staff", layout, STAFF_COLUMNS),
    ]
    return "\n".join(lines) + "\n"
