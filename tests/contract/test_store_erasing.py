"""An erased record is nowhere: in no row, key, later feed or older copy. On both databases."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from schemas.dates import Instant
from schemas.decisions import Decision, Origin, Standing, Verdict
from schemas.errors import InvalidValue, NotFound, StoreError
from schemas.identifiers import LocalId, NhsNumber
from schemas.records import Outcome
from store import erasing
from store.barring import BARRED
from store.columns import is_sealed
from store.database import Database
from store.dump import logical_dump
from store.erasing import PAGE_ROWS, used_keys
from store.keyring import GROUP_ROWS, KEY_FILE, FileKey, KeyRing, open_keyring
from store.keystore import Act, DestroyedKey, Erasure, KeyStore
from store.sealing import Sealer
from store.sql_store import SqlStore, open_store
from store.tables import all_tables, match_segment, record, record_version
from tests.contract.test_store_decisions import event
from tests.store_samples import (
    NOW,
    SOURCE,
    Bad,
    Unit,
    client,
    day,
    full_client,
    item,
    load,
    merge,
    one,
    outcomes,
    publication,
    publish,
    staff,
    withdraw,
)

GONE = LocalId("canary1")
LATER = Instant("2026-11-03T03:00:00Z")


def units() -> list[Unit]:
    """Everything that can be said of a record, among what is said of others."""
    said: list[Unit] = [one(client(str(n)), day(1)) for n in range(20)]
    said[5:5] = [
        one(full_client(GONE), day(2)), one(client(GONE, "Canaryformer"), day(1)),
        one(item("i1", GONE, "canaryitem"), day(2)), one(item("i1", GONE, "canaryolder"), day(1)),
        one(item("i2", "3", "another's"), day(2)), one(withdraw(GONE), day(1)),
        one(merge("4", GONE), day(1)), one(merge(GONE, "19"), day(1)), one(staff("s")),
        one(Bad(raw=b"NHS,9434765919,x")), one(Bad(raw=b"canary1,y")), one(Bad(raw=b"canary12")),
    ]  # fmt: skip
    return said


def erase(store: SqlStore, **options: Any) -> Any:
    return store.erase(SOURCE, GONE, NOW, **{"may_return": False} | options)


def payloads(database: Database) -> dict[tuple[str, str, int], bytes]:
    """Every sealed payload, by table, column and row."""
    found = {}
    with database.reading() as conn:
        for table in all_tables.sorted_tables:
            (*keys,) = table.primary_key.columns
            for column in filter(is_sealed, table.columns):
                for row_id, payload in conn.execute(select(keys[0], column)):
                    found[table.name, column.name, row_id] = payload
    return found


def opened(sealer: Sealer, found: dict[tuple[str, str, int], bytes]) -> dict[Any, bytes | None]:
    """What the payloads hold; None where they do not open."""
    plains: dict[Any, bytes | None] = {}
    for place, payload in found.items():
        try:
            plains[place] = sealer.unseal(all_tables.tables[place[0]], place[1], place[2], payload)
        except StoreError:
            plains[place] = None
    return plains


def lines_without(lines: Sequence[str], *names: str) -> list[str]:
    return [line for line in lines if not line.startswith(tuple(f"{n}\t" for n in names))]


def test_nothing_of_it_is_left_and_nothing_else_is_lost(store: SqlStore) -> None:
    load(store, units(), size=7)
    before, sealed = list(logical_dump(store.database)), payloads(store.database)
    counted = store.counts()["versions"]
    told = erase(store)
    assert (told.records, told.versions, told.items, told.segments) == (1, 2, 1, 1)
    assert store.counts()["versions"] == counted - told.versions
    assert told.resealed > 20
    assert told.keys > 0
    after = list(logical_dump(store.database))
    assert not [x for x in after if 'canary1"' in x or "anaryitem" in x or "anaryformer" in x]
    lost = [
        x for x in lines_without(before, "record", "quarantine", "store_meta") if x not in after
    ]
    ours = [x for x in lost if "anary" in x or '"care_item_id": 1,' in x or "Quill" in x]
    assert lost == ours
    assert len(ours) == 2 + 3 + 2 + 1 + 1, (
        "versions, item and its versions, merges, withdrawal, row"
    )
    now = opened(store.database.sealer, payloads(store.database))
    assert None not in now.values()
    assert not [p for p in now.values() if p and (b'canary1"' in p or b"9434765919" in p)]
    # A copy made before opens no more, but for what is sealed outside the source's groups.
    former = opened(open_again(store), sealed)
    assert not [place for place, plain in former.items() if plain and b"anary" in plain]


def open_again(store: SqlStore) -> Sealer:
    """A sealer that has only what the keystore's file holds."""
    path = store.database.keys.keystore._path.parent
    return Sealer(open_keyring(path, FileKey(path / KEY_FILE)))


def test_wrapped_keys_leave_the_file(store: SqlStore, tmp_path: Path) -> None:
    load(store, units())
    keystore = store.database.keys.keystore
    wrapped = keystore.data_keys(1, keystore.last_key())
    erase(store)
    left = keystore.data_keys(1, keystore.last_key())
    gone = {key_id: key for key_id, key in wrapped.items() if key_id not in left}
    assert {d.key_id for d in keystore.destroyed()} == gone.keys() != set()
    files = [p.read_bytes() for p in (tmp_path / "keys").iterdir()]
    assert not [key for key in gone.values() if any(key in data for data in files)]
    assert all(any(key in data for data in files) for key in left.values() if key in wrapped)
    with store.database.reading() as conn:
        assert used_keys(conn) <= left.keys()


def test_it_is_found_nowhere(store: SqlStore) -> None:
    load(store, [*units(), one(item("i9", "3"))])
    publish(store, publication([("P1", 6)], [(6, "P1"), (1, "P1")]))
    assert store.record(SOURCE, GONE) is not None
    generation = store.generation()
    erase(store)
    assert store.record(SOURCE, GONE) is None
    assert store.numbered(NhsNumber("9434765919")) == []
    assert GONE not in store.match_columns()["family"].to_pylist()
    assert GONE not in store.record_sources()["local_id"].to_pylist()
    assert [row for chunk in store.export_rows() for row in chunk] == [(SOURCE, "0", "P1")]
    assert [row for chunk in store.export_rows(1) for row in chunk] == [(SOURCE, "0", "P1")]
    assert store.generation() == generation + 1
    past = store.person_past("P1")
    assert past is not None
    assert past.erased == ((1, NOW),)


def test_former_versions_are_held_no_more_and_their_ids_not_given_again(store: SqlStore) -> None:
    load(store, units(), "a.csv")
    load(store, [one(client(GONE, "Newest"), day(9))], "b.csv")
    with store.database.reading() as conn:
        last = max(conn.scalars(select(record_version.c.version_id)))
    erase(store)
    assert store.past_columns([last]).num_rows == 0
    load(store, [one(client("another"), day(9))], "c.csv")
    held = store.record(SOURCE, LocalId("another"))
    assert held is not None
    assert held.version_id == last + 1


NAMING = [
    # what, unit
    ("the record", one(client(GONE, "Canaryagain"), day(20))),
    ("an item of it", one(item("i7", GONE), day(20))),
    ("a merge of it", one(merge(GONE, "1"), day(20))),
    ("a merge into it", one(merge("1", GONE), day(20))),
    ("its withdrawal", one(withdraw(GONE), day(20))),
    ("with something else", [(client("x"), day(20)), (item("i8", GONE), day(20))]),
]


@pytest.mark.parametrize("unit", [pytest.param(u, id=name) for name, u in NAMING])
def test_what_names_it_later_is_quarantined_without_its_bytes(store: SqlStore, unit: Unit) -> None:
    load(store, units(), "a.csv")
    erase(store)
    before = lines_without(list(logical_dump(store.database)), "feed", "quarantine", "store_meta")
    other: Unit = one(client("1", "Changed"), day(20))
    assert load(store, [unit, other], "b.csv") == {Outcome.QUARANTINED: 1, Outcome.CHANGED: 1}
    feed = store.feeds(SOURCE)
    (fed,) = [row for row in feed.values() if outcomes(row).get(Outcome.CHANGED) == 1]
    assert store.barred_units(fed.feed_id) == 1
    (told,) = [q for q in store.quarantined(SOURCE) if q.reason == BARRED]
    assert (told.unit, told.field) == (0, "")
    after = lines_without(list(logical_dump(store.database)), "feed", "quarantine", "store_meta")
    assert not [line for line in after if line not in before and "anary" in line]
    assert store.record(SOURCE, GONE) is None


@pytest.mark.parametrize("together", [True, False])
def test_let_back_in_it_comes_back_under_its_own_id(store: SqlStore, together: bool) -> None:
    load(store, units(), "a.csv")
    held = store.record(SOURCE, GONE)
    assert held is not None
    assert not erase(store, may_return=together).lifted
    if not together:
        with pytest.raises(InvalidValue, match="erased already"):
            erase(store)
        assert erase(store, may_return=True).lifted
    with pytest.raises(InvalidValue, match="erased already"):
        erase(store, may_return=True)
    again = one(client(GONE, "Returned"), day(1))
    assert load(store, [again], "b.csv") == {Outcome.CHANGED: 1}
    back = store.record(SOURCE, GONE)
    assert back is not None
    assert (back.record_id, back.as_at) == (held.record_id, day(1))
    assert back.version_id > held.version_id
    assert erase(store).versions == 1, "and can be erased once more"
    assert store.record(SOURCE, GONE) is None
    assert load(store, [again], "c.csv") == {Outcome.QUARANTINED: 1}


def test_a_decision_on_it_rests_even_when_it_is_let_back_in(store: SqlStore) -> None:
    load(store, units(), "a.csv")
    left, right = store.record(SOURCE, LocalId("1")), store.record(SOURCE, GONE)
    assert left is not None
    assert right is not None
    judged = Decision(
        left=left.record_id, right=right.record_id, left_version=left.version_id,
        right_version=right.version_id, verdict=Verdict.SAME, standing=Standing.LIVE,
        origin=Origin.REVIEW, decided_at=NOW, reason="r", author="a",
    )  # fmt: skip
    (kept,) = store.write_decisions(0, [judged], [], event())
    assert store.decided().same.num_rows == 1
    erase(store, may_return=True)
    assert store.decided().same.num_rows == 0
    load(store, [one(full_client(GONE), day(2))], "b.csv")
    assert store.decided().same.num_rows == 0
    assert store.resting_decisions() == {kept.decision_id}


def test_unknown_and_never_held(store: SqlStore) -> None:
    with pytest.raises(NotFound):
        erase(store)
    assert store.finish_erasures() == erasing.Erased()


def test_more_rows_than_a_key_or_a_page_holds(store: SqlStore) -> None:
    load(store, [one(client(str(n)), day(1)) for n in range(3 * GROUP_ROWS + 2 * PAGE_ROWS)])
    sealed = payloads(store.database)
    told = store.erase(SOURCE, LocalId("700"), NOW, may_return=False)
    assert told.resealed in range(1, GROUP_ROWS)
    now = payloads(store.database)
    same = [place for place, payload in sealed.items() if now.get(place) == payload]
    assert len(same) == len(sealed) - told.resealed - 3, "its row, its segment, its fellows"
    assert None not in opened(store.database.sealer, now).values()


STEPS = ("_planned", "_seal_rest_anew", "_rewrite_segments", "_remove", "_destroy_unused")


class Died(Exception):
    """Stands for a process that died."""


@pytest.mark.parametrize(("step", "after"), [*itertools.product(STEPS, [False, True])])
def test_an_erasure_that_died_is_finished(
    url: str, keys: KeyRing, tmp_path: Path, step: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(url, keys)
    load(store, units(), size=7)
    real = getattr(erasing, step)

    def dying(*arguments: Any) -> Any:
        if after:
            real(*arguments)
        raise Died

    sealed = payloads(store.database)
    with monkeypatch.context() as patch:
        patch.setattr(erasing, step, dying)
        with pytest.raises(Died):
            erase(store)
    store.close()
    store = open_store(url, open_keyring(tmp_path / "keys", FileKey(tmp_path / "keys" / KEY_FILE)))
    assert load(store, [NAMING[0][1]], "late.csv") == {Outcome.QUARANTINED: 1}
    store.finish_erasures()
    assert store.finish_erasures() == erasing.Erased(), "and then there is nothing to finish"
    assert store.record(SOURCE, GONE) is None
    now = opened(store.database.sealer, payloads(store.database))
    assert None not in now.values()
    assert not [p for p in now.values() if p and (b'canary1"' in p or b"9434765919" in p)]
    former = opened(open_again(store), sealed)
    assert not [place for place, plain in former.items() if plain and b"anary" in plain]
    with pytest.raises(InvalidValue, match="erased already"):
        erase(store)
    store.close()


def test_an_older_database_is_erased_anew(store: SqlStore) -> None:
    """What a restore does: the list says what was erased since, the rows are those of before."""
    load(store, units())
    keystore = store.database.keys.keystore
    (key,) = store.database.keys.indexes.record_keys(SOURCE, [GONE])
    done = [Erasure(key, LATER, act, SOURCE) for act in (Act.ERASED, Act.DONE, Act.LIFTED)]
    keystore.extend(done)
    told = erasing.finish(store.database, restored=True)
    assert (told.records, told.versions) == (1, 2)
    assert store.record(SOURCE, GONE) is None
    load(store, [one(client(GONE, "Returned"), day(1))], "b.csv")
    assert erasing.finish(store.database, restored=True).records == 0, "what came back since stays"
    assert store.record(SOURCE, GONE) is not None


def test_lists_are_merged_and_grow_only(tmp_path: Path) -> None:
    one_list, other = (KeyStore.create(tmp_path / name, {}) for name in ("a", "b"))
    first, second = (Erasure(b"k", at, Act.ERASED, "s") for at in (NOW, LATER))
    lifted = Erasure(b"k", NOW, Act.LIFTED, "s")
    one_list.extend([lifted, first], [DestroyedKey(3, "s", NOW)], 7)
    other.extend([second])
    other.add("s", 2, lambda key_id: b"w")
    other.extend(one_list.erasures(), one_list.destroyed(), one_list.last_key())
    other.extend(one_list.erasures(), one_list.destroyed(), one_list.last_key())
    assert other.erasures() == [first, lifted, second]
    assert other.destroyed() == [DestroyedKey(3, "s", NOW)]
    assert list(other.add("s", 1, lambda key_id: b"w")) == [8]


def test_a_keystore_without_a_list_gets_one(keys: KeyRing, tmp_path: Path) -> None:
    with keys.keystore._changing() as connection:
        connection.execute("DROP TABLE erasure")
        connection.execute("DROP TABLE destroyed_key")
    keys.keystore._connect().execute("PRAGMA user_version = 1")
    keys.close()
    again = open_keyring(tmp_path / "keys", FileKey(tmp_path / "keys" / KEY_FILE))
    again.keystore.extend([Erasure(b"k", NOW, Act.ERASED, "s")])
    assert len(again.keystore.erasures()) == 1
    again.close()


def test_the_head_holds_nothing_of_it(store: SqlStore) -> None:
    load(store, units())
    erase(store)
    with store.database.reading() as conn:
        row = conn.execute(select(record).where(record.c.erased_at.is_not(None))).one()
        segments = conn.execute(select(match_segment)).all()
    assert (row.nhs_key, row.content_hash, row.version_id, row.as_at) == (None, b"", 0, "")
    assert row.withdrawn_at == row.erased_at == NOW
    assert len(segments) == 1
