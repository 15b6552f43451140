"""Reports: what they are, what they never show, and how they stand in files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from audit.actions import ACTIONS
from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant
from schemas.errors import InputError, InvalidValue, NotFound, NotPermitted
from schemas.identifiers import PersonId
from schemas.sharing import BREAK_GLASS_REASONS
from service.access import Actor
from service.audit_facts import collect
from service.audit_reports import Leaves, Number, join
from service.audit_reports_access import SHOWS, sample_of, staff_report
from service.audit_reports_asked import LogState
from service.audit_reports_desk import REPORTS, Desk, Wanted, deliver_report, make_report
from service.audit_reports_files import write_files
from service.audit_reports_log import KEEPING
from service.audit_reports_nightly import DAILY, DONE, MONTHLY, deliver
from service.audit_reports_page import csv_files, harmless, json_bytes, page
from service.audit_reports_person import DID, EXEMPT, person_own_report
from service.audit_reports_sharing import DECIDES, WRITES
from service.former import Hidden
from service.sharing import Sharing
from tests.audit.histories import asked, events, frame, histories
from tests.service import sharing_world as world
from tests.service.sharing_world import ANN, NOW, TOM

# --- leaf numbers --------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 60)), st.lists(st.integers(0, 60)))
def test_leaves_are_the_numbers_given(some: list[int], more: list[int]) -> None:
    one, two = Leaves.of(some), Leaves.of(more)
    assert [*one] == sorted(set(some))
    assert one.count == len(set(some))
    assert [*join([one.ranges, two.ranges])] == sorted({*some, *more})
    assert (one == two) == (set(some) == set(more)) == (one.digest() == two.digest())


def test_leaves_in_words() -> None:
    assert Leaves.of([]).words() == "none"
    assert Leaves.of([1, 2, 3, 7]).words() == "1-3, 7"
    assert Leaves.of([1, 3, 5, 7, 8]).words(2) == "1, 3, and 2 more ranges, to 7-8"


def test_the_working_day_begins_and_ends_to_the_minute() -> None:
    """By the clock here, which is an hour ahead of the log's in early October."""
    history = [
        AuditEvent(
            at=Instant(f"2026-10-05T{time}:59Z"), action="items", outcome=EventOutcome.PERMITTED,
            actor="ST1", role="nurse", purpose="direct-care", organisation="RA7",
            persons=(PersonId("pann"),),
        )
        for time in ("07:29", "07:30", "16:44", "16:45")
    ]  # fmt: skip
    report = staff_report(frame(history), asked(history, hours=("08:30", "17:45")))
    (fact,) = [one for one in report.facts if one.name == "hours"]
    assert fact.label == "looks before 08:30 or from 17:45"
    assert [*fact.number.leaves] == [0, 3]


def test_a_number_of_entries_is_that_of_the_entries_behind_it() -> None:
    with pytest.raises(InvalidValue, match="differs"):
        Number(2, Leaves.of([5]))
    with pytest.raises(InvalidValue, match="more than"):
        Number(2, Leaves.of([5]), "staff")
    assert Number(2, Leaves.of([5]), "persons").value == 2


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    drawn = sample_of(Leaves.of(range(1_000)), 7, 20)
    assert drawn == sample_of(Leaves.of(reversed(range(1_000))), 7, 20)
    assert len(drawn) == 20
    assert drawn != sample_of(Leaves.of(range(1_000)), 8, 20)
    assert sample_of(Leaves.of([4, 9]), 7, 20) == [4, 9]


def test_actions_that_reports_name_can_be_written() -> None:
    for named in (KEEPING, SHOWS, WRITES, DECIDES, DID):
        assert set(named) <= ACTIONS.keys()


# --- the person's own report ---------------------------------------------------------------------

_BASE = dict[str, Any](
    at=Instant("2026-10-12T10:00:00Z"), action="read", outcome=EventOutcome.PERMITTED,
    actor="ST9", role="nurse", purpose="direct-care", organisation="RA7",
    persons=(PersonId("pann"),),
)  # fmt: skip
EXEMPT_EVENTS: dict[str, dict[str, Any]] = {
    "for safeguarding": {"purpose": "safeguarding"},
    "by a safeguarding lead": {"role": "safeguarding_lead"},
    "by somebody named on an investigation": {"details": {"relationship": "investigation"}},
    "glass broken because of serious harm": {"details": {"break_glass": "serious-harm"}},
    "only of what the own view leaves out": {"details": {"headings": ["safeguarding"]}},
    "of one item that the own view leaves out": {
        "action": "item", "details": {"headings": ["condition"], "labels": ["crime"]}
    },
    "dealt with silently": {"action": "search", "details": {"escalate": True}},
}  # fmt: skip
EXEMPT_STORIES = [AuditEvent(**(_BASE | more)) for more in EXEMPT_EVENTS.values()] + [
    AuditEvent(**(_BASE | {"action": "break-glass", "details": {"reason": "serious-harm"}}))
]


def test_every_exemption_has_its_story() -> None:
    assert EXEMPT_EVENTS.keys() == EXEMPT.keys()
    for words, story in zip(EXEMPT, EXEMPT_STORIES, strict=False):
        row = next(frame([story]).itertuples(index=False))
        assert EXEMPT[words](row), words


def _own(history: Sequence[AuditEvent], leaves: Sequence[int]) -> tuple[bytes, ...]:
    a = asked(history)
    report = person_own_report(frame(history, leaves), a)
    return page(report, a), json_bytes(report), *csv_files(report).values()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(events(("pann",)), max_size=8),
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from(EXEMPT_STORIES), st.integers(1, 31))),
)
def test_exempt_accesses_leave_no_gap(
    history: list[AuditEvent], hidden: list[tuple[int, AuditEvent, int]]
) -> None:
    told: list[AuditEvent] = [*history]
    for place, story, day in hidden:
        at = Instant(f"2026-10-{day:02}T10:00:00Z")
        told.insert(place, AuditEvent(**(_fields(story) | {"at": at})))
    assert _own(told, range(len(told))) == _own(history, range(100, 100 + len(history)))


def _fields(event: AuditEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


@settings(max_examples=25, deadline=None)
@given(histories)
def test_the_person_is_told_of_no_member_of_staff_and_no_entry(history: list[AuditEvent]) -> None:
    a = asked(history)
    report = person_own_report(frame(history), a)
    text = "".join(data.decode() for data in _own(history, range(len(history))))
    for hidden in ("ST1", "ST2", "pann", "leaves", "log entr"):
        assert hidden not in text
    assert report.leaves().count == 0


def test_an_ordinary_look_is_told() -> None:
    told = [AuditEvent(**_BASE), AuditEvent(**(_BASE | {"action": "everything"}))]
    report = person_own_report(frame(told), asked(told))
    (row,) = report.tables[0].rows
    assert row.cells == (
        "12 October 2026, 11:00", "Nurse or midwife", "Royal",
        "Opened the whole record, who you are", "To care for you",
    )  # fmt: skip


# --- files ---------------------------------------------------------------------------------------

NASTY = (
    "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "＝1",  # noqa: RUF001
    "<script>alert(1)</script>", "a\u202eb", "a\nb", "\x1b[31m",
)  # fmt: skip


@pytest.mark.parametrize("nasty", NASTY)
def test_text_of_others_cannot_act(nasty: str) -> None:
    told = [AuditEvent(**(_BASE | {"actor": nasty, "role": nasty, "organisation": nasty}))]
    a = asked(told)
    report = REPORTS["person"].build(frame(told), a)
    for name, data in csv_files(report).items():
        assert data.startswith(b"\xef\xbb\xbf"), name
        for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")):
            for cell in row:
                assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "＝", "\t")), cell  # noqa: RUF001
                assert cell.isprintable()
    html = page(report, a).decode()
    for acting in ("<script", "\u202e", "\x1b"):
        assert acting not in html
    assert json.loads(json_bytes(report))["facts"][0]["value"] == 1


def test_a_negative_number_stays_one() -> None:
    assert harmless("12") == "12"
    assert harmless("'=1") == "'=1"


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_report_of_nothing_is_a_page(name: str, tmp_path: Path) -> None:
    a = asked([], log=LogState(0, "", "test/log", 0))
    report = REPORTS[name].build(frame([]), a)
    files = write_files(tmp_path / "new", report, a, ("html", "csv", "json"))
    assert {one.suffix for one in files} == {".html", ".csv", ".json"}
    assert {one.stat().st_mode & 0o777 for one in files} == {0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    html = next(one for one in files if one.suffix == ".html").read_text("utf-8")
    assert "http" not in html.replace('"http://www.w3.org/', "").replace("http-equiv", "")
    assert str(escape(report.title)) in html


def test_all_entries_stand_in_parquet_where_json_leaves_some_out(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    one = AuditEvent(**_BASE)
    odd = AuditEvent(**(_BASE | {"outcome": EventOutcome.REFUSED}))
    told = [one, odd] * 2_100
    a = asked(told)
    report = REPORTS["refusals"].build(frame(told), a)
    files = write_files(tmp_path, report, a, ("json",))
    (held,) = (path for path in files if path.suffix == ".parquet")
    table = pq.read_table(held).to_pydict()
    mine = [f for n, f in zip(table["number"], table["first"], strict=True) if n == "fact.refused"]
    assert mine == [*range(1, 4_200, 2)]
    document = json.loads(files[0].read_text())
    assert document["facts"][0]["leaves"]["all_ranges"] == 2_100


# --- asked for, of a real store ------------------------------------------------------------------

PLANTED = (
    "Hidden Row", "BS1 5TR", "9434765919", "1980-05-04", "Adopted", "0117 496 0001",
    "a story to tell",
)  # fmt: skip


class _Clock:
    now = NOW

    def __call__(self) -> Instant:
        return self.now


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[Sharing]:
    with world.world(tmp_path) as one:
        for staff in ("ST1", "ST3", "ST6"):
            asks = world.asks(one, staff)
            world.found(one, staff, family="Hidden")
            world.sees(one, asks, ANN)
            world.sees(one, asks, TOM)
        one.break_glass(world.asks(one, "ST1", "vital-interests"), ANN,
                        next(iter(BREAK_GLASS_REASONS)), "a story to tell of nobody")  # fmt: skip
        yield one


def desk_of(sharing: Sharing, role: str = "ig_officer", purpose: str = "audit") -> Desk:
    store: Any = sharing.store
    return Desk(
        store=store, settings=sharing.settings, clock=lambda: NOW,
        actor=Actor("officer", role, purpose),
        log=lambda: LogState(store.event_count(), "00", "test/log", store.event_count()),
        facts=lambda persons, *, names: collect(
            store, sharing.settings, persons, (), NOW, names=names
        ),
    )  # fmt: skip


def wanted(name: str) -> Wanted:
    needs = REPORTS[name].needs
    return Wanted(
        name,
        person=ANN if needs == "person" else None,
        actor="ST1" if needs == "actor" else None,
        organisation="TR001" if needs == "organisation" else None,
        month="2026-11",
    )


def test_no_report_shows_a_planted_value(sharing: Sharing, tmp_path: Path) -> None:
    desk = desk_of(sharing)
    for name in REPORTS:
        report, a = make_report(desk, wanted(name))
        for path in write_files(tmp_path / name, report, a, ("html", "csv", "json")):
            text = path.read_bytes().decode("utf-8", "ignore")
            for value in PLANTED:
                assert value not in text, (path.name, value)


def test_every_report_is_an_event_that_says_what_it_rests_on(sharing: Sharing) -> None:
    desk = desk_of(sharing)
    for name in REPORTS:
        report, _ = make_report(desk, wanted(name), format="html")
        last = world.last_event(sharing)
        assert (last.action, last.outcome.value) == ("audit-report", "permitted")
        assert (last.details["report"], last.details["format"]) == (name, "html")
        assert last.persons == ((ANN,) if REPORTS[name].needs == "person" else ())
        if not report.for_person:
            assert last.details["entries"] == report.leaves().count


@pytest.mark.parametrize(
    ("role", "purpose"),
    [("data_team", "data-quality"), ("operator", "audit"), ("ig_officer", "direct-care"),
     ("nobody", "audit")],
)  # fmt: skip
def test_nobody_else_is_given_a_report(sharing: Sharing, role: str, purpose: str) -> None:
    with pytest.raises(NotPermitted):
        make_report(desk_of(sharing, role, purpose), wanted("refusals"))
    assert world.last_event(sharing).outcome is EventOutcome.REFUSED


def test_what_it_is_about_must_be_named_and_known(sharing: Sharing) -> None:
    desk = desk_of(sharing)
    for name, kind in REPORTS.items():
        if kind.needs:
            with pytest.raises(InputError, match=f"--{kind.needs}"):
                make_report(desk, Wanted(name))
    with pytest.raises(NotFound):
        make_report(desk, Wanted("person", person="pnobody"))
    with pytest.raises(InputError, match="--month"):
        make_report(desk, Wanted("pack"))
    with pytest.raises(InvalidValue, match="YYYY-MM"):
        make_report(desk, Wanted("pack", month="2026-13"))
    for month in ("0001-01", "9999-12"):
        with pytest.raises(InvalidValue, match="1850 to 2200"):
            make_report(desk, Wanted("pack", month=month))
    for name in ("pack", "refusals"):
        with pytest.raises(InputError, match="begun; it is 2026-11 now"):
            make_report(desk, Wanted(name, month="2026-12"))


@pytest.mark.parametrize("name", sorted(REPORTS.keys() - {"events"}))
def test_a_report_is_not_narrowed_unseen(sharing: Sharing, name: str) -> None:
    given = {"person": ANN, "actor": "ST1", "organisation": "TR001"}
    for option in given.keys() - {REPORTS[name].needs}:
        with pytest.raises(InputError, match=f"takes no --{option}"):
            make_report(desk_of(sharing), replace(wanted(name), **{option: given[option]}))


def test_who_looked_at_a_person_is_found(sharing: Sharing) -> None:
    report, _ = make_report(desk_of(sharing), wanted("person"))
    held = [one for one in sharing.store.events() if ANN in one.persons]
    looks = next(table for table in report.tables if table.name == "looks")
    assert len(looks.rows) == len([e for e in held if e.actor.startswith("ST")])
    assert report.tables[0].rows


# --- the night -----------------------------------------------------------------------------------


def test_the_night_delivers_each_day_and_month_once(sharing: Sharing, tmp_path: Path) -> None:
    desk = desk_of(sharing)
    later = Instant("2026-12-01T02:00:00Z")
    root = tmp_path / "workspace"
    for event in [e for e in sharing.store.events() if e.persons][:2]:
        at = Instant("2026-11-30T12:00:00Z")
        sharing.store.append_event(AuditEvent(**(_fields(event) | {"at": at})))
    delivered = deliver(desk.store, desk.settings, later, root, lambda: desk)
    assert [one.name for one in delivered.folders] == ["2026-11-30", "month-2026-11"]
    for folder, names in zip(delivered.folders, (DAILY, MONTHLY), strict=True):
        assert (folder / DONE).exists()
        held = {path.name.split("-2026")[0] for path in folder.glob("*.html")}
        assert held == set(names)
    again = deliver(desk.store, desk.settings, later, root, lambda: desk)
    assert again.folders == ()


def test_the_night_of_a_named_account_tells_a_role_nobody_hidden(
    sharing: Sharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_of(sharing)
    named = replace(desk, actor=replace(desk.actor, named=True))
    glass = wanted("break-glass")
    found = Hidden(persons=frozenset({ANN}))
    monkeypatch.setattr("service.audit_reports_desk.hidden_of", lambda _: found)
    told = str(deliver_report(named, glass, "ig_officer")[0])
    assert "ST1" in told
    assert ANN not in told
    assert ANN in str(make_report(named, glass)[0])


def test_a_role_that_may_not_is_given_nothing(sharing: Sharing, tmp_path: Path) -> None:
    desk = desk_of(sharing)
    audit = replace(desk.settings.audit, delivery={"data_team": "reports/audit"})
    wrong = replace(desk.settings, audit=audit)
    delivered = deliver(desk.store, wrong, Instant("2026-12-01T02:00:00Z"), tmp_path, lambda: desk)
    assert delivered.folders == ()
    assert "data_team" in delivered.notices[0]
    assert not (tmp_path / "reports").exists()
