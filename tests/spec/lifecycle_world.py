"""The partnership that a lifecycle scenario is about: what sources say of people, and a real store.

Rules:
- A record is described by clauses: `Alma Teal, female, born 1971-03-04, of 3 Mill Lane BS9 1AA`.
- Letters after `NHS number` stand for numbers of the range that is kept for tests.
- Stores are copies of one that is made once: making one anew takes longer than most scenarios.
"""

from __future__ import annotations

import atexit
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import msgspec

from linkage.model import Model, uk_person
from schemas.codes import Gender, NumberStatus, TelecomSystem
from schemas.dates import Instant, PartialDate
from schemas.demographics import (
    Address,
    Death,
    HumanName,
    Identifier,
    NhsNumberClaim,
    Telecom,
)
from schemas.errors import CommonthreadError, NotFound
from schemas.identifiers import LocalId, NhsNumber, OdsCode, PersonId, Postcode, SourceId
from schemas.records import ClientRecord
from schemas.settings import LinkSettings, ReviewSettings, Settings, SourceSettings
from service.access import Actor
from service.decisions import Desk
from service.linking import LinkReport, link_records
from service.looking import show_history, show_person
from service.model_files import kept_file, load_model, write_whole
from service.review import list_decisions, list_tasks, show_task
from service.review_queue import KINDS, Queue
from service.shielded import seen_by
from store.keyring import KEY_FILE, FileKey, create_keyring, open_keyring
from store.sql_store import SqlStore, open_store
from tests.functional.small import nhs_number
from tests.service.living import Living
from tests.store_samples import load, one

CLINIC = "clinic"
SOURCES = ("gp", "pas", "soc", CLINIC)
"""The practice, the hospital, social care; and a clinic that has several records of its clients."""
STAFF = ("ann", "bob", "cat")


# --- what a source says of somebody ------------------------------------------------------------


def described(local_id: str, clauses: Sequence[str], base: ClientRecord | None) -> ClientRecord:
    """The record that clauses describe, beginning from another one's content."""
    record = base or ClientRecord(local_id=LocalId("-"))
    record = msgspec.structs.replace(record, local_id=LocalId(local_id))
    for clause in clauses:
        for pattern, change in _CLAUSES:
            if found := re.fullmatch(pattern, clause):
                record = msgspec.structs.replace(record, **change(record, *found.groups()))
                break
        else:
            raise ValueError(f"not a clause that describes somebody: {clause}")
    return record


def _name(words: str) -> HumanName:
    *given, family = words.split()
    return HumanName(family=family, given=tuple(given))


def _address(text: str) -> Address:
    lines, outward, inward = text.rsplit(" ", 2)
    return Address(lines=(lines,), postcode=Postcode(f"{outward} {inward}"))


def number_of(letter: str) -> NhsNumber:
    """The number that a letter stands for."""
    return NhsNumber(nhs_number(ord(letter) - ord("A") + 1))


def _claim(letter: str, traced: str | None) -> dict[str, Any]:
    status = NumberStatus.VERIFIED if traced else NumberStatus.PRESENT_NOT_TRACED
    return {"nhs_number": NhsNumberClaim(number_of(letter), status)}


def _telecom(record: ClientRecord, system: TelecomSystem, value: str) -> dict[str, Any]:
    others = tuple(t for t in record.telecoms if t.system is not system)
    return {"telecoms": (Telecom(system, value), *others)}


def _without(record: ClientRecord, what: str) -> dict[str, Any]:
    kinds = {"telephone": TelecomSystem.PHONE, "email": TelecomSystem.EMAIL}
    if what in kinds:
        return {"telecoms": tuple(t for t in record.telecoms if t.system is not kinds[what])}
    blank: dict[str, tuple[str, Any]] = {
        "NHS number": ("nhs_number", None),
        "address": ("addresses", ()),
        "birth date": ("birth_date", None),
        "forename": ("names", (HumanName(family=record.names[0].family),) if record.names else ()),
    }
    name, value = blank[what]
    return {name: value}


_CLAUSES: tuple[tuple[str, Callable[..., dict[str, Any]]], ...] = (
    (r"(male|female)", lambda _, sex: {"gender": Gender(sex)}),
    (r"born (\d{4}(?:-\d\d){0,2})", lambda _, on: {"birth_date": PartialDate(on)}),
    (r"died (\d{4}(?:-\d\d){0,2})", lambda _, on: {"death": Death(on=PartialDate(on))}),
    (r"of (.+)", lambda _, text: {"addresses": (_address(text),)}),
    (r"earlier of (.+)", lambda r, text: {"addresses": (*r.addresses, _address(text))}),
    (r"telephone ([\d ]+)", lambda r, text: _telecom(r, TelecomSystem.PHONE, text)),
    (r"email (\S+)", lambda r, text: _telecom(r, TelecomSystem.EMAIL, text)),
    (r"NHS number ([A-Z])( traced)?", lambda _, letter, traced: _claim(letter, traced)),
    (r"NHS number (\d{10})", lambda _, n: {"nhs_number": NhsNumberClaim(NhsNumber(n))}),
    (r"case number (\w+)", lambda _, n: {"identifiers": (Identifier("case", n),)}),
    (r"earlier (\D+ \S+)", lambda r, words: {"names": (*r.names, _name(words))}),
    (r"restricted", lambda _: {"restricted": True}),
    (r"without (NHS number|address|telephone|email|birth date|forename)", _without),
    (r"called (.+)", lambda _, words: {"names": (_name(words),)}),
    (r"([A-Z][\w'-]*(?: [A-Z][\w'-]*)*)", lambda _, words: {"names": (_name(words),)}),
)


# --- the partnership that a scenario is about --------------------------------------------------


@dataclass
class World(Living):
    """A partnership, what was told to it, and what was said back."""

    link_settings: dict[str, Any] = field(default_factory=dict)
    said: dict[str, ClientRecord] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    noted: dict[str, PersonId] = field(default_factory=dict)
    spoken: list[tuple[str, str, Instant, ClientRecord]] = field(default_factory=list)
    report: LinkReport | None = None
    refused: CommonthreadError | None = None
    awaits: str = ""
    _hour: int = 100

    def now(self) -> Instant:
        """A moment an hour after the last."""
        self._hour += 1
        days, hour = divmod(self._hour, 24)
        return Instant(f"2026-{1 + days // 28:02d}-{1 + days % 28:02d}T{hour:02d}:00:00Z")

    def back(self, hours: int) -> None:
        """The clock goes back."""
        self._hour -= hours

    @property
    def settings(self) -> Settings:
        """Those of the partnership."""
        sources = tuple(
            SourceSettings(SourceId(s), s, (OdsCode("RVJ"),), (), keeps_people_apart=s != CLINIC)
            for s in SOURCES
        )
        return Settings(
            "Partnership", "", False, (), sources, {}, {},
            link=LinkSettings(accept_test_numbers=True, **self.link_settings),
            review=ReviewSettings(named_staff=("ann", "bob")),
        )  # fmt: skip

    @property
    def model(self) -> Model:
        """The model in the workspace."""
        return load_model(self.model_file) if self.model_file.exists() else uk_person()

    def train(self) -> None:
        """Other numbers in the model; the former one is kept beside it."""
        old = self.model
        write_whole(kept_file(self.model_file, old.hash), old.to_json())
        new = msgspec.structs.replace(old, matches_per_record=old.matches_per_record * 1.01)
        write_whole(self.model_file, new.to_json())

    def desk(self, name: str) -> Desk:
        """Where a member of staff sits."""
        return Desk(self.store, self.settings, self.model, self.actor(name), self.now)

    def actor(self, name: str) -> Actor:
        """A member of the data team."""
        assert name in STAFF, f"nobody is called {name}"
        named = name in self.settings.review.named_staff
        return Actor(name, "data_team", "data-quality", named)

    def say(self, name: str, record: ClientRecord, at: Instant | None = None) -> None:
        """A source says a record, now or as of another time, in a file of its own."""
        source = name.split("/", maxsplit=1)[0]
        moment = self.now()
        told = load(
            self.store, [one(record, at or moment)], f"{source}-{moment}", source=SourceId(source)
        )
        assert told
        if at is None:
            self.said[name] = record
        self.spoken.append((source, name, at or moment, record))
        self.learn(name)

    def learn(self, name: str) -> None:
        """Remembers the store's id of a record."""
        source, local_id = name.split("/")
        held = self.store.record(SourceId(source), LocalId(local_id))
        if held:
            self.records[name] = held.record_id

    def tell_parts(self, source: str, *parts: Any) -> None:
        """A file of parts, said now."""
        at = self.now()
        load(self.store, [one(p, at) for p in parts], f"{source}-{at}", source=SourceId(source))

    def link_now(self, *, full: bool = False) -> None:
        """A link with the partnership's settings."""
        self.report = link_records(
            self.store, self.settings, self.model_file, self.now, full=full, threads=1
        )
        assert self.report.differing in (None, 0), "the increment is not the link from nothing"

    def pair(self, one: str, two: str) -> tuple[int, int]:
        """Two records, the smaller id first."""
        left, right = sorted((self.records[one], self.records[two]))
        return left, right

    def name_of(self, record_id: int) -> str:
        """The name of a record."""
        return next(name for name, held in self.records.items() if held == record_id)

    def together(self, run_id: int | None = None) -> list[list[str]]:
        """The persons as sorted lists of records, sorted; now, or as of a run."""
        groups: dict[str, list[str]] = {}
        for source, local_id, person in self.export(run_id):
            groups.setdefault(person, []).append(f"{source}/{local_id}")
        return sorted(sorted(group) for group in groups.values())

    def exported(self, name: str, run_id: int | None = None) -> set[str]:
        """The records in an export that a member of staff takes, now or of a former run."""
        rows = seen_by(self.actor(name), self.store).export_rows(run_id)
        return {f"{source}/{local_id}" for chunk in rows for source, local_id, _ in chunk}

    def told(self, name: str) -> str:
        """All that a member of staff can be told of persons: every export, every person's page and
        history, every task and decision."""
        actor, store, desk = self.actor(name), self.store, self.desk(name)
        said: list[Any] = []
        runs = [None, *(run.run_id for run in store.runs())]
        ids = {person for run in runs for _, _, person in self.export(run)}
        for run in runs:
            said += list(seen_by(actor, store).export_rows(run))
        for person in sorted(ids):
            for show in (show_person, show_history):
                with suppress(NotFound):
                    said.append(show(store, actor, person, self.now))
        said += [list_tasks(desk, 100), list_decisions(desk, 100)]
        for task in Queue(desk).mine:
            said.append(show_task(desk, task.task))
        return repr(said)

    def asked(self) -> list[tuple[set[str], set[str], str]]:
        """Every open task: the records of the one person, of the other, and why."""
        persons = self.persons()
        found = []
        for task in Queue(self.desk("ann")).tasks + Queue(self.desk("cat")).tasks:
            left, right = (self._everyone(self.name_of(end), persons) for end in task.pair)
            found.append((left, right, KINDS[task.kind]))
        return found

    def _everyone(self, name: str, persons: dict[str, str]) -> set[str]:
        """The records of the person of a record."""
        if name not in persons:
            return {name}
        return {other for other, person in persons.items() if person == persons[name]}


@cache
def _made() -> Path:
    """A folder with an empty store and its keys."""
    root = Path(mkdtemp(prefix="commonthread-lifecycle-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    keys = create_keyring(root / "keys", FileKey(root / "keys" / KEY_FILE))
    open_store(f"sqlite:///{root}/store.db", keys).close()
    keys.close()
    return root


@contextmanager
def opened(url: str | None = None) -> Iterator[tuple[SqlStore, Path]]:
    """A new, empty store, over a database of its own or over that of the URL; and its folder."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "partnership"
        if url is None:
            shutil.copytree(_made(), root)
            keys = open_keyring(root / "keys", FileKey(root / "keys" / KEY_FILE))
        else:
            keys = create_keyring(root / "keys", FileKey(root / "keys" / KEY_FILE))
        store = open_store(url or f"sqlite:///{root}/store.db", keys)
        try:
            yield store, root
        finally:
            store.close()
            keys.close()


@contextmanager
def world(url: str | None = None) -> Iterator[World]:
    """A new partnership, over a database of its own or over that of the URL."""
    with opened(url) as (store, root):
        yield World(store, root)
