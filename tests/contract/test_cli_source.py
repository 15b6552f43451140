"""`source check`: a file is shown as it would be understood, and nothing of it is kept."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from tests.functional import road
from tests.functional.small import FEEDS, clients, new_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return new_workspace(tmp_path / "partnership")


def outside(root: Path, name: str, data: bytes) -> Path:
    path = root.parent / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("source", FEEDS)
def test_a_file_of_every_format_is_shown_as_it_would_be_understood(
    workspace: Path, source: str
) -> None:
    name = {"pas": "a.csv", "gp": "a.ndjson", "acute": "a.hl7"}[source]
    people = clients(12)
    file = outside(workspace, name, FEEDS[source](people))
    found = road.done(workspace, "source", "check", source, file, "--json").document
    assert (found["units"], found["more"], found["loaded"]) == (12, False, {"records": 12})
    fields = found["fields"]["records"]
    assert all(fields[name] == 12 for name in ("local_id", "names.family", "birth_date", "gender"))
    first, *others = found["examples"]["records"]
    assert (first["local_id"], first["names.family"], first["addresses.postcode"]) == (
        people[0].local_id, people[0].family, people[0].postcode,
    )  # fmt: skip
    assert len(others) == 2
    assert (found["quarantined"], found["refused"]) == ([], None)


def test_tables_show_rows_beside_one_another(workspace: Path) -> None:
    file = outside(workspace, "a.csv", FEEDS["pas"](clients(7)))
    lines = road.done(workspace, "source", "check", "pas", file, "--rows", 2).out.splitlines()
    assert lines[0] == "7 units read"
    assert lines[2] == "7 records would be loaded"
    assert lines[3].split() == ["field", "have", "it", "row", "1", "row", "2"]
    (born,) = [line for line in lines if line.startswith("birth_date")]
    assert born.split() == ["birth_date", "100%", "1920-01-10", "1921-02-11"]


def test_what_would_be_quarantined_and_what_nothing_is_mapped_to_is_told(workspace: Path) -> None:
    people = [*clients(6), replace(clients(1)[0], local_id="", given="Pemberton")]
    data = FEEDS["pas"](people).decode().splitlines()
    swapped = "\n".join(f"{line},{'NOTE' if n == 0 else 'x'}" for n, line in enumerate(data))
    ended = road.done(workspace, "source", "check", "pas", outside(workspace, "a.csv",
                      swapped.encode() + b"\n"))  # fmt: skip
    assert "1 units would be quarantined" in ended.out
    assert "; the first: line 8" in ended.out
    assert "1 header: column not mapped" in ended.out
    assert "Pemberton" not in ended.out, "a row that would not be loaded is shown to nobody"


def test_a_file_that_is_refused_is_told_as_such(workspace: Path) -> None:
    headless = FEEDS["pas"](clients(3)).replace(b"SURNAME", b"LAST NAME")
    ended = road.done(workspace, "source", "check", "pas", outside(workspace, "a.csv", headless))
    assert "the file is refused there: missing_column: " in ended.out
    torn = gzip.compress(FEEDS["pas"](clients(900)))[:-9]
    found = road.done(
        workspace, "source", "check", "pas", outside(workspace, "a.csv.gz", torn), "--json"
    ).document
    assert found["refused"].startswith("torn")


def test_reading_stops_where_it_is_told_to(workspace: Path) -> None:
    file = outside(workspace, "a.csv", FEEDS["pas"](clients(20)))
    found = road.done(workspace, "source", "check", "pas", file, "--json", "--most", 10).document
    assert (found["units"], found["more"]) == (10, True)
    found = road.done(workspace, "source", "check", "pas", file, "--json", "--most", 20).document
    assert (found["units"], found["more"]) == (20, False)


def test_nothing_is_kept(workspace: Path) -> None:
    before = road.without_events(road.dump(workspace))
    file = outside(workspace, "a.csv", FEEDS["pas"](clients(7)))
    road.done(workspace, "source", "check", "pas", file)
    assert road.without_events(road.dump(workspace)) == before
    *_, last = road.events(workspace)
    assert (last["action"], last["details"]["source"], last["details"]["read"]) == (
        "source-check", "pas", 7,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "name", "code", "told"),
    [("nosuch", "a.csv", 5, "toml has acute, gp, pas"), ("pas", "a.txt", 4, "fits no pattern")],
)
def test_what_cannot_be_checked(
    workspace: Path, source: str, name: str, code: int, told: str
) -> None:
    ended = road.call(workspace, "source", "check", source, outside(workspace, name, b"ID\n1\n"))
    assert ended.code == code
    assert told in ended.err


def test_a_source_drafted_checked_and_loaded(workspace: Path) -> None:
    """From a stranger's file to records, by what the commands say alone."""
    rows = "".join(
        f"T-{n}|Teal {n}|Ann|{1 + n:02d}/12/1950|{'FM'[n % 2]}|BS{1 + n % 9} 5TR|07700 9{n:05d}\n"
        for n in range(28)
    )
    header = "TENANCY REF|LAST NAME|FIRST NAME|D.O.B.|SEX|POST CODE|CONTACT NUMBER\n"
    file = outside(workspace, "tenants_20260301.txt", (header + rows).encode())
    draft = road.done(workspace, "source", "new", "housing", file, "--organisation", "RA7").out
    assert "Teal" not in draft
    settings = workspace / "partnership.toml"
    settings.write_text(settings.read_text("utf-8") + "\n" + draft, "utf-8")
    found = road.done(workspace, "source", "check", "housing", file, "--json").document
    assert (found["loaded"], found["quarantined"], found["issues"]) == ({"records": 28}, [], [])
    assert found["fields"]["records"]["telecoms.value"] == 28
    (workspace / "inbox" / "housing").mkdir()
    (workspace / "inbox" / "housing" / file.name).write_bytes(file.read_bytes())
    (report,) = road.done(workspace, "ingest", "housing", "--strict", "--json").document
    assert report["new"] == 28
