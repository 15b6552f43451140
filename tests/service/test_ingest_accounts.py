"""Every unit of every feed is accounted for: generated feeds of each format on a real store."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.inbox import find_feeds
from adapters.registry import READERS
from schemas.dates import Instant
from schemas.identifiers import LocalId, SourceId
from schemas.records import Outcome
from schemas.settings import Settings
from schemas.settings_file import parse_settings
from service.ingest import SourceReport, ingest
from service.ports import FeedFile, FeedState
from store.keyring import KEY_FILE, FileKey, create_keyring
from store.sql_store import SqlStore, open_store
from tests.functional.small import (
    COLUMNS,
    ENDINGS,
    SETTINGS,
    WRITTEN,
    Client,
    clients,
    message,
    patient,
    row,
)

PARTNERSHIP = parse_settings(
    SETTINGS.format(actor="a", role="operator", database="x", batch_units=3, settle=0)
)
PEOPLE = clients(12)

Unit = Callable[[Client], bytes]
"""Makes a unit of a client: without its end for lines, whole for messages."""

KINDS: dict[str, dict[str, tuple[Unit, bool]]] = {
    # source: kind of unit: (how it is made, whether it can be loaded)
    "pas": {
        "good": (lambda c: row(c).encode(), True),
        "no birth date": (lambda c: row(replace(c, birth_date="")).encode(), True),
        "no local id": (lambda c: row(replace(c, local_id="")).encode(), False),
        "too few fields": (lambda c: row(c).encode()[:30], False),
        "too many fields": (lambda c: row(c).encode() + b",,", False),
        "not UTF-8": (lambda c: row(c).encode() + b"\xe9", False),
        "a NUL": (lambda c: row(c).encode() + b"\0", False),
    },
    "gp": {
        "good": (lambda c: patient(c).encode(), True),
        "no birth date": (lambda c: patient(replace(c, birth_date="1999")).encode(), True),
        "no identifier": (lambda c: patient(c, identifier=[], id=None).encode(), False),
        "torn": (lambda c: patient(c).encode()[:60], False),
        "not a resource": (lambda c: b'["%s"]' % c.local_id.encode(), False),
        "breaks R4": (lambda c: patient(c, gender=["x"]).encode(), False),
        "not UTF-8": (lambda c: patient(c).encode().replace(b"High", b"\xe9"), False),
    },
    "acute": {
        "good": (lambda c: message(c).encode(), True),
        "unknown version": (lambda c: message(c, version="9").encode(), True),
        "no patient": (lambda c: message(c).encode().partition(b"PID|")[0], False),
        "no local id": (lambda c: message(replace(c, local_id="")).encode(), False),
        "no such type": (lambda c: message(c).encode().replace(b"ADT^A28", b"QQQ^Q01"), False),
        "not UTF-8": (lambda c: message(c).encode().replace(b"High", b"\xe9"), False),
    },
}
OTHERWISE: dict[str, Callable[[bytes], bytes]] = {
    "pas": lambda data: data.replace(b"\n", b"\r\n"),
    "gp": lambda data: data.replace(b"\n", b"\r\n"),
    "acute": lambda data: data.replace(b"\r", b"\r\n"),
}
"""The same units in other bytes."""


def feed(source: str, kinds: list[str]) -> bytes:
    """A feed with a unit of each of these kinds, each about another client."""
    units = [KINDS[source][kind][0](PEOPLE[n]) for n, kind in enumerate(kinds)]
    if source == "acute":
        return b"".join(units)
    head = [",".join(COLUMNS).encode()] if source == "pas" else []
    return b"".join(line + b"\n" for line in [*head, *units])


class Night:
    """A store and an inbox that last one example."""

    def __init__(self, folder: Path) -> None:
        keys = create_keyring(folder / "keys", FileKey(folder / "keys" / KEY_FILE))
        self.store = open_store(f"sqlite:///{folder}/store.db", keys)
        self.inbox = folder / "inbox"
        for source in KINDS:
            (self.inbox / source).mkdir(parents=True)

    def put(self, source: str, name: str, data: bytes) -> None:
        path = self.inbox / source / (name + ENDINGS[source])
        path.write_bytes(data)
        os.utime(path, (WRITTEN, WRITTEN))

    def ingest(self, source: str, changed: Settings = PARTNERSHIP, **readers: Any) -> SourceReport:
        def clock() -> Instant:
            return Instant("2026-03-02T00:00:00Z")

        (report,) = ingest(
            self.store, changed, self.inbox, {**READERS, **readers}, find_feeds, clock,
            only=[source],
        )  # fmt: skip
        for known in self.store.feeds(report.source).values():
            assert known.state is not FeedState.LOADING
        return report


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    made = Night(tmp_path)
    yield made
    made.store.close()


def reasons(report: SourceReport) -> Counter[tuple[str, str]]:
    """(field, reason) → units. Messages tell places, which other bytes move."""
    found: Counter[tuple[str, str]] = Counter()
    for (name, reason, _), units in report.rejected.items():
        found[name, reason] += units
    return found


def held(store: SqlStore) -> int:
    return store.counts()["records"]


@pytest.mark.parametrize("source", KINDS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_unit_is_accounted_for(source: str, data: st.DataObject) -> None:
    # The first is good: content tells which form of FHIR a file is in.
    kinds = ["good", *data.draw(st.lists(st.sampled_from(sorted(KINDS[source])), max_size=11))]
    good = sum(KINDS[source][kind][1] for kind in kinds)
    bad = len(kinds) - good
    with TemporaryDirectory() as folder:
        night = Night(Path(folder))
        night.put(source, "first", feed(source, kinds))
        first = night.ingest(source)
        assert first.counts == Counter({Outcome.NEW: good, Outcome.QUARANTINED: bad})
        assert first.read == len(kinds)
        assert held(night.store) == good

        night.put(source, "renamed", feed(source, kinds))
        again = night.ingest(source)
        assert (again.feeds, again.known, again.read) == (0, 2, 0)

        night.put(source, "otherwise", OTHERWISE[source](feed(source, kinds)))
        other = night.ingest(source)
        assert (other.feeds, other.known, other.read) == (1, 2, len(kinds))
        assert other.counts == Counter({Outcome.UNCHANGED: good, Outcome.QUARANTINED: bad})
        assert reasons(other) == reasons(first)
        assert held(night.store) == good
        quarantined = list(night.store.quarantined())
        assert len(quarantined) == 2 * bad
        night.store.close()


@pytest.mark.parametrize("source", KINDS)
def test_a_later_version_counts_as_changed(night: Night, source: str) -> None:
    night.put(source, "first", feed(source, ["good"] * 4))
    night.ingest(source)
    moved = [replace(c, street="9 Low Road") for c in PEOPLE[:2]]
    form = KINDS[source]["good"][0]
    ends = b"" if source == "acute" else b"\n"
    head = ",".join(COLUMNS).encode() + b"\n" if source == "pas" else b""
    night.put(source, "later", head + b"".join(form(c) + ends for c in moved))
    later = night.inbox / source / ("later" + ENDINGS[source])
    os.utime(later, (WRITTEN + 86_400, WRITTEN + 86_400))
    if source == "acute":  # a message says itself when it stood so
        later.write_bytes(later.read_bytes().replace(b"20260301120000", b"20260302120000"))
    report = night.ingest(source)
    assert report.counts == Counter({Outcome.CHANGED: 2})
    assert held(night.store) == 4


def test_a_refused_feed_is_tried_again_under_other_limits(night: Night) -> None:
    night.put("pas", "big", gzip.compress(feed("pas", ["good"] * 3) + b"x" * (2 << 20)))
    path = night.inbox / "pas" / "big.csv"
    assert [r.reason for r in night.ingest("pas").refusals] == ["bomb"]
    assert night.ingest("pas").known == 1
    wider = replace(PARTNERSHIP, limits=replace(PARTNERSHIP.limits, max_expansion_ratio=100_000))
    report = night.ingest("pas", wider)
    assert (report.feeds, report.refusals) == (1, [])
    assert report.counts[Outcome.NEW] == 3
    assert path.exists()


def test_bytes_that_do_not_come_are_asked_for_again(night: Night) -> None:
    data = feed("pas", ["good"] * 3)
    night.put("pas", "there", data)
    path = night.inbox / "pas" / "there.csv"

    def gone(feed_file: FeedFile, *rest: Any) -> Any:
        path.unlink()
        return READERS["delimited"](feed_file, *rest)

    (report,) = ingest(
        night.store, PARTNERSHIP, night.inbox, {**READERS, "delimited": gone}, find_feeds,
        lambda: Instant("2026-03-02T00:00:00Z"), only=["pas"],
    )  # fmt: skip
    assert (report.read, report.refusals) == (0, [])
    assert "No such file" in report.notices[0]
    night.put("pas", "there", data)
    assert night.ingest("pas").counts == Counter({Outcome.NEW: 3})


class _Cut(BaseException):
    """The night ended here."""


def cut(*arguments: Any) -> Any:
    """A reader that ends the night after two batches."""
    for n, batch in enumerate(READERS["delimited"](*arguments)):
        if n == 2:
            raise _Cut
        yield batch


def test_a_feed_that_goes_on_keeps_its_time(night: Night) -> None:
    """A file copied back after a crash has another time of change; its bytes are as old as ever."""
    night.put("pas", "first", feed("pas", ["good"] * 9))
    with pytest.raises(_Cut):
        night.ingest("pas", delimited=cut)
    later = WRITTEN + 86_400
    os.utime(night.inbox / "pas" / "first.csv", (later, later))
    assert night.ingest("pas").counts[Outcome.NEW] == 9
    found = [night.store.record(SourceId("pas"), LocalId(f"L{n}")) for n in range(9)]
    assert len({held.as_at for held in found if held}) == 1


def test_a_night_goes_on_in_other_batches_without_loss(night: Night) -> None:
    """Batches done are counted in batches: other limits begin the feed again, and lose nothing."""
    night.put("pas", "first", feed("pas", ["good", "too few fields"] * 6))

    with pytest.raises(_Cut):
        night.ingest("pas", delimited=cut)
    smaller = replace(PARTNERSHIP, limits=replace(PARTNERSHIP.limits, batch_units=2))
    report = night.ingest("pas", smaller)
    assert report.read == 12
    assert report.counts[Outcome.QUARANTINED] == 6
    assert held(night.store) == 6
    assert len(list(night.store.quarantined())) == 6
