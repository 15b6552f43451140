"""Who may run which command, for which purpose: the whole truth table, against a plain list."""

from __future__ import annotations

from itertools import product

import pytest

from consent.commands import Action, Role, decide
from schemas.codes import PURPOSES

PERMITTED = {
    ("data_team", "ingest", "data-quality"),
    ("data_team", "link", "data-quality"),
    ("data_team", "nightly", "data-quality"),
    ("data_team", "train", "data-quality"),
    ("data_team", "evaluate", "data-quality"),
    ("data_team", "explain", "data-quality"),
    ("data_team", "explain", "safeguarding"),
    ("data_team", "person-show", "data-quality"),
    ("data_team", "person-show", "safeguarding"),
    ("data_team", "person-export", "data-quality"),
    ("data_team", "quarantine-list", "data-quality"),
    ("operator", "ingest", "data-quality"),
    ("operator", "link", "data-quality"),
    ("operator", "nightly", "data-quality"),
    ("ig_officer", "person-show", "audit"),
    ("ig_officer", "explain", "audit"),
    ("ig_officer", "quarantine-list", "audit"),
}
ROLES = (*(r.value for r in Role), "receptionist", None)


@pytest.mark.parametrize("action", list(Action), ids=lambda a: a.value)
def test_every_role_and_purpose(action: Action) -> None:
    for role, purpose in product(ROLES, (*PURPOSES, "curiosity")):
        wanted = (role, action.value, purpose) in PERMITTED
        decision = decide(role, action, purpose)
        assert decision.permitted == wanted, (role, action, purpose)
        assert decision.reason


def test_the_list_names_nothing_that_does_not_exist() -> None:
    for role, action, purpose in PERMITTED:
        assert role in set(Role)
        assert action in set(Action)
        assert purpose in PURPOSES
