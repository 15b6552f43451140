"""A source's whole list in the inbox: what it withdraws, and when it is not believed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.records import Outcome
from schemas.settings import AsAt, Settings, WholeList
from service.ingest import SourceReport
from service.ports import FeedState
from service.summary import ingest_document, ingest_lines
from store import withdrawals
from store.sql_store import SqlStore
from tests.functional.small import COLUMNS, clients, row
from tests.service.test_ingest_accounts import PARTNERSHIP, Night

PEOPLE = clients(20)


def believing(whole_list: WholeList | None) -> Settings:
    """The partnership, in which the files of `pas` are its whole list."""
    dated = AsAt(re.compile(r"(\d{8})"), "%Y%m%d")
    changes = {"snapshot": whole_list, "as_at": dated}
    sources = [
        replace(source, files=tuple(replace(file, **changes) for file in source.files))
        if source.id == "pas"
        else source
        for source in PARTNERSHIP.sources
    ]
    return replace(PARTNERSHIP, sources=tuple(sources))


WHOLE = believing(WholeList())


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def arrive(
    night: Night, day: int, people: Sequence[int], settings: Settings = WHOLE, extra: bytes = b""
) -> SourceReport:
    """One night's list of these people, as at a day; what ingest says."""
    lines = [",".join(COLUMNS).encode(), *(row(PEOPLE[n]).encode() for n in people)]
    night.put("pas", f"clients_202603{day:02d}", b"\n".join(lines) + b"\n" + extra)
    return night.ingest("pas", settings)


def held(store: SqlStore) -> set[str]:
    return set(store.record_sources()["local_id"].to_pylist())


def ids(people: Sequence[int]) -> set[str]:
    return {PEOPLE[n].local_id for n in people}


def test_who_is_not_in_the_list_is_withdrawn(night: Night) -> None:
    assert arrive(night, 1, range(20)).counts == Counter({Outcome.NEW: 20})
    report = arrive(night, 2, range(19))
    assert (report.counts, report.withdrawn) == (Counter({Outcome.UNCHANGED: 19}), 1)
    assert report.read == 19
    assert held(night.store) == ids(range(19))
    assert "pas: 1 records withdrawn: its whole list lacks them" in ingest_lines([report])
    assert ingest_document([report])[0]["withdrawn_by_whole_list"] == 1
    back = arrive(night, 3, range(20))
    assert (back.counts[Outcome.CHANGED], held(night.store)) == (1, ids(range(20)))


def test_the_same_list_again_counts_by_its_day_not_by_its_last_change(night: Night) -> None:
    arrive(night, 2, range(20))
    arrive(night, 4, range(19))
    again = night.inbox / "pas" / "copy_of_clients_20260302.csv"
    again.write_bytes((night.inbox / "pas" / "clients_20260302.csv").read_bytes())
    report = night.ingest("pas", WHOLE)
    assert (report.feeds, report.known) == (0, 3)
    assert held(night.store) == ids(range(19))


def test_a_list_that_does_not_say_of_when_it_is_is_left_alone(night: Night) -> None:
    arrive(night, 1, range(20))
    night.put("pas", "clients", b"\n".join([",".join(COLUMNS).encode(), b""]))
    report = night.ingest("pas", WHOLE)
    assert report.feeds == 0
    assert any("whole list, but does not say of when" in notice for notice in report.notices)
    assert held(night.store) == ids(range(20))


def test_a_list_that_broke_off_is_refused_and_loses_nothing(night: Night) -> None:
    arrive(night, 1, range(10))
    report = arrive(night, 2, range(8, 13))
    ((refusal),) = report.refusals
    assert (refusal.reason, report.withdrawn) == ("incomplete", 0)
    assert "lacks 8 of the 13 records held; at most 5.0%" in refusal.message
    assert held(night.store) == ids(range(13)), "what it has is loaded, what it lacks is kept"
    assert report.read == sum(report.counts.values()) == 6
    assert night.ingest("pas", WHOLE).known == 2, "not tried again under the same settings"
    believed = night.ingest("pas", believing(WholeList(max_withdrawn=1)))
    assert (believed.withdrawn, believed.refusals) == (8, [])
    assert held(night.store) == ids(range(8, 13))


@pytest.mark.parametrize(("allowed", "withdrawn"), [(0.0, 0), (0.04, 0), (0.05, 1)])
def test_a_list_with_units_in_quarantine(night: Night, allowed: float, withdrawn: int) -> None:
    settings = believing(WholeList(max_quarantined=allowed))
    arrive(night, 1, range(20), settings)
    report = arrive(night, 2, range(19), settings, extra=b"broken\n")
    assert report.counts[Outcome.QUARANTINED] == 1
    assert report.withdrawn == withdrawn
    assert len(held(night.store)) == 20 - withdrawn
    assert bool(report.notices) == (withdrawn == 0)


def test_a_file_that_is_no_whole_list_withdraws_nobody(night: Night) -> None:
    settings = believing(None)
    arrive(night, 1, range(20), settings)
    assert arrive(night, 2, range(1), settings).withdrawn == 0
    assert held(night.store) == ids(range(20))


class Died(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("moment", range(3))
def test_a_run_that_died_while_withdrawing_goes_on(
    night: Night, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    monkeypatch.setattr(withdrawals, "_PAGE", 1)
    settings = believing(WholeList(max_withdrawn=0.15))
    arrive(night, 1, range(20), settings)
    left, real = iter(range(moment, -1, -1)), withdrawals._withdrawing

    def dying(*arguments: Any) -> Any:
        if next(left) == 0:
            raise Died
        return real(*arguments)

    with monkeypatch.context() as armed:
        armed.setattr(withdrawals, "_withdrawing", dying)
        with pytest.raises(Died):
            arrive(night, 2, range(17), settings)
    assert len(held(night.store)) == 20 - moment
    report = night.ingest("pas", settings)
    assert (report.withdrawn, report.counts[Outcome.UNCHANGED]) == (3 - moment, 17)
    assert held(night.store) == ids(range(17))
    assert {feed.state for feed in night.store.feeds(report.source).values()} == {FeedState.LOADED}
