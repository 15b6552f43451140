"""Delimited feeds: clients, care items and staff, in each system's own layout.

Rules:
- The layout table (layouts.py) says which column holds which field; values are rendered here.
- Quoting follows RFC 4180; line ends are CRLF as most exports have them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path

from demo.files import STAMP, write_feed
from demo.items import Items
from demo.layouts import ITEM_COLUMNS, LAYOUTS, STAFF_COLUMNS, Layout, header_of, item_files
from demo.names import Texts
from demo.partnership import STAFF_DIRECTORY
from demo.records import View
from demo.staff import Staff

_ROWS_PER_PIECE = 5_000

Rendered = list[str]
"""One column, ready to write."""


@lru_cache(maxsize=100_000)
def render_date(day: str, fmt: str) -> str:
    """An ISO date in a system's format; empty stays empty."""
    return date.fromisoformat(day).strftime(fmt) if day else ""


def _dates(column: Texts, layout: Layout) -> Rendered:
    return [render_date(day, layout.dates) for day in column]


def _number(column: Texts, layout: Layout) -> Rendered:
    if not layout.spaced_numbers:
        return list(column)
    return [f"{n[:3]} {n[3:6]} {n[6:]}" if n else "" for n in column]


def _coded(column: Texts, layout: Layout) -> Rendered:
    return [layout.genders[code] if code else "" for code in column]


def _family(column: Texts, layout: Layout) -> Rendered:
    if layout.capitals == "upper":
        return [name.upper() for name in column]
    if layout.capitals == "mixed":
        return [_mixed_case(name, n) for n, name in enumerate(column)]
    return list(column)


def _mixed_case(name: str, nth: int) -> str:
    """As a hand-kept list has it: mostly right, some all capitals, some all small."""
    return name.upper() if nth % 7 == 3 else name.lower() if nth % 11 == 5 else name


def _given(column: Texts, layout: Layout) -> Rendered:
    if layout.capitals == "mixed":
        return [_mixed_case(name, n + 2) for n, name in enumerate(column)]
    return list(column)


def _as_is(column: Texts, layout: Layout) -> Rendered:
    del layout
    return list(column)


def _moment(column: Texts, layout: Layout) -> Rendered:
    del layout
    return [moment.replace("T", " ") for moment in column]


_FIELDS: dict[str, tuple[str, Callable[[Texts, Layout], Rendered]]] = {
    "local_id": ("local_id", _as_is),
    "nhs_number": ("nhs", _number),
    "nhs_number_status": ("nhs_status", _as_is),
    "nhs_number_traced_on": ("traced_on", _dates),
    "name.prefix": ("prefix", _as_is),
    "name.given#1": ("given", _given),
    "name.given#2": ("middle", _given),
    "name.family": ("family", _family),
    "name.previous_family": ("previous_family", _family),
    "name.known_as": ("known_as", _as_is),
    "birth_date": ("birth", _dates),
    "gender": ("gender", _coded),
    "birth_sex": ("birth_sex", _coded),
    "ethnicity": ("ethnicity", _as_is),
    "address.line#1": ("line1", _as_is),
    "address.line#2": ("line2", _as_is),
    "address.line#3": ("town", _as_is),
    "address.postcode": ("postcode", _as_is),
    "address.uprn": ("uprn", _as_is),
    "previous_address.line#1": ("previous_line1", _as_is),
    "previous_address.postcode": ("previous_postcode", _as_is),
    "phone": ("landline", _as_is),
    "mobile": ("mobile", _as_is),
    "email": ("email", _as_is),
    "gp_practice": ("gp_practice", _as_is),
    "organisation": ("organisation", _as_is),
    "death_date": ("death", _dates),
    "deceased": ("deceased", _as_is),
    "restricted": ("restricted", _as_is),
    "identifier.acute_royal": ("shared_id", _as_is),
    "identifier.chi": ("chi", _as_is),
    "identifier.ni": ("ni", _as_is),
    "as_at": ("as_at", _moment),
}
"""Field → column of the view and how it is written."""


def full_names(view: View) -> Rendered:
    """Names as one text, the way a crew types them: three habits in turn."""
    c = view.columns
    return [
        _full_name(given, family, prefix, n)
        for n, (given, family, prefix) in enumerate(
            zip(c["given"], c["family"], c["prefix"], strict=True)
        )
    ]


def _full_name(given: str, family: str, prefix: str, nth: int) -> str:
    if not (given and family):
        return given or family or "Unknown"
    forms = (f"{family.upper()}, {given}", f"{given} {family}", f"{prefix} {given} {family}")
    return forms[nth % 3]


def full_addresses(view: View) -> Rendered:
    """Addresses as one text, without the postcode."""
    c = view.columns
    parts = zip(c["line1"], c["line2"], c["town"], strict=True)
    return [", ".join(part for part in lines if part) for lines in parts]


def _actions(view: View) -> Rendered:
    """What each row does: nearly all say a client, or say one anew."""
    return list(view.columns.get("action", ["U"] * len(view)))


_COMPOSED: dict[str, Callable[[View], Rendered]] = {
    "action": _actions,
    "name.full": full_names,
    "address.full": full_addresses,
}


def _lines(rows: Iterable[Iterable[str]], delimiter: str) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")
    for n, row in enumerate(rows, start=1):
        writer.writerow(row)
        if n % _ROWS_PER_PIECE == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _with_header(headers: list[str], columns: list[Rendered]) -> Iterator[Iterable[str]]:
    yield headers
    yield from zip(*columns, strict=True)


def write_clients(folder: Path, view: View, stamp: str = STAMP) -> Path:
    """The clients' file of a delimited system, as of the night of `stamp`."""
    layout = LAYOUTS[view.system.id]
    columns: list[Rendered] = []
    for _, name in layout.columns:
        if name in _COMPOSED:
            column = _COMPOSED[name](view)
        else:
            source, render = _FIELDS[name]
            column = render(view.columns[source], layout)
        columns.append([v or layout.missing for v in column] if layout.missing else column)
    rows = _with_header([header for header, _ in layout.columns], columns)
    path = folder / f"{layout.clients}_{stamp}.{layout.extension}"
    return write_feed(path, _lines(rows, layout.delimiter), layout.encoding, stamp)


def heading_label(heading: str) -> str:
    """A heading as item files say it in their `type` column."""
    return heading.replace("_", " ").capitalize()


def write_items(folder: Path, view: View, items: list[Items]) -> list[Path]:
    """The item files of a delimited system."""
    layout = LAYOUTS[view.system.id]
    by_heading = {part.heading: part for part in items}
    paths: list[Path] = []
    for stem, headings in item_files(view.system.id).items():
        columns = [c for c in ITEM_COLUMNS if c[1] != "heading" or len(headings) > 1]
        parts = [_item_columns(by_heading[h], view, layout) for h in headings]
        merged = [[v for part in parts for v in part[field]] for _, field in columns]
        rows = _with_header([header_of(h, layout.headers) for h, _ in columns], merged)
        path = folder / f"{stem}_{STAMP}.{layout.extension}"
        paths.append(write_feed(path, _lines(rows, layout.delimiter), layout.encoding))
    return paths


def _item_columns(items: Items, view: View, layout: Layout) -> dict[str, Rendered]:
    return {
        "item_id": items.item_id.tolist(),
        "local_id": view.columns["local_id"][items.row].tolist(),
        "heading": [heading_label(items.heading)] * len(items),
        "code": [e.code for e in items.entry],
        "display": [e.display for e in items.entry],
        "text": [f"{v} {e.unit}".rstrip() for v, e in zip(items.value, items.entry, strict=True)],
        "status": items.status.tolist(),
        "start": _dates(items.start, layout),
        "end": _dates(items.end, layout),
        "author": items.author.tolist(),
        "sensitivity": [e.sensitivity for e in items.entry],
    }


def write_staff(inbox: Path, staff: Staff) -> Path:
    """The staff directory's file."""
    columns = [
        staff.staff_id, staff.organisation, staff.role, staff.name, staff.team, staff.start,
        staff.end, staff.rota,
    ]  # fmt: skip
    rows = _with_header([header for header, _ in STAFF_COLUMNS], [c.tolist() for c in columns])
    return write_feed(inbox / STAFF_DIRECTORY / f"staff_{STAMP}.csv", _lines(rows, ","))
