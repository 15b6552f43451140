"""The list of attacks, the tests that carry them out, and the guide agree."""

from __future__ import annotations

import importlib

from tests.audit.attacks import ATTACKS, SHOWN
from tests.pages import listed, plain

MODULES = (
    "tests.audit.test_attacks",
    "tests.audit.test_attacks_database",
    "tests.audit.test_attacks_witness",
    "tests.contract.test_cli_audit_log",
)


def test_every_attack_is_carried_out() -> None:
    for name in MODULES:
        importlib.import_module(name)
    assert [name for name, tests in SHOWN.items() if not tests] == []


def test_the_guide_lists_them_all_and_says_which_need_a_witness() -> None:
    rows = listed("docs/audit-log.md", "Attacks, and what detects them", 0, 1, 2)
    assert rows == [(name, plain(one.detected_by), one.witness) for name, one in ATTACKS.items()]
