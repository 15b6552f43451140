"""What a command brings in: a library that it does not use costs every start of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from consent.commands import Action
from service.audit_ports import AuditQuery
from tests.functional import road
from wiring import open_workspace

PROGRAM = """
import sys
import cli
sys.argv = ["commonthread", *sys.argv[1:]]
try:
    cli.main()
finally:
    print(" ".join(sorted(sys.modules)), file=sys.stderr)
"""
COMPUTING = ("pandas", "scipy", "altair", "vl_convert", "recordlinkage", "duckdb", "polars")
SERVING = ("fastapi", "uvicorn", "httpx", "joserfc")
READING = ("adapters.fhir", "adapters.hl7v2", "adapters.delimited", "fhir", "python_calamine")
OTHER_DATABASE = ("psycopg",)
STARTS = [
    # arguments, what is left out
    (("--help",), ("numpy", "pyarrow", "sqlalchemy", "msgspec", *COMPUTING, *SERVING)),
    (("nightly", "--json"), (*COMPUTING, *SERVING, *READING, *OTHER_DATABASE, "cedarpy")),
    (("ingest",), (*COMPUTING, *SERVING, *READING, *OTHER_DATABASE, "cedarpy")),
    (("link",), (*COMPUTING, *SERVING, *READING, *OTHER_DATABASE, "cedarpy")),
    (("review", "list"), (*COMPUTING, *SERVING, *READING, *OTHER_DATABASE)),
    (("quarantine", "list"), (*COMPUTING, *SERVING, *READING, *OTHER_DATABASE)),
    (("audit", "verify"), (*COMPUTING, *SERVING, *READING, *OTHER_DATABASE)),
]


def brought_in(root: Path, *arguments: str) -> set[str]:
    """The modules that the command brought in; it must end well."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "-w", root, *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[:500]
    return set(done.stderr.strip().splitlines()[-1].split())


@pytest.fixture(scope="module")
def after_a_night(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = road.copy_of(demo_workspace, tmp_path_factory.mktemp("start") / "partnership")
    road.done(root, "nightly")
    return root


@pytest.mark.parametrize(("arguments", "absent"), STARTS, ids=lambda one: " ".join(one)[:30])
def test_what_a_command_leaves_out(
    after_a_night: Path, arguments: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    found = brought_in(after_a_night, *arguments)
    assert not found & set(absent)
    assert "cli" in found  # they were told at all


def detections(root: Path) -> int:
    """How many the log tells of."""
    with open_workspace(root).store() as store:
        asked = AuditQuery(actions=frozenset([Action.AUDIT_DETECT.value]))
        return sum(store.count_events(asked).values())


def test_a_night_after_somebody_looked_brings_in_what_detection_needs(after_a_night: Path) -> None:
    before = detections(after_a_night)
    brought_in(after_a_night, "quarantine", "list")  # an access, which the rules read
    assert "pandas" in brought_in(after_a_night, "nightly")
    assert detections(after_a_night) == before + 1
    assert "pandas" not in brought_in(after_a_night, "nightly")
    assert detections(after_a_night) == before + 1
