"""What every store does with a publication: persons, what leads on, all of it or nothing."""

from __future__ import annotations

import pytest

from schemas.errors import StoreError
from schemas.identifiers import LocalId, NhsNumber, PersonId, SourceId
from service.runs import Fate, Resolution, RunKind, RunState
from store.dump import logical_dump
from store.sql_store import SqlStore, open_store
from tests.store_samples import (
    NOW,
    SOURCE,
    client,
    full_client,
    item,
    load,
    one,
    publication,
    publish,
)


def contents(store: SqlStore) -> list[str]:
    return list(logical_dump(store.database))


def three_records(store: SqlStore) -> None:
    load(store, [one(full_client("1")), one(client("2")), one(item("i", "1"))], "a.csv")
    load(store, [one(client("3"))], "b.csv", source=SourceId("other"))


def test_a_publication_shows_persons(store: SqlStore) -> None:
    three_records(store)
    assert (store.last_run(), store.memberships().num_rows) == (None, 0)
    first = publication(
        founded=[("P1", 1), ("P2", 3)],
        opened=[(1, "P1"), (2, "P1"), (3, "P2")],
        tasks=[(1, 3, 5.5, "one weak bridge")],
    )
    assert publish(store, first) == 1
    run = store.last_run()
    assert run is not None
    assert (run.run_id, run.state, run.kind, run.model_hash) == (
        1, RunState.PUBLISHED, RunKind.LINK, "model-1",
    )  # fmt: skip
    assert (run.generation, run.started_at, run.summary) == (2, NOW, {"persons": 2})
    assert store.memberships().to_pydict() == {
        "record_id": [1, 2, 3], "person_id": ["P1", "P1", "P2"],
    }  # fmt: skip
    assert store.founded_counts() == {1: 1, 3: 1}
    assert [r.record.local_id for r in store.person_records(PersonId("P1"))] == ["1", "2"]
    assert store.person_records(PersonId("P9")) == []
    assert store.person_items(PersonId("P1")) == {"encounter": 1}
    assert store.person_items(PersonId("P2")) == {}
    assert list(store.export_rows()) == [
        [(SOURCE, "1", "P1"), (SOURCE, "2", "P1"), ("other", "3", "P2")]
    ]
    held = store.record(SOURCE, LocalId("1"))
    assert held is not None
    assert (held.person_id, held.record) == ("P1", full_client("1"))
    assert [h.record_id for h in store.numbered(NhsNumber("9434765919"))] == [1]
    assert store.numbered(NhsNumber("9434765870")) == []
    assert store.record(SOURCE, LocalId("9")) is None


def test_records_move_and_merged_persons_lead_on(store: SqlStore) -> None:
    three_records(store)
    founded = [("P1", 1), ("P2", 2), ("P3", 3)]
    publish(store, publication(founded, opened=[(1, "P1"), (2, "P2"), (3, "P3")]))
    publish(store, publication(merged=[("P2", "P1")], closed=[2], opened=[(2, "P1")]))
    publish(store, publication(merged=[("P1", "P3")], closed=[1, 2], opened=[(1, "P3"), (2, "P3")]))
    assert [store.resolve(PersonId(f"P{n}")) for n in (1, 2, 3, 4)] == [
        Resolution(PersonId("P3"), Fate.MERGED),
        Resolution(PersonId("P3"), Fate.MERGED),
        Resolution(PersonId("P3"), Fate.PRESENT),
        Resolution(None, Fate.UNKNOWN),
    ]
    assert store.memberships()["person_id"].to_pylist() == ["P3"] * 3
    assert (store.counts()["persons"], store.counts()["memberships"]) == (1, 3)
    assert store.founded_counts() == {1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(publication(opened=[(1, "P9")]), id="unknown person"),
        pytest.param(publication([("P9", 9)]), id="unknown founder"),
        pytest.param(publication([("P9", 3)], opened=[(9, "P9")]), id="unknown record"),
        pytest.param(publication([("P9", 1)], opened=[(1, "P9")]), id="open already"),
        pytest.param(publication(closed=[3]), id="closed though not open"),
        pytest.param(publication(merged=[("P9", "P1")]), id="unknown person merged"),
        pytest.param(publication(revived=["P1"]), id="present person brought back"),
        pytest.param(publication(revived=["P9"]), id="unknown person brought back"),
    ],
)
def test_a_publication_that_does_not_fit_leaves_nothing(store: SqlStore, changes: object) -> None:
    three_records(store)
    publish(store, publication([("P1", 1)], opened=[(1, "P1"), (2, "P1")]))
    before = contents(store)
    with pytest.raises(StoreError):
        publish(store, changes)  # type: ignore[arg-type]
    assert contents(store) == before
    assert publish(store, publication([("P2", 3)], opened=[(3, "P2")])) == 2


def test_everything_is_there_after_opening_again(store: SqlStore, url: str) -> None:
    three_records(store)
    before = contents(store)
    store.close()
    again = open_store(url, store.database.keys)
    assert contents(again) == before
    again.close()
