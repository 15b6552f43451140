"""The slow reference: the engine's pairs, levels, bits, guards and persons, one pair at a time.

Rules:
- `recordlinkage` proposes the pairs, rule by rule. Plain Python on texts and numbers does all else,
  by the words of the documentation: comparators (linkage/reference_levels.py), the formula of
  linkage/model.py, the guard rails, clustering (linkage/reference_cluster.py).
- It shares with the engine the standardised values (`Features`), the model file with its names of
  levels, and the named constants of scoring and clustering; nothing of the kernel.
- It is for tables of some hundred records: tests hold the engine to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import recordlinkage

from linkage.columns import Features
from linkage.features import build_features
from linkage.model import Model
from linkage.reference_cluster import Opinion, persons
from linkage.reference_levels import (
    Levels,
    Pair,
    Record,
    Value,
    level_of,
    part_of,
    similarities,
)
from linkage.score import MAX_FREQUENCY_BITS

MustLinks = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True)
class Judged:
    """What is known of one pair: levels by field, bits, what speaks against it (bits, at most 0),
    and the code of the guard that forbids it or None."""

    levels: Levels
    bits: float
    conflict: float
    guard: str | None


@dataclass(frozen=True)
class ReferencePartition:
    """As `linkage.engine.Partition`, in rows of the table: `label` (n,) int64; `edges` (left,
    right) → bits and guard; `tasks` (left, right, reason)."""

    label: npt.NDArray[np.int64]
    edges: Mapping[Pair, tuple[float, str | None]]
    tasks: frozenset[tuple[int, int, str]]


def reference_pairs(
    table: pa.Table,
    model: Model,
    *,
    keeps_apart: Collection[str] = (),
    accept_test_numbers: bool = False,
) -> pd.DataFrame:
    """Every proposed pair: `left`, `right` (rows of the table, left < right), one column of level
    names per field (None: missing), `bits`, `conflict` and `guard` (a code or None)."""
    features = _features(table, model, keeps_apart, accept_test_numbers)
    records = _records(features)
    judged = _judged(records, model, _proposed(records, model))
    rows = [
        {**_in_table(features, pair), **found.levels, "bits": found.bits,
         "conflict": found.conflict, "guard": found.guard}
        for pair, found in judged.items()
    ]  # fmt: skip
    names = ["left", "right", *(f.name for f in model.fields), "bits", "conflict", "guard"]
    return pd.DataFrame(rows, columns=names).sort_values(["left", "right"], ignore_index=True)


def reference_partition(
    table: pa.Table,
    model: Model,
    *,
    join_bits: float,
    review_bits: float,
    must_links: MustLinks = ((), ()),
    same: MustLinks = ((), ()),
    apart: MustLinks = ((), ()),
    keeps_apart: Collection[str] = (),
    accept_test_numbers: bool = False,
) -> ReferencePartition:
    """The partition that `linkage.link` gives for the same arguments, or `link_increment` for pairs
    that people decided to be the same (`same`) and to be two (`apart`)."""
    features = _features(table, model, keeps_apart, accept_test_numbers)
    records = _records(features)
    two = _declared(features, apart)
    judged = _judged(records, model, _proposed(records, model), two)
    floor = min(join_bits, review_bits)
    edges = {pair: found for pair, found in judged.items() if found.bits >= floor}
    one = _with_what_follows(_declared(features, same), two)
    declared = _declared(features, must_links) | one
    joins = {pair: found.bits for pair, found in edges.items() if found.bits >= join_bits}
    joins |= dict.fromkeys(declared, math.inf)
    barred = {pair: judged[pair].guard for pair in joins.keys() - declared}
    for pair in declared:
        a, b = (records[row] for row in pair)
        (levels,) = _levels(records, model, [pair]).values()
        barred[pair] = None if pair in one else _guard(model, levels, a, b, declared=True)
        barred[pair] = "decided_apart" if pair in two else barred[pair]

    def opinions(pairs: Collection[Pair]) -> Mapping[Pair, Opinion]:
        found = _judged(records, model, pairs, two)
        return {pair: (x.bits, x.conflict, x.guard is not None) for pair, x in found.items()}

    allowed = {pair: bits for pair, bits in joins.items() if not barred[pair]}
    person = {
        row: min(group) for group in persons(len(records), allowed, opinions) for row in group
    }
    tasks = [(pair, "forbidden" if barred[pair] else "contested") for pair in joins]
    tasks = [(p, why) for p, why in tasks if p in declared or barred[p] != "decided_apart"]
    tasks += [(p, "review band") for p, e in edges.items() if p not in joins and not e.guard]
    label = np.empty(len(records), np.int64)
    label[features.row] = [int(features.row[person[row]]) for row in range(len(records))]
    return ReferencePartition(
        label,
        {_rows(features, pair): (found.bits, found.guard) for pair, found in edges.items()},
        frozenset((*_rows(features, p), why) for p, why in tasks if person[p[0]] != person[p[1]]),
    )


def _declared(features: Features, must_links: MustLinks) -> set[Pair]:
    """Declared pairs as places in the features; a record declared to be itself says nothing."""
    place = {int(row): at for at, row in enumerate(features.row)}
    pairs = [sorted((place[int(a)], place[int(b)])) for a, b in zip(*must_links, strict=True)]
    return {(low, high) for low, high in pairs if low != high}


def _with_what_follows(same: set[Pair], apart: set[Pair]) -> set[Pair]:
    """Decided pairs, and all others of the groups that they make; not those decided to be two."""
    groups: list[set[int]] = []
    for pair in same:
        met = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in met] + [set(pair).union(*met)]
    follow = {pair for group in groups for pair in combinations(sorted(group), 2)}
    return same | (follow - apart)


def _features(
    table: pa.Table, model: Model, keeps_apart: Collection[str], accept_test_numbers: bool
) -> Features:
    return build_features(
        table,
        keeps_apart=keeps_apart,
        accept_test_numbers=accept_test_numbers,
        extra=model.columns,
    )


def _rows(features: Features, pair: Pair) -> Pair:
    low, high = sorted(int(features.row[place]) for place in pair)
    return low, high


def _in_table(features: Features, pair: Pair) -> dict[str, int]:
    return dict(zip(("left", "right"), _rows(features, pair), strict=True))


def _records(features: Features) -> list[Record]:
    """The features as texts and numbers, record by record."""
    listed = {name: column.values.array.to_pylist() for name, column in features.columns.items()}
    codes = {name: column.codes.T.tolist() for name, column in features.columns.items()}
    return [
        Record(
            {name: tuple(listed[name][c] for c in codes[name][n] if c >= 0) for name in listed},
            bool(features.apart[n]),
            bool(features.verified[n]),
        )
        for n in range(len(features))
    ]


def _proposed(records: Sequence[Record], model: Model) -> set[Pair]:
    """Pairs that any rule proposes, by recordlinkage's block index; blocks over a cap left out."""
    found: set[Pair] = set()
    for rule in model.rules:
        rows = [
            {"row": n, **dict(zip(rule.keys, map(str, values), strict=True))}
            for n, record in enumerate(records)
            for values in product(*(_key_values(record, key) for key in rule.keys))
        ]
        entries = pd.DataFrame(rows, columns=["row", *rule.keys])
        sizes = entries.groupby(list(rule.keys))["row"].transform("size")
        entries = entries[sizes <= rule.cap].reset_index(drop=True)
        if len(entries) < 2:
            continue
        index = recordlinkage.Index()
        index.block(list(rule.keys))
        row = entries["row"].tolist()
        for one, two in index.index(entries):
            if row[one] != row[two]:
                found.add((min(row[one], row[two]), max(row[one], row[two])))
    return found


def _key_values(record: Record, key: str) -> list[Value]:
    """The values that a key has in a record: `column`, `column.part`, `column[2]`, `one~other`."""
    if "~" in key:
        both = [record.current(name) for name in key.split("~")]
        return [] if None in both else ["~".join(sorted(map(str, both)))]
    if "[" in key:
        column, count = key.removesuffix("]").split("[")
        return list(record.values(column)[: int(count)])
    column, _, part = key.partition(".")
    value = record.current(column)
    value = part_of(part, value) if part and value is not None else value
    return [] if value is None else [value]


def _levels(records: Sequence[Record], model: Model, pairs: Iterable[Pair]) -> dict[Pair, Levels]:
    listed = sorted(pairs)
    return {
        (one, two): {
            field.name: level_of(records[one], records[two], field, similar)
            for field in model.fields
        }
        for (one, two), similar in zip(listed, similarities(records, model, listed), strict=True)
    }


def _judged(
    records: Sequence[Record],
    model: Model,
    pairs: Iterable[Pair],
    apart: Collection[Pair] = (),
) -> dict[Pair, Judged]:
    out = {}
    for pair, levels in _levels(records, model, pairs).items():
        a, b = (records[row] for row in pair)
        bits, conflict = _bits(model, levels, a, b)
        guard = "decided_apart" if pair in apart else _guard(model, levels, a, b)
        out[pair] = Judged(levels, bits, conflict, guard)
    return out


def _bits(model: Model, levels: Levels, a: Record, b: Record) -> tuple[float, float]:
    """The formula of linkage/model.py, term by term, and what speaks against the pair."""
    log = {
        "m": [math.log2(model.matches_per_record / model.records)],
        "r": [math.log2(model.relatives_per_record / model.records)],
        "u": [0.0],
    }
    conflict = []
    for field in model.fields:
        found = [level for level in field.levels if level.name == levels[field.name]]
        for level in found:
            for kind, terms in log.items():
                terms.append(math.log2(getattr(level, kind)))
            conflict.append(min(math.log2(level.m / level.u), 0.0))
            table = model.frequencies.get(field.column)
            if level.frequency and table is not None and table.shares:
                average = max(sum(share**2 for share in table.shares.values()), table.other)
                values = (a.current(field.column), b.current(field.column))
                share = max(table.shares.get(value, table.other) for value in values)
                rare = math.log2(share / average)
                clipped = min(max(rare, -MAX_FREQUENCY_BITS), MAX_FREQUENCY_BITS)
                log["u"].append(level.frequency * clipped)
    for bond in model.dependence:
        one, two = (
            [level.name for level in model.field(name).levels] for name in (bond.one, bond.two)
        )
        if levels[bond.one] is not None and levels[bond.two] is not None:
            at = one.index(str(levels[bond.one])), two.index(str(levels[bond.two]))
            for kind, terms in log.items():
                terms.append(getattr(bond, kind)[at[0]][at[1]])
    match, relative, stranger = (math.fsum(terms) for terms in log.values())
    highest = max(relative, stranger)
    others = highest + math.log2(2 ** (relative - highest) + 2 ** (stranger - highest))
    return match - others, math.fsum(conflict)


@dataclass(frozen=True)
class Guarded:
    """A pair as the guards see it."""

    levels: Levels
    a: Record
    b: Record

    def at(self, field: str, *names: str) -> bool:
        """Whether a field has one of the levels; one that the model lacks is missing."""
        return (self.levels.get(field) or "missing") in names

    def years(self, column: str) -> list[int]:
        """The years of a date column that are known."""
        dates = (self.a.current(column), self.b.current(column))
        return [value // 10_000 for value in dates if value is not None]


def _one_number_two_people(p: Guarded) -> bool:
    name = p.at("given", "different", "missing")
    birth = p.at("birth_date", "different", "two parts same", "missing")
    known = p.at("given", "different") or p.at("birth_date", "different")
    return p.at("nhs_number", "same") and name and birth and known


def _untraced_number_two_names(p: Guarded) -> bool:
    if not p.at("nhs_number", "same") or p.a.verified or p.b.verified:
        return False
    if not p.at("birth_date", "same", "same 1 January"):
        return False
    unnamed = p.at("given", "missing") and not p.at("source", "different")
    return p.at("given", "different") or unnamed


def _nothing_but_forename(p: Guarded) -> bool:
    if not all(p.at(field, "missing") for field in ("postcode", "address", "phone")):
        return False
    number = p.at("nhs_number", "same") or p.at("identifier", "same", "one slip")
    return p.at("family", "different") and not number and not p.at("email", "same", "close")


def _generation_apart(p: Guarded) -> bool:
    years = p.years("birth_date")
    if len(years) < 2 or abs(years[0] - years[1]) < 12:
        return False
    if p.at("birth_date", "one slip"):
        return not any(p.at(name, "same") for name in ("nhs_number", "identifier", "email"))
    return not p.at("birth_date", "day and month swapped", "partly known")


def _born_after(child: Record, dead: Record) -> bool:
    """Whether the one was born in a later month than the other died in; a death of which the year
    alone is known may have been at its end."""
    birth, death = child.current("birth_date"), dead.current("death")
    if birth is None or death is None:
        return False
    last = death // 100 + (12 if death % 10_000 == 0 else 0)
    return bool(birth // 100 > last)


def _died_years_apart(p: Guarded) -> bool:
    years = p.years("death")
    return len(years) == 2 and abs(years[0] - years[1]) > 1


GUARDS: Mapping[str, Callable[[Guarded], bool]] = {
    "verified_numbers_differ": lambda p: (
        p.a.verified and p.b.verified and p.at("nhs_number", "different")
    ),
    "one_number_two_people": _one_number_two_people,
    "generation_apart": _generation_apart,
    "twins": lambda p: (
        p.at("birth_date", "same", "same 1 January")
        and p.at("given", "different")
        and not p.at("nhs_number", "same")
    ),
    "untraced_number_two_names": _untraced_number_two_names,
    "nothing_but_forename": _nothing_but_forename,
    "born_after_death": lambda p: _born_after(p.a, p.b) or _born_after(p.b, p.a),
    "died_years_apart": _died_years_apart,
    "source_holds_apart": lambda p: (
        p.at("source", "same, kept apart")
        and not p.at("nhs_number", "same")
        and not p.at("identifier", "same")
    ),
}
"""Code → whether the guard forbids the pair; the first that does gives the reason."""


def _guard(
    model: Model, levels: Levels, a: Record, b: Record, *, declared: bool = False
) -> str | None:
    """The guard that forbids a pair; a source that declares a pair one does not hold it apart."""
    pair = Guarded(levels, a, b)
    for code, forbids in GUARDS.items():
        exempt = declared and code in ("source_holds_apart", "nothing_but_forename")
        if code in model.guards and not exempt and forbids(pair):
            return code
    return None
