"""Makes the whole demo: feeds in the inbox, the truth beside them.

Rules:
- The same number of people, seed and items per person give the same bytes.
- One system at a time is held in memory.
- truth.parquet names the person of every record of every feed; truth_groups.parquet says for each
  person sex, age band and ethnic category, and for each hard case its kind; truth_errors.parquet
  says which record was spoilt how.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from demo.files import STAMP, set_extract_time
from demo.items import DEFAULT_PER_PERSON, Items, build_items, scale_for
from demo.names import ETHNIC_CODES, Texts
from demo.partnership import AGE_BANDS, SYSTEMS
from demo.population import Population, build_population
from demo.presence import Presence, age_band, choose_presence, records_of
from demo.records import Tally, View, build_view
from demo.staff import Staff, build_staff
from demo.write_delimited import write_clients, write_items, write_staff
from demo.write_fhir import write_resources
from demo.write_hl7v2 import write_messages
from schemas.errors import InputError

Progress = Callable[[str, int, int], None]
"""Called with what is being made, how many steps are done, and of how many."""

MADE_WITH = "made_with"
"""Key of truth.parquet's metadata that holds what the demo was made with, as JSON."""
MERGED_IN_SYSTEM = 0.6
"""Share of second records that acute_northmoor itself has found and merged (A40)."""
_MERGING_SYSTEM = "acute_northmoor"


@dataclass(frozen=True)
class DemoSummary:
    """What was made.

    Attributes:
        people: real people with at least one record.
        records, items: per source.
        merges: A40 messages sent.
        planted: hard cases, kind → how many persons.
        tally: (source, kind of error) → how often it could, should and did happen.
        files: every feed, in the order made.
    """

    people: int
    records: Mapping[str, int]
    items: Mapping[str, int]
    merges: int
    staff: int
    planted: Mapping[str, int]
    tally: Mapping[tuple[str, str], Tally]
    files: tuple[Path, ...]


def generate(
    workspace: Path,
    people: int = 20_000,
    seed: int = 1,
    items_per_person: float = DEFAULT_PER_PERSON,
    progress: Progress | None = None,
) -> DemoSummary:
    """Writes `inbox/SOURCE/` feeds, truth.parquet and its two companions into the workspace.

    Args:
        workspace: a folder; made if missing. Feeds of an earlier demo are written over.
        people: 200 to 700,000.
        seed: any whole number from 0.
        items_per_person: care items for each person, from 0; every kind of item is sent at least
            once.
        progress: told of every step.

    Raises: InputError for numbers outside these ranges.
    """
    if seed < 0 or not 0 <= items_per_person <= 100:
        raise InputError("expected a seed from 0 and 0 to 100 items per person")
    told = progress or (lambda _what, _done, _of: None)
    steps = len(SYSTEMS) + 2
    told("people", 0, steps)
    rng = np.random.default_rng(seed)
    population = build_population(rng, people)
    staff, views = make_views(rng, population, people, items_per_person)
    inbox = workspace / "inbox"
    files = [write_staff(inbox, staff)]
    collector = _Collector(population)
    for number, (view, items) in enumerate(views):
        told(view.system.name, number + 1, steps)
        files += _write(inbox / view.system.id, view, items)
        collector.add(view, items)
    told("truth", steps - 1, steps)
    collector.write(workspace, {"people": people, "seed": seed, "items": items_per_person})
    told("done", steps, steps)
    return collector.summary(len(staff), tuple(files))


def make_views(
    rng: np.random.Generator, population: Population, people: int, items_per_person: float
) -> tuple[Staff, Iterator[tuple[View, list[Items]]]]:
    """The staff, and each system's records and items, one system after another.

    Args:
        rng: as it is after the population was drawn from it.
    """
    presence = choose_presence(rng, population)
    staff = build_staff(rng, people)
    known = {s.id: int(presence[:, n].sum()) for n, s in enumerate(SYSTEMS)}
    scale = scale_for(items_per_person, people, known)
    return staff, _views(rng, population, presence, staff, scale)


def _views(
    rng: np.random.Generator, population: Population, presence: Presence, staff: Staff, scale: float
) -> Iterator[tuple[View, list[Items]]]:
    shared: dict[str, Texts] = {}
    for number, system in enumerate(SYSTEMS):
        person, double = records_of(rng, population, presence, number)
        held = shared.get(system.shares) if system.shares else None
        view = build_view(rng, system, population, person, double, held)
        if system.id == _MERGING_SYSTEM:
            view.merges = _merges(rng, person, double)
        if any(other.shares == system.id for other in SYSTEMS):
            shared[system.id] = np.full(len(population), "", dtype=object)
            shared[system.id][person] = view.columns["local_id"]
        items = build_items(rng, view, population, scale, staff.authors(system.organisations))
        yield view, items


def _write(folder: Path, view: View, items: list[Items]) -> list[Path]:
    if view.system.format == "fhir":
        return write_resources(folder, view, items)
    if view.system.format == "hl7v2":
        return write_messages(folder, view, items)
    return [write_clients(folder, view), *write_items(folder, view, items)]


def _merges(
    rng: np.random.Generator, person: np.ndarray[tuple[int], np.dtype[np.int32]],
    double: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> list[tuple[int, int]]:  # fmt: skip
    """(retired row, surviving row) of the second records that the system has found: at least one
    where it has any."""
    seconds = np.flatnonzero(double).tolist()
    first = {int(p): row for row, p in enumerate(person.tolist()) if not double[row]}
    found = rng.random(len(seconds)) < MERGED_IN_SYSTEM
    found[:1] = True
    return [(row, first[int(person[row])]) for row, yes in zip(seconds, found, strict=True) if yes]


def write_truth(path: Path, table: pa.Table, stamp: str = STAMP) -> None:
    """Writes one of the truth's files, as of the night of `stamp`."""
    temporary = path.with_name(path.name + ".part")
    pq.write_table(table, temporary)
    set_extract_time(temporary, stamp)
    temporary.replace(path)


class _Collector:
    """Gathers the truth while systems come and go."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._truth: list[pa.Table] = []
        self._errors: list[pa.Table] = []
        self._seen = np.zeros(len(population), dtype=bool)
        self._planted = dict(population.planted)
        self._records: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._tally: dict[tuple[str, str], Tally] = {}
        self._merges = 0

    def add(self, view: View, items: list[Items]) -> None:
        """Notes one system's records and items."""
        source, local_id = view.system.id, view.columns["local_id"]
        self._truth.append(
            pa.table(
                {
                    "source": [source] * len(view),
                    "local_id": local_id.tolist(),
                    "person": self._population.label[view.person].tolist(),
                }
            )
        )
        for kind, rows in view.errors.items():
            spoilt = local_id[rows].tolist()
            columns = {"source": [source] * len(spoilt), "local_id": spoilt,
                       "error": [kind] * len(spoilt)}  # fmt: skip
            self._errors.append(pa.table(columns, schema=_ERROR_SCHEMA))
            if kind.startswith("newborn_"):
                before = self._planted.get(kind, np.array([], dtype=np.int32))
                self._planted[kind] = np.union1d(before, view.person[rows]).astype(np.int32)
        self._seen[view.person] = True
        self._records[source], self._items[source] = len(view), sum(len(part) for part in items)
        self._tally |= {(source, kind): tally for kind, tally in view.tally.items()}
        self._merges += len(view.merges)

    def write(self, workspace: Path, made_with: Mapping[str, float]) -> None:
        """truth.parquet, truth_groups.parquet and truth_errors.parquet."""
        truth = pa.concat_tables(self._truth)
        tables = {
            "truth.parquet": truth.replace_schema_metadata({MADE_WITH: json.dumps(made_with)}),
            "truth_groups.parquet": self._groups(),
            "truth_errors.parquet": pa.concat_tables(self._errors),
        }
        for name, table in tables.items():
            write_truth(workspace / name, table)

    def _groups(self) -> pa.Table:
        p = self._population
        bands = np.array([name for name, _ in AGE_BANDS], dtype=object)[age_band(p)]
        cases: dict[int, list[str]] = {}
        for kind, rows in self._planted.items():
            for row in rows.tolist():
                cases.setdefault(row, []).append(kind)
        return pa.table(
            {
                "person": p.label.tolist(),
                "sex": np.where(p.female, "female", "male").tolist(),
                "age_band": bands.tolist(),
                "ethnicity": np.array(ETHNIC_CODES, dtype=object)[p.ethnic].tolist(),
                "planted": pa.array(
                    [cases.get(row, []) for row in range(len(p))], pa.list_(pa.string())
                ),
            }
        )

    def summary(self, staff: int, files: tuple[Path, ...]) -> DemoSummary:
        """What was made."""
        real = self._population.only_system < 0
        return DemoSummary(
            people=int((self._seen & real).sum()),
            records=self._records,
            items=self._items,
            merges=self._merges,
            staff=staff,
            planted={kind: len(rows) for kind, rows in self._planted.items()},
            tally=self._tally,
            files=files,
        )


_ERROR_SCHEMA = pa.schema(
    [("source", pa.string()), ("local_id", pa.string()), ("error", pa.string())]
)
