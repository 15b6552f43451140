"""Night after night of the demo, through the real readers: the store holds what the truth says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from adapters.inbox import find_feeds
from adapters.registry import READERS
from demo import generate, settings_text
from demo.nights import Nights, NightSummary, generate_night
from schemas.dates import Instant
from schemas.errors import InputError, NotFound
from schemas.records import Outcome
from schemas.settings import Settings
from schemas.settings_file import parse_settings
from service.ingest import SourceReport, ingest
from store.keyring import KEY_FILE, FileKey, create_keyring
from store.sql_store import SqlStore, open_store

PEOPLE, SEED, ITEMS, LAST = 400, 7, 0.05, 6


@pytest.fixture(scope="module")
def settings() -> Settings:
    return parse_settings(settings_text("tester"))


class Partnership:
    """A demo workspace, with a store that holds its first load."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root, self.settings = root, settings
        generate(root, PEOPLE, SEED, ITEMS)
        keys = create_keyring(root / "keys", FileKey(root / "keys" / KEY_FILE))
        self.store: SqlStore = open_store(f"sqlite:///{root}/store.db", keys)
        self.load()

    def load(self) -> list[SourceReport]:
        now = Instant("2026-04-01T00:00:00Z")
        inbox = self.root / "inbox"
        return ingest(self.store, self.settings, inbox, READERS, find_feeds, lambda: now)

    def held(self) -> set[tuple[str, str]]:
        table = self.store.record_sources()
        return set(zip(*(table[c].to_pylist() for c in ("source", "local_id")), strict=True))

    def truth(self) -> dict[tuple[str, str], str]:
        rows = pq.read_table(self.root / "truth.parquet").to_pylist()
        return {(row["source"], row["local_id"]): row["person"] for row in rows}


After = tuple[Partnership, list[tuple[NightSummary, list[SourceReport], bool]]]


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> Iterator[After]:
    """The partnership after the last night, and of each night: what was made, what ingest said,
    whether the store then held what the truth says."""
    partnership = Partnership(tmp_path_factory.mktemp("nights"), settings)
    nights, found = Nights(partnership.root), []
    for _ in range(LAST):
        made = nights.write_next()
        said = partnership.load()
        found.append((made, said, partnership.held() == set(partnership.truth())))
    yield partnership, found
    partnership.store.close()


def test_the_store_holds_what_the_truth_says(after: After) -> None:
    _, nights = after
    assert [true for _, _, true in nights] == [True] * LAST


def test_every_night_brings_what_it_says(after: After) -> None:
    _, nights = after
    for made, said, _ in nights:
        assert (made.new_people, made.changed) == (4, 8)
        assert not any(report.refusals or report.notices for report in said), made.night
        counts = sum((report.counts for report in said), start=type(said[0].counts)())
        assert counts[Outcome.QUARANTINED] == 0
        assert counts[Outcome.NEW] > 0
        assert counts[Outcome.CHANGED] > 0
    assert sum(made.withdrawn for made, _, _ in nights) > 0
    assert sum(made.protected for made, _, _ in nights) == 1


def test_a_protected_identity_is_another_person_in_the_truth(after: After) -> None:
    partnership, _ = after
    truth = partnership.truth()
    (name,) = {person for person in truth.values() if person.endswith("-after")}
    assert name.removesuffix("-after") in truth.values()
    groups = pq.read_table(partnership.root / "truth_groups.parquet").to_pylist()
    planted = {row["person"]: row["planted"] for row in groups}
    assert planted[name] == ["gender_recognition"]
    assert "past_identity" in planted[name.removesuffix("-after")]
    assert set(truth.values()) <= set(planted)


def test_a_night_is_the_same_by_itself_and_after_the_others(after: After, tmp_path: Path) -> None:
    partnership, nights = after
    generate(tmp_path, PEOPLE, SEED, ITEMS)
    generate_night(tmp_path, 3)
    made = nights[2][0]
    for path in made.files:
        other = tmp_path / path.relative_to(partnership.root)
        assert (
            hashlib.sha256(other.read_bytes()).digest()
            == hashlib.sha256(path.read_bytes()).digest()
        )


def test_where_there_is_no_demo_there_are_no_nights(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no demo"):
        generate_night(tmp_path, 1)
    with pytest.raises(InputError, match="night from 1"):
        generate_night(tmp_path, 0)
