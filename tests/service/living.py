"""A small living index for tests: people who come, change, move and go, linked night by night."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audit.events import AuditEvent, EventOutcome
from linkage.increment import link_increment
from linkage.model import uk_person
from linkage.state import Decided
from schemas.dates import Instant, PartialDate
from schemas.decisions import Decision, Origin, Standing, Verdict
from schemas.demographics import Address, HumanName, NhsNumberClaim
from schemas.errors import NeedsDecision
from schemas.identifiers import LocalId, NhsNumber, OdsCode, Postcode, SourceId
from schemas.records import ClientRecord
from schemas.settings import LinkSettings, Settings, SourceSettings
from service.inputs import active_undos, counting_records
from service.linking import LinkReport, link_records
from service.runs import RunState
from service.undo import release_run, undo_run
from store.keyring import KEY_FILE, FileKey, create_keyring
from store.sql_store import SqlStore, open_store
from tests.functional.small import nhs_number
from tests.store_samples import Unit, load, one, withdraw

SOURCES = ("gp", "pas", "soc")
TIGHT = {"max_joined": 0, "max_joined_fraction": 0.0}
"""Limits that hold a run which joins anybody."""
GIVEN = ("Alma", "Boris", "Carla", "Dmitri", "Esme", "Farid", "Greta", "Hari")
FAMILY = ("Teal", "Umber", "Violet", "Wheat", "Xanthic", "Yarrow", "Zinnia", "Ochre")


def human(local_id: str, who: int, slip: int = 0, was: int | None = None) -> ClientRecord:
    """A record of human `who`, with one of a few slips: a number that is missing, another house.
    With the name of human `was` beside, a record of whom is put right so and stays the same."""
    number = None if slip == 1 else NhsNumberClaim(NhsNumber(nhs_number(who)))
    house = Address(lines=(f"{who + 100 * (slip == 2)} High Street",), postcode=Postcode("BS1 5TR"))
    return ClientRecord(
        local_id=LocalId(local_id),
        names=tuple(
            HumanName(family=FAMILY[one % 8], given=(GIVEN[(one * 3) % 8],))
            for one in (who, was)
            if one is not None
        ),
        birth_date=PartialDate(f"19{40 + who}-0{1 + who % 9}-1{who % 9}"),
        nhs_number=number,
        addresses=(house,),
    )


def settings(**link: Any) -> Settings:
    """Three sources, none of which holds its own records apart."""
    sources = tuple(
        SourceSettings(SourceId(s), s, (OdsCode("RVJ"),), (), keeps_people_apart=False)
        for s in SOURCES
    )
    limits = LinkSettings(accept_test_numbers=True, **link)
    return Settings("P", "", False, (), sources, {}, {}, link=limits)


@dataclass
class Living:
    """One index: its store, its clock, what it was told."""

    store: SqlStore
    folder: Path
    hour: count[int] = field(default_factory=lambda: count(1))

    @property
    def model_file(self) -> Path:
        return self.folder / "model.json"

    def now(self) -> Instant:
        """A moment after all before."""
        hours = next(self.hour)
        return Instant(
            f"2026-{1 + hours // 672:02d}-{1 + hours // 24 % 28:02d}T{hours % 24:02d}:00:00Z"
        )

    def tell(self, source: str, *units: Unit) -> None:
        """A feed of the source, said now."""
        at = self.now()
        said = [[(part, at) for part, _ in unit] for unit in units]
        load(self.store, said, f"{source}-{at}", source=SourceId(source))

    def put(
        self, source: str, local_id: str, who: int, slip: int = 0, was: int | None = None
    ) -> None:
        """The source says that its client of this id is that human."""
        self.tell(source, one(human(local_id, who, slip, was)))

    def withdraw(self, source: str, local_id: str) -> None:
        """The source takes its record back."""
        self.tell(source, one(withdraw(local_id)))

    def decide_apart(self, one: str, two: str) -> None:
        """Somebody decides that two records (`source/local id`) are two people."""
        held = [
            self.store.record(SourceId(n.split("/")[0]), LocalId(n.split("/")[1]))
            for n in (one, two)
        ]
        low, high = sorted((h for h in held if h), key=lambda h: h.record_id)
        at = self.now()
        decision = Decision(
            low.record_id, high.record_id, low.version_id, high.version_id, Verdict.DIFFERENT,
            Standing.LIVE, Origin.REVIEW, "seen together", "ann", at,
        )  # fmt: skip
        event = AuditEvent(
            at=at, action="review-decide", outcome=EventOutcome.PERMITTED, actor="ann",
            role="data_team", purpose="data-quality",
        )  # fmt: skip
        self.store.write_decisions(self.store.decision_sequence(), [decision], [], event)

    def link(self, *, full: bool = False, **limits: Any) -> LinkReport:
        """A link."""
        return link_records(
            self.store, settings(**limits), self.model_file, self.now, full=full, threads=1
        )

    def held(self, **limits: Any) -> str:
        """A link that a limit must hold; what is said of it."""
        try:
            self.link(**limits)
        except NeedsDecision as error:
            return str(error)
        raise AssertionError("the run was not held")

    def undo(self, run_id: int) -> None:
        """Undoes the run, and links."""
        undo_run(self.store, run_id, self.now())
        self.link()

    def release(self, run_id: int) -> None:
        """Releases the run, and links."""
        release_run(self.store, run_id, self.now())
        self.link()

    @property
    def last(self) -> int:
        """The latest run."""
        run = self.store.last_run()
        assert run is not None
        return run.run_id

    def export(self, run_id: int | None = None) -> list[tuple[str, str, str]]:
        """(source, local id, person), sorted."""
        return sorted(row for chunk in self.store.export_rows(run_id) for row in chunk)

    def persons(self) -> dict[str, str]:
        """`source/local id` → person."""
        return {f"{source}/{local_id}": person for source, local_id, person in self.export()}

    def partition(self) -> set[frozenset[str]]:
        """The persons as sets of records."""
        groups: dict[str, set[str]] = {}
        for record, person in self.persons().items():
            groups.setdefault(person, set()).add(record)
        return {frozenset(group) for group in groups.values()}

    def from_nothing(self) -> set[frozenset[int]]:
        """The partition of what counts now, as record ids, linked from nothing."""
        table = counting_records(self.store, active_undos(self.store))
        linked = link_increment(
            table, table.slice(0, 0), None, self.store.decided(), Decided(), uk_person(),
            join_bits=7.0, review_bits=1.0, keeps_apart=frozenset(), accept_test_numbers=True,
            threads=1,
        )  # fmt: skip
        return grouped(linked.state.records["record_id"], linked.state.records["label"])

    def published(self) -> set[frozenset[int]]:
        """The published partition, as record ids."""
        members = self.store.memberships()
        return grouped(members["record_id"], members["person_id"])

    @property
    def waits(self) -> bool:
        """Whether the latest run is held."""
        run = self.store.last_run()
        return run is not None and run.state is RunState.HELD


def grouped(records: Any, labels: Any) -> set[frozenset[int]]:
    """A partition as sets."""
    groups: dict[Any, set[int]] = {}
    for record, label in zip(records.to_pylist(), labels.to_pylist(), strict=True):
        groups.setdefault(label, set()).add(record)
    return {frozenset(group) for group in groups.values()}


@contextmanager
def living() -> Iterator[Living]:
    """A new, empty index."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        keys = create_keyring(root / "keys", FileKey(root / "keys" / KEY_FILE))
        store = open_store(f"sqlite:///{root}/store.db", keys)
        try:
            yield Living(store, root)
        finally:
            store.close()
            keys.close()


def bridged(index: Living) -> None:
    """Two persons of two records each, then news that makes them one."""
    for source in ("gp", "pas"):
        index.put(source, "1", 1)
        index.put(source, "2", 2)
    index.link()
    index.put("gp", "2", 1, was=2)
    index.put("pas", "2", 1, was=2)
