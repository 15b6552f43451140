"""A FHIR server of a source that is searched for what has changed: nothing is lost, nothing comes
twice, whatever the server does and whenever the search dies."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from adapters.http_server import LONGEST_WAIT
from adapters.interfaces import collector_of
from schemas.dates import Instant
from schemas.errors import InputError
from schemas.records import Outcome
from store.sql_store import SqlStore
from tests.contract.fhir_wards import AGAIN, DAY, NAME, TEN, Wards, partnership
from tests.fhir_server import Handler, breaks_off, fhir_server, outcome, says
from tests.functional.killer import die_at
from tests.processes import split_off


@pytest.fixture
def wards(tmp_path: Path) -> Iterator[Wards]:
    with fhir_server() as server:
        yield Wards(server, tmp_path / "workspace")


def test_what_changed_is_read_each_night(wards: Wards, store: SqlStore) -> None:
    wards.put(*range(1, 11))
    wards.put(3, 4, kind="AllergyIntolerance")
    extra = "resources = ['Patient', 'AllergyIntolerance']\n"
    wards.folder.rmdir()
    first = wards.night(store, extra)
    assert first.counts == Counter({Outcome.NEW: 12}), first
    assert first.notices == []
    wards.put(3, 11, at=60)
    report = wards.night(store, extra)
    overlap = Counter({Outcome.UNCHANGED: 6, Outcome.CHANGED: 1, Outcome.NEW: 1})
    assert report.counts == overlap, "changes of the last five minutes, once more"
    assert (report.feeds, report.known) == (1, 3), "the same answer is the same feed"
    assert wards.night(store, extra).counts[Outcome.CHANGED] == 0


def test_pages_become_one_file(wards: Wards) -> None:
    wards.put(*range(1, 11))
    assert wards.collect() == []
    assert wards.ids() == TEN
    assert wards.names() == [".position-Patient.json", "Patient_20260302T000000Z.ndjson"]
    assert wards.server.asked[0] == "/r4/Patient?_count=4&_sort=-_lastUpdated"
    assert len(wards.server.asked) == 3
    wards.collect()
    assert "_lastUpdated=ge2026-02-01T00%3A05%3A00Z" in wards.server.asked[3]


def test_nothing_found_makes_no_file_and_asks_the_same_again(wards: Wards) -> None:
    assert wards.collect() == []
    assert wards.names() == []
    wards.put(1)
    wards.collect()
    wards.server.held.clear()
    before = wards.names()
    wards.collect()
    wards.collect()
    assert wards.names() == before
    assert wards.server.asked[-1] == wards.server.asked[-2]


CLOCKS = [
    # name, the server's clock in minutes of the day, minutes of the latest change, asked from
    ("the latest change counts", 600, 100, 95),
    ("a change from the future does not", 600, 9_000, 595),
    ("nor does a server's clock that is ahead", 99_999, 9_000, 595),
    ("a search as old as the change", 100, 100, 95),
]


@pytest.mark.parametrize(("name", "date", "newest", "expected"), CLOCKS, ids=[c[0] for c in CLOCKS])
def test_how_far_it_came(wards: Wards, name: str, date: int, newest: int, expected: int) -> None:
    wards.put(1, at=newest)
    wards.server.moment = DAY + timedelta(minutes=date)
    wards.moment = DAY + timedelta(minutes=600)
    wards.collector().collect()
    wards.collector().collect()
    since = DAY + timedelta(minutes=expected)
    assert since.strftime("ge%Y-%m-%dT%H%%3A%M%%3A%SZ") in wards.server.asked[-1]


def test_a_type_that_is_refused_does_not_stop_the_others(wards: Wards) -> None:
    wards.put(1)
    wards.server.faults[1] = says(404, outcome("not-supported"))
    told = wards.fails("resources = ['Flag', 'Patient']\n")
    assert told.startswith("Flag: the server answered 404 (not-supported); leave the type out")
    assert wards.ids() == ["P1"]


def test_only_codes_that_fhir_knows_are_repeated(wards: Wards) -> None:
    wards.server.faults[1] = says(403, outcome(NAME))
    assert wards.fails() == "Patient: the server answered 403; asked again next time"


# --- servers that are busy, or away ---------------------------------------------------------------


def test_a_busy_server_is_asked_later_and_later(wards: Wards) -> None:
    wards.put(*range(1, 11))
    wards.server.faults = {2: says(503), 3: says(429), 4: breaks_off, 5: says(502)}
    assert wards.collect() == []
    assert wards.ids() == TEN
    assert [0.5 * 2**n <= wait <= 2**n for n, wait in enumerate(wards.waits)] == [True] * 4


def test_retry_after_is_honoured(wards: Wards) -> None:
    wards.put(1)
    later = format_datetime(wards.moment + timedelta(days=1, seconds=90), usegmt=True)
    wards.server.faults = {
        1: says(429, Retry_After="120"),
        2: says(503, Retry_After=later),
        3: says(503, Retry_After="x"),
    }
    wards.collect()
    assert wards.waits[:2] == [120, 90]
    assert 2 <= wards.waits[2] <= 4
    assert wards.ids() == ["P1"]


def test_a_long_peace_is_left_for_the_next_time(wards: Wards) -> None:
    wards.put(1)
    wards.server.faults = {1: says(429, Retry_After=str(int(LONGEST_WAIT) + 1))}
    told = wards.fails("resources = ['Patient', 'Flag']\n")
    assert told.startswith("Patient: the server answered 429, and asks to be left alone for 301 s")
    assert (wards.waits, wards.asked()) == ([], 1)


@pytest.mark.parametrize("fault", [says(503, outcome("transient")), breaks_off])
def test_a_server_that_stays_away_is_gone_on_with(
    wards: Wards, fault: Callable[[Handler], bool | None]
) -> None:
    wards.put(*range(1, 11))
    wards.server.faults = dict.fromkeys((3, 4, 5), fault)
    told = wards.fails("tries = 3\nresources = ['Patient', 'Flag']\n")
    assert "; what was read of it is kept, to go on from; asked again next time" in told
    assert "answered 503 (transient)" in told or "did not answer (RemoteProtocolError)" in told
    assert (wards.ids(), wards.asked()) == ([], 5)
    assert wards.collect() == []
    assert (wards.ids(), wards.asked()) == (AGAIN, 1 + 2), "and what changed meanwhile"


def test_nobody_there(wards: Wards) -> None:
    wards.server.server_close()
    wards.server.shutdown()
    told = wards.fails("tries = 2\nresources = ['Patient', 'Flag']\n")
    assert told == "Patient: the server did not answer (ConnectError); asked again next time"


def test_a_page_that_drips_is_not_waited_for(wards: Wards) -> None:
    def drips(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        try:
            for _ in range(100):
                handler.wfile.write(b" ")
                time.sleep(0.05)
        except OSError:
            handler.close_connection = True

    wards.server.always = drips
    assert "did not answer (ReadTimeout)" in wards.fails("tries = 1\ntimeout_seconds = 1\n")


# --- a search that died ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 410, 500])
def test_a_page_that_the_server_forgot(wards: Wards, status: int) -> None:
    wards.server.sorts = False
    wards.put(2, 1, *range(3, 11))
    wards.server.faults = {3: says(403)}
    wards.fails("tries = 1\n")
    assert wards.asked() == 3
    wards.server.faults = {1: says(status)}
    assert wards.collect("tries = 1\n") == []
    assert (wards.ids(), wards.asked()) == (TEN, 1 + 3)


def test_a_server_that_does_not_sort_is_gone_on_with_by_its_own_address(wards: Wards) -> None:
    wards.server.sorts = False
    wards.put(2, 1, *range(3, 11))
    wards.server.faults = {3: says(403)}
    wards.fails()
    wards.asked()
    assert wards.collect() == []
    assert (wards.ids(), wards.asked()) == (AGAIN, 1 + 2)


def test_many_changes_of_one_second_come_once(wards: Wards) -> None:
    wards.put(1, 2, at=0)
    wards.put(*range(3, 10), at=10)
    wards.put(10, at=20)
    wards.server.faults = {3: says(403)}
    wards.fails()
    assert wards.collect() == []
    assert wards.ids() == [*TEN, "P10"]


def test_another_question_does_not_go_on(wards: Wards) -> None:
    wards.put(*range(1, 11))
    wards.server.faults = {3: says(403)}
    wards.fails()
    (state,) = wards.folder.glob(".position-Patient.pages.json")
    state.write_text(state.read_text()[:-9])
    wards.asked()
    wards.collect()
    assert (wards.ids(), wards.asked()) == (TEN, 3)


@pytest.mark.parametrize("bytes_left", [None, 10])
def test_a_part_that_is_gone_is_asked_for_anew(wards: Wards, bytes_left: int | None) -> None:
    wards.put(*range(1, 11))
    wards.server.faults = {3: says(403)}
    wards.fails()
    part = wards.folder / ".Patient.ndjson.pages"
    part.write_bytes(part.read_bytes()[:bytes_left]) if bytes_left else part.unlink()
    wards.collect()
    assert wards.ids() == TEN


MOMENTS = {
    # what dies, in which call of it, and how many requests are left
    "amid the first page": ("os:fsync", 1, "before", 3),
    "the first page is written, not noted": ("pathlib:Path.rename", 1, "before", 3),
    "the first page is noted": ("pathlib:Path.rename", 1, "after", 4),
    "the second page is noted": ("pathlib:Path.rename", 2, "after", 3),
    "the last page is written, not noted": ("pathlib:Path.rename", 3, "before", 3),
    "the last page is noted": ("pathlib:Path.rename", 3, "after", 2),
    "the name is noted": ("pathlib:Path.rename", 4, "after", 2),
    "the file has its name": ("pathlib:Path.rename", 5, "after", 2),
    "how far it came is not noted": ("pathlib:Path.rename", 6, "before", 2),
    "how far it came is noted": ("pathlib:Path.rename", 6, "after", 2),
    "the note is gone": ("pathlib:Path.unlink", 1, "after", 2),
}


def collect_and_die(told: list[str]) -> None:
    """Collects in a process that dies at a moment."""
    url, root, moment = told
    die_at(*MOMENTS[moment][:3])
    (source,) = partnership(url).sources
    now = Instant("2026-03-01T00:00:00Z")
    collector_of(source, Path(root), Path(root) / "inbox", lambda: now).collect()


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_it_goes_on_after_its_last_page(wards: Wards, moment: str) -> None:
    wards.put(*range(1, 11))
    died = split_off(collect_and_die, [wards.server.url, wards.root, moment])
    assert died.code == -signal.SIGKILL, died
    wards.asked()
    wards.collect()
    assert wards.asked() == MOMENTS[moment][-1]
    anew = moment in ("amid the first page", "the first page is written, not noted")
    assert wards.ids() == (TEN if anew else AGAIN)
    assert len(wards.names()) == (2 if anew else 3)
    assert wards.names()[0] == ".position-Patient.json"


@settings(max_examples=10, deadline=None, phases=[Phase.generate])
@given(st.data())
def test_whatever_breaks_all_that_changed_comes(data: st.DataObject) -> None:
    """Nights of changes and faults; in the end the last of each resource is the server's own."""
    faults = st.sampled_from([says(503), says(403), says(410), says(200, b"{"), breaks_off])
    with TemporaryDirectory() as folder, fhir_server() as server:
        wards = Wards(server, Path(folder))
        for night in range(data.draw(st.integers(1, 4)) + 1):
            changed = data.draw(st.lists(st.integers(1, 9), unique=True, max_size=9))
            wards.put(*changed, at=(28 + night) * 1_440 + data.draw(st.integers(0, 3)))
            asked = len(server.asked)
            broken = data.draw(st.dictionaries(st.integers(1, 6), faults, max_size=3))
            server.faults = {asked + n: fault for n, fault in broken.items()}
            meanwhile = data.draw(st.lists(st.integers(1, 9), unique=True, max_size=3))
            at = (wards.moment + timedelta(days=1) - DAY) // timedelta(minutes=1)

            def change(_: Handler, meanwhile: list[int] = meanwhile, at: int = at) -> bool:
                wards.put(*meanwhile, at=at)
                return True

            server.faults[asked + data.draw(st.integers(1, 4))] = change
            with suppress(InputError):
                wards.collect("tries = 2\npage_size = 2\n")
        server.faults = {}
        assert wards.collect("page_size = 2\n") == []
        last = {resource["id"]: resource for resource in wards.lines()}
        assert last == server.held.get("Patient", {})
