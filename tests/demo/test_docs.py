"""docs/demo-partnership.md says what the tables of the demo say."""

from pathlib import Path

import pytest

from demo.errors import ERRORS, VERIFIED_PERCENT, ErrorKind
from demo.partnership import ORGANISATIONS, PRESENCE, SYSTEM_IDS, SYSTEMS
from demo.population import PLANTED

PAGE = (Path(__file__).parents[2] / "docs" / "demo-partnership.md").read_text(encoding="utf-8")

SHORT = ("A", "N", "S", "ch", "R", "Ng", "So", "amb", "mh", "com", "gH", "gM", "ooh", "hos")
HEADER = "| error | of records | " + " | ".join(SHORT) + " | source |"


def error_line(name: str, kind: ErrorKind) -> str:
    marks = "".join(mark for mark, on in ((" *m*", kind.minority), (" *i*", kind.infant)) if on)
    rates = " | ".join(f"{percent:g}" for percent in kind.percent)
    return f"| {name}{marks} | {kind.eligible} | {rates} | {kind.source} |"


@pytest.mark.parametrize("name", ERRORS)
def test_error_rates_are_documented(name: str) -> None:
    assert error_line(name, ERRORS[name]) in PAGE.splitlines()


@pytest.mark.parametrize("name", PLANTED)
def test_hard_cases_are_documented(name: str) -> None:
    assert f"| `{name}` | {PLANTED[name]} |" in PAGE.splitlines()


@pytest.mark.parametrize("system", SYSTEM_IDS)
def test_systems_are_documented(system: str) -> None:
    assert f"`{system}`" in PAGE


def test_tables_cover_all_systems() -> None:
    assert len(SYSTEMS) == 14
    assert len(ORGANISATIONS) == 17
    assert set(PRESENCE) == set(VERIFIED_PERCENT) == set(SYSTEM_IDS)
    assert all(len(kind.percent) == 14 for kind in ERRORS.values())
    assert all(0 <= percent <= 100 for kind in ERRORS.values() for percent in kind.percent)
    members = {o.code for o in ORGANISATIONS}
    assert {code for s in SYSTEMS for code in s.organisations} == members
