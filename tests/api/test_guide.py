"""docs/api.md: its commands and its program are run against a served demo, its tables compared."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api.asked import PATIENT_PARAMS
from api.outcomes import OUTCOMES
from schemas.sharing import BREAK_GLASS_REASONS
from tests.api.small_demo import DOCTOR, PATIENT, SmallDemo
from tests.api.valid import valid
from tests.pages import listed, section, text_of, ticked

PAGE = "docs/api.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(PAGE), re.M | re.S)


def surroundings(served: SmallDemo) -> dict[str, str]:
    return os.environ | {
        "BASE": served.base, "TOKEN": served.token(DOCTOR), "FAMILY": PATIENT.family,
        "BIRTHDATE": PATIENT.birth_date, "PERSON": served.person(PATIENT),
    }  # fmt: skip


@pytest.mark.parametrize("command", blocks("sh"))
def test_each_command_is_answered(served: SmallDemo, command: str) -> None:
    done = subprocess.run(
        ["bash", "-c", command],
        check=True,
        capture_output=True,
        env=surroundings(served),
        timeout=60,
    )
    answer = valid(json.loads(done.stdout))
    assert answer["resourceType"] in ("Bundle", "CapabilityStatement", "Parameters"), answer
    if answer["resourceType"] == "Bundle":
        assert answer["total"] > 0


def test_the_program_runs(served: SmallDemo, tmp_path: Path) -> None:
    (program,) = blocks("python")
    path = tmp_path / "tried.py"
    path.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path)], check=True, capture_output=True, text=True,
        env=surroundings(served), timeout=60,
    )  # fmt: skip
    assert done.stdout.count("Observation ") == 60
    silent = r"^Allergies and adverse reactions - (stale since .*|nothing recorded): Acute$"
    assert re.search(silent, done.stdout, re.M), done.stdout


def test_codes_are_those_of_the_code() -> None:
    told = {code: (int(status), text) for code, status, text in listed(PAGE, "Errors", 0, 1, 2)}
    assert told == {code: (spec.status, spec.display) for code, spec in OUTCOMES.items()}


def test_parameters_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section(PAGE, "Searching for persons"), re.M)
    told = {name for row in rows for name in ticked(row)}
    assert told == {param.name for param in PATIENT_PARAMS}


def test_reasons_are_those_of_the_code() -> None:
    text = section(PAGE, "The first ten minutes")
    for reason in BREAK_GLASS_REASONS:
        assert f"`{reason}`" in text
