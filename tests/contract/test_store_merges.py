"""What linkage sees of the merges that a source makes among its own records. On both databases."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from schemas.identifiers import SourceId
from store.merges import followed, leads
from store.sql_store import SqlStore
from tests.store_samples import SOURCE, Unit, client, day, load, merge, one, unmerge, withdraw

SPEC = Path(__file__).parents[1] / "spec" / "source_merges.txt"


def spec_rows() -> list[tuple[str, str, str]]:
    """(what, sayings, merges that linkage sees) of each row."""
    lines = SPEC.read_text("utf-8").splitlines()
    rows = [line.split("|") for line in lines if line and not line.startswith("#")]
    return [(what.strip(), sayings.strip(), seen.strip()) for what, sayings, seen in rows]


def unit(saying: str) -> Unit:
    """One saying of the spec: see its head."""
    said, at = saying.rsplit("@", 1)
    if ">" in said:
        part = merge(*said.split(">"))
    elif "/" in said:
        return one(unmerge(*said.split("/")), day(int(at)))
    elif said.startswith("-"):
        return one(withdraw(said[1:]), day(int(at)))
    else:
        return one(client(said[0], f"Name{said[1:]}"), day(int(at)))
    return one(part, day(int(at)))


def seen(store: SqlStore, source: SourceId) -> str:
    """The merges that linkage sees of a source, as the spec writes them."""
    held = store.record_sources()
    ids = held["record_id"].to_pylist()
    named = dict(zip(ids, held["local_id"].to_pylist(), strict=True))
    table = store.match_columns()
    table = table.filter([of == source for of in table["source"].to_pylist()])
    pairs = zip(table["record_id"].to_pylist(), table["same_as"].to_pylist(), strict=True)
    return " ".join(sorted(f"{named[one]}>{named[other]}" for one, other in pairs if other)) or "-"


@pytest.mark.parametrize(
    ("sayings", "expected"), [pytest.param(*row[1:], id=row[0]) for row in spec_rows()]
)
def test_what_linkage_sees_of_merges(store: SqlStore, sayings: str, expected: str) -> None:
    orders = list(itertools.permutations(sayings.split()))
    steps = max(1, len(orders) // 4)
    for at, order in enumerate([orders[0], orders[-1], *orders[1:-1:steps]]):
        source = SourceId(f"s{at}")
        if at % 2:
            load(store, map(unit, order), f"{at}.csv", source=source)
        else:
            for number, saying in enumerate(order):
                load(store, [unit(saying)], f"{at} {number}.csv", source=source)
        assert seen(store, source) == expected, order


RELINKS = [
    # what, sayings held, saying, whether the generation grows
    ("a merge", "A@1 B@1", "A>B@2", True),
    ("the same merge later", "A@1 B@1 A>B@2", "A>B@3", False),
    ("its undoing", "A@1 B@1 A>B@2", "A/B@3", True),
    ("an undoing of nothing", "A@1 B@1", "A/B@3", False),
    ("an older undoing", "A@1 B@1 A>B@2", "B/A@1", False),
    ("the retired record said anew", "A@1 B@1 A>B@2", "A@3", True),
    ("the survivor said anew", "A@1 B@1 A>B@2", "B@3", False),
    ("the retired record said anew, twice", "A@1 B@1 A>B@2 A@3", "A@4", False),
    ("another record said anew", "A@1 B@1 C@1 A>B@2", "C@3", False),
]


@pytest.mark.parametrize(
    ("held", "saying", "grows"), [pytest.param(*row[1:], id=row[0]) for row in RELINKS]
)
def test_generation_grows_when_a_merge_leads_elsewhere(
    store: SqlStore, held: str, saying: str, grows: bool
) -> None:
    load(store, map(unit, held.split()), "a.csv", source=SOURCE)
    before = store.generation()
    load(store, [unit(saying)], "b.csv", source=SOURCE)
    assert (store.generation() > before) == grows


def test_a_long_circle_ends() -> None:
    names = [bytes([n]) for n in range(50)]
    ring = dict(zip(names, [*names[1:], names[0]], strict=True))
    assert list(followed(ring, {})) == []
    assert list(followed(ring, {names[0]: 1, names[25]: 2})) == [
        (names[0], names[25]), (names[25], names[0]),
    ]  # fmt: skip


def test_two_merges_of_one_moment_are_settled_by_key() -> None:
    sayings = [(b"a", b"b", "1"), (b"a", b"c", "1")]
    assert leads(sayings, {}, {}) == leads(reversed(sayings), {}, {}) == {b"a": b"c"}
