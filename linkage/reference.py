"""The slow reference: the same pairs, levels and bits, one pair at a time, by other means.

The `recordlinkage` package proposes the pairs and computes equality and similarity; plain Python
turns them into levels, bits and a verdict. It shares with the engine the standardised values, the
model file and the names of levels, and nothing of the kernel. It is for tables of some thousand
records: tests hold the engine to it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import recordlinkage

from linkage.blocking import KEYS
from linkage.compare import CLOSE_ADDRESS, CLOSE_FAMILY, CLOSE_GIVEN, LEVELS
from linkage.features import Features, build_features
from linkage.model import Model, average_share
from linkage.nicknames import equivalent, numbers_of
from linkage.score import MAX_FREQUENCY_BITS


def reference_pairs(
    table: pa.Table,
    model: Model,
    *,
    keeps_apart: Collection[str] = (),
    accept_test_numbers: bool = False,
) -> pd.DataFrame:
    """Every proposed pair with its levels and bits: `left`, `right` (rows of the table, left <
    right), one column of level names per field (None: missing), and `bits`."""
    features = build_features(
        table, keeps_apart=keeps_apart, accept_test_numbers=accept_test_numbers
    )
    people = _people(features)
    pairs = _proposed(features, model)
    if pairs.empty:
        return pd.DataFrame(columns=["left", "right", *LEVELS, "bits"])
    similar = _similarities(people, pairs)
    rows = []
    for (one, two), close in zip(pairs, similar, strict=True):
        a, b = people.loc[one].to_dict(), people.loc[two].to_dict()
        levels = _levels(a, b, close)
        left, right = sorted((int(features.row[one]), int(features.row[two])))
        rows.append({"left": left, "right": right, **levels, "bits": _bits(model, levels, a)})
    return pd.DataFrame(rows).sort_values(["left", "right"], ignore_index=True)


def _people(f: Features) -> pd.DataFrame:
    """The features as texts, one row a record; None where missing."""

    def named(codes: Any, values: Collection[str]) -> list[str | None]:
        listed = list(values)
        return [listed[c] if c >= 0 else None for c in codes.tolist()]

    def sets(matrix: Any) -> list[frozenset[int]]:
        return [frozenset(v for v in row if v >= 0) for row in matrix.tolist()]

    return pd.DataFrame(
        {
            "given": named(f.given, f.names),
            "middle": named(f.middle, f.names),
            "given_other": named(f.given_other[:, 0], f.names),
            "family": named(f.family, f.names),
            "families": [
                frozenset(f.names[c] for c in row if c >= 0)
                for row in [
                    [x, *y] for x, y in zip(f.family.tolist(), f.family_other.tolist(), strict=True)
                ]
            ],
            "birth": [f"{b:08d}" if b else None for b in f.birth.tolist()],
            "sex": [s or None for s in f.sex.tolist()],
            "nhs": [n if n >= 0 else None for n in f.nhs.tolist()],
            "postcode": sets(f.postcode),
            "sector": [frozenset(int(f.sector[c]) for c in s) for s in sets(f.postcode)],
            "district": [frozenset(int(f.district[c]) for c in s) for s in sets(f.postcode)],
            "address": sets(f.address),
            "address_text": named(f.address[:, 0], f.addresses),
            "phone": sets(f.phone),
            "email": sets(f.email),
            "identifier": sets(f.identifier),
            "systems": [
                frozenset(int(f.identifier_system[c]) for c in s) for s in sets(f.identifier)
            ],
            "practice": sets(f.practice[:, None]),
            "source": f.source.tolist(),
            "apart": f.apart.tolist(),
        },
        dtype=object,
    )


def _proposed(f: Features, model: Model) -> pd.MultiIndex:
    """Pairs that any rule proposes, by recordlinkage's block index; blocks over a cap left out."""
    found = pd.MultiIndex.from_arrays([[], []])
    for rule in model.rules:
        rows: list[dict[str, Any]] = [{} for _ in range(len(f))]
        slots: list[list[dict[str, int]]] = [[row] for row in rows]
        for name in rule.keys:
            for n, values in enumerate(KEYS[name](f).tolist()):
                present = [v for v in values if v >= 0]
                slots[n] = [{**slot, name: v} for slot in slots[n] for v in present]
        exploded = pd.DataFrame(
            [{"row": n, **slot} for n, entries in enumerate(slots) for slot in entries]
        )
        if exploded.empty:
            continue
        sizes = exploded.groupby(list(rule.keys))["row"].transform("size")
        exploded = exploded[sizes <= rule.cap].reset_index(drop=True)
        if len(exploded) < 2:
            continue
        index = recordlinkage.Index()
        index.block(list(rule.keys))
        pairs = index.index(exploded)
        one = exploded["row"].to_numpy()[pairs.get_level_values(0)]
        two = exploded["row"].to_numpy()[pairs.get_level_values(1)]
        keep = one != two
        low = pd.Series(one[keep]).combine(pd.Series(two[keep]), min)
        high = pd.Series(one[keep]).combine(pd.Series(two[keep]), max)
        found = found.union(pd.MultiIndex.from_arrays([low, high]))
    return found.unique()


def _similarities(people: pd.DataFrame, pairs: pd.MultiIndex) -> list[dict[str, float]]:
    """Jaro-Winkler similarity of forename, family name and address of each pair."""
    compare = recordlinkage.Compare()
    for column in ("given", "family", "address_text"):
        compare.string(column, column, method="jarowinkler", label=column)
    texts = people[["given", "family", "address_text"]].fillna("")
    found: list[dict[str, float]] = compare.compute(pairs, texts).to_dict("records")
    return found


def _levels(
    a: Mapping[str, Any], b: Mapping[str, Any], close: Mapping[str, float]
) -> dict[str, Any]:
    swapped = a["given"] == b["family"] and a["family"] == b["given"]
    same_source = a["source"] == b["source"]
    return {
        "nhs_number": _equal(a["nhs"], b["nhs"]),
        "given": _given(a, b, close["given"], swapped),
        "family": _family(a, b, close["family"], swapped),
        "birth_date": _birth(a["birth"], b["birth"]),
        "sex": _equal(a["sex"], b["sex"]),
        "postcode": _place(a, b),
        "address": _address(a, b, close["address_text"]),
        "phone": _meet(a["phone"], b["phone"]),
        "email": _meet(a["email"], b["email"]),
        "practice": _meet(a["practice"], b["practice"]),
        "identifier": _identifiers(a, b),
        "source": "different"
        if not same_source
        else ("same, kept apart" if a["apart"] else "same"),
    }


def _equal(a: Any, b: Any) -> str | None:
    if a is None or b is None:
        return None
    return "same" if a == b else "different"


def _meet(a: frozenset[int], b: frozenset[int]) -> str | None:
    if not a or not b:
        return None
    return "same" if a & b else "different"


def _identifiers(a: Mapping[str, Any], b: Mapping[str, Any]) -> str | None:
    if not a["systems"] & b["systems"]:
        return None
    return "same" if a["identifier"] & b["identifier"] else "different"


def _given(  # noqa: PLR0911 - one return a level, in their order
    a: Mapping[str, Any], b: Mapping[str, Any], close: float, swapped: bool
) -> str | None:
    one, two = a["given"], b["given"]
    if one is None or two is None:
        return None
    if one == two:
        return "same"
    if equivalent(numbers_of([one]), numbers_of([two]))[0]:
        return "equivalent"
    if one == b["given_other"] or two == a["given_other"]:
        return "equivalent"
    initial = min(len(one), len(two)) == 1 and one[0] == two[0]
    middle = one == b["middle"] or two == a["middle"]
    if close >= CLOSE_GIVEN and not (initial or middle or swapped):
        return "close"
    if initial:
        return "initial"
    if middle:
        return "middle"
    return "swapped" if swapped else "different"


def _family(a: Mapping[str, Any], b: Mapping[str, Any], close: float, swapped: bool) -> str | None:
    if a["family"] is None or b["family"] is None:
        return None
    if a["family"] == b["family"]:
        return "same"
    if a["families"] & b["families"]:
        return "alternative"
    if close >= CLOSE_FAMILY and not swapped:
        return "close"
    return "swapped" if swapped else "different"


def _birth(a: str | None, b: str | None) -> str | None:
    if a is None or b is None:
        return None
    (ya, ma, da), (yb, mb, db) = ((d[:4], d[4:6], d[6:]) for d in (a, b))
    known = "00" not in (da, db)
    if a == b and known:
        return "same 1 January" if a[4:] == "0101" else "same"
    if ya == yb and ma == db and da == mb and a != b:
        return "day and month swapped"
    if known and sum(x != y for x, y in zip(a, b, strict=True)) == 1:
        return "one slip"
    months_agree = ma == mb or "00" in (ma, mb)
    if ya == yb and ((not known and months_agree) or "0101" in (a[4:], b[4:])):
        return "partly known"
    return "two parts same" if (ya == yb) + (ma == mb) + (da == db) == 2 else "different"


def _place(a: Mapping[str, Any], b: Mapping[str, Any]) -> str | None:
    if not a["postcode"] or not b["postcode"]:
        return None
    for name, level in (
        ("postcode", "same"),
        ("sector", "same sector"),
        ("district", "same district"),
    ):
        if a[name] & b[name]:
            return level
    return "different"


def _address(a: Mapping[str, Any], b: Mapping[str, Any], close: float) -> str | None:
    if not a["address"] or not b["address"]:
        return None
    if a["address"] & b["address"]:
        return "same"
    both = a["address_text"] is not None and b["address_text"] is not None
    return "close" if both and close >= CLOSE_ADDRESS else "different"


def _bits(model: Model, levels: Mapping[str, Any], a: Mapping[str, Any]) -> float:
    """The formula of linkage/model.py, term by term."""
    match = model.matches_per_record / model.records
    relative = model.relatives_per_record / model.records
    stranger = 1.0
    for name, level in levels.items():
        if level is None:
            continue
        found = next(x for x in model.field(name).levels if x.name == level)
        match, relative, stranger = match * found.m, relative * found.r, stranger * found.u
    for name in ("given", "family"):
        table = model.frequencies.get(name)
        if levels[name] == "same" and table is not None and table.shares:
            average = max(average_share(table.shares), table.other)
            bits = math.log2(table.shares.get(a[name], table.other) / average)
            stranger *= 2.0 ** min(max(bits, -MAX_FREQUENCY_BITS), MAX_FREQUENCY_BITS)
    return math.log2(match) - math.log2(relative + stranger)
