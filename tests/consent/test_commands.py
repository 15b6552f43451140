"""Who may run which command, for which purpose: the whole truth table, against a plain list."""

from __future__ import annotations

from itertools import product

import pytest

from consent.commands import Action, Role, decide
from schemas.codes import PURPOSES

PERMITTED = {
    ("data_team", "ingest", "data-quality"),
    ("data_team", "link", "data-quality"),
    *((role, "listen", "data-quality") for role in ("data_team", "operator")),
    ("data_team", "nightly", "data-quality"),
    ("data_team", "train", "data-quality"),
    ("data_team", "evaluate", "data-quality"),
    ("data_team", "explain", "data-quality"),
    ("data_team", "explain", "safeguarding"),
    ("data_team", "person-show", "data-quality"),
    ("data_team", "person-show", "safeguarding"),
    ("data_team", "person-export", "data-quality"),
    ("data_team", "quarantine-list", "data-quality"),
    ("data_team", "source-check", "data-quality"),
    ("data_team", "source-new", "data-quality"),
    ("data_team", "link-approve", "data-quality"),
    ("data_team", "link-shadow", "data-quality"),
    ("data_team", "person-history", "data-quality"),
    ("data_team", "person-history", "safeguarding"),
    ("ig_officer", "person-history", "audit"),
    ("data_team", "person-difference", "data-quality"),
    ("data_team", "person-undo", "data-quality"),
    ("data_team", "match", "data-quality"),
    ("data_team", "match", "safeguarding"),
    *(
        ("data_team", f"person-{name}", purpose)
        for name in ("split", "merge", "wrong")
        for purpose in ("data-quality", "safeguarding")
    ),
    ("data_team", "review-list", "data-quality"),
    ("data_team", "review-show", "data-quality"),
    ("data_team", "review-decide", "data-quality"),
    ("data_team", "review-revoke", "data-quality"),
    ("data_team", "review-decisions", "data-quality"),
    ("data_team", "review-sample", "data-quality"),
    ("data_team", "review-agreement", "data-quality"),
    ("operator", "ingest", "data-quality"),
    ("operator", "link", "data-quality"),
    ("operator", "nightly", "data-quality"),
    *((r, a, "data-quality") for r in ("data_team", "operator") for a in ("backup", "restore")),
    ("ig_officer", "person-erase", "data-quality"),
    ("ig_officer", "person-show", "audit"),
    ("ig_officer", "explain", "audit"),
    ("ig_officer", "quarantine-list", "audit"),
    ("ig_officer", "review-decisions", "audit"),
    ("ig_officer", "review-agreement", "audit"),
    *(("ig_officer", f"consent-{name}", "audit") for name in ("list", "write", "check")),
    *(("ig_officer", f"agreement-{name}", "audit") for name in ("list", "write")),
    *(("ig_officer", f"break-glass-{name}", "audit") for name in ("list", "review")),
    *(
        (role, f"audit-{name}", purpose)
        for name in ("status", "verify", "checkpoint")
        for role, purpose in (
            ("data_team", "data-quality"),
            ("operator", "data-quality"),
            ("ig_officer", "audit"),
        )
    ),
    *((role, "audit-mend", "data-quality") for role in ("data_team", "operator")),
    ("operator", "audit-keys", "data-quality"),
    *(
        ("ig_officer", f"audit-{name}", "audit")
        for name in (
            "prove",
            "bundle",
            "keys",
            "report",
            "detect",
            "alert-list",
            "alert-show",
            "alert-write",
            "watch",
            "retention",
            "hold",
            "hold-list",
            "hold-release",
        )
    ),
}
ROLES = (*(r.value for r in Role), "receptionist", None)


@pytest.mark.parametrize("action", list(Action), ids=lambda a: a.value)
def test_every_role_and_purpose(action: Action) -> None:
    for role, purpose in product(ROLES, (*PURPOSES, "curiosity")):
        wanted = (role, action.value, purpose) in PERMITTED
        decision = decide(role, action, purpose)
        assert decision.permitted == wanted, (role, action, purpose)
        assert decision.reason


def test_who_may_not_is_told_which_roles_may() -> None:
    for action, roles in (("audit-report", "ig_officer"), ("ingest", "data_team, operator")):
        others = [role for role in Role if action not in {a for r, a, _ in PERMITTED if r == role}]
        for role in others:
            told = decide(role, Action(action), "audit").reason
            assert f"it belongs to: {roles}." in told
            assert "[actors]" in told


def test_the_list_names_nothing_that_does_not_exist() -> None:
    for role, action, purpose in PERMITTED:
        assert role in set(Role)
        assert action in set(Action)
        assert purpose in PURPOSES
