"""Reports of the log from the command line: listed, made, written for their owner only, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import road
from tests.functional.small import clients, new_workspace, put_all, rewrite_settings


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that was linked once, and belongs to an IG officer since."""
    folder = tmp_path_factory.mktemp("reports") / "partnership"
    new_workspace(folder)
    put_all(folder, clients(6))
    road.done(folder, "nightly")
    rewrite_settings(folder, role="ig_officer")
    return folder


def test_the_reports_are_listed(root: Path) -> None:
    said = road.done(root, "audit", "reports").out
    listed = road.done(root, "audit", "reports", "--json").document
    assert {one["name"] for one in listed} >= {"person", "person-own", "pack", "integrity"}
    assert all(one["name"] in said and one["says"] in said for one in listed)


def test_a_report_is_written_for_its_owner_only(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    said = road.done(
        root, "audit", "report", "linkage", "--since", "2020-01-01",
        "--format", "html", "--format", "csv", "--format", "json", "--out", out,
    ).out.split()  # fmt: skip
    assert {Path(one) for one in said} == set(out.iterdir())
    assert {one.stat().st_mode & 0o777 for one in out.iterdir()} == {0o600}
    assert out.stat().st_mode & 0o777 == 0o700


def test_a_number_leads_to_its_entries(root: Path) -> None:
    night = road.done(root, "audit", "report", "events", "--action", "nightly", "--json").document
    (fact,) = (one for one in night["facts"] if one["name"] == "entries")
    assert fact["value"] == fact["leaves"]["count"] == 1
    ((first, last),) = fact["leaves"]["ranges"]
    entries = next(table for table in night["tables"] if table["name"] == "entries")
    assert first == last == int(entries["rows"][0]["log_entries"])


def test_the_certificate_says_what_was_checked(root: Path) -> None:
    told = road.done(root, "audit", "report", "integrity", "--json").document
    size = next(one["value"] for one in told["facts"] if one["name"] == "size")
    checks = next(table for table in told["tables"] if table["name"] == "checks")
    assert f"{size:,} entries were checked" in json.dumps(checks)


def test_the_pack_of_a_month(root: Path, tmp_path: Path) -> None:
    road.done(root, "audit", "pack", "--month", "2020-01", "--out", tmp_path)
    (page,) = tmp_path.glob("pack-*.html")
    assert "<svg" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("report", "nothing"), "no report of that name"),
        (("report", "person"), "needs --person"),
        (("report", "person", "--person", "pnobody"), "no person of that id"),
        (("report", "refusals", "--since", "yesterday"), "YYYY-MM-DD"),
        (("report", "refusals", "--since", "2026-02-03", "--until", "2026-01-01"), "--until"),
        (("report", "refusals", "--action", "read"), "for the report `events`"),
        (("report", "events", "--class", "nothing"), "no classes: nothing"),
        (("pack", "--month", "2026-13"), "YYYY-MM"),
        (("pack", "--month", "9999-12"), "1850 to 2200"),
        (("pack", "--month", "2199-01"), "one that has begun"),
        (("report", "refusals", "--month", "2026-01", "--since", "2026-01-03"), "one or the other"),
        (("report", "refusals", "--month", "2026-01", "--until", "2026-01-03"), "one or the other"),
        (("report", "refusals", "--actor", "ST1"), "takes no --actor"),
        (("report", "refusals", "--out", __file__), "a file"),
    ],
)
def test_what_cannot_be_made_is_said(root: Path, asked: tuple[str, ...], said: str) -> None:
    ended = road.call(root, "audit", *asked)
    assert ended.code != 0
    assert said in ended.said
    assert "Traceback" not in ended.said


def test_a_role_without_the_right_is_refused(root: Path) -> None:
    rewrite_settings(root, role="data_team")
    try:
        ended = road.call(root, "audit", "report", "refusals", "--json")
    finally:
        rewrite_settings(root, role="ig_officer")
    assert ended.code != 0
    assert "audit-report" in ended.said
