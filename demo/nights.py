"""The nights after the first: people come, move, marry, are traced, are withdrawn and merged.

Rules:
- A night is a function of the demo (what it was made with), the seed of the changes and its number:
  the same bytes each time, whatever nights were written before.
- Each night's feeds hold what changed, in each system's own format; a system that sends whole
  lists sends everybody it has.
- A change of a person's is learnt by each system that knows the person with probability `LEARNS`,
  and by at least one.
- Each night one system's file is late: it comes with the next night's, under its own date.
- On each night whose number ends in 5 one person's identity changes under protection: new names,
  another gender, a new NHS number, in new records. They bear a truth of their own, and nobody may
  join the two.
- truth.parquet holds the records that have arrived and are not withdrawn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from demo import write_fhir, write_hl7v2
from demo.generate import MADE_WITH, make_views, write_truth
from demo.layouts import LAYOUTS
from demo.names import ETHNIC_CODES, Texts
from demo.partnership import AGE_BANDS, EXTRACT_DATE, SYSTEM_IDS, SYSTEMS, System
from demo.places import mobiles
from demo.population import LEAST_PEOPLE, NEVER, Population, build_population, draw_numbers
from demo.presence import age_band, choose_presence
from demo.records import View, build_view
from demo.write_delimited import write_clients
from schemas.errors import InputError, NotFound

NEW_PEOPLE, CHANGED_PEOPLE = 0.01, 0.02
"""Shares of the people the demo began with, each night."""
WITHDRAWN, MERGED = 0.001, 0.2
"""Shares, each night: of a system's records; of the doubles that a hospital has and has not found
yet."""
LEARNS = 0.6
WITHDRAWING = ("acute_royal", "acute_northmoor", "gp_harbour", "gp_moorland", "mental_health",
               "hospice")  # fmt: skip
"""Systems that take records back."""
MERGING = ("acute_royal", "acute_northmoor")
LATE = ("adult_avonmere", "community", "childrens", "acute_southcote", "ambulance")
"""Systems whose file is late, in turn."""
_PROTECTED_EVERY, _PROTECTED_ON = 10, 5
_ADDRESS = ("line1", "line2", "town", "postcode", "uprn", "landline")
_CLEARED = ("middle", "known_as", "previous_family", "mobile", "email", "shared_id", "ni", "chi",
            "previous_line1", "previous_line2", "previous_town", "previous_postcode",
            "previous_uprn", "previous_landline")  # fmt: skip
"""What a record under a protected new identity does not carry over."""


@dataclass(frozen=True)
class NightSummary:
    """What one night brought.

    Attributes:
        night: from 1; night 0 is the demo's own.
        files: every feed written, the late one of the night before among them.
        new_people, changed, withdrawn, merged, protected: how many people, people, records,
            records and people.
        late: the system whose file comes a night later.
    """

    night: int
    files: tuple[Path, ...]
    new_people: int
    changed: int
    withdrawn: int
    merged: int
    protected: int
    late: str


@dataclass
class _Register:
    """One system's records as they stand, and what the night now being made does to them.

    Attributes:
        label: whose each record is.
        gone, merged, waiting: withdrawn; merged away; said, but in a file that is late.
        said: rows that the night says; `deleted`, `merges`: withdrawn rows, merged (retired,
            surviving).
    """

    system: System
    columns: dict[str, Texts]
    label: list[str]
    next_id: int
    gone: set[int] = field(default_factory=set)
    merged: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    said: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    merges: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, view: View, population: Population) -> _Register:
        """As the first night left it."""
        label = population.label[view.person].tolist()
        retired = {retired for retired, _ in view.merges}
        ids = 10_100 + 3 * len(view)  # beyond those that `build_view` draws from
        return cls(view.system, dict(view.columns), label, ids, merged=retired)

    def add(self, columns: dict[str, Texts], label: Sequence[str]) -> None:
        """New records, under new local ids."""
        first, count = len(self.label), len(label)
        numbers = range(self.next_id, self.next_id + count)
        ids = [self.system.local_id.format(number) for number in numbers]
        columns = {**columns, "local_id": np.array(ids, dtype=object)}
        for name, held in self.columns.items():
            self.columns[name] = np.concatenate([held, columns[name]])
        self.label += label
        self.next_id += count
        self.said.update(range(first, first + count))

    def standing(self) -> list[int]:
        """Rows of records that are neither withdrawn nor merged away."""
        return [row for row in range(len(self.label)) if row not in self.gone | self.merged]

    def view(self, rows: Sequence[int]) -> View:
        """Some records, as the writers take them."""
        at = np.array(rows, dtype=np.int64)
        columns = {name: column[at] for name, column in self.columns.items()}
        return View(self.system, np.zeros(len(at), dtype=np.int32), columns)


class Nights:
    """The demo of a workspace, night after night. Holds all its records in memory."""

    def __init__(self, root: Path, seed: int | None = None) -> None:
        """Raises: NotFound: the workspace holds no demo; InputError: one made by an older program.

        Args:
            seed: of the changes; the demo's own where None.
        """
        if not (root / "truth.parquet").is_file():
            raise NotFound("truth.parquet: the workspace holds no demo; make one first")
        made = (pq.read_schema(root / "truth.parquet").metadata or {}).get(MADE_WITH.encode())
        if made is None:
            raise InputError("truth.parquet does not say what the demo was made with; make it anew")
        self._root, self._made = root, json.loads(made)
        self._size = int(self._made["people"])
        self._seed = self._made["seed"] if seed is None else seed
        rng = np.random.default_rng(self._made["seed"])
        self._people = build_population(rng, self._size)
        _, views = make_views(rng, self._people, self._size, self._made["items"])
        self._registers = {view.system.id: _Register.of(view, self._people) for view, _ in views}
        p = self._people
        self._numbers = dict(zip(p.label.tolist(), p.number.tolist(), strict=True))
        # Those who died, past identities and test patients do not change any more.
        living = (p.death == NEVER) & (p.only_system < 0)
        self._living = p.label[living].tolist()
        self._used = {*p.number.tolist(), *p.old_number.tolist()}
        self._groups = pq.read_table(root / "truth_groups.parquet").to_pylist()[: len(p)]
        self._late: tuple[View, str, str] | None = None
        self.night = 0

    def write_next(self, *, write: bool = True) -> NightSummary:
        """Makes the next night, and writes its feeds and the truth after it.

        Args:
            write: False only passes over the night.
        """
        self.night += 1
        rng = np.random.default_rng([self._seed, self.night])
        self._at = f"{EXTRACT_DATE + timedelta(days=self.night)}T02:00:00"
        new = self._arrivals(rng)
        changed = self._changes(rng)
        merged, withdrawn = self._merge(rng), self._withdraw(rng)
        protected = self._protect(rng)
        late = LATE[self.night % len(LATE)]
        files = self._write(late, write)
        return NightSummary(
            self.night, tuple(files), new, changed, withdrawn, merged, protected, late
        )

    # --- what happens --------------------------------------------------------------------------
    def _arrivals(self, rng: np.random.Generator) -> int:
        """New people, by households, known to systems as others are."""
        count = max(1, round(NEW_PEOPLE * self._size))
        pool = build_population(rng, max(LEAST_PEOPLE, 2 * count))
        fresh = np.array([number not in self._used for number in pool.number])
        able = (pool.only_system < 0) & (pool.death == NEVER) & fresh
        chosen = np.flatnonzero(able)[:count]
        presence = choose_presence(rng, pool)
        names = {int(row): f"n{self.night:02d}{pool.label[row]}" for row in chosen}
        for number, system in enumerate(SYSTEMS):
            person = chosen[presence[chosen, number]].astype(np.int32)
            if len(person):
                none = np.zeros(len(person), dtype=bool)
                columns = build_view(rng, system, pool, person, none, None).columns
                columns["as_at"] = np.full(len(person), self._at, dtype=object)
                self._registers[system.id].add(columns, [names[int(row)] for row in person])
        bands = age_band(pool)
        for row, name in names.items():
            sex = "female" if pool.female[row] else "male"
            self._group(name, sex, AGE_BANDS[bands[row]][0], ETHNIC_CODES[pool.ethnic[row]])
            self._numbers[name] = pool.number[row]
            self._used.add(pool.number[row])
            self._living.append(name)
        return len(chosen)

    def _group(self, name: str, sex: str, band: str, ethnicity: str, *planted: str) -> None:
        self._groups.append(
            {"person": name, "sex": sex, "age_band": band, "ethnicity": ethnicity,
             "planted": list(planted)}
        )  # fmt: skip

    def _rows_of(self) -> dict[str, list[tuple[str, int]]]:
        """Person → (system, row) of the records that stand and have arrived."""
        rows: dict[str, list[tuple[str, int]]] = {}
        for system, register in self._registers.items():
            for row in register.standing():
                rows.setdefault(register.label[row], []).append((system, row))
        return rows

    def _changes(self, rng: np.random.Generator) -> int:
        """People move, marry, change their telephone, are traced."""
        rows = self._rows_of()
        known = [name for name in self._living if name in rows]
        count = max(1, round(CHANGED_PEOPLE * self._size))
        kinds: tuple[Callable[[np.random.Generator, str], dict[str, str]], ...]
        kinds = (self._moved, self._moved, self._married, self._telephone, self._traced)
        for n in rng.permutation(len(known))[:count].tolist():
            name = known[n]
            change = kinds[int(rng.integers(len(kinds)))](rng, name)
            learnt = rng.random(len(rows[name])) < LEARNS
            learnt[int(rng.integers(len(learnt)))] = True
            for (system, row), yes in zip(rows[name], learnt, strict=True):
                if yes:
                    self._set(self._registers[system], row, change)
        return min(count, len(known))

    def _set(self, register: _Register, row: int, change: dict[str, str]) -> None:
        """Changes a record; what `previous_` columns there are keep the values before."""
        columns = register.columns
        for name, value in change.items():
            if f"previous_{name}" in columns and columns[name][row]:
                columns[f"previous_{name}"][row] = columns[name][row]
            columns[name][row] = value
        columns["as_at"][row] = self._at
        register.said.add(row)

    def _moved(self, rng: np.random.Generator, _: str) -> dict[str, str]:
        homes = self._people.dwellings
        at = int(rng.integers(len(homes.line1)))
        return {name: getattr(homes, name)[at] for name in _ADDRESS}

    def _married(self, rng: np.random.Generator, _: str) -> dict[str, str]:
        return {"family": self._people.family[int(rng.integers(len(self._people)))]}

    def _telephone(self, rng: np.random.Generator, _: str) -> dict[str, str]:
        return {"mobile": mobiles(rng, 1)[0]}

    def _traced(self, rng: np.random.Generator, name: str) -> dict[str, str]:
        number = self._numbers.get(name)
        if not number:
            return self._telephone(rng, name)
        return {"nhs": number, "nhs_status": "01", "traced_on": self._at[:10]}

    def _merge(self, rng: np.random.Generator) -> int:
        """Hospitals find doubles and merge the later record into the earlier."""
        found = 0
        for system in MERGING:
            register, first = self._registers[system], dict[str, int]()
            for row in register.standing():
                survivor = first.setdefault(register.label[row], row)
                if survivor != row and rng.random() < MERGED:
                    register.merges.append((row, survivor))
            register.merged.update(row for row, _ in register.merges)
            register.said -= register.merged
            found += len(register.merges)
        return found

    def _withdraw(self, rng: np.random.Generator) -> int:
        """Systems take records back."""
        for system in WITHDRAWING:
            register = self._registers[system]
            able = sorted(set(register.standing()) - register.said)
            survivors = {row for _, row in register.merges}
            count = int(rng.binomial(len(able), WITHDRAWN))
            if system == "hospice":  # no more than a whole list may lack
                count = min(max(1, count), len(able) // 25)
            drawn = {able[n] for n in rng.permutation(len(able))[:count].tolist()}
            register.deleted = drawn - survivors
            register.gone |= register.deleted
        return sum(len(register.deleted) for register in self._registers.values())

    def _protect(self, rng: np.random.Generator) -> int:
        """One person gets a new identity in the practice that knows them."""
        if self.night % _PROTECTED_EVERY != _PROTECTED_ON:
            return 0
        register = self._registers["gp_harbour"]
        living = set(self._living)
        c = register.columns
        able = [
            row
            for row in register.standing()
            if register.label[row] in living and c["nhs"][row] and "" < c["birth"][row] < "2008"
        ]
        row = able[int(rng.integers(len(able)))]
        name, p = register.label[row], self._people
        female = register.columns["gender"][row] != "F"
        alike = np.flatnonzero(p.female == female)
        drawn = draw_numbers(rng, len(self._used) + 1).tolist()
        number = next(n for n in drawn if n not in self._used)
        columns = {key: column[[row]].copy() for key, column in register.columns.items()}
        changes = {
            "given": p.given[alike[int(rng.integers(len(alike)))]],
            "family": p.family[int(rng.integers(len(p)))],
            "gender": "F" if female else "M", "prefix": "Ms" if female else "Mr",
            "nhs": number, "nhs_status": "01", "traced_on": self._at[:10], "as_at": self._at,
            **dict.fromkeys(_CLEARED, ""),
        }  # fmt: skip
        for key, value in changes.items():
            columns[key][0] = value
        register.add(columns, [f"{name}-after"])
        self._used.add(number)
        self._numbers[f"{name}-after"] = number
        self._living.remove(name)
        self._living.append(f"{name}-after")
        before = next(group for group in self._groups if group["person"] == name)
        before["planted"] = [*before["planted"], "past_identity"]
        sex = "female" if female else "male"
        band, ethnicity = before["age_band"], before["ethnicity"]
        self._group(f"{name}-after", sex, band, ethnicity, "gender_recognition")
        return 1

    # --- what is written -----------------------------------------------------------------------
    def _write(self, late: str, write: bool) -> list[Path]:
        stamp = f"{EXTRACT_DATE + timedelta(days=self.night):%Y%m%d}"
        files: list[Path] = []
        if self._late is not None:
            view, held_stamp, system = self._late
            self._registers[system].waiting.clear()
            if write:
                files.append(write_clients(self._root / "inbox" / system, view, held_stamp))
            self._late = None
        for system, register in self._registers.items():
            if system == late and register.said:
                self._late = register.view(sorted(register.said)), stamp, system
                register.waiting = {row for row in register.said if self._is_new(register, row)}
            elif write:
                files += _write_system(self._root / "inbox" / system, register, stamp)
            register.said, register.deleted, register.merges = set(), set(), []
        if write:
            self._write_truth(stamp)
        return files

    def _is_new(self, register: _Register, row: int) -> bool:
        """Whether the record was never in a file."""
        return register.label[row].startswith(f"n{self.night:02d}")

    def _write_truth(self, stamp: str) -> None:
        columns: dict[str, list[str]] = {"source": [], "local_id": [], "person": []}
        for system in SYSTEM_IDS:
            register = self._registers[system]
            out = register.gone | register.waiting
            rows = [row for row in range(len(register.label)) if row not in out]
            columns["source"] += [system] * len(rows)
            columns["local_id"] += register.columns["local_id"][rows].tolist()
            columns["person"] += [register.label[row] for row in rows]
        made = {MADE_WITH: json.dumps(self._made)}
        table = pa.table(columns).replace_schema_metadata(made)
        write_truth(self._root / "truth.parquet", table, stamp)
        groups = pq.read_schema(self._root / "truth_groups.parquet")
        table = pa.Table.from_pylist(self._groups, schema=groups)
        write_truth(self._root / "truth_groups.parquet", table, stamp)


def _write_system(folder: Path, register: _Register, stamp: str) -> list[Path]:
    said, deleted = sorted(register.said), sorted(register.deleted)
    if register.system.format == "hl7v2":
        everybody = register.view(range(len(register.label)))
        merges = register.merges
        return write_hl7v2.write_night(folder, everybody, said, merges, deleted, stamp)
    if register.system.format == "fhir":
        ids = register.columns["local_id"][deleted].tolist()
        return write_fhir.write_night(folder, register.view(said), ids, stamp)
    if LAYOUTS[register.system.id].whole_list:
        return [write_clients(folder, register.view(register.standing()), stamp)]
    if not said and not deleted:
        return []
    view = register.view([*said, *deleted])
    view.columns["action"] = np.array(["U"] * len(said) + ["D"] * len(deleted), dtype=object)
    return [write_clients(folder, view, stamp)]


def generate_night(root: Path, night: int, seed: int | None = None) -> NightSummary:
    """Adds one night's feeds to the inbox of a demo workspace, and sets its truth as of then.

    Args:
        root: a workspace with a demo.
        night: from 1. Earlier nights are expected to have been written; they are not written again.
        seed: of the changes; the demo's own where None.

    Raises: InputError, NotFound.
    """
    if night < 1:
        raise InputError("expected a night from 1; night 0 is the demo itself")
    nights = Nights(root, seed)
    for _ in range(night - 1):
        nights.write_next(write=False)
    return nights.write_next()
