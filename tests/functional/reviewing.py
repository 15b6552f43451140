"""A small partnership with something to review, and people who review it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import wiring
from tests.functional import road
from tests.functional.small import (
    FEEDS,
    WRITTEN,
    Client,
    clients,
    new_workspace,
    put,
    with_ids,
)

PEOPLE = clients(6)
EMERY = Client(
    "A", "Christopher", "Emery", "1994-10-22", "male", "", "16 Highfield Grove", "BS13 7BD",
    "0117 496 0588", "ce@example.org",
)  # fmt: skip
LIND = Client(
    "T1", "Rosa", "Lind", "2015-02-03", "female", "", "3 Mill Lane", "BS9 1AA",
    "0117 496 0300", "l@example.org",
)  # fmt: skip
HIDDEN = Client(
    "H", "Ottilie", "Quillfeather", "1960-06-07", "female", "", "5 Secret Street", "SY9 9ZZ",
    "0117 496 0777", "o@example.org", restricted=True,
)  # fmt: skip
FAMILY = Client(
    "F", "Gwendolyn", "Marchbanks", "1951-03-24", "female", "", "8 Elm Row", "GL5 3PQ",
    "0117 496 0888", "g@example.org",
)  # fmt: skip
OWN = replace(
    FAMILY, local_id="OWN", given="Sebastian", birth_date="1983-12-05", gender="male",
    phone="0117 496 0889", email="s@example.org",
)  # fmt: skip
WHY = ("--reason", "Quokka said so")
EMERYS = ("pas/A", "gp/B")
TWINS = ("pas/T1", "gp/T2")
RESTRICTED = ("pas/H", "gp/H2")
REVIEW = """
[review]
named_staff = ["bob"]
two_people_above = 8

[review.own_records]
ann = ["pas/OWN"]

[actors]
ann = "data_team"
bob = "data_team"
cat = "data_team"
igor = "ig_officer"
"""


def alike(client: Client, local_id: str) -> Client:
    """Somebody in the review band of a client: a slip in name and date, other contacts."""
    return replace(
        client,
        local_id=local_id,
        family=client.family[:-2] + client.family[-1],
        birth_date=client.birth_date[:-1] + str((int(client.birth_date[-1]) + 8) % 10),
        phone="0117 496 0222",
        email=f"{local_id.lower()}@example.com",
        restricted=False,
    )


def queue_workspace(root: Path) -> Path:
    """Linked once. In the queue: Emery and one alike, a restricted person and one alike, a
    colleague's family and one alike. Lind has a twin; six people are in two systems each."""
    new_workspace(root)
    path = root / "partnership.toml"
    path.write_text(path.read_text().replace("[actors]\n", REVIEW.lstrip()))
    put(root, "pas", "a.csv", FEEDS["pas"]([*PEOPLE, EMERY, LIND, HIDDEN, FAMILY, OWN]))
    twin = replace(LIND, local_id="T2", given="Lena")
    others = [alike(EMERY, "B"), alike(HIDDEN, "H2"), alike(FAMILY, "F2"), twin]
    put(root, "gp", "a.ndjson", FEEDS["gp"]([*with_ids(PEOPLE, "g"), *others]))
    road.done(root, "nightly")
    return root


def put_later(root: Path, source: str, name: str, data: bytes) -> None:
    """A feed that was written a day after the others: what it says is the newer word."""
    path = put(root, source, name, data)
    os.utime(path, (WRITTEN + 86_400, WRITTEN + 86_400))


@contextmanager
def as_account(name: str) -> Iterator[None]:
    """Commands run in this process as another account of the operating system."""
    with patch.object(wiring, "account", lambda: name):
        yield


def by(name: str, root: Path, *arguments: object) -> road.Ended:
    """Runs a command as an account."""
    with as_account(name):
        return road.call(root, *arguments)


def done_by(name: str, root: Path, *arguments: object) -> road.Ended:
    """Runs a command as an account; it must end well."""
    with as_account(name):
        return road.done(root, *arguments)


def task_of(name: str, root: Path, one: str, two: str) -> str | None:
    """The name of the open task about two records (SOURCE/LOCAL_ID), if the account has one."""
    from schemas.decisions import task_id
    from schemas.identifiers import LocalId, SourceId

    with road.opened(root) as store:
        held = [
            store.record(SourceId(source), LocalId(local_id))
            for source, local_id in (r.split("/") for r in (one, two))
        ]
    assert held[0]
    assert held[1]
    wanted = task_id(held[0].record_id, held[1].record_id)
    listed = done_by(name, root, "review", "list", "--limit", 100, "--json").document["tasks"]
    return next((str(t["task"]) for t in listed if t["task"] == wanted), None)


def person_of(root: Path, record: str) -> str:
    source, local_id = record.split("/")
    return road.persons(root)[source, local_id]


def together(root: Path, one: str, two: str) -> bool:
    return person_of(root, one) == person_of(root, two)


def task(name: str, root: Path, *pair: str) -> str:
    found = task_of(name, root, *pair)
    assert found, f"no task of {name} about {pair}"
    return found


def decide(name: str, root: Path, pair: tuple[str, str], verdict: str) -> dict[str, Any]:
    named = task(name, root, *pair)
    ended = done_by(name, root, "review", "decide", named, verdict, *WHY, "--json")
    assert isinstance(ended.document, dict)
    return ended.document
