"""Simulated events as whole-number columns, and how they become the columns of the log.

Rules:
- A batch is columns of one length; what a caller does not give has its default (`DEFAULTS`).
- Details are written once for each distinct set of them.
- Clocks on the wall are those of the United Kingdom; what is kept is UTC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from demo.partnership import ORGANISATIONS

Ints = npt.NDArray[np.int64]
Batch = dict[str, Ints]

ACTIONS = ("everything", "items", "read", "search", "break-glass", "claim", "person-export",
           "audit-events")  # fmt: skip
OUTCOMES = ("permitted", "refused", "failed")
PURPOSES = ("direct-care", "explicit-consent", "vital-interests", "safeguarding", "data-quality",
            "audit", "own-record")  # fmt: skip
HEADINGS = ("encounter", "medication", "condition", "allergy", "observation", "safeguarding",
            "appointment", "document", "care_plan", "assessment")  # fmt: skip
REASONS = ("unconscious", "life-at-risk", "serious-harm", "urgent-medicine", "no-relationship-yet")
EVERYTHING, ITEMS, READ, SEARCH, GLASS, CLAIM, EXPORT, LOG = range(len(ACTIONS))
SITES = 4
"""Terminals of an organisation, by site."""
DEFAULTS: dict[str, int] = {
    "at": 0, "action": EVERYTHING, "outcome": 0, "actor": 0, "purpose": 0, "team": -1,
    "terminal": -1, "headings": 0, "person": -1, "other": -1, "third": -1, "glass": 0, "located": 0,
    "escalate": 0, "sealed": 0, "sensitive": 0, "rows": 0, "reason": -1, "words": -1, "case": -1,
}  # fmt: skip
"""Column → what stands there where nothing is said. `case`: of a planted one its number."""
WIDE = frozenset({"at"})
_FLAGS = ("glass", "located", "escalate", "sealed", "sensitive")
_BST = ((20_177, 20_387), (20_541, 20_751))
"""Days of summer time: 2025-03-30 to 2025-10-26, 2026-03-29 to 2026-10-25."""


def batch(**columns: Any) -> Batch:
    """A batch of columns and single values."""
    arrays = np.broadcast_arrays(*(np.asarray(one) for one in columns.values()))
    size = len(np.atleast_1d(arrays[0]))
    found = {name: np.full(size, value) for name, value in DEFAULTS.items() if name not in columns}
    given = {n: np.atleast_1d(a).copy() for n, a in zip(columns, arrays, strict=True)}
    return {
        name: (found | given)[name].astype(np.int64 if name in WIDE else np.int32)
        for name in DEFAULTS
    }


def joined(parts: Sequence[Batch]) -> Batch:
    """All of them in one, in order of time."""
    whole = {name: np.concatenate([one[name] for one in parts]) for name in DEFAULTS}
    order = np.argsort(whole["at"], kind="stable")
    return {name: column[order] for name, column in whole.items()}


def chosen(one: Batch, where: npt.NDArray[Any]) -> Batch:
    """Some of its rows."""
    return {name: column[where] for name, column in one.items()}


def moment(day: npt.NDArray[Any], hour: npt.NDArray[Any]) -> Ints:
    """Seconds in UTC of a local hour (24 and more: the day after)."""
    at = day + np.floor(hour / 24).astype(np.int64)
    summer = np.zeros(len(at), np.bool_)
    for first, last in _BST:
        summer |= (at >= first) & (at < last)
    return np.asarray(day * 86_400 + np.round(hour * 3_600) - summer * 3_600).astype(np.int64)


def table_of(
    rows: Batch, first_leaf: int, names: Mapping[str, Sequence[str]], staff: Mapping[str, Ints]
) -> pa.Table:
    """Events as the log gives them.

    Args:
        names: texts of `actor`, `person`, `role`, `team`. staff: by actor `role`, `organisation`.
    """
    size = len(rows["at"])
    people = np.stack([rows["person"], rows["other"], rows["third"]], axis=1)
    held = people >= 0
    offsets = np.concatenate([[0], np.cumsum(held.sum(axis=1))]).astype(np.int32)
    flat = _texts(people[held], names["person"])
    member = rows["actor"]
    organisation = staff["organisation"][member]
    return pa.table(
        {
            "leaf": np.arange(first_leaf, first_leaf + size, dtype=np.int64),
            "at": pa.array((rows["at"] * 1_000_000).astype("datetime64[us]")),
            "action": _texts(rows["action"], ACTIONS),
            "outcome": _texts(rows["outcome"], OUTCOMES),
            "actor": _texts(member, names["actor"]),
            "role": _texts(staff["role"][member], names["role"]),
            "purpose": _texts(rows["purpose"], PURPOSES),
            "organisation": _texts(organisation, [o.code for o in ORGANISATIONS]),
            "persons": pa.ListArray.from_arrays(pa.array(offsets), flat),
            "details": _details(rows, names["team"]),
        }
    )


def _texts(codes: npt.NDArray[Any], texts: Sequence[str] | pa.Array) -> pa.DictionaryArray:
    words = texts if isinstance(texts, pa.Array) else pa.array(list(texts), pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words)


def _details(rows: Batch, teams: Sequence[str]) -> pa.DictionaryArray:
    """Details as JSON, one text for each distinct set."""
    columns = ("team", "terminal", "headings", *_FLAGS, "rows", "reason", "words")
    key = np.zeros(len(rows["at"]), np.int64)
    for name in columns:
        column = rows[name].astype(np.int64) + 1
        key = key * (int(column.max(initial=0)) + 1) + column
        if name in {"headings", "sensitive", "rows", "reason"}:  # keeps the number small
            key = np.unique(key, return_inverse=True)[1].astype(np.int64)
    _, first, codes = np.unique(key, return_index=True, return_inverse=True)
    texts = [_text({name: int(rows[name][at]) for name in columns}, teams) for at in first.tolist()]
    return _texts(codes, texts)


def _text(one: dict[str, int], teams: Sequence[str]) -> str:
    told: dict[str, Any] = {}
    if one["team"] >= 0:
        told["team"] = str(teams[one["team"]])
    if one["terminal"] >= 0:
        told["terminal"] = f"10.{one['terminal'] // SITES}.{one['terminal'] % SITES}.1"
    if one["headings"]:
        told["headings"] = [h for n, h in enumerate(HEADINGS) if one["headings"] >> n & 1]
    if one["glass"]:
        told["break_glass"] = REASONS[max(one["reason"], 0)]
    elif one["reason"] >= 0:
        told["reason"] = REASONS[one["reason"]]
    if one["words"] >= 0:
        told["words"] = f"{one['words']:032x}"
    for name in ("located", "escalate", "sensitive"):
        if one[name]:
            told[name] = True
    for name in ("sealed", "rows"):
        if one[name]:
            told[name] = one[name]
    return json.dumps(told, separators=(",", ":"))
