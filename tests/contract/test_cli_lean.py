"""What link-file leaves out to be quick, and that nothing is lost by it."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.link_file import FORMS, PEOPLE, table

PROGRAM = """
import sys
import cli
sys.argv = ["commonthread", "link-file", *sys.argv[1:]]
try:
    cli.commonthread(standalone_mode=False)
finally:
    print("pandas" in sys.modules, file=sys.stderr)
"""


def run(program: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_run_without_charts_does_without_pandas(tmp_path: Path) -> None:
    for kind, write in FORMS.items():
        held = tmp_path / f"people{kind}"
        write(table(PEOPLE, "A"), held)
        pairs = tmp_path / "pairs.csv"
        out = tmp_path / f"persons{kind}" if kind in (".csv", ".parquet") else tmp_path / "o.csv"
        assert run(PROGRAM, held, "--out", out, "--pairs", pairs) == "False"


def test_a_page_of_charts_brings_it_in(tmp_path: Path) -> None:
    held, page = tmp_path / "people.csv", tmp_path / "page.html"
    FORMS[".csv"](table(PEOPLE, "A"), held)
    assert run(PROGRAM, held, "--out", tmp_path / "o.csv", "--report", page) == "True"
    assert page.read_text().startswith("<!doctype html>")


def test_pandas_is_at_hand_for_those_who_ask_for_it_later() -> None:
    program = """
from commands.lean import leave_pandas_out
leave_pandas_out()
import sys
assert "pandas" not in sys.modules
import pyarrow as pa
made = pa.table({"a": [1, 2]}).to_pandas()
again = pa.Table.from_pandas(made)
assert again.column("a").to_pylist() == [1, 2]
print("well", file=sys.stderr)
"""
    assert run(program) == "well"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the options of glibc's malloc")
def test_memory_touched_ahead_is_used_afterwards() -> None:
    program = """
import resource, sys
from pathlib import Path
from commands.lean import keep_memory, use_soon
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
import numpy
keep_memory()
begin = resident()
use_soon(2**26).join()
touched = resident()
used = numpy.ones(2**22)
print(touched - begin > 2**25, resident() - touched < 2**23, file=sys.stderr)
"""
    assert run(program) == "True True"


def test_a_look_at_a_store_does_without_pandas_and_scipy() -> None:
    program = """
import sys
import cli, store.sql_store, wiring
print([one for one in ("pandas", "scipy") if one in sys.modules], file=sys.stderr)
"""
    assert run(program) == "[]"
