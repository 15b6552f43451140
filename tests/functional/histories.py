"""Histories of a living partnership, drawn by lot over a real store: nothing that happens, in
whatever order, breaks what everybody relies on.

    python -m tests.functional.histories --histories 1000 --seed 1

After every link:
- what is computed is what a link from nothing computes from the same inputs, tasks included;
- what is published is that, exactly; of a held run, what never waits;
- an id leads to a person that holds every record it last led to that is still there, and one at
  least, or to nobody; and, while no run was ever undone, to nobody whose records are all of other
  humans than those of the link before (an undo brings a person back without the records that are
  another human's since);
- what was shown at each run, and at its time, is what is told of it later;
- the sentences of each person's history tell how many records it has and what its id answers.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
import pyarrow as pa
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from linkage.increment import Decided, LinkState, link_increment
from linkage.model import uk_person
from schemas.dates import Instant
from schemas.decisions import Standing, Verdict
from schemas.errors import CommonthreadError, InputError, InvalidValue, NeedsDecision, NotFound
from schemas.identifiers import PersonId
from schemas.records import ClientRecord
from service.access import Actor
from service.decisions import Desk, decide, revoke
from service.held import approve_run
from service.history import person_history
from service.inputs import active_undos, counting_records, in_force
from service.model_files import kept_file, kept_model
from service.runs import Fate
from service.undo import newest_undoable, release_run, undo_run
from tests.service.living import SOURCES, Living, human
from tests.service.living import settings as partnership
from tests.spec.lifecycle_world import opened
from tests.store_samples import merge, one, unmerge

STRICT = {
    "max_joined": 0, "max_joined_fraction": 0.0, "max_split": 0, "max_split_fraction": 0.0,
    "max_moved": 0, "max_moved_fraction": 0.0,
}  # fmt: skip
Name = tuple[str, str]
"""Source and local id."""
HOW = ("as ever", "as ever", "from nothing")
HELD = ("approved", "approved", "linked again", "left")
"""What becomes of a run that is held."""
names = st.tuples(st.sampled_from(SOURCES), st.sampled_from("1234"))
humans = st.integers(0, 3)
by_lot = st.integers(0, 30)
_heard = st.tuples(st.just("hear"), names, humans, st.integers(0, 2))
_decided = st.tuples(st.just("decide"), by_lot, by_lot, st.booleans())
_renamed = st.tuples(st.just("rename"), by_lot, st.integers(1, 3))
_left = st.tuples(st.just("withdraw"), by_lot)
_returned = st.tuples(st.just("come_back"), by_lot)
happenings = st.one_of(
    _heard,
    _heard,
    _renamed,
    _left,
    _returned,
    _returned,
    st.tuples(st.just("merge"), st.sampled_from(SOURCES), st.permutations("1234"), st.booleans()),
    _decided,
    _decided,
    st.tuples(st.just("revoke"), by_lot),
)
"""What may happen by day: the method of `Histories` that does it, and what it is told."""
stirring = st.one_of(_renamed, _decided)
"""What most likely makes a strict night hold."""
KINDS = ("links", "incremental links", "holds", "approvals", "undos", "releases", "trainings",
         "decisions", "revocations", "contradictions refused", "merges", "withdrawals", "returns",
         "renamed records")  # fmt: skip
"""What a history may hold."""
_RECORDS = r"(?P<n>\d+) records?"
_BY = r"(?:matching run|the approval of a held run, run|an undo or its release, run) \d+"
_ID = r"p[a-z2-7]{16}"
SENTENCES: dict[str, str] = {
    "begins": rf"founded by {_BY} with {_RECORDS}(?:, taking on the larger part of {_ID})?",
    "begins again": rf"present again with {_RECORDS}, because of .+",
    "comes": rf"{_RECORDS} came with {_BY}",
    "leaves": rf"{_RECORDS} left with {_BY}",
    "decided": r"somebody (?:decided|revoked the decision that held) two records to be"
    r" (?:one person|two people), decision \d+",
    "takes in": rf"(?P<other>{_ID}) was joined to it by {_BY}",
    "merged": rf"joined to (?P<other>{_ID}) by {_BY}; the id leads there",
    "split": rf"split by {_BY} into {_ID}(?:, {_ID})*; the id leads nowhere",
    "emptied": rf"emptied by {_BY}: no record of it was left; the id leads nowhere",
    "undone": r"gone, because of .+; the id leads nowhere",
}
ENDINGS = {"merged": Fate.MERGED, "split": Fate.SPLIT, "emptied": Fate.EMPTIED,
           "undone": Fate.UNDONE}  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What was shown at a run: record → person."""

    run_id: int
    at: Instant
    members: dict[int, str]


@dataclass
class Past:
    """What was seen as it happened, kept outside the store."""

    shown: list[Shown] = field(default_factory=list)
    last_led: dict[str, dict[int, str]] = field(default_factory=dict)
    """Person → the records that its id last led to → the human that the source said each was."""
    named: dict[int, Name] = field(default_factory=dict)
    withdrawn: dict[Name, ClientRecord] = field(default_factory=dict)
    said: dict[Name, ClientRecord] = field(default_factory=dict)
    humans: dict[str, set[str]] = field(default_factory=dict)


def said_to_be(error: CommonthreadError, words: str) -> None:
    """Fails where an error is another than that."""
    assert words in str(error), error


def table_of(members: pa.Table) -> dict[int, str]:
    """Record → person. No record is in two persons."""
    ids, persons = (column.to_pylist() for column in members.columns)
    assert len(set(ids)) == len(ids)
    return dict(zip(ids, persons, strict=True))


class Histories(RuleBasedStateMachine):
    """A partnership in which anything may happen, and is linked now and then."""

    met: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        store, root = self.stack.enter_context(opened())
        self.index = Living(store, root)
        self.past = Past()
        self.undone: list[int] = []
        self.seen: set[str] = set()

    def teardown(self) -> None:
        self.stack.close()
        self.met["histories"] += 1
        self.met.update(f"histories with {kind}" for kind in self.seen)

    def _note(self, kind: str) -> None:
        assert kind in KINDS, kind
        self.met[kind] += 1
        self.seen.add(kind)

    @initialize(some=st.lists(st.tuples(names, humans), min_size=3, max_size=8))
    def first_night(self, some: list[tuple[Name, int]]) -> None:
        said = {name: human(name[1], who) for name, who in some}
        for source in SOURCES:
            heard = [record for name, record in said.items() if name[0] == source]
            if heard:
                self.index.tell(source, *map(one, heard))
        self.past.said |= said
        self._linked(self.index.link)

    @rule(some=st.lists(happenings, min_size=1, max_size=4), how=st.sampled_from(HOW))
    def night(self, some: list[tuple[Any, ...]], how: str) -> None:
        self._live(some)
        self._linked(lambda: self.index.link(full=how == "from nothing"))

    @rule(
        some=st.lists(happenings, max_size=2),
        stir=st.lists(stirring, min_size=1, max_size=3),
        then=st.sampled_from(HELD),
    )
    def strict_night(
        self, some: list[tuple[Any, ...]], stir: list[tuple[Any, ...]], then: str
    ) -> None:
        self._live([*some, *stir])
        self._linked(lambda: self.index.link(**STRICT))
        if self.index.waits and then == "approved":
            self._approve()
        elif self.index.waits and then == "linked again":
            self._linked(self.index.link)

    def _live(self, some: list[tuple[Any, ...]]) -> None:
        for kind, *what in some:
            getattr(self, f"_{kind}")(*what)

    # --- what happens --------------------------------------------------------------------------

    def _hear(self, name: Name, who: int, slip: int) -> None:
        self._say(name, human(name[1], who, slip))

    def _say(self, name: Name, record: ClientRecord) -> None:
        self.index.tell(name[0], one(record))
        self.past.said[name] = record
        self.past.withdrawn.pop(name, None)

    def _rename(self, number: int, step: int) -> None:
        """A record that stands becomes another human's."""
        stand = sorted(self.past.said.keys() - self.past.withdrawn.keys())
        if stand:
            name = stand[number % len(stand)]
            was = int(str(self.past.said[name].birth_date)[2:4]) - 40
            self._say(name, human(name[1], (was + step) % 4))
            self._note("renamed records")

    def _withdraw(self, number: int) -> None:
        stand = sorted(self.past.said.keys() - self.past.withdrawn.keys())
        if stand:
            name = stand[number % len(stand)]
            self.index.withdraw(*name)
            self.past.withdrawn[name] = self.past.said[name]
            self._note("withdrawals")

    def _come_back(self, number: int) -> None:
        if self.past.withdrawn:
            name = sorted(self.past.withdrawn)[number % len(self.past.withdrawn)]
            self._say(name, self.past.withdrawn[name])
            self._note("returns")

    def _merge(self, source: str, ids: Sequence[str], undone: bool) -> None:
        self.index.tell(source, one((unmerge if undone else merge)(ids[0], ids[1])))
        self._note("merges")

    def _decide(self, first: int, second: int, same: bool) -> None:
        live = self.index.store.record_sources()["record_id"].to_pylist()
        if not live or live[first % len(live)] == live[second % len(live)]:
            return
        left, right = sorted((live[first % len(live)], live[second % len(live)]))
        verdict = Verdict.SAME if same else Verdict.DIFFERENT
        try:
            made = decide(self._desk("ann"), (left, right), verdict, "seen together")
            if made.standing is Standing.PENDING:
                decide(self._desk("bob"), (left, right), verdict, "seen as well")
        except NeedsDecision:
            self._note("contradictions refused")
        except InputError as error:
            said_to_be(error, "decided so already")
        else:
            self._note("decisions")

    def _revoke(self, number: int) -> None:
        held = [d for d in self.index.store.decisions() if d.standing is not Standing.REVOKED]
        if held:
            revoke(self._desk("bob"), held[number % len(held)].decision_id, "it was wrong")
            self._note("revocations")

    def _desk(self, name: str) -> Desk:
        actor = Actor(name, "data_team", "data-quality")
        return Desk(self.index.store, partnership(), uk_person(), actor, self.index.now)

    # --- runs ----------------------------------------------------------------------------------

    @precondition(lambda self: self.index.waits)
    @rule()
    def approve(self) -> None:
        self._approve()

    def _approve(self) -> None:
        try:
            approve_run(self.index.store, self.index.last, self.index.now)
        except NotFound as error:
            said_to_be(error, "was replaced since")
            return
        self._note("approvals")
        self._keep()

    @rule()
    def undo(self) -> None:
        store = self.index.store
        newest = newest_undoable(store.runs(), store.undos())
        if newest is None or len(self.undone) == 2:
            return
        try:
            undo_run(store, newest.run_id, self.index.now())
        except InvalidValue as error:
            said_to_be(error, "not known")
            return
        self.undone.append(newest.run_id)
        self._note("undos")
        self._linked(self.index.link)

    @precondition(lambda self: self.undone)
    @rule(number=by_lot)
    def release(self, number: int) -> None:
        run_id = self.undone.pop(number % len(self.undone))
        release_run(self.index.store, run_id, self.index.now())
        self._note("releases")
        self._linked(self.index.link)

    @rule(bits=st.sampled_from((1.2, 1.5, 1.8)))
    def retrain(self, bits: float) -> None:
        file = self.index.model_file
        if not file.exists():
            return
        kept_file(file, self._hash()).write_bytes(file.read_bytes())
        model = msgspec.structs.replace(uk_person(), matches_per_record=bits)
        file.write_bytes(model.to_json())
        self._note("trainings")

    def _hash(self) -> str:
        return msgspec.json.decode(self.index.model_file.read_bytes(), type=type(uk_person())).hash

    def _linked(self, link: Callable[[], Any]) -> None:
        """A link, and all that must be so after it."""
        try:
            report = link()
        except NeedsDecision as error:
            said_to_be(error, "is held")
            self._note("holds")
            self._keep()
            self._check_held()
            return
        assert report.differing in (None, 0)
        self._note("links")
        if report.run_id is not None and not report.full:
            self._note("incremental links")
        self._keep()
        self._check_whole()
        assert self.index.link().run_id is None, "it was all done"

    # --- what must be so -----------------------------------------------------------------------

    def _from_nothing(self) -> tuple[LinkState, Decided]:
        store = self.index.store
        undone = active_undos(store)
        inputs = in_force(partnership(), self._hash(), undone)
        table, decided = counting_records(store, undone), store.decided()
        linked = link_increment(
            table, table.slice(0, 0), None, decided, Decided(),
            kept_model(self.index.model_file, inputs.model),
            join_bits=inputs.join_bits, review_bits=inputs.review_bits,
            keeps_apart=inputs.keeps_apart, accept_test_numbers=inputs.accept_test_numbers,
            threads=1,
        )  # fmt: skip
        return linked.state, decided

    def _check_whole(self) -> None:
        members = table_of(self.index.store.memberships())
        state, _ = self._from_nothing()
        records, labels = (state.records[c].to_pylist() for c in ("record_id", "label"))
        assert sorted(members) == records, "every record that counts is in just one person"
        assert len(set(zip(labels, members.values(), strict=True))) == len(set(labels))
        assert len(set(labels)) == len(set(members.values()))
        kept = self.index.store.link_state()
        assert kept is not None
        for name in ("records", "edges", "tasks"):
            assert getattr(kept.state, name).to_pylist() == getattr(state, name).to_pylist(), name
        assert self.index.store.review_tasks().to_pylist() == state.tasks.to_pylist()
        if not self.index.store.undos():
            self._check_humans(members)

    def _check_humans(self, members: dict[int, str]) -> None:
        groups: dict[str, set[str]] = {}
        for row in self.index.store.record_sources().to_pylist():
            human_of = self.past.said[row["source"], row["local_id"]].birth_date
            groups.setdefault(members[row["record_id"]], set()).add(str(human_of))
        for person, humans_then in self.past.humans.items():
            found = self.index.store.resolve(PersonId(person)).person
            assert found is None or humans_then & groups[found], "it opens a stranger"
            if found is not None:
                # Whoever holds an id that was merged sees, link by link, what it leads to.
                self.past.humans[person] = groups[found]
        self.past.humans |= groups

    def _check_held(self) -> None:
        members = table_of(self.index.store.memberships())
        state, decided = self._from_nothing()
        assert members.keys() <= set(state.records["record_id"].to_pylist()), "withdrawn ones left"
        label = dict(zip(*(state.records[c].to_pylist() for c in ("record_id", "label")),
                         strict=True))  # fmt: skip
        for pair in decided.apart.to_pylist():
            left, right = pair["left"], pair["right"]
            if left in members and right in members and label[left] != label[right]:
                assert members[left] != members[right], "decided apart, and shown as one"

    def _keep(self) -> None:
        """Notes what is shown, and holds what is told of it against what was noted."""
        store = self.index.store
        run = store.last_run()
        if run is None:
            return
        members = table_of(store.memberships())
        if not self.past.shown or self.past.shown[-1].run_id != run.run_id:
            self.past.shown.append(Shown(run.run_id, run.started_at, members))
        assert self.past.shown[-1].members == members, "nothing changes without a run"
        self._check_ids(members)
        self._check_past()

    def _check_ids(self, members: dict[int, str]) -> None:
        groups: dict[str, dict[int, str]] = {}
        human_of = self._humans()
        for record, person in members.items():
            groups.setdefault(person, {})[record] = human_of[record]
        undone = bool(self.index.store.undos())
        for person, had in self.past.last_led.items():
            found = self.index.store.resolve(PersonId(person))
            assert found.fate is not Fate.UNKNOWN
            if found.person is not None:
                there = groups[found.person]
                assert had.keys() & there.keys(), "it leads to a stranger"
                same = {r for r, who in had.items() if not undone or human_of[r] == who}
                assert same & members.keys() <= there.keys(), "it leads to a part"
                self.past.last_led[person] = there
        self.past.last_led |= groups
        for person in self.past.last_led:
            self._check_history(PersonId(person), len(groups.get(person, ())))

    def _humans(self) -> dict[int, str]:
        """Each record that is or was there → the human that its source says it is."""
        for row in self.index.store.record_sources().to_pylist():
            self.past.named[row["record_id"]] = (row["source"], row["local_id"])
        said = self.past.said
        return {record: str(said[name].birth_date) for record, name in self.past.named.items()}

    def _check_past(self) -> None:
        for at, shown in enumerate(self.past.shown):
            assert table_of(self.index.store.memberships(shown.run_id)) == shown.members
            later = self.past.shown[at + 1 :]
            if not later or later[0].at > shown.at:
                assert self.index.store.run_as_at(shown.at) == shown.run_id

    def _check_history(self, person: PersonId, records: int) -> None:
        """The sentences, read one by one, end at what is so now."""
        said = person_history(self.index.store, person)
        assert said, person
        count, fate = 0, Fate.UNKNOWN
        for sentence in said:
            kind, found = read_sentence(sentence.text)
            if kind in ENDINGS:
                count, fate = 0, ENDINGS[kind]
            elif kind.startswith("begins"):
                count, fate = int(found["n"]), Fate.PRESENT
            elif kind in ("comes", "leaves"):
                assert fate is Fate.PRESENT, said
                count += int(found["n"]) * (1 if kind == "comes" else -1)
        now = self.index.store.resolve(person)
        assert count == records, said
        # An id that was merged on may lead to a person that has ended since.
        assert fate is now.fate or fate is Fate.MERGED, said


def read_sentence(text: str) -> tuple[str, dict[str, Any]]:
    """What kind of sentence of a history it is, and its parts."""
    for kind, pattern in SENTENCES.items():
        if found := re.fullmatch(pattern, text):
            return kind, found.groupdict()
    raise AssertionError(f"no such sentence: {text}")


def live_through_many(number: int, from_seed: int, steps: int = 8) -> Counter[str]:
    """Lives through so many histories; what came to pass in them."""
    Histories.met = Counter()
    run_state_machine_as_test(
        seed(from_seed)(Histories),
        settings=settings(
            max_examples=number,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return Histories.met


def main() -> None:
    """Lives through many histories and says what came to pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    met = live_through_many(options.histories, options.seed)
    print(f"{met['histories']:,} histories")
    for kind in KINDS:
        print(f"{met[kind]:>9,} {kind:24} in {met[f'histories with {kind}']:>7,} histories")


if __name__ == "__main__":
    sys.exit(main())
