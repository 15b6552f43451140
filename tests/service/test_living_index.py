"""The living index: increments, undo and redo, ids over time. Against naive references."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from schemas.errors import InvalidValue, NotFound
from schemas.identifiers import PersonId
from service.history import person_history
from service.model_files import kept_file, load_model, write_whole
from service.reuse import become_another
from service.runs import GONE, Fate
from service.undo import release_run, undo_run
from store.feature_sets import forget_sets
from store.tables import record_version
from tests.service.living import SOURCES, Living, living

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
    forget_sets(index.store.database)  # as an erasure does
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
