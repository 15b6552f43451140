"""Who is this? One record in, the persons whose records it matches out, in milliseconds.

The warm index keeps the features of all records, the blocks of the model's rules by key, and what
each person's records are. A record that is asked about is read as features would read it, its
candidates are those rows that some rule proposes, and their features and its own, on their own,
are scored by the kernel of the nightly run (linkage/score.py): the same bits, because values, not
their numbers, decide a level.

Rules:
- Caps apply: a rule whose block is over its cap proposes nobody and is named as too common.
- What a crowd bears (linkage/features.py) is no evidence here either, as of the build.
- Of a person who is restricted, no locating value is evidence or proposes them: nobody is found by
  where they live, who their doctor is or how to reach them.
- A candidate is a person, scored by the best of the records that no guard rail forbids. The person
  asked about is at most one of the candidates, so each one's probability is its odds among all
  odds, and among nobody's.
- Nothing here changes an index that was built: any number of threads may ask it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linkage.asked import NAMES, Asked, AskedReader, Value
from linkage.blocking import Key
from linkage.columns import Column, Features
from linkage.compare import parts_read
from linkage.grades import SETTLING, Grade, grade_of, probabilities
from linkage.guards import GUARDS
from linkage.lookup_index import NOWHERE, ColumnGroup, Dictionary, Ints, RowNumbers, RuleIndex
from linkage.model import Model
from linkage.score import Scored, Scorer
from schemas.errors import InvalidValue

Flags = npt.NDArray[np.bool_]

FLOOR_BITS = -4.25
"""Pairs below this match weight cannot be possible matches: odds of 1 to 19."""
FEW = 200
"""Rows up to which all are compared in all fields."""
CROWDED = ("phone", "email", "identifier")
"""Columns in which a value that very many records bear is no evidence."""
LOCATING = frozenset(("address", "postcode", "uprn", "phone", "email", "practice"))
"""Columns that say where a person is or how to reach them."""
_LOCATING_KINDS = frozenset(("text", "category", "number", "set"))
"""Kinds of declared columns that may say so (a town, a ward, a map reference)."""


@dataclass(frozen=True)
class Candidate:
    """A person who may be the one asked about.

    Attributes:
        person: the number given at the build. row: the table's row of the record that matches best.
        bits: match weight of that record. probability: of being the person asked about.
        grade: None where it is too unlikely to be named, and everyone was asked for.
        guard: code of the guard rail that forbids one of the records, where one does.
        records: how many of the person's records reached the floor.
    """

    person: int
    row: int
    bits: float
    probability: float
    grade: Grade | None
    guard: str | None
    records: int


@dataclass(frozen=True)
class Answer:
    """What the index knows.

    Attributes:
        candidates: the likeliest first; certainly-not last.
        too_common: rules that had too many records for it; a fuller description may find more.
        compared: how many records were scored.
    """

    candidates: tuple[Candidate, ...]
    too_common: tuple[str, ...]
    compared: int


@dataclass(frozen=True)
class _Proposed:
    """Rows that rules propose, ascending; `openly`: by a rule that reads no locating column."""

    rows: RowNumbers
    openly: Flags
    too_common: tuple[str, ...]


class Lookup:
    """A warm index over the records of published persons. Build with `Lookup.build`."""

    def __init__(
        self,
        features: Features,
        model: Model,
        persons: Ints,
        restricted: Flags,
        crowds: Mapping[str, Flags],
        reader: AskedReader,
    ) -> None:
        self.features, self.model = features, model
        self._persons, self._restricted = persons, restricted
        self._crowds, self._reader = crowds, reader
        self._rules: tuple[RuleIndex, ...] = ()
        self._scorer = Scorer(_no_records(), model)
        self._locating = _locating(model)
        self._dictionaries = _dictionaries(features)
        self._groups = _groups(features, self._dictionaries)

    @staticmethod
    def build(
        features: Features,
        model: Model,
        persons: Ints,
        *,
        restricted: Flags | None = None,
        accept_test_numbers: bool = False,
    ) -> Lookup:
        """An index of records.

        Args:
            features: of all records (linkage/features.py), read with the model's columns.
            persons: (n,) by row of the table, the number of the record's person; -1 where it is in
                none, and is not to be found.
            restricted: (n,) by row of the table, whether the record's person is restricted.
        """
        if len(persons) != len(features):
            raise InvalidValue("an index needs one person for each record")
        flags = np.zeros(len(features), bool) if restricted is None else restricted
        persons, flags = persons[features.row].astype(np.int64), flags[features.row]
        crowds = {name: _crowd(features, name) for name in CROWDED}
        features = _without(features, _locating(model), flags)
        reader = AskedReader(model.columns, accept_test_numbers)
        lookup = Lookup(features, model, persons, flags, crowds, reader)
        lookup._warm()
        with ThreadPoolExecutor() as pool:
            rules = pool.map(lambda rule: RuleIndex(features, rule), model.rules)
            lookup._rules = tuple(rules)
        return lookup

    def ask(
        self,
        record: pa.Table,
        *,
        restricted: Collection[int] = (),
        floor: float = FLOOR_BITS,
        everyone: bool = False,
    ) -> Answer:
        """The persons who may be this one.

        Args:
            record: one row of columns of `schemas.columns.MATCH_SCHEMA`, those that are known; and
                `source` where it is a source's record.
            restricted: persons that turned out to be restricted since the build.
            everyone: name those too that are too unlikely for a grade.
        """
        asked = self._reader.read(record)
        codes = self._codes(asked)
        proposed = self._propose(asked, codes)
        rows, openly = proposed.rows, proposed.openly
        hidden = self._restricted[rows] | np.isin(self._persons[rows], list(restricted))
        keep = (self._persons[rows] >= 0) & (openly | ~hidden)
        rows, hidden = rows[keep], hidden[keep]
        scored = self.score(rows, asked, hidden, floor)
        rows = rows.take(scored.keep)
        settled = self._settled(rows, codes)
        ranked = self._ranked(rows, scored, settled)
        named = tuple(one for one in ranked if everyone or one.grade is not None)
        return Answer(named, proposed.too_common, int(keep.sum()))

    def score(self, rows: RowNumbers, asked: Asked, hidden: Flags, floor: float) -> Scored:
        """Match weights of the record with rows of the features. hidden: (k,) rows whose locating
        values are no evidence."""
        if not len(rows):
            none = np.zeros(0)
            return Scored(np.zeros(0, np.intp), none, none, np.zeros(0, np.uint8))
        small = self._small(rows, asked, hidden)
        left = np.arange(len(rows), dtype=np.int32)
        # For few rows, to ask what they can reach takes longer than to compare them.
        early = floor if len(rows) > FEW else -np.inf
        scored = self._scorer.over(small).score(left, np.full_like(left, len(rows)), early)
        reach = np.flatnonzero(scored.bits >= floor)
        return Scored(
            scored.keep[reach], scored.bits[reach], scored.conflict[reach], scored.guard[reach]
        )

    def read(self, record: pa.Table) -> Asked:
        """The record as features hold it."""
        return self._reader.read(record)

    def read_row(self, cells: Mapping[str, Any]) -> Asked:
        """The record as features hold it, of its cells by their columns."""
        return self._reader.read_row(cells)

    def code(self, column: str, value: Value) -> int:
        """The code of a value in a column of the features, `NOWHERE` where no record bears it."""
        return self._dictionaries[column].find(value)

    def _codes(self, asked: Asked) -> dict[str, list[int]]:
        """Column → the codes of the record's values, `NOWHERE` where no record bears one; values
        of crowds left out."""
        out = {}
        for name, values in asked.columns.items():
            dictionary = self._dictionaries.get(name)
            codes = [dictionary.find(v) if dictionary else NOWHERE for v in values]
            crowd = self._crowds.get(name)
            if crowd is not None:
                codes = [code for code in codes if code == NOWHERE or not crowd[code]]
            out[name] = codes
        return out

    def _propose(self, asked: Asked, codes: Mapping[str, Sequence[int]]) -> _Proposed:
        def part(column: str, name: str) -> int:
            values, dictionary = asked.columns.get(column), self._dictionaries.get(column)
            if not values or dictionary is None or not codes[column]:
                return NOWHERE
            code = codes[column][0]
            if code != NOWHERE:
                return int(dictionary.part(name)[code])
            return int(dictionary.part_of(name, values[:1])[0])

        openly: list[RowNumbers] = []
        located: list[RowNumbers] = []
        too_common = []
        for rule in self._rules:
            block = rule.find(codes, part)
            (located if rule.columns & self._locating else openly).append(block.rows)
            if block.too_common:
                too_common.append(rule.rule.name)
        none = np.zeros(0, np.int32)
        in_open = np.unique(np.concatenate([none, *openly]))
        rows = np.unique(np.concatenate([in_open, *located]))
        return _Proposed(rows, np.isin(rows, in_open), tuple(too_common))

    def _small(self, rows: RowNumbers, asked: Asked, hidden: Flags) -> Features:
        """Features of some rows and, behind them, of the record asked about."""
        columns: dict[str, Column] = {}
        for group in self._groups:
            if not group.counts(asked):
                continue
            columns |= group.gathered(rows, asked, self._crowds, self._locating, hidden)
        return Features(
            row=np.arange(len(rows) + 1),
            columns={name: column for name, column in columns.items() if not column.empty},
            apart=np.append(self.features.apart[rows], False),
            verified=np.append(self.features.verified[rows], asked.verified),
        )

    def _settled(self, rows: RowNumbers, codes: Mapping[str, Sequence[int]]) -> Flags:
        """Which rows share a number or a birth date with the record."""
        out = np.zeros(len(rows), bool)
        for name in SETTLING:
            held = self.features.columns.get(name)
            wanted = [code for code in codes.get(name, ()) if code != NOWHERE]
            if held is not None and wanted:
                out |= np.isin(held.codes[:, rows], wanted).any(axis=0)
        return out

    def _ranked(self, rows: RowNumbers, scored: Scored, settled: Flags) -> tuple[Candidate, ...]:
        """The persons of the scored rows, best first."""
        if not len(rows):
            return ()
        persons = self._persons[rows]
        # Of each person the best record that nothing forbids, else the best of all.
        order = np.lexsort((rows, -scored.bits, scored.guard > 0, persons))
        best = order[np.flatnonzero(np.diff(persons[order], prepend=-1))]
        best = best[np.lexsort((rows[best], -scored.bits[best], scored.guard[best] > 0))]
        held = np.unique(persons)
        place = np.searchsorted(held, persons)
        doubts = np.zeros(len(held), np.int64)
        np.maximum.at(doubts, place, scored.guard)
        counts = np.bincount(place)
        bits = scored.bits[best]
        forbidden = scored.guard[best] > 0
        probability = probabilities(np.where(forbidden, -np.inf, bits))
        others = bits[~forbidden]
        candidates = []
        for i, at in enumerate(best.tolist()):
            rivals = np.delete(others, i) if not forbidden[i] else others
            margin = float(bits[i] - rivals.max()) if len(rivals) else float("inf")
            doubt = int(doubts[place[at]])
            grade = grade_of(
                float(probability[i]), margin, settled=bool(settled[at]),
                doubted=doubt > 0, forbidden=bool(forbidden[i]),
            )  # fmt: skip
            candidates.append(
                Candidate(
                    person=int(persons[at]),
                    row=int(self.features.row[rows[at]]),
                    bits=float(bits[i]),
                    probability=float(probability[i]),
                    grade=grade,
                    guard=GUARDS[doubt - 1].code if doubt else None,
                    records=int(counts[place[at]]),
                )
            )
        return tuple(candidates)

    def _warm(self) -> None:
        """Makes every part of values that fields and rules read, so that no question waits."""
        wanted: set[tuple[str, str]] = set()
        for field in self.model.fields:
            parts = parts_read(field.levels[:-1]) | {field.comparable} - {""}
            wanted |= {(field.column, part) for part in parts}
        for rule in self.model.rules:
            keys = (Key.of(key) for key in rule.keys)
            wanted |= {(key.columns[0], key.part) for key in keys if key.part}
        for column, part in sorted(wanted):
            if column in self._dictionaries:
                self._dictionaries[column].part(part)


def _locating(model: Model) -> frozenset[str]:
    declared = {spec.name for spec in model.columns if spec.kind in _LOCATING_KINDS}
    return LOCATING | declared


def _without(features: Features, names: frozenset[str], hidden: Flags) -> Features:
    """The features with some columns made missing in some rows."""
    if not hidden.any():
        return features
    columns = dict(features.columns)
    for name in names & columns.keys():
        codes = columns[name].codes.copy()
        codes[:, hidden] = NOWHERE
        columns[name] = Column(codes, columns[name].values)
    return replace(features, columns=columns)


def _no_records() -> Features:
    """Features of no rows."""
    none = np.zeros(0, bool)
    return Features(np.zeros(0, np.int64), {}, none, none)


def _dictionaries(features: Features) -> dict[str, Dictionary]:
    """Column → its dictionary; columns that share their values share it."""
    made: dict[int, Dictionary] = {}
    for column in features.columns.values():
        if id(column.values) not in made:
            made[id(column.values)] = Dictionary(column.values)
    return {name: made[id(column.values)] for name, column in features.columns.items()}


def _groups(features: Features, dictionaries: Mapping[str, Dictionary]) -> list[ColumnGroup]:
    """Columns by dictionary. Parts of names that no record has are there for the record asked
    about: its second forename may be another's first."""
    held = dict(features.columns)
    named = [name for name in NAMES if name in held]
    for name in NAMES:
        if named and name not in held:
            held[name] = Column(
                np.full((1, len(features)), NOWHERE, np.int32), held[named[0]].values
            )
    of_names = dictionaries[named[0]] if named else None
    groups: dict[int, tuple[Dictionary, dict[str, Column]]] = {}
    for name, column in held.items():
        dictionary = dictionaries.get(name, of_names)
        assert dictionary is not None
        groups.setdefault(id(dictionary), (dictionary, {}))[1][name] = column
    return [ColumnGroup(columns, dictionary) for dictionary, columns in groups.values()]


def _crowd(features: Features, name: str) -> Flags:
    """(values,) those that no record bears any more, because too many did."""
    column = features.column(name)
    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
    return np.asarray(counts == 0)
