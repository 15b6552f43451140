"""The commands that prove the log: permits, events, exit codes, and what others can check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from audit import verifier
from audit.events import EventOutcome
from schemas.identifiers import PersonId
from service.audit_ports import AuditQuery, Numbered
from service.exporting import _harmless
from tests.audit.attacks import shows
from tests.audit.small_log import event
from tests.functional import road
from tests.functional.small import new_workspace
from wiring import open_workspace

EVENTS = 30
STEERS = "seen\n\x1b[2J\x1b[31mFAULT\u202eevil\u2066"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a few events, whose account is the IG officer's."""
    root = new_workspace(tmp_path_factory.mktemp("audit") / "p")
    settings = root / "partnership.toml"
    settings.write_text(settings.read_text().replace('"data_team"', '"ig_officer"'))
    with open_workspace(root).store() as store:
        for number in range(EVENTS):
            store.append_event(event(number))
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return road.copy_of(made, tmp_path / "p")


def last(root: Path, action: str) -> Numbered:
    with open_workspace(root).store() as store:
        query = AuditQuery(actions=frozenset({action}), newest_first=True, limit=1)
        return next(iter(next(iter(store.find_numbered(query)))))


def key_of(root: Path) -> str:
    (row,) = road.done(root, "audit", "keys", "list", "--json").document
    return str(row["key"])


def test_status_and_verify_of_a_sound_log(root: Path) -> None:
    status = road.done(root, "audit", "status", "--json").document
    size = status["signed"]
    assert (size > EVENTS, status["unsigned"], status["witnesses"]) == (True, 0, [])
    found = road.done(root, "audit", "verify", "--json").document
    assert (found["sound"], found["faults"], found["opened"]) == (True, [], size + 1)
    told = last(root, "audit-verify").event.details
    assert (told["checked"], told["faults"]) == (size + 1, 0)
    assert "the log is sound" in road.done(root, "audit", "verify").out


def test_verify_of_a_log_that_was_altered(root: Path) -> None:
    tile = max((root / "log/tile/entries/000.p").iterdir(), key=lambda path: int(path.name))
    data = bytearray(tile.read_bytes())
    data[40] ^= 1
    tile.write_bytes(data)
    ended = road.call(root, "audit", "verify")
    assert ended.code == 9
    assert "FAULT" in ended.out
    told = last(root, "audit-verify").event
    assert (told.outcome, told.details["faults"] > 0) == (EventOutcome.FAILED, True)


def test_files_that_were_lost_are_mended(root: Path) -> None:
    settings = root / "partnership.toml"
    assert road.call(root, "audit", "mend").code == 6
    settings.write_text(settings.read_text().replace('"ig_officer"', '"operator"'))
    shutil.rmtree(root / "log" / "tile")
    assert road.done(root, "audit", "mend", "--json").document["files"] > 0
    settings.write_text(settings.read_text().replace('"operator"', '"ig_officer"'))
    assert road.done(root, "audit", "verify", "--json").document["sound"]


def test_a_proof_says_nothing_of_anybody(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "proof.json"
    road.done(root, "audit", "prove", 7, "--out", out)
    assert verifier.main(["bundle", str(out), "--key", key_of(root)]) == 0
    assert "staff-" not in out.read_text("utf-8")
    assert road.call(root, "audit", "prove", 999_999, "--out", out).code == 5
    assert last(root, "audit-prove").event.outcome is EventOutcome.FAILED


@pytest.mark.parametrize("name", ["bundle.json", "bundle.zip"])
def test_a_bundle_is_checked_by_somebody_without_access(
    root: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    held, out = tmp_path / "held", tmp_path / name
    road.done(root, "audit", "checkpoint", "--out", held)
    done = road.done(
        root, "audit", "bundle", "--person", "p3", "--held", held, "--out", out, "--json"
    ).document  # fmt: skip
    assert done["events"] == EVENTS // 5
    assert out.stat().st_mode & 0o777 == 0o600
    mine = ["--key", key_of(root), "--held", str(held)]
    capsys.readouterr()
    assert verifier.main(["bundle", str(out), *mine, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checked"] == EVENTS // 5
    told = last(root, "audit-bundle").event
    assert told.persons == (PersonId("p3"),)
    first = told.details["leaves"][0][0]
    assert told.details["leaves"] == [[first + n, first + n] for n in range(0, EVENTS, 5)]
    assert told.details["sha256"] == done["sha256"]
    again = road.done(root, "audit", "bundle", "--leaf", 3, "--leaf", 4, "--out", out, "--json")
    assert again.document["leaves"] == [[3, 4]]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2), (("--leaf", 1, "--person", "p1"), 2), (("--since", "yesterday"), 4),
        (("--leaf", 999_999), 5), (("--person", "pnobody"), 5),
    ],
    ids=str,
)  # fmt: skip
def test_bundles_that_cannot_be_made(
    root: Path, tmp_path: Path, words: tuple[object, ...], code: int
) -> None:
    out = tmp_path / "bundle.json"
    assert road.call(root, "audit", "bundle", *words, "--out", out).code == code
    assert list(tmp_path.glob("*bundle*")) == []


def test_a_bundle_for_a_misspelt_person_is_refused_and_written_down(
    root: Path, tmp_path: Path
) -> None:
    ended = road.call(root, "audit", "bundle", "--person", "pnobody", "--out", tmp_path / "b.json")
    assert "no person of that id" in ended.err
    told = last(root, "audit-bundle").event
    assert (told.outcome, told.details["error"]) == (EventOutcome.FAILED, "NotFound")


def test_a_bundle_of_nothing_says_so(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle.json"
    asked = ("--person", "p3", "--until", "2001-01-01", "--out", out)
    assert "no event is like that" in road.done(root, "audit", "bundle", *asked).out
    assert "no event is like that" not in road.done(
        root, "audit", "bundle", "--person", "p3", "--out", out
    ).out  # fmt: skip


def test_a_bundle_with_a_checkpoint_of_another_past(root: Path, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.write_text("no checkpoint", "ascii")
    out = tmp_path / "bundle.json"
    assert road.call(root, "audit", "bundle", "--leaf", 1, "--held", held, "--out", out).code == 4
    assert not out.exists()


def test_the_data_team_gets_no_bundle(root: Path, tmp_path: Path) -> None:
    settings = root / "partnership.toml"
    settings.write_text(settings.read_text().replace('"ig_officer"', '"data_team"'))
    out = tmp_path / "bundle.json"
    assert road.call(root, "audit", "bundle", "--leaf", 1, "--out", out).code == 6
    assert not out.exists()
    assert last(root, "audit-bundle").event.outcome is EventOutcome.REFUSED


def test_keys_are_rotated_and_retired(root: Path, tmp_path: Path) -> None:
    first = key_of(root)
    second = road.done(root, "audit", "keys", "rotate", "--json").document
    assert second["number"] == 2
    note = road.done(root, "audit", "checkpoint", "--json").document["checkpoint"]
    assert len(verifier.read_checkpoint(note.encode()).signatures) == 2
    assert road.done(root, "audit", "keys", "retire", 1, "--json").document["signs"] is False
    assert road.call(root, "audit", "keys", "retire", 2).code == 4
    assert last(root, "audit-keys").event.details["error"] == "InvalidValue"
    note = road.done(root, "audit", "checkpoint", "--json").document["checkpoint"]
    signed = verifier.read_checkpoint(note.encode())
    assert verifier.trusted(signed, [verifier.verifier_key(second["key"])])
    with pytest.raises(verifier.Unsound):
        verifier.trusted(signed, [verifier.verifier_key(first)])
    assert road.done(root, "audit", "verify", "--json").document["sound"]


def test_a_witness_that_is_reached_by_hand(root: Path, tmp_path: Path) -> None:
    key, state, asked, signed = (tmp_path / name for name in ("key", "state", "asked", "signed"))
    name = "ward.example/w"
    public = road.done(root, "audit", "witness", "--new-key", name, "--key", key).out.strip()
    settings = root / "partnership.toml"
    told = f'\n[[audit.witness]]\nname = "{name}"\nkey = "{public}"\n'
    settings.write_text(settings.read_text() + told)
    assert "it has never signed" in road.done(root, "audit", "status").out
    assert road.call(root, "audit", "status", "--strict").code == 11
    road.done(root, "audit", "checkpoint", "--ask", name, "--out", asked)
    logs = tmp_path / "logs"
    logs.write_text(key_of(root) + "\n", "ascii")
    mine = ("--key", key, "--state", state, "--log", logs)
    signed.write_text(road.done(root, "audit", "witness", *mine, "--cosign", asked).out, "utf-8")
    road.done(root, "audit", "checkpoint", "--add", signed)
    status = road.done(root, "audit", "status", "--strict", "--json").document
    assert [one["witness"] for one in status["witnesses"]] == [name]
    assert status["witnesses"][0]["size"] > EVENTS
    assert road.call(root, "audit", "checkpoint", "--add", logs).code == 4
    assert road.call(root, "audit", "checkpoint", "--ask", name).code == 2
    assert road.call(root, "audit", "witness", "--key", key).code == 2
    assert road.call(root, "audit", "witness", *mine, "--cosign", logs).code == 4


@shows("typed text holds line ends, ANSI sequences or direction marks")
def test_typed_text_cannot_steer_a_terminal(root: Path) -> None:
    who = (*("audit", "hold", "add", "--actor", f"cat{STEERS}"), "--reason", STEERS)
    road.call(root, *who)
    for words in (("audit", "hold", "list"), ("person", "show", STEERS)):
        ended = road.call(root, *words)
        assert all(line.isprintable() for line in ended.out.splitlines()), words
        assert "\x1b" not in ended.out
        assert "\u202e" not in ended.out
    shown = road.call(root, "audit", "hold", "list").out
    assert "seen\\u000a\\u001b[2J" in shown


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1")


@shows("typed text holds a formula for a spreadsheet")
@pytest.mark.parametrize("typed", FORMULAS, ids=ascii)
def test_typed_text_is_no_formula(typed: str) -> None:
    from service.audit_reports_page import harmless

    assert _harmless(typed) == f"'{typed}"
    assert harmless(typed).startswith("'") or "\\u" in harmless(typed)
    assert not harmless(typed).startswith(("=", "+", "-", "@", "\t", "\r"))
