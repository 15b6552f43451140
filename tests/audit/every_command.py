"""Every command of the program, with arguments by which it does its work on a small partnership.

In the order of the table: what only looks first, what changes the partnership later.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from service.runs import RunKind
from tests.functional import road
from tests.functional.reviewing import as_account, person_of, queue_workspace, task_of
from tests.functional.small import FEEDS, clients, put

MINE = "cat"
"""Of the data team; `igor` is the IG officer."""
OFFICER = "igor"
CARE = """
[[source]]
id = "people"
name = "Staff"
organisations = ["RA7"]
format = "delimited"
[[source.file]]
kind = "staff"
pattern = "*.csv"
columns = { staff_id = "ID", role = "ROLE", organisation = "ORG" }
[[organisation]]
code = "RA8"
name = "Other trust"
kind = "acute"
[sharing]
staff_directory = "people"
"""
AGREEMENT = {
    "agreement_id": "A1", "version": 1, "provider": "RA7", "receiver": "RA8",
    "categories": ["allergy"], "purposes": ["direct-care"], "start": "2026-01-01",
    "end": "2030-01-01", "article_6": "6(1)(e)", "article_9": "9(2)(h)",
    "schedule_1": "condition 2", "confidentiality": "implied consent", "gateway": "section 251B",
    "signed_by": ["RA7", "RA8"],
}  # fmt: skip


@dataclass(frozen=True)
class Attempt:
    """One command as it is given.

    Attributes:
        who: the account. words: its arguments behind the command, from the workspace.
        outcome: of the event that it leaves.
        purpose: whether it takes a purpose: then a purpose that nobody may have is refused.
        also: actions that its event may have beside the command's own.
    """

    who: str
    words: Callable[[Path], list[Any]] = field(default=lambda _: [])
    outcome: str = "permitted"
    purpose: bool = True
    also: frozenset[str] = frozenset()


def _w(*words: Any) -> Callable[[Path], list[Any]]:
    """Words as they stand; what can be called is asked of the workspace."""
    return lambda root: [one(root) if callable(one) else one for one in words]


def _person(root: Path) -> str:
    return person_of(root, "pas/A")


def _other(root: Path) -> str:
    return person_of(root, "gp/B")


def _six(root: Path) -> str:
    return person_of(root, "pas/L2")


def _task(root: Path) -> str:
    return task_of(MINE, root, "pas/A", "gp/B") or "0-0"


def _newest(root: Path) -> int:
    with road.opened(root) as store:
        return max(run.run_id for run in store.runs() if run.kind is not RunKind.UNDO)


def _question(root: Path) -> Path:
    path = root.parent / "question.json"
    path.write_text(json.dumps({"given": "Christopher", "family": "Emery"}))
    return path


def _agreement(root: Path) -> Path:
    path = root.parent / "agreement.json"
    path.write_text(json.dumps(AGREEMENT))
    return path


def _out(name: str) -> Callable[[Path], Path]:
    return lambda root: root.parent / name


WHY = ("--reason", "asked for at the desk")
M, IG = MINE, OFFICER
COMMANDS: dict[str, Attempt] = {
    "quarantine list": Attempt(M),
    "source new": Attempt(M, _w("housing", _agreement)),
    "source check": Attempt(M, _w("nosuch", __file__), "failed"),
    "match": Attempt(M, _w(_question)),
    "person show": Attempt(M, _w(_person)),
    "person history": Attempt(M, _w(_person)),
    "person export": Attempt(M, _w("--out", _out("persons.csv"))),
    "person difference": Attempt(M, _w(99), "failed"),
    "explain": Attempt(M, _w("pas/A", "gp/B")),
    "evaluate": Attempt(M, _w("--truth", _out("none.parquet")), "failed"),
    "review list": Attempt(M),
    "review show": Attempt(M, _w(_task)),
    "review next": Attempt(M),
    "review sample": Attempt(M),
    "review agreement": Attempt(M),
    "review decisions": Attempt(M),
    "ingest": Attempt(M),
    "nightly": Attempt(M),
    "link": Attempt(M),
    "listen": Attempt(M, outcome="failed"),
    "train": Attempt(M, outcome="failed"),
    "token": Attempt(M, purpose=False),
    "serve": Attempt(M, _w("--port", 0), purpose=False),
    "demo": Attempt(M, _w("--people", 200), "failed", purpose=False),
    "agreement add": Attempt(IG, _w(_agreement)),
    "agreement list": Attempt(IG),
    "agreement show": Attempt(IG, _w("A1")),
    "agreement end": Attempt(IG, _w("A1")),
    "consent add": Attempt(IG, _w(_six, "seal", "--category", "allergy", *WHY)),
    "consent list": Attempt(IG, _w(_six)),
    "consent proxy": Attempt(
        IG,
        _w(_six, "PX1", "--basis", "person-consent", "--evidenced", "--from", "2026-01-01", *WHY),
    ),
    "consent competence": Attempt(
        IG,
        _w(_six, "--about", "condition", "--found-by", "ST1", "--on", "2026-01-01", *WHY),
    ),
    "consent investigator": Attempt(IG, _w(_six, "ST1", *WHY)),
    "consent check": Attempt(
        IG, _w(_six, "--staff", "ST1", "--organisation", "RA7", "--role", "doctor")
    ),
    "consent end": Attempt(IG, _w(1)),
    "break-glass list": Attempt(IG),
    "break-glass review": Attempt(IG, _w(99, "--finding", "as it should be"), "failed"),
    "break-glass alarms": Attempt(IG),
    "audit status": Attempt(IG),
    "audit verify": Attempt(IG),
    "audit prove": Attempt(IG, _w(0, "--out", _out("proof.json"))),
    "audit bundle": Attempt(IG, _w("--leaf", 0, "--out", _out("bundle.zip"))),
    "audit checkpoint": Attempt(IG),
    "audit keys list": Attempt(IG),
    "audit keys rotate": Attempt(IG),
    "audit keys retire": Attempt(IG, _w(99), "failed"),
    "audit mend": Attempt("oper"),
    "audit report": Attempt(IG, _w("refusals", "--out", _out("report"))),
    "audit pack": Attempt(IG, _w("--month", "2026-10", "--out", _out("pack"))),
    "audit retention": Attempt(IG),
    "audit hold add": Attempt(IG, _w("--actor", "cat", *WHY)),
    "audit hold list": Attempt(IG),
    "audit hold release": Attempt(IG, _w(1, *WHY)),
    "audit detect": Attempt(IG),
    "audit alerts list": Attempt(IG),
    "audit alerts show": Attempt(IG, _w(99), "failed"),
    "audit alerts assign": Attempt(IG, _w(99, "--to", "igor"), "failed"),
    "audit alerts close": Attempt(
        IG, _w(99, "--outcome", "false-alarm", "--reason", "nothing there"), "failed"
    ),
    "audit alerts precision": Attempt(IG),
    "audit watch add": Attempt(IG, _w(_six, *WHY)),
    "audit watch list": Attempt(IG),
    "audit watch remove": Attempt(IG, _w(1)),
    "review decide": Attempt(M, _w(_task, "undecided", *WHY)),
    "review revoke": Attempt(M, _w(1, *WHY)),
    "person split": Attempt(M, _w(_six, "--apart", "gp/gL2", *WHY)),
    "person merge": Attempt(M, _w(_person, _other, *WHY)),
    "person wrong": Attempt(M, _w(lambda root: person_of(root, "pas/L3"), "--source", "gp", *WHY)),
    "person undo run": Attempt(M, _w(_newest)),
    "person undo release": Attempt(M, _w(_newest)),
    "person erase": Attempt(
        IG, _w("pas/L4", "--reason", "instructed", "--purpose", "data-quality")
    ),
    "backup": Attempt(M, _w("--out", _out("saved"), "--keys", _out("saved-keys"))),
    "restore": Attempt(
        M, _w("--from", _out("saved"), "--keys", _out("saved-keys"), "--replace")
    ),
}  # fmt: skip
"""Command → how it is given."""


def prepared(folder: Path) -> Path:
    """The partnership of tests/functional/reviewing.py, as a demo, with a directory of staff."""
    root = queue_workspace(folder / "p")
    path = root / "partnership.toml"
    text = path.read_text("utf-8").replace("[partnership]\n", "[partnership]\ndemo = true\n")
    text = text.replace('igor = "ig_officer"\n', 'igor = "ig_officer"\noper = "operator"\n')
    path.write_text(text + CARE, "utf-8")
    (root / "inbox" / "people").mkdir()
    put(root, "people", "staff.csv", b"ID,ROLE,ORG\nST1,doctor,RA7\n")
    put(root, "pas", "b.csv", FEEDS["pas"](clients(1, 40)))
    return root


def given(root: Path, path: str, attempt: Attempt, *more: str) -> road.Ended:
    """Gives a command as its account; a server is told to serve nothing."""
    with ExitStack() as stack:
        stack.enter_context(as_account(attempt.who))
        stack.enter_context(patch("uvicorn.run"))
        return road.call(root, *path.split(), *attempt.words(root), *more)
