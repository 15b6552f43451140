"""Looks at one file as it would be understood, before anything is loaded.

Rules:
- The file is read by the reader and the mapping that a night would read it by; nothing is stored.
- At most `most` units are read: enough to see whether columns are swapped or a mapping is amiss.
- What is shown holds persons' details: it is for whoever holds the file anyway, and is written
  nowhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from schemas.columns import UnitBatch
from schemas.errors import FeedRefused
from schemas.settings import Limits, SourceSettings
from service.ports import FeedFile, Reader
from service.summary import aligned

_SHOWN_WIDTH = 40
_TABLES = ("records", "items", "staff", "merges", "withdrawals", "changes")


@dataclass
class Understood:
    """What was understood of a file.

    Attributes:
        units: read so far; `more`: there are others.
        loaded: kind of row → how many would be loaded.
        filled: kind of row → field → how many of them have it.
        examples: kind of row → the first of them, field → value.
        rejected: (field, reason, message) → units; `places`: of the first of each.
        issues: (field, reason) → fields kept as sent.
        refused: why the file ends there, if it cannot be read to its end.
    """

    units: int = 0
    more: bool = False
    loaded: Counter[str] = field(default_factory=Counter)
    filled: dict[str, Counter[str]] = field(default_factory=dict)
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    rejected: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    places: dict[tuple[str, str, str], str] = field(default_factory=dict)
    issues: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: str = ""


def understood(
    feed: FeedFile,
    source: SourceSettings,
    limits: Limits,
    readers: Mapping[str, Reader],
    *,
    rows: int,
    most: int,
) -> Understood:
    """Reads a file of a source. `rows`: how many examples of each kind of row are kept."""
    found = Understood()
    batches = readers[feed.settings.format](feed, source, limits)
    try:
        for batch in batches:
            _add(found, batch, rows)
            if found.units >= most:
                found.more = next(batches, None) is not None
                break
    except FeedRefused as refusal:
        found.refused = f"{refusal.reason}: {refusal.message}"
    return found


def _add(found: Understood, batch: UnitBatch, rows: int) -> None:
    found.units += batch.units
    found.issues.update(batch.issues)
    for one in batch.rejected:
        why = (one.field, one.reason, one.message)
        found.rejected[why] += 1
        found.places.setdefault(why, one.where)
    for kind in _TABLES:
        table: pa.Table = getattr(batch, kind)
        found.loaded[kind] += table.num_rows
        filled = found.filled.setdefault(kind, Counter())
        examples = found.examples.setdefault(kind, [])
        for row in table.to_pylist():
            flat = dict(_flat("", _said(row)))
            filled.update(flat.keys())
            if len(examples) < rows:
                examples.append(flat)


def _said(row: dict[str, Any]) -> dict[str, Any]:
    """What a row of a batch says: its content, where that is in one column."""
    content = row.get("content")
    if content is None:
        return {name: value for name, value in row.items() if name != "unit"}
    told: dict[str, Any] = msgspec.json.decode(content)
    told.pop("original", None)
    return told | {"as_at": row["as_at"]}


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every text in a value with the names that lead to it; a list's entries together."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _flat(f"{path}.{name}" if path else str(name), one)
    elif isinstance(value, list):
        parts: dict[str, list[str]] = {}
        for one in value:
            for name, text in _flat(path, one):
                parts.setdefault(name, []).append(text)
        yield from ((name, " | ".join(texts)) for name, texts in parts.items())
    elif value is not None and value != "":
        yield path, str(value)


def check_document(found: Understood) -> dict[str, Any]:
    """As a script reads it."""
    return {
        "units": found.units,
        "more": found.more,
        "loaded": {kind: count for kind, count in found.loaded.items() if count},
        "fields": {kind: dict(filled) for kind, filled in found.filled.items() if filled},
        "examples": {kind: shown for kind, shown in found.examples.items() if shown},
        "quarantined": [
            {"field": name, "reason": reason, "message": message, "units": units,
             "first": found.places[name, reason, message]}
            for (name, reason, message), units in found.rejected.most_common()
        ],
        "issues": [
            {"field": name, "reason": reason, "count": count}
            for (name, reason), count in found.issues.most_common()
        ],
        "refused": found.refused or None,
    }  # fmt: skip


def check_lines(found: Understood) -> list[str]:
    """Tables for people: for each kind of row its fields, how many have them, and the first rows;
    then what would not be loaded, and what is amiss."""
    lines = [f"{found.units:,} units read{' (there are more)' if found.more else ''}"]
    for kind, count in found.loaded.items():
        if count:
            lines += ["", f"{count:,} {kind} would be loaded", *_table(found, kind, count)]
    if found.rejected:
        lines += ["", f"{found.rejected.total():,} units would be quarantined"]
        lines += [
            f"  {units:,} {name or 'unit'} ({reason}): {message}; the first:"
            f" {found.places[name, reason, message]}"
            for (name, reason, message), units in found.rejected.most_common()
        ]
    if found.issues:
        lines += ["", "kept as sent, or left out"]
        lines += [f"  {n:,} {name}: {reason}" for (name, reason), n in found.issues.most_common()]
    if found.refused:
        lines += ["", f"the file is refused there: {found.refused}"]
    return lines


def _table(found: Understood, kind: str, count: int) -> list[str]:
    examples, filled = found.examples[kind], found.filled[kind]
    header = ["field", "have it", *(f"row {n}" for n in range(1, len(examples) + 1))]
    rows = [
        [name, f"{have / count:.0%}", *(_cut(one.get(name, "")) for one in examples)]
        for name, have in sorted(filled.items())
    ]
    return aligned(header, rows)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_WIDTH else f"{text[: _SHOWN_WIDTH - 1]}…"
