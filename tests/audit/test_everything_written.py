"""Everything is written down: each route and each command leaves an event, whatever its end.

The routes and the commands are those that the program has, found by asking it; what is exempt
stands in tables with reasons, and a table that names what is not there fails.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import serving
from api.outcomes import OUTCOMES
from api.route import Does
from api.table import ROUTES
from api.throttle import Throttle
from api.words import BASE
from audit.actions import ACTIONS, class_of
from audit.details import faults
from audit.events import EventOutcome
from consent.commands import Action
from service.audit_ports import AuditQuery, Numbered
from tests.api import in_process
from tests.api.http_cases import Case, chosen_cases, who_of
from tests.api.http_exam import Exam
from tests.api.http_world import Someone, claim, matrix_world
from tests.api.in_process import ADDRESS, Api, asked
from tests.audit.every_command import COMMANDS, MINE, Attempt, given, prepared
from tests.functional import road

SEED = 20_261_122
PLAIN = {
    f"{BASE}/metadata": "what the API can do: about nobody, and open to all",
    f"{BASE}/.well-known/smart-configuration": "where to sign in: open to all",
    "/healthz": "whether the process lives",
    "/readyz": "whether it can answer",
    "/metrics": "counts without a person",
    "/openapi.json": "a description of the routes",
}
"""Address that leaves no event → why."""
ENDS = {200: "permitted", 201: "permitted", 304: "permitted", 401: "refused", 429: "refused"}
"""Status → outcome of its event; others are refused, or failed."""


class Counting(Api):
    """The application, which holds every request to exactly one event, of its route's actions."""

    faults: list[str]
    seen: dict[str, Counter[str]]

    def events(self, since: int) -> list[Numbered]:
        pages = self.sharing.store.find_numbered(AuditQuery(after=since - 1))
        return [one for page in pages for one in page]

    def ask(self, who: Any, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        before = self.sharing.store.event_count()
        answer = super().ask(who, path, method, **more)
        written = [one.event for one in self.events(before)]
        self.judge(f"{method} {path}", answer.status_code, written)
        return answer

    def judge(self, what: str, status: int, written: list[Any]) -> None:
        if len(written) != 1:
            self.faults.append(f"{what} {status}: {len(written)} events")
            return
        (event,) = written
        self.faults += [f"{what} {status}: {one}" for one in faults(event.details)]
        wanted = ENDS.get(status)
        withheld = status == 200 and event.action in ("everything", "items")
        if wanted is not None and event.outcome != wanted and not withheld:
            self.faults.append(f"{what} {status}: {event.outcome}")
        if status >= 500:
            self.faults.append(f"{what} {status}")
        if not {"request", "terminal", "asked"} <= event.details.keys():
            self.faults.append(f"{what}: does not say how it came in")
        self.seen[event.action][event.outcome.value] += 1


@contextmanager
def counted(folder: Path, cases: list[Case]) -> Iterator[tuple[Counting, dict[Any, Someone]]]:
    with ExitStack() as stack:
        specs = {case.spec for case in cases}
        world = stack.enter_context(matrix_world(folder, specs, SEED))
        api = stack.enter_context(asked(world.sharing, world.keys))
        api.__class__ = Counting
        assert isinstance(api, Counting)
        api.faults, api.seen = [], defaultdict(Counter)
        yield api, world.people


def cases_of_each_route(each: int) -> list[Case]:
    """So many cases of each route."""
    found: dict[str, list[Case]] = {route.name: [] for route in ROUTES}
    for case in chosen_cases(SEED, 2_000):
        held = found[case.route]
        if len(held) < each:
            held.append(case)
    assert all(len(held) == each for held in found.values())
    return [case for held in found.values() for case in held]


def test_each_route_writes_one_event_for_each_request(tmp_path: Path) -> None:
    cases = cases_of_each_route(4)
    with counted(tmp_path, cases) as (api, people):
        rng = random.Random(SEED)
        for case in cases:
            held = people[case.spec]
            if case.tie.startswith(("claimed", "glass")):
                claim(api.sharing, held, who_of(case, held))
            Exam(api, case, held, rng, set()).judge()
        assert not api.faults, f"{len(api.faults)}: {api.faults[:5]}"
        assert api.seen.keys() >= {route.action for route in ROUTES}
        kinds = Counter(kind for ends in api.seen.values() for kind in ends)
        assert kinds.keys() == {one.value for one in EventOutcome}, kinds


def test_each_form_of_each_route_writes_what_it_refuses_and_what_fails(tmp_path: Path) -> None:
    """A token that does not count, a scope that does not include it, a question at fault."""
    cases = cases_of_each_route(1)
    with counted(tmp_path, cases[:1]) as (api, people):
        held = people[cases[0].spec]
        who = who_of(cases[0], held)
        for route in ROUTES:
            for form in route.forms:
                path = form.path.format(id="leaf-0" if route.kind == "AuditEvent" else "nobody")
                before = api.sharing.store.event_count()
                answer = api.runner.run(
                    api.client.request(form.method, f"{ADDRESS}{BASE}/{path}", headers={})
                )
                assert answer.status_code == 401
                told = [one.event for one in api.events(before)]
                api.judge(f"unsigned {form.method} {path}", 401, told)
                assert [(one.actor, one.role, one.action) for one in told] == [
                    ("-", "-", route.action)
                ]
                narrow = who.__class__(**{**vars(who), "scopes": "user/Nothing.r"})
                assert api.ask(narrow, path, form.method).status_code == 403
                wrong = api.ask(who, path, form.method, params={"no-such": "Zqsecret"})
                assert wrong.status_code in (400, 403, 415), (path, wrong.text)
        assert not api.faults, f"{len(api.faults)}: {api.faults[:5]}"
        plain = {one.path for one in api.client._transport.app.routes}  # type: ignore[attr-defined]
        table = {f"{BASE}/{form.path}" for route in ROUTES for form in route.forms}
        assert plain - table == PLAIN.keys(), "the exemptions are stale"
        before = api.sharing.store.event_count()
        for path in PLAIN:
            assert api.runner.run(api.client.get(ADDRESS + path)).status_code == 200
        assert api.sharing.store.event_count() == before


LIMIT = 6
"""Reads a minute, in a flood."""


@contextmanager
def flooded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Counting, Case, Someone, Seconds]]:
    """The application with narrow limits, of which a case is asked; and its clock, which stands."""
    now = Seconds()
    monkeypatch.setattr(in_process, "EVER_SO_MANY", LIMIT)
    monkeypatch.setattr(serving, "Throttle", lambda limits, _: Throttle(limits, now))
    case = cases_of_each_route(1)[0]
    with counted(folder, [case]) as (api, people):
        yield api, case, people[case.spec], now


class Seconds:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def unsigned(api: Counting, times: int) -> list[Any]:
    """What was written of so many requests without a token, each of which is turned away."""
    before = api.sharing.store.event_count()
    for _ in range(times):
        answer = api.runner.run(api.client.get(f"{ADDRESS}{BASE}/Patient/nobody"))
        assert answer.status_code == 401
    return [one.event for one in api.events(before)]


def test_a_flood_without_a_token_fills_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the limit each is written; beyond it they are counted, until time has passed."""
    with flooded(tmp_path, monkeypatch) as (api, _, _, now):
        written = unsigned(api, LIMIT + 20)
        assert [(one.actor, one.outcome.value) for one in written] == [("-", "refused")] * LIMIT
        assert unsigned(api, 20) == []
        elsewhere: Any = api.client._transport
        elsewhere.client = ("192.0.2.9", 1)
        assert len(unsigned(api, LIMIT + 20)) == LIMIT, "others are not silenced by the flood"
        now.at += 60 / LIMIT
        assert len(unsigned(api, 20)) == 1
        told = api.runner.run(api.client.get(f"{ADDRESS}/metrics")).text
        (count,) = re.findall(r'^commonthread_requests_total{.*status="401"} (\S+)$', told, re.M)
        assert float(count) == 2 * (LIMIT + 20) + 40, "what was not written was counted"


def test_a_flood_of_somebody_with_a_token_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with flooded(tmp_path, monkeypatch) as (api, case, held, _):
        who = who_of(case, held)
        before = api.sharing.store.event_count()
        unsigned(api, 2 * LIMIT)
        ends = Counter(api.ask(who, "Patient/nobody").status_code for _ in range(LIMIT + 20))
        assert ends.pop(429) == 20
        assert ends.total() == LIMIT, "those without a token took nothing from who has one"
        assert not api.faults, api.faults[:5]
        turned = [one.event for one in api.events(before) if one.event.actor != "-"]
        assert len(turned) == LIMIT + 20
        assert [one.details.get("reason") for one in turned[LIMIT:]] == ["THROTTLED"] * 20


def test_every_action_of_the_program_is_in_the_table() -> None:
    for route in ROUTES:
        assert class_of(route.action)
        assert route.does in Does
    for action in Action:
        assert action.value in ACTIONS, f"{action} is in no class"
    assert OUTCOMES


# --- commands -------------------------------------------------------------------------------------


def test_the_table_of_commands_is_that_of_the_program() -> None:
    from cli import COMMANDS as PROGRAM
    from commands.written import ACTIONS as NAMED
    from commands.written import EXEMPT, action_of, leaves

    there = {path for command in PROGRAM for path, _ in leaves(command)}
    assert there == COMMANDS.keys() | EXEMPT.keys(), "commands, or exemptions, that are not there"
    assert not COMMANDS.keys() & EXEMPT.keys()
    assert NAMED.keys() <= there, "actions of commands that are not there"
    strange = {path for path in COMMANDS if action_of(path) not in ACTIONS}
    assert not strange, "commands whose action is in no class"


REFUSED = ("--purpose", "research")
"""A purpose that no command has."""


def told_by(root: Path, path: str, attempt: Attempt, *more: str) -> tuple[road.Ended, list[Any]]:
    """How a command ended, and the events that it left."""
    with road.opened(root) as store:
        before = store.event_count()
    ended = given(root, path, attempt, *more)
    with road.opened(root) as store:
        pages = store.find_numbered(AuditQuery(after=before - 1))
        return ended, [one.event for page in pages for one in page]


def test_each_command_leaves_an_event_however_it_ends(tmp_path: Path) -> None:
    from commands.written import action_of

    root = prepared(tmp_path)
    wrong: list[str] = []
    for path, attempt in COMMANDS.items():
        runs = [(attempt.outcome, ())]
        runs += [("refused", REFUSED)] if attempt.purpose else []
        for outcome, more in runs:
            ended, written = told_by(root, path, attempt, *more)
            ends = [one.outcome.value for one in written if one.action == action_of(path)]
            if outcome not in ends:
                wrong.append(f"{path} {more}: {ends}, {ended.code}, {ended.said[-300:]}")
            if (ended.code == 0) != (outcome == "permitted"):
                wrong.append(f"{path} {more}: ended with {ended.code}, {ended.said[-300:]}")
            for one in written:
                wrong += [f"{path}: {one.action}: {fault}" for fault in faults(one.details)]
                if one.action == action_of(path) and "terminal" not in one.details:
                    wrong.append(f"{path}: {one.action}: no terminal")
    assert not wrong, "\n".join(wrong)


def test_a_failure_before_the_use_case_is_written_once(tmp_path: Path) -> None:
    root = prepared(tmp_path)
    for _ in range(2):
        ended, written = told_by(
            root, "quarantine list", Attempt(MINE, lambda _: ["--source", "x"])
        )
        assert ended.code == 5
        assert [(one.action, one.outcome.value, one.details["error"]) for one in written] == [
            ("quarantine-list", "failed", "NotFound")
        ]


def test_changed_settings_policies_and_model_are_written_by_whoever_comes_first(
    tmp_path: Path,
) -> None:
    root = prepared(tmp_path)
    path = root / "partnership.toml"
    look = Attempt(MINE)
    _, first = told_by(root, "quarantine list", look)
    assert [one.action for one in first] == ["quarantine-list"]
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    _, same = told_by(root, "quarantine list", look)
    assert [one.action for one in same] == ["quarantine-list"], "a line end is no change"
    text = path.read_text("utf-8")
    path.write_text(text.replace("two_people_above = 8", "two_people_above = 9"), "utf-8")
    with road.opened(root) as store:
        told = list(store.events())[-1]
    assert (told.action, told.details["changed"], told.details["first"]) == (
        "settings-changed", ["review"], False,
    )  # fmt: skip
    assert "9" not in str(told.details["changed"])
    with road.opened(root) as store:
        assert list(store.events())[-1] == told, "once"
