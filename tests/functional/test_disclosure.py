"""Who sees what of a person, and what is written down first: use cases on a real store."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

import cli
import wiring
from audit.events import AuditEvent
from consent.commands import GRANTS, Action, Role, decide
from schemas.codes import PURPOSES, Gender, TelecomSystem
from schemas.dates import to_instant
from schemas.demographics import Address, Telecom
from schemas.errors import NeedsDecision, NotFound, NotPermitted, StoreError
from schemas.identifiers import OdsCode, Postcode
from schemas.settings import LinkSettings, Settings, SourceSettings
from service.access import Actor
from service.exporting import export_file, quarantined
from service.linking import link_records
from service.looking import WITHHELD, explain_pair, show_person
from service.model_files import load_model
from service.nightly import late_sources
from store.keyring import KEY_FILE, FileKey, create_keyring
from store.sql_store import SqlStore, open_store
from tests.functional.road import OF_ITSELF
from tests.store_samples import NOW, SOURCE, client, full_client, item, load, one

DATA_TEAM = Actor("ann", "data_team", "data-quality")
WHEREABOUTS = ("7 Zebrafinch Lane", "BS99 7QX", "0117 496 0000", "ZZ901")


def clock() -> Any:
    return NOW


def settings(**link: Any) -> Settings:
    source = SourceSettings(SOURCE, "North", (OdsCode("RVJ"),), (), keeps_people_apart=False)
    return Settings("P", "", False, (), (source,), {}, {}, link=LinkSettings(**link))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    keys = create_keyring(tmp_path / "keys", FileKey(tmp_path / "keys" / KEY_FILE))
    opened = open_store(f"sqlite:///{tmp_path}/store.db", keys)
    yield opened
    opened.close()


def events(store: SqlStore) -> list[AuditEvent]:
    return list(store.events())


def housed(local_id: str, **more: Any) -> Any:
    """A client with whereabouts of every kind."""
    return client(
        local_id,
        addresses=(Address(lines=("7 Zebrafinch Lane",), postcode=Postcode("BS99 7QX")),),
        telecoms=(Telecom(TelecomSystem.PHONE, "0117 496 0000"),),
        gp_practice=OdsCode("ZZ901"),
        **more,
    )


def published(store: SqlStore, tmp_path: Path, *parts: Any) -> None:
    load(store, [one(part) for part in parts])
    link_records(store, settings(), tmp_path / "model.json", clock)


def persons(store: SqlStore) -> list[str]:
    return sorted({row[2] for chunk in store.export_rows() for row in chunk})


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("role", Role)
def test_what_the_table_does_not_grant_is_refused(role: Role, action: Action, purpose: str) -> None:
    granted = purpose in GRANTS[role].get(action, frozenset())
    assert decide(role.value, action, purpose).permitted is granted


@pytest.mark.parametrize(
    ("role", "purpose"),
    [(None, "data-quality"), ("surgeon", "data-quality"), ("data_team", "curiosity")],
    ids=["an account without a role", "a role that is none", "a purpose that is none"],
)
def test_a_look_without_role_or_purpose_is_refused_and_written_down(
    store: SqlStore, role: str | None, purpose: str
) -> None:
    actor = Actor("bob", role, purpose)
    with pytest.raises(NotPermitted):
        show_person(store, actor, "p1", clock)
    (event,) = events(store)
    assert (event.action, event.outcome, event.actor) == ("person-show", "refused", "bob")


def test_a_look_is_written_down_with_whom_and_why(store: SqlStore, tmp_path: Path) -> None:
    published(store, tmp_path, full_client("1"))
    (person,) = persons(store)
    show_person(store, DATA_TEAM, person, clock)
    explain_pair(
        store, settings(), load_model(tmp_path / "model.json"), DATA_TEAM,
        (SOURCE, "1"), (SOURCE, "1"), clock,
    )  # fmt: skip
    export_file(store, DATA_TEAM, tmp_path / "out.csv", clock)
    quarantined(store, settings(), DATA_TEAM, None, 5, clock)
    looks = [e for e in events(store) if e.action not in OF_ITSELF]
    assert [(e.action, e.persons, e.purpose) for e in looks] == [
        ("person-show", (person,), "data-quality"),
        ("explain", (person,), "data-quality"),
        ("person-export", (), "data-quality"),
        ("quarantine-list", (), "data-quality"),
    ]


def test_a_look_for_nobody_is_written_down(store: SqlStore) -> None:
    with pytest.raises(NotFound):
        show_person(store, DATA_TEAM, "pnobody", clock)
    assert [(e.action, e.outcome) for e in events(store)] == [("person-show", "failed")]


def test_nothing_is_shown_where_the_event_cannot_be_written(
    store: SqlStore, tmp_path: Path
) -> None:
    published(store, tmp_path, full_client("1"))
    (person,) = persons(store)
    with store.database.writing() as conn:
        conn.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON audit_event"
            " BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    out = tmp_path / "out.csv"
    with pytest.raises(StoreError):
        show_person(store, DATA_TEAM, person, clock)
    with pytest.raises(StoreError):
        export_file(store, DATA_TEAM, out, clock)
    assert not out.exists()


def test_whereabouts_of_a_restricted_person_are_withheld_from_all_records(
    store: SqlStore, tmp_path: Path
) -> None:
    known = full_client("2").nhs_number
    published(
        store, tmp_path,
        housed("1", nhs_number=known, restricted=True), housed("2", nhs_number=known),
        item("i1", "1"),
    )  # fmt: skip
    (person,) = persons(store)
    shown = show_person(store, DATA_TEAM, person, clock)
    assert shown["restricted"] is True
    assert shown["items"] == {}
    assert len(shown["records"]) == 2
    for record in shown["records"]:
        withheld = ("addresses", "telecoms", "gp_practice", "source", "local_id")
        assert {record[name] for name in withheld} == {WITHHELD}
        assert record["names"] == ["Ann Example"]
    assert not [place for place in WHEREABOUTS if place in str(shown)]


def test_whereabouts_of_others_are_shown(store: SqlStore, tmp_path: Path) -> None:
    published(store, tmp_path, housed("1"))
    shown = show_person(store, DATA_TEAM, persons(store)[0], clock)
    assert [place for place in WHEREABOUTS if place in str(shown)] == list(WHEREABOUTS)


def test_an_explanation_shows_levels_and_no_values(store: SqlStore, tmp_path: Path) -> None:
    published(store, tmp_path, full_client("1"), full_client("2"))
    found = explain_pair(
        store, settings(), load_model(tmp_path / "model.json"), DATA_TEAM,
        (SOURCE, "1"), (SOURCE, "2"), clock,
    )  # fmt: skip
    values = ("Quillfeather", "9434765919", "1957", "7QX")
    assert not [value for value in values if value in str(found)]
    assert msgspec.json.encode(dataclasses.asdict(found))


def test_a_changed_gender_alone_splits_nobody(store: SqlStore, tmp_path: Path) -> None:
    before = msgspec.structs.replace(full_client("1"), gender=Gender.MALE)
    after = msgspec.structs.replace(full_client("2"), gender=Gender.FEMALE)
    published(store, tmp_path, before, after)
    assert len(persons(store)) == 1


def test_a_run_that_changes_too_many_persons_stops_and_publishes_nothing(
    store: SqlStore, tmp_path: Path
) -> None:
    model = tmp_path / "model.json"
    load(store, [one(full_client("1")), one(full_client("2"))])
    link_records(store, settings(join_bits=90.0), model, clock)
    apart = persons(store)
    assert len(apart) == 2
    with pytest.raises(NeedsDecision):
        link_records(store, settings(max_changed_fraction=0.1), model, clock)
    assert persons(store) == apart
    link_records(store, settings(), model, clock)
    assert len(persons(store)) == 1


@pytest.mark.parametrize(
    ("hours", "word"), [(0, None), (36, None), (37, "stale")], ids=["just sent", "due", "overdue"]
)
def test_a_source_that_sends_nothing_is_named(
    store: SqlStore, hours: int, word: str | None
) -> None:
    (unconnected,) = late_sources(store, settings(), NOW)
    assert "not connected" in unconnected
    load(store, [one(full_client("1"))])
    now = to_instant(datetime.fromisoformat(NOW) + timedelta(hours=hours))
    late = late_sources(store, settings(), now)
    assert [word in sentence for sentence in late] == ([True] if word else [])


def test_an_unforeseen_error_shows_no_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Path) -> None:
        raise ValueError("cannot read 9434765919 of Quillfeather")

    monkeypatch.setattr(wiring, "open_workspace", broken)
    monkeypatch.setattr(sys, "argv", ["commonthread", "nightly"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    told = "".join(capsys.readouterr())
    assert "ValueError" in told
    assert "Quillfeather" not in told
    assert "9434765919" not in told
