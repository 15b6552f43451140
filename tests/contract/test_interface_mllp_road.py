"""Messages over MLLP from the wire to the person, through a kill, on both stores: real sockets, and
real processes."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import cli
from adapters.inbox import find_feeds
from adapters.mllp_frames import framed
from audit.details import faults
from audit.events import AuditEvent
from schemas.errors import NeedsDecision, WorkspaceBusy
from schemas.identifiers import PersonId, SourceId
from schemas.records import Outcome
from schemas.settings import Settings
from service import listening
from service.access import Actor
from service.ingest import SourceReport
from service.listening import HandOver
from service.nightly import Inputs, nightly
from tests.contract.mllp_senders import (
    PEOPLE,
    Sender,
    admission,
    close_all,
    now,
    wait_for,
)
from tests.functional import road, small
from tests.processes import beside
from wiring import clock, create_workspace, open_workspace


@pytest.fixture(autouse=True)
def closed_in_the_end() -> Iterator[None]:
    yield
    close_all()


INTERFACE = """
[source.interface]
kind = "mllp"
listen = "127.0.0.1:0"
roll_seconds = 0.2
"""


def run_command(_: list[str]) -> None:
    """The program, in a process of its own."""
    cli.main()


@pytest.fixture
def partnership(empty_url: str, tmp_path: Path) -> Path:
    """A partnership of 20 people after its night; its second source is listened for."""
    root = tmp_path / "p"
    road.done(root, "init")
    small.rewrite_settings(root, database=empty_url, batch_units=50)
    with (root / "partnership.toml").open("a", encoding="utf-8") as settings:
        settings.write(INTERFACE)
    for source in small.FEEDS:
        (root / "inbox" / source).mkdir()
    for source in ("pas", "acute"):
        people = small.with_ids(small.clients(20), source)
        feed = small.FEEDS[source](people)
        small.put(root, source, f"first{small.ENDINGS[source]}", feed)
    with open_workspace(root).store() as store:
        workspace = open_workspace(root)
        nightly(store, workspace.settings, workspace.few_inputs(), ACTOR, clock)
    return root


ACTOR = Actor("cat", "data_team", "data-quality")


def visits(root: Path, n: int) -> int:
    """How many visits of the n-th client are visible in a person."""
    person = road.persons(root).get(("acute", PEOPLE[n].local_id))
    if person is None:
        return 0
    with road.opened(root) as store:
        return store.person_items(PersonId(person)).get("admission", 0)


def said_by(root: Path, action: str) -> list[AuditEvent]:
    with road.opened(root) as store:
        return [one for one in store.events() if one.action == action]


def test_from_the_wire_to_the_person_and_through_a_kill(partnership: Path) -> None:
    root = partnership
    told = ["--workspace", root, "listen", "acute"]
    with beside(run_command, told) as process:
        sender = Sender(int(process.said(r"port (\d+)").group(1)))
        assert sender.ask(admission(0)) == "AA acuteL0"
        assert wait_for(lambda: visits(root, 0) == 1)
        assert sender.ask(admission(25)) == "AA acuteL25"
        assert wait_for(lambda: visits(root, 25) == 1)
        with open_workspace(root).exclusive():
            assert sender.ask(admission(1)) == "AA acuteL1"
            process.said("another run is at work")
            assert sender.ask(admission(2)) == "AA acuteL2"
            sender.send(framed(admission(3))[:-2])
            assert process.ended(signal.SIGKILL) == -signal.SIGKILL
    assert visits(root, 1) == 0
    road.done(root, "ingest")
    assert [visits(root, n) for n in (0, 1, 2, 3)] == [1, 1, 1, 0], "items need no link"
    with beside(run_command, told) as process:
        sender = Sender(int(process.said(r"port (\d+)").group(1)))
        assert [sender.ask(admission(n)) for n in (2, 3)] == ["AA acuteL2", "AA acuteL3"]
        assert process.ended(signal.SIGTERM) == 0
    assert [visits(root, n) for n in (1, 2, 3, 25)] == [1, 1, 1, 1]
    with road.opened(root) as store:
        read = store.last_feeds()
        assert store.counts()["quarantine"] == 0
    assert read.keys() == {"pas", "acute"}
    events = said_by(root, "listen")
    steps = [one.details["step"] for one in events if one.outcome.value == "permitted"]
    assert Counter(steps) == {"start": 2, "stop": 1, "load": 3}
    assert steps[0] == "start"
    assert steps[-1] == "stop"
    assert not [fault for one in events for fault in faults(one.details)]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_who_may_not_and_what_is_none(partnership: Path) -> None:
    for names, message in (
        (["pas"], "no interface of kind mllp"), (["nobody"], "no source of that name"),
    ):  # fmt: skip
        ended = road.call(partnership, "listen", *names)
        assert ended.code in (4, 5)
        assert message in ended.err
    assert road.call(partnership, "listen", "--purpose", "audit").code == 6


def test_a_run_waits_for_a_hand_over_and_a_hand_over_for_nobody(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "p", "[partnership]\nname = 'P'\n")
    with workspace.exclusive(), pytest.raises(WorkspaceBusy), workspace.exclusive(briefly=True):
        pass
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with workspace.exclusive(briefly=True):
            entered.set()
            assert leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(30)
    threading.Timer(0.3, leave.set).start()
    with workspace.exclusive():
        assert leave.is_set(), "it waited"
        with pytest.raises(WorkspaceBusy), workspace.exclusive():
            pass
    holder.join()


class Runs:
    """A store of which only the last run is asked, and what is written down is kept."""

    def __init__(self) -> None:
        self.run, self.events = 1, list[AuditEvent]()

    def last_run(self) -> Any:
        return SimpleNamespace(run_id=self.run) if self.run else None

    def append_event(self, event: AuditEvent) -> None:
        self.events.append(event)


def test_a_held_run_stops_neither_listening_nor_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    store, links = Runs(), list[int]()
    read = [Counter({Outcome.NEW: 1}), Counter({Outcome.UNCHANGED: 1})]

    def ingested(*_: Any, **__: Any) -> list[SourceReport]:
        return [SourceReport(SourceId("acute"), 1, counts=read[0])]

    def held(*_: Any, **__: Any) -> Any:
        links.append(store.run)
        if store.run == 1:
            raise NeedsDecision("too many")
        return SimpleNamespace(run_id=store.run)

    monkeypatch.setattr(listening, "ingest", ingested)
    monkeypatch.setattr(listening, "link_records", held)
    settings = Settings("P", "", False, (), (), {}, {})
    made = (settings, [SourceId("acute")], ACTOR, now, True)
    hand_over = HandOver(*made)
    inputs = Inputs(Path(), Path(), {}, find_feeds)
    done = [hand_over.load(store, inputs) for _ in range(3)]
    assert ([one.held for one in done], links) == ([True] * 3, [1]), "asked once, not thrice"
    store.run = 2
    assert hand_over.load(store, inputs).run == 2
    read.pop(0)
    assert hand_over.load(store, inputs).run is None, "nothing new"
    assert links == [1, 2]
    assert [one.details["held"] for one in store.events] == [True] * 3 + [False] * 2
    store.run, first = 0, HandOver(*made)
    assert first.load(store, inputs).run is None, "the first link is for a night"
    assert links == [1, 2]
