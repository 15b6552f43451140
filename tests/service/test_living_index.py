"""The living index: increments, holds, undo and redo, ids over time. Against naive references."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from schemas.errors import InvalidValue, NeedsDecision, NotFound
from schemas.identifiers import PersonId
from service.access import Actor
from service.held import approve_run, shadow_run, show_difference
from service.history import person_history
from service.looking import WITHHELD
from service.model_files import kept_file, load_model, write_whole
from service.reuse import become_another
from service.runs import GONE, Fate, RunKind, RunState
from service.undo import release_run, undo_run
from store.tables import record_version
from tests.service.living import SOURCES, Living, human, living
from tests.service.living import settings as partnership
from tests.store_samples import one

records = st.tuples(st.sampled_from(SOURCES), st.sampled_from("123"))
told = st.one_of(
    st.tuples(st.just("put"), records, st.integers(0, 4), st.integers(0, 2)),
    st.tuples(st.just("put"), records, st.integers(0, 4), st.integers(0, 2)),
    st.tuples(st.just("withdraw"), records),
)
night = st.lists(told, min_size=1, max_size=4)


def tell(index: Living, said: list[tuple[object, ...]]) -> None:
    for what, (source, local_id), *rest in said:  # type: ignore[misc]
        if what == "put":
            index.put(source, local_id, *rest)
        else:
            index.withdraw(source, local_id)


@pytest.fixture
def index() -> Iterator[Living]:
    with living() as made:
        yield made


@settings(max_examples=8, deadline=None)
@given(st.lists(night, min_size=2, max_size=4))
def test_what_is_published_is_what_a_link_from_nothing_gives(nights: list[object]) -> None:
    with living() as index:
        ids: dict[str, frozenset[int]] = {}
        for number, said in enumerate(nights):
            tell(index, said)  # type: ignore[arg-type]
            report = index.link(full=number == 3)
            assert report.differing in (None, 0)
            assert index.published() == index.from_nothing()
            opens_no_stranger(index, ids)
        assert index.link().run_id is None


def opens_no_stranger(index: Living, ids: dict[str, frozenset[int]]) -> None:
    """Every id ever shown leads to a person with all its records that are still there, or to
    none."""
    members = index.store.memberships()
    now: dict[str, set[int]] = {}
    for record, person in zip(*(c.to_pylist() for c in members.columns), strict=True):
        now.setdefault(person, set()).add(record)
    live = {record for group in now.values() for record in group}
    for person, had in ids.items():
        found = index.store.resolve(PersonId(person))
        assert found.fate is not Fate.UNKNOWN
        if found.person is not None:
            assert had & live <= now[found.person]
            assert had & live
    for person, group in now.items():
        ids[person] = ids.get(person, frozenset()) | group


@settings(max_examples=8, deadline=None)
@given(st.lists(night, min_size=1, max_size=2), night)
def test_undo_gives_what_was_before_and_redo_what_was_after(
    nights: list[object], last: list[tuple[object, ...]]
) -> None:
    with living() as index:
        for said in nights:
            tell(index, said)  # type: ignore[arg-type]
            index.link()
        before, ids = index.export(), index.last
        tell(index, last)
        if index.link().run_id is None:
            return
        night_run, after = index.last, index.export()
        assert night_run == ids + 1
        fates = {p: index.store.resolve(PersonId(p)) for _, _, p in [*before, *after]}
        index.undo(night_run)
        gone = {(s, i) for s, i, _ in before} - withdrawn_free(index)
        if not len(become_another(index.store, index.store.run_delta(night_run))):
            assert index.export() == [row for row in before if row[:2] not in gone]
        assert index.published() == index.from_nothing()
        index.release(night_run)
        assert index.export() == after
        assert index.published() == index.from_nothing()
        assert {p: index.store.resolve(PersonId(p)).person for p in fates} == {
            p: found.person for p, found in fates.items()
        }
        assert index.export(night_run) == [row for row in after if row[:2] not in gone], (
            "history keeps what was"
        )


def withdrawn_free(index: Living) -> set[tuple[str, str]]:
    """The records that no source has withdrawn."""
    held = index.store.record_sources()
    return set(zip(held["source"].to_pylist(), held["local_id"].to_pylist(), strict=True))


def test_undo_of_a_night_restores_every_id_to_the_letter(index: Living) -> None:
    for who in range(6):
        index.put("gp", str(who), who)
        index.put("pas", str(who), who)
    index.put("soc", "7", 7)
    index.link()
    before = index.export()
    index.put("soc", "1", 1)  # joins a person
    index.put("gp", "2", 5, was=2)  # splits one, and joins another
    index.put("soc", "7", 0, was=7)  # two persons become one
    index.put("gp", "9", 9)  # founds one
    index.link()
    after = index.export()
    assert len({p for _, _, p in after} - {p for _, _, p in before}) >= 2
    index.undo(2)
    assert index.export() == before
    index.release(2)
    assert index.export() == after
    index.undo(2)
    assert index.export() == before
    assert (index.export(1), index.export(2)) == (before, after)


def test_what_comes_after_an_undo_is_linked_on_top_of_it(index: Living) -> None:
    index.put("gp", "1", 1)
    index.put("pas", "1", 2)
    index.link()
    apart = index.partition()
    index.put("pas", "1", 1, was=2)
    index.link()
    index.undo(2)
    index.put("soc", "1", 2)
    index.link()
    assert index.partition() == {frozenset({"gp/1"}), frozenset({"pas/1", "soc/1"})}
    assert apart == {frozenset({"gp/1"}), frozenset({"pas/1"})}
    index.release(2)
    assert index.partition() == {frozenset({"gp/1", "pas/1"}), frozenset({"soc/1"})}
    assert index.published() == index.from_nothing()


def test_two_runs_are_undone_one_after_the_other(index: Living) -> None:
    shown = []
    for who in (1, 2, 3):
        index.put("gp", "1", who, was=1)
        index.put("pas", str(who), who)
        index.link()
        shown.append(index.export())
    index.undo(3)
    assert index.export() == shown[1]
    index.undo(2)
    assert index.export() == shown[0]
    index.release(2)
    assert index.partition() == {frozenset({"gp/1", "pas/2"}), frozenset({"pas/1"})}
    index.release(3)
    assert index.export() == shown[2]


def persons_of(rows: list[tuple[str, str, str]]) -> set[frozenset[str]]:
    """An export as a partition."""
    groups: dict[str, set[str]] = {}
    for source, local_id, person in rows:
        groups.setdefault(person, set()).add(f"{source}/{local_id}")
    return {frozenset(group) for group in groups.values()}


def test_of_two_undone_runs_the_later_is_released_first(index: Living) -> None:
    shown = []
    for who in (1, 2, 3):
        index.put("gp", "1", who, was=1)
        index.put("pas", str(who), who)
        index.link()
        shown.append(index.export())
    index.undo(3)
    index.undo(2)
    index.put("soc", "9", 9)
    index.link()
    night = {frozenset({"soc/9"})}
    assert index.partition() == night | {frozenset({"gp/1", "pas/1"})}
    index.release(3)
    assert index.partition() == night | {frozenset({"gp/1", "pas/1"}), frozenset({"pas/3"})}, (
        "what the earlier run brought stays away"
    )
    assert index.published() == index.from_nothing()
    index.release(2)
    assert index.partition() == night | persons_of(shown[2])
    assert index.persons()["pas/1"] in {person for _, _, person in shown[2]}, "its id is back"
    assert index.published() == index.from_nothing()
    assert index.link().run_id is None


def test_only_the_newest_run_that_is_not_undone_can_be_undone(index: Living) -> None:
    for who in (1, 2):
        index.put("gp", str(who), who)
        index.link()
    with pytest.raises(InvalidValue, match="and that is run 2"):
        undo_run(index.store, 1, index.now())
    with pytest.raises(NotFound, match="no run 9"):
        undo_run(index.store, 9, index.now())
    with pytest.raises(NotFound, match="run 2 is not undone"):
        release_run(index.store, 2, index.now())
    index.undo(2)
    with pytest.raises(InvalidValue, match="and that is run 1"):
        undo_run(index.store, 2, index.now())
    with pytest.raises(InvalidValue, match="it shows an undo"):
        undo_run(index.store, 3, index.now())


def test_a_withdrawn_record_is_not_brought_back(index: Living) -> None:
    index.put("gp", "1", 1)
    index.put("pas", "1", 1)
    index.link()
    index.withdraw("pas", "1")
    index.link()
    index.undo(2)
    assert index.partition() == {frozenset({"gp/1"})}


def test_what_was_erased_is_not_brought_back_and_makes_the_link_full(index: Living) -> None:
    index.put("gp", "1", 1)
    index.put("pas", "1", 2)
    index.put("pas", "2", 2)
    index.link()
    (former,) = index.store.match_columns()["version_id"].to_pylist()[:1]
    index.put("gp", "1", 2)
    with index.store.database.writing() as conn:
        conn.execute(delete(record_version).where(record_version.c.version_id == former))
    report = index.link()
    assert (report.full, report.run_id) == (True, 2)
    assert len(index.partition()) == 1
    index.undo(2)
    assert len(index.partition()) == 1, "its former version is gone: it counts as it is now"
    assert index.published() == index.from_nothing()


def test_undo_brings_the_former_model_back(index: Living) -> None:
    for source in ("gp", "pas"):
        index.put(source, "1", 1)
    index.link()
    before, data = index.export(), index.model_file.read_bytes()
    model = load_model(index.model_file)
    strict = msgspec.structs.replace(model, rules=model.rules[:1])
    write_whole(kept_file(index.model_file, model.hash), data)
    write_whole(index.model_file, strict.to_json())
    index.put("soc", "9", 9)
    report = index.link()
    assert (report.model, report.full) == (strict.hash, True)
    undo_run(index.store, 2, index.now())
    kept_file(index.model_file, model.hash).unlink()
    with pytest.raises(NotFound, match="put that file back"):
        index.link()
    write_whole(kept_file(index.model_file, model.hash), data)
    assert index.link().model == model.hash
    assert index.export() == before


# --- ids over time -----------------------------------------------------------------------------


def test_what_an_id_answers(index: Living) -> None:
    for record, who in (("1", 1), ("2", 1), ("3", 3), ("4", 4)):
        index.put("gp", record, who)
    index.link()
    first = index.persons()
    one, three, four = first["gp/1"], first["gp/3"], first["gp/4"]
    index.put("gp", "2", 2)
    index.put("gp", "3", 4)
    index.link()
    index.withdraw("gp", "3")
    index.withdraw("gp", "4")
    assert fates(index, one, three, four)[0] is Fate.SPLIT
    kept = index.persons().get("gp/1")
    assert kept not in (None, one), "the larger part goes on under a new id"
    assert fates(index, three, four) == [Fate.EMPTIED, Fate.PRESENT], "3 is another person now"
    index.link()
    assert fates(index, one, three, four) == [Fate.SPLIT, Fate.EMPTIED, Fate.EMPTIED]
    assert fates(index, "nobody") == [Fate.UNKNOWN]


def fates(index: Living, *ids: str) -> list[Fate]:
    found = [index.store.resolve(PersonId(person)) for person in ids]
    assert all((f.person is None) == (f.fate in GONE | {Fate.UNKNOWN}) for f in found)
    return [f.fate for f in found]


def test_the_clock_may_go_back(index: Living) -> None:
    index.put("gp", "1", 1)
    index.link()
    run = index.store.last_run()
    assert run is not None
    index.put("gp", "2", 2)
    index.hour = iter([0, 0, 0])  # type: ignore[assignment]
    index.link()
    later = index.store.last_run()
    assert later is not None
    assert (later.run_id, later.started_at) == (2, run.started_at)
    assert index.store.run_as_at(run.started_at) == 2


def test_a_history_names_the_decision(index: Living) -> None:
    for source in SOURCES:
        index.put(source, "1", 1)
    index.link()
    old = index.persons()["gp/1"]
    index.decide_apart("gp/1", "soc/1")
    index.link()
    said = person_history(index.store, PersonId(old))
    assert said is not None
    assert [one.text.split(" into ")[0] for one in said] == [
        "founded by matching run 1 with 3 records",
        "somebody decided two records to be two people, decision 1",
        "split by matching run 2",
    ]
    assert [one.run for one in said] == [1, 2, 2]


# --- holds -------------------------------------------------------------------------------------

TIGHT = {"max_joined": 0, "max_joined_fraction": 0.0}


def bridged(index: Living) -> None:
    """Two persons of two records each, then news that makes them one."""
    for source in ("gp", "pas"):
        index.put(source, "1", 1)
        index.put(source, "2", 2)
    index.link()
    index.put("gp", "2", 1, was=2)
    index.put("pas", "2", 1, was=2)


def test_a_held_run_publishes_nothing_until_it_is_approved(index: Living) -> None:
    bridged(index)
    index.put("soc", "9", 9)
    before = index.export()
    said = index.held(**TIGHT)
    assert "run 2 is held" in said
    assert "max_joined" in said
    assert index.export() == before
    assert "run 2 is held" in index.held(**TIGHT), "nothing new: it waits on, and is no new run"
    run = index.store.last_run()
    assert run is not None
    assert (run.run_id, run.state) == (2, RunState.HELD)
    told = run.summary["difference"]
    assert (told["joined"], told["split"], told["created"]) == (1, 0, 1)
    assert told["sources"]["gp"]["joined"] == 1
    assert {example["kind"] for example in told["examples"]} == {"joined", "moved"}
    report = approve_run(index.store, 2, index.now)
    assert (report.run_id, report.joined) == (3, 1)
    assert index.partition() == {
        frozenset({"gp/1", "pas/1", "gp/2", "pas/2"}), frozenset({"soc/9"}),
    }  # fmt: skip
    assert index.link(**TIGHT).run_id is None
    with pytest.raises(NotFound, match="not held"):
        approve_run(index.store, 3, index.now)
    index.undo(3)
    assert index.export() == before


def test_a_hold_does_not_delay_withdrawals(index: Living) -> None:
    bridged(index)
    index.withdraw("pas", "1")
    index.held(**TIGHT)
    members = index.store.memberships()
    assert len(members) == 3
    assert index.partition() == {frozenset({"gp/1"}), frozenset({"gp/2", "pas/2"})}


def test_a_hold_does_not_delay_what_people_decided_apart(index: Living) -> None:
    bridged(index)
    index.put("gp", "3", 3)
    index.put("pas", "3", 3)
    index.put("soc", "3", 3)
    index.held(**TIGHT)
    approve_run(index.store, 2, index.now)
    index.put("gp", "4", 4)
    index.put("pas", "4", 4)
    index.link()
    index.put("pas", "4", 1)
    index.put("gp", "4", 1)
    index.decide_apart("gp/3", "soc/3")
    assert "run 5 is held" in index.held(**TIGHT)
    persons = index.persons()
    assert persons["gp/3"] != persons["soc/3"]
    assert {"gp/4", "pas/4"} in index.partition()
    before = index.store.resolve(PersonId(persons["gp/3"]))
    assert before.fate is Fate.PRESENT
    approve_run(index.store, 5, index.now)
    assert index.published() == index.from_nothing()


def test_a_higher_limit_lets_a_held_run_through(index: Living) -> None:
    bridged(index)
    index.held(**TIGHT)
    assert index.link().run_id == 3
    assert len(index.partition()) == 1


def test_a_held_run_goes_on_with_the_next_night_and_can_be_undone(index: Living) -> None:
    bridged(index)
    before = index.export()
    index.held(**TIGHT)
    index.put("soc", "9", 9)
    assert "run 3 is held" in index.held(**TIGHT)
    with pytest.raises(NotFound, match="run 2 is not held, or is not the latest"):
        approve_run(index.store, 2, index.now)
    index.undo(3)
    assert index.export() == before


def test_a_small_partnership_may_change_a_little(index: Living) -> None:
    bridged(index)
    assert index.link().joined == 1


def test_a_shadow_run_says_what_would_change_and_changes_nothing(index: Living) -> None:
    bridged(index)
    before, state = index.export(), index.store.state_key()
    found = shadow_run(index.store, partnership(), index.model_file, threads=1)
    assert (found.joined, found.split, found.moved) == (1, 0, 2)
    assert (index.export(), index.store.state_key(), index.last) == (before, state, 1)


def test_what_was_decided_apart_since_is_not_approved_as_one(index: Living) -> None:
    bridged(index)
    index.held(**TIGHT)
    before = index.export()
    index.decide_apart("gp/1", "gp/2")
    with pytest.raises(NeedsDecision, match="1 pairs of records as one person that were decided"):
        approve_run(index.store, 2, index.now)
    assert (index.last, index.export()) == (2, before)
    index.link()
    persons = index.persons()
    assert persons["gp/1"] != persons["gp/2"]


def test_a_held_run_that_was_undone_since_is_not_approved(index: Living) -> None:
    bridged(index)
    before = index.export()
    index.held(**TIGHT)
    undo_run(index.store, 2, index.now())
    with pytest.raises(NeedsDecision, match="an undo or a release was asked for since"):
        approve_run(index.store, 2, index.now)
    assert (index.last, index.export()) == (2, before)
    (undone,) = index.store.undos()
    assert undone.pending
    index.link()
    assert index.export() == before


def test_the_approval_of_a_held_undo_brings_the_former_ids_back(index: Living) -> None:
    index.put("gp", "5", 5)
    index.put("gp", "6", 6)
    bridged(index)
    before = index.persons()
    index.link()
    undo_run(index.store, 2, index.now())
    index.put("gp", "6", 5, was=6)  # news besides, so that the run that shows the undo is held
    assert "run 3 is held" in index.held(**TIGHT)
    approve_run(index.store, 3, index.now)
    after = index.persons()
    again = {"gp/1", "pas/1", "gp/2", "pas/2"}
    assert {name: after[name] for name in again} == {name: before[name] for name in again}
    assert after["gp/5"] == after["gp/6"]
    last = index.store.last_run()
    assert last is not None
    assert (last.run_id, last.kind) == (4, RunKind.UNDO)
    assert not any(undo.pending for undo in index.store.undos())


def test_examples_hide_whoever_is_restricted_by_a_record_that_is_in_none(index: Living) -> None:
    for source in ("gp", "pas"):
        index.put(source, "1", 1)
        index.put(source, "2", 2)
    index.tell("soc", one(msgspec.structs.replace(human("1", 1), restricted=True)))
    index.link()
    index.put("pas", "1", 2, was=1)
    index.held(max_moved=0, max_moved_fraction=0.0)
    actor = Actor("ann", "data_team", "data-quality")
    shown = show_difference(index.store, actor, 2, index.now)["examples"]
    (moved,) = (example["records"] for example in shown if example["kind"] == "moved")
    assert len(moved) == 3
    assert {row["source"] for row in moved} == {row["addresses"] for row in moved} == {WITHHELD}
