"""Protected changes of identity in linkage: what is never joined across one, and who looks at it.

Rules:
- Between the old identity and the new one every pair is held apart, as if people had decided so,
  and nobody is asked about it; what a source or anybody declared to be one across it has no effect.
- A record that bears the number or the name of one of the two only goes with that one. A number
  counts with a birth date or a name that agrees with it: a mother's number on her baby does not.
- One that bears neither is held apart from the new identity where its name is more like the old.
- One that bears something of both is held apart from both, until the named team says which it is.
- What bears the old number is hidden with the old identity (service/shielded.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz.distance import JaroWinkler

from linkage.state import PAIRS, Decided
from schemas.errors import InputError
from schemas.identifiers import PersonId
from service.former import FormerIdentity
from service.ports import HeldRecord, Store

Pair = tuple[int, int]
Name = tuple[str, str]
"""First given name and family name, without case."""
_SHARED = ("nhs_number", "birth_date", "postcode", "phone", "email")
"""Columns of which a record must share a value to be compared with an identity."""


@dataclass(frozen=True)
class Bound:
    """What a link is bound to.

    Attributes:
        decided: what people and sources declared, with what changes of identity hold apart.
        withheld: records that bear the number of an old identity, beside those that are of it.
        unsure: pairs that the named team must look at: one that bears something of both, and the
            new identity, or a record of the old where the new one is not here.
    """

    decided: Decided
    withheld: tuple[int, ...] = ()
    unsure: tuple[Pair, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """As plain values, for a run's summary."""
        return {"withheld": list(self.withheld), "unsure": [list(pair) for pair in self.unsure]}


def bound(store: Store, table: Callable[[], pa.Table], decided: Decided) -> Bound:
    """What changes of identity add to what is declared.

    Args:
        table: gives the records that count, as `Store.match_columns` does; asked for only where an
            identity was changed.
    """
    changes = store.former_identities()
    if not changes:
        return Bound(decided)
    return _Binding(store, table(), decided, changes).bound()


def partings(store: Store) -> list[tuple[int, frozenset[PersonId]]]:
    """Record of a new identity, and the persons that its cluster never carries on."""
    found = store.former_identities()
    return [(one.after, one.persons) for one in found if one.after is not None]


def crosses(store: Store, one: HeldRecord, two: HeldRecord) -> bool:
    """Whether a change of identity lies between two records."""
    return _lies_between(store.former_identities(), one, two)


def _lies_between(changes: Iterable[FormerIdentity], one: HeldRecord, two: HeldRecord) -> bool:
    ends = one.record_id, one.person_id, two.record_id, two.person_id
    return any(change.crosses(*ends) for change in changes)


def refuse_across(store: Store, pairs: Iterable[tuple[HeldRecord, HeldRecord]]) -> None:
    """Raises: InputError where a pair that is to be one person lies across a change of identity."""
    changes = store.former_identities()
    if any(_lies_between(changes, one, two) for one, two in pairs):
        raise InputError(
            "a protected change of identity lies between them: nobody joins across it. If its"
            " source declared it in error, the source takes it back"
        )


@dataclass(frozen=True)
class _Identity:
    """What tells an identity: NHS numbers, names, birth dates."""

    numbers: frozenset[str]
    names: frozenset[Name]
    born: frozenset[str]

    def without(self, other: _Identity) -> _Identity:
        """What it does not share with another; birth dates as they are."""
        return _Identity(self.numbers - other.numbers, self.names - other.names, self.born)

    def bears_number(self, row: Mapping[str, Any], names: frozenset[Name]) -> bool:
        """Whether a record with these names bears its number, and nothing says that the number is
        of another."""
        born = row["birth_date"]
        agrees = not self.born or born is None or born in self.born
        return row["nhs_number"] in self.numbers and (agrees or not names.isdisjoint(self.names))

    def likeness(self, names: Iterable[Name]) -> float:
        """How like its names these are, 0 to 1."""
        pairs = product((" ".join(n) for n in self.names), (" ".join(n) for n in names))
        return max((JaroWinkler.similarity(a, b) for a, b in pairs), default=0.0)


class _Binding:
    """One link's records beside the changes of identity."""

    def __init__(
        self,
        store: Store,
        table: pa.Table,
        decided: Decided,
        changes: Sequence[FormerIdentity],
    ) -> None:
        self.decided, self.changes = decided, changes
        versions = sorted(frozenset[int]().union(*(one.old_versions for one in changes)))
        past = store.past_columns(versions).to_pylist()
        self._past = {row["version_id"]: row for row in past}
        afters = [one.after for one in changes if one.after is not None]
        named = pa.array(sorted({*afters, *(r for one in changes for r in one.old)}), pa.int64())
        told = table.filter(pc.is_in(table["record_id"], value_set=named)).to_pylist()
        near = table.filter(_sharing(table, [*past, *told]))
        self._rows = {row["record_id"]: row for row in [*near.to_pylist(), *told]}
        self._by_value = _by_value(self._rows.values())
        self._same: dict[int, set[int]] = defaultdict(set)
        for left, right in _pairs_of(decided.same):
            self._same[left].add(right)
            self._same[right].add(left)

    def bound(self) -> Bound:
        """All of it."""
        apart: set[Pair] = set()
        withheld: set[int] = set()
        unsure: set[Pair] = set()
        for one in self.changes:
            sides = self._sides(one)
            against_new = sides.old | sides.like_old
            apart |= {_pair(a, b) for a, b in product(against_new, sides.new) if a != b}
            everyone = sides.old | sides.new
            apart |= {_pair(a, b) for a, b in product(sides.both, everyone) if a != b}
            withheld |= sides.numbered | sides.both
            ask = one.after if one.after in self._rows else min(sides.old, default=None)
            unsure |= {_pair(z, ask) for z in sides.both if ask is not None}
        decided = Decided(
            same=_without(self.decided.same, apart),
            merged=_without(self.decided.merged, apart),
            apart=_table({*_pairs_of(self.decided.apart), *apart}),
        )
        return Bound(decided, tuple(sorted(withheld)), tuple(sorted(unsure)))

    def _sides(self, one: FormerIdentity) -> _Sides:
        """Which records go with which of the two."""
        rows = [self._past[v] for v in one.old_versions if v in self._past]
        old = _identity(rows, _names)
        new = _identity([self._rows[one.after]] if one.after in self._rows else [], _current_name)
        old, new = old.without(new), new.without(old)
        sides = _Sides(set(one.old) & self._rows.keys(), set())
        if one.after in self._rows and one.after is not None:
            sides.new.add(one.after)
        for record in self._near([*rows, *(self._rows[r] for r in sides.new)]):
            if record not in sides.new and record not in sides.old:
                self._place(sides, record, old, new)
        for record in [*sides.old]:
            self._place_member(sides, record, one, old, new)
        return sides

    def _place(self, sides: _Sides, record: int, old: _Identity, new: _Identity) -> None:
        """Puts a record that was not of the old identity when the change came."""
        row = self._rows[record]
        names = _names(row)
        number = old.bears_number(row, names)
        is_old = number or not names.isdisjoint(old.names)
        is_new = new.bears_number(row, names) or not names.isdisjoint(new.names)
        if is_old and is_new:
            self._put_both(sides, record)
        elif is_old:
            sides.old.add(record)
            if number:
                sides.numbered.add(record)
        elif is_new:
            sides.new.add(record)
        elif old.likeness(names) > new.likeness(names):
            sides.like_old.add(record)

    def _place_member(
        self, sides: _Sides, record: int, one: FormerIdentity, old: _Identity, new: _Identity
    ) -> None:
        """Puts a record of the old identity anew, if it tells the new one by now."""
        row = self._rows[record]
        if row["version_id"] in one.old_versions:
            return
        names = _names(row)
        is_new = new.bears_number(row, names) or not _current_name(row).isdisjoint(new.names)
        if not is_new:
            return
        sides.old.discard(record)
        if old.bears_number(row, names) or not _current_name(row).isdisjoint(old.names):
            self._put_both(sides, record)
        else:
            sides.new.add(record)

    def _put_both(self, sides: _Sides, record: int) -> None:
        """Puts a record that bears something of both: where the named team put it, or with
        neither."""
        if self._same[record] & sides.new:
            sides.new.add(record)
        elif self._same[record] & sides.old:
            sides.old.add(record)
        else:
            sides.both.add(record)

    def _near(self, rows: Iterable[Mapping[str, Any]]) -> set[int]:
        """Records that share a value with one of the rows."""
        return {
            record for row in rows for key in _keys(row) for record in self._by_value.get(key, ())
        }


class _Sides:
    """The records of an old and a new identity; `both`: that bear something of each; `like_old`:
    of neither, with a name that is more like the old; `numbered`: with the old number."""

    def __init__(self, old: set[int], new: set[int]) -> None:
        self.old, self.new = old, new
        self.both: set[int] = set()
        self.like_old: set[int] = set()
        self.numbered: set[int] = set()


def _identity(rows: Iterable[Mapping[str, Any]], names: Any) -> _Identity:
    held = list(rows)
    return _Identity(
        frozenset(row["nhs_number"] for row in held if row["nhs_number"]),
        frozenset[Name]().union(*(names(row) for row in held)),
        frozenset(row["birth_date"] for row in held if row["birth_date"]),
    )


def _names(row: Mapping[str, Any]) -> frozenset[Name]:
    """Every name of a record that has both parts."""
    parts = list(zip(row["given"] or (), row["family"] or (), strict=True))
    for text in row["name_text"] or ():
        words = text.split()
        if len(words) > 1:
            parts.append((words[0], words[-1]))
    return frozenset(
        (given.split()[0].casefold(), family.casefold())
        for given, family in parts
        if given and family
    )


def _current_name(row: Mapping[str, Any]) -> frozenset[Name]:
    """The current name of a record, if it has both parts."""
    first = {**row, "given": (row["given"] or ())[:1], "family": (row["family"] or ())[:1]}
    found = _names({**first, "name_text": ()})
    return found or _names({**first, "name_text": (row["name_text"] or ())[:1]})


def _keys(row: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for column in _SHARED:
        values = row[column] if isinstance(row[column], list) else [row[column]]
        yield from ((column, value) for value in values if value)


def _by_value(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        for key in _keys(row):
            found[key].append(row["record_id"])
    return found


def _sharing(table: pa.Table, rows: Sequence[Mapping[str, Any]]) -> pa.Array:
    """Which records of the table share a value with one of the rows, as a mask."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for column, value in _keys(row):
            wanted[column].add(value)
    mask = np.zeros(len(table), bool)
    for column, values in wanted.items():
        held = table[column].combine_chunks()
        some = pa.array(sorted(values), pa.string())
        if pa.types.is_list(held.type):
            known = pc.is_in(held.flatten(), value_set=some).to_numpy(zero_copy_only=False)
            mask[pc.list_parent_indices(held).to_numpy()[known]] = True
        else:
            mask |= pc.is_in(held, value_set=some).to_numpy(zero_copy_only=False)
    return pa.array(mask)


def _pair(one: int, two: int) -> Pair:
    return (one, two) if one < two else (two, one)


def _pairs_of(table: pa.Table) -> list[Pair]:
    lefts, rights = table["left"].to_pylist(), table["right"].to_pylist()
    return [_pair(a, b) for a, b in zip(lefts, rights, strict=True)]


def _table(pairs: Collection[Pair]) -> pa.Table:
    rows = sorted(pairs)
    return pa.table([[row[side] for row in rows] for side in (0, 1)], schema=PAIRS)


def _without(table: pa.Table, pairs: Collection[Pair]) -> pa.Table:
    return _table({pair for pair in _pairs_of(table) if pair not in pairs})
