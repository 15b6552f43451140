"""The command line as scripts depend on it: exit codes, one JSON document, events first."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

import cli
from schemas.errors import EXIT_CODES
from tests.functional import road
from tests.functional.small import (
    FEEDS,
    Client,
    clients,
    new_workspace,
    put,
    put_all,
    rewrite_settings,
    row,
    with_ids,
)

PEOPLE = clients(6)
HIDDEN = Client(
    "HIDDEN", "Ottilie", "Quill", "1960-06-07", "female", "", "5 Secret Street", "SY9 9ZZ",
    "0117 496 7777", "ottilie@example.org", restricted=True,
)  # fmt: skip


def commands(group: click.Group, *above: str) -> list[tuple[str, ...]]:
    """Every command and group, by its words."""
    found: list[tuple[str, ...]] = [above]
    for name, inner in group.commands.items():
        if isinstance(inner, click.Group):
            found += commands(inner, *above, name)
        else:
            found.append((*above, name))
    return found


ALL = commands(cli.commonthread)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after its first night, with something in quarantine and a restricted person."""
    root = new_workspace(tmp_path_factory.mktemp("cli") / "p")
    put_all(root, PEOPLE)
    put(root, "pas", "more.csv", FEEDS["pas"]([HIDDEN]) + row(PEOPLE[0]).encode() + b",,\n")
    road.done(root, "nightly")
    return root


@pytest.fixture
def workspace(loaded: Path, tmp_path: Path) -> Path:
    return road.copy_of(loaded, tmp_path / "p")


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help(tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = road.call(tmp_path, *words, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Usage: ")


def test_the_program_by_itself_helps(tmp_path: Path) -> None:
    ended = road.run(tmp_path / "p", "--help")
    assert (ended.code, ended.err) == (0, "")
    for name in ("nightly", "ingest", "link-file", "person"):
        assert name in ended.out


# --- one JSON document ------------------------------------------------------------------------

JSON_COMMANDS: dict[str, tuple[str, ...]] = {
    "ingest": ("ingest",),
    "link": ("link", "--full"),
    "link, nothing new": ("link",),
    "nightly": ("nightly",),
    "quarantine": ("quarantine", "list"),
    "explain": ("explain", "pas/pasL1", "gp/gpL1"),
}


@pytest.mark.parametrize("words", JSON_COMMANDS.values(), ids=JSON_COMMANDS)
def test_json_is_one_document_and_nothing_else(workspace: Path, words: tuple[str, ...]) -> None:
    ended = road.done(workspace, *words, "--json")
    assert isinstance(ended.document, dict | list)
    assert ended.out.endswith("\n")
    assert ended.err == ""


def test_every_command_with_json_is_tried() -> None:
    """A new command with --json takes its place in one of the tables."""
    reviewed = {w for w in ALL if w[:1] == ("review",) and len(w) > 1}
    reviewed |= {("person", name) for name in ("split", "merge", "wrong")}
    reviewed |= {("backup",), ("backup", "verify"), ("restore",), ("person", "erase")}
    runs = {("person", "history"), ("person", "difference")}
    runs |= {("person", "undo", "run"), ("person", "undo", "release"), ("match",)}
    sharing = {("agreement", name) for name in ("add", "list", "show")} | {("token",)}
    sharing |= {("break-glass", name) for name in ("alarms", "list")}
    sharing |= {
        ("consent", name)
        for name in ("add", "check", "competence", "investigator", "list", "proxy")
    }
    elsewhere = {
        ("source", "check"),
        ("demo",),
        ("link-file",),
        ("evaluate",),
        ("person", "show"),
        ("train",),
    }
    have = {
        words
        for words in ALL
        if words and (command := _found(words)) and any(p.name == "as_json" for p in command.params)
    }
    tried = {
        max((w for w in have if words[: len(w)] == w), key=len) for words in JSON_COMMANDS.values()
    }
    logged = {words for words in have if words[0] == "audit"}
    assert have == tried | elsewhere | reviewed | runs | sharing | logged, (
        "logged: test_cli_audit_*.py; reviewed: tests/functional/test_review*.py, "
        "test_backup.py; runs: test_cli_runs.py, test_cli_match.py; sharing: "
        "test_cli_sharing.py, tests/api; source: test_cli_source.py"
    )


def _found(words: tuple[str, ...]) -> click.Command:
    command: click.Command = cli.commonthread
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    return command


def test_demo_and_evaluate_as_json(tmp_path: Path) -> None:
    root = tmp_path / "p"
    made = road.done(root, "demo", "--people", 200, "--items-per-person", 0, "--json")
    assert made.document["people"] == 200
    assert made.err == ""
    assert road.call(root, "evaluate").code == 4, "nothing is published yet"
    road.done(root, "nightly")
    page = root / "quality.html"
    found = road.done(root, "evaluate", "--json", "--report", page)
    assert "commonthread" in found.document["engines"]
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert road.call(root, "evaluate", "--report", root / "nosuch" / "q.html").code == 4
    assert "per 100,000" in road.done(root, "evaluate").out


# --- exit codes -------------------------------------------------------------------------------


def broken_settings(root: Path) -> None:
    text = (root / "partnership.toml").read_text()
    text = text.replace('kind = "acute"', 'kinds = "acute"').replace("settle_seconds", "settle")
    (root / "partnership.toml").write_text(text)


def other_key(root: Path) -> None:
    (root / "keys" / "workspace.key").write_bytes(b"A" * 43 + b"=\n")


def other_keys(root: Path) -> None:
    shutil.rmtree(root / "keys")
    new = new_workspace(root.parent / "new")
    shutil.move(new / "keys", root / "keys")


def readable_key(root: Path) -> None:
    (root / "keys" / "workspace.key").chmod(0o644)


def newer_database(root: Path) -> None:
    import sqlite3

    with sqlite3.connect(root / "partnership.db") as conn:
        conn.execute("update alembic_version set version_num = 'from-the-future'")
    conn.close()


def guarded(root: Path) -> None:
    """Persons may hardly change, and the next feed changes many: it gives each client the name of
    another, born on the same day still, so that none is taken for a local id used again."""
    text = (root / "partnership.toml").read_text()
    text = text.replace("[link]\n", "[link]\nmax_changed_fraction = 0.01\n")
    (root / "partnership.toml").write_text(text)
    renamed = [
        replace(a, given=b.given, family=b.family, nhs_number="")
        for a, b in zip(with_ids(PEOPLE, "gp"), PEOPLE[::-1], strict=True)
    ]
    put(root, "gp", "second.ndjson", FEEDS["gp"](renamed)).touch()


CODES: dict[str, tuple[Any, tuple[str, ...], int, str]] = {
    # what: (what is done to the workspace, the command, exit code, what is said)
    "no workspace": (shutil.rmtree, ("nightly",), 8, "commonthread init"),
    "settings faults, all": (broken_settings, ("nightly",), 3, "3 fault(s)"),
    "a second init": (lambda _: None, ("init",), 3, "nothing was changed"),
    "a demo over it": (lambda _: None, ("demo",), 3, "nothing was changed"),
    "an unknown source": (lambda _: None, ("ingest", "nosuch"), 5, "toml has acute, gp, pas"),
    "an unknown source to list": (
        lambda _: None, ("quarantine", "list", "--source", "nosuch"), 5, "toml has acute, gp, pas",
    ),
    "an unknown person": (lambda _: None, ("person", "show", "nobody"), 5, "no person"),
    "an unknown record": (lambda _: None, ("explain", "pas/x", "gp/y"), 5, "no record"),
    "not a record's name": (lambda _: None, ("explain", "pas", "gp/y"), 4, "SOURCE/LOCAL_ID"),
    "no role": (
        lambda root: rewrite_settings(root, role="gardener"), ("nightly",), 6, "is no role",
    ),
    "a role that may not": (
        lambda root: rewrite_settings(root, role="ig_officer"), ("nightly",), 6, "does not include",
    ),
    "too few to train on": (lambda _: None, ("train",), 4, "teach too little"),
    "a role that may not train": (
        lambda root: rewrite_settings(root, role="operator"), ("train",), 6, "does not include",
    ),
    "a prior that is not there": (lambda _: None, ("train", "--prior", "x"), 2, "does not exist"),
    "not for this purpose": (
        lambda _: None, ("nightly", "--purpose", "direct-care"), 6, "only for: data-quality",
    ),
    "no such purpose": (lambda _: None, ("link", "--purpose", "fun"), 6, "is no purpose"),
    "another key": (other_key, ("nightly",), 9, ""),
    "another workspace's keys": (other_keys, ("nightly",), 9, ""),
    "a key that others can read": (readable_key, ("nightly",), 9, "0600"),
    "a database from the future": (newer_database, ("nightly",), 9, ""),
    "no truth": (lambda _: None, ("evaluate",), 4, "truth.parquet"),
    "a guarded run": (guarded, ("nightly",), 10, "max_changed_fraction"),
    "strict, all well": (lambda _: None, ("nightly", "--strict"), 0, ""),
    "an option that is none": (lambda _: None, ("nightly", "--nosuch"), 2, "No such option"),
    "a command that is none": (lambda _: None, ("nosuch",), 2, "No such command"),
    "a number that is none": (lambda _: None, ("demo", "--people", "x"), 2, "not a valid integer"),
    "an argument missing": (lambda _: None, ("explain",), 2, "Missing argument"),
}  # fmt: skip


@pytest.mark.parametrize(("prepare", "words", "code", "said"), CODES.values(), ids=CODES)
def test_exit_codes(
    workspace: Path, prepare: Any, words: tuple[str, ...], code: int, said: str
) -> None:
    prepare(workspace)
    ended = road.call(workspace, *words)
    assert ended.code == code, ended.said
    assert ended.out == "" or code == 0
    assert said in ended.said
    assert "unforeseen" not in ended.err


def test_every_code_of_the_table_is_met() -> None:
    elsewhere = {7}
    assert set(EXIT_CODES.values()) <= {code for _, _, code, _ in CODES.values()} | elsewhere


def test_settings_faults_are_all_shown(workspace: Path) -> None:
    broken_settings(workspace)
    ended = road.call(workspace, "nightly")
    for place in ("organisation[0].kind: missing", "organisation[0].kinds", "limits.settle"):
        assert place in ended.err


def test_a_second_init_changes_nothing(workspace: Path) -> None:
    before = {p: p.read_bytes() for p in workspace.rglob("*") if p.is_file()}
    assert road.call(workspace, "init").code == 3
    assert {p: p.read_bytes() for p in workspace.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    "words", ["nightly", "ingest", "link", "train", "link --approve 1", "person undo run 1"]
)
def test_a_busy_workspace(workspace: Path, words: str) -> None:
    with (workspace / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        ended = road.call(workspace, *words.split())
        assert road.call(workspace, "quarantine", "list").code == 0, "who looks never waits"
    assert (ended.code, ended.out) == (7, "")
    assert "nothing was changed" in ended.err
    others = {"train": 4, "link --approve 1": 5}
    assert road.call(workspace, *words.split()).code == others.get(words, 0)


@pytest.mark.parametrize("command", ["ingest", "nightly"])
def test_strict(workspace: Path, command: str) -> None:
    bad = FEEDS["pas"]([]) + row(PEOPLE[0]).encode() + b",,\n"
    put(workspace, "pas", "bad.csv", bad)
    loose = road.copy_of(workspace, workspace.parent / "loose")
    assert road.call(workspace, command, "--strict").code == cli.STRICT_EXIT
    assert road.call(loose, command).code == 0


def _listen_to_interrupts() -> None:
    """In the child: a shell that runs tests in the background makes them deaf to Control-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
def test_interrupted(loaded: Path, tmp_path: Path) -> None:
    """Control-C while a young file is waited for; what was committed stays."""
    root = road.copy_of(loaded, tmp_path / "p")
    rewrite_settings(root, settle=60)
    (root / "inbox" / "pas" / "young.csv").write_bytes(FEEDS["pas"](PEOPLE))
    process = subprocess.Popen(
        road.command(root, "nightly"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_listen_to_interrupts,  # noqa: PLW1509 - no threads before this fork
    )
    while not (root / "partnership.db-wal").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "run again" in err


def test_a_reader_that_stops_listening_is_no_error(workspace: Path) -> None:
    """`commonthread ... | head` closes the pipe early."""
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        road.command(workspace, "quarantine", "list"),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert "unforeseen" not in process.stderr
    assert "Traceback" not in process.stderr


def test_no_progress_bar_in_a_pipe_but_on_a_terminal(workspace: Path) -> None:
    put(workspace, "pas", "new.csv", FEEDS["pas"](clients(3, first=60)))
    other = road.copy_of(workspace, workspace.parent / "other")
    assert road.run(workspace, "nightly").err == ""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        road.command(other, "nightly"),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:  # the other end was closed
        pass
    os.close(ours)
    assert process.wait() == 0
    assert b"nightly" in shown


# --- who looks is written down first ------------------------------------------------------------


def shown_person(root: Path, source: str, local_id: str) -> str:
    return road.persons(root)[source, local_id]


LOOKS: dict[str, tuple[str, ...]] = {
    "person-show": ("person", "show", "PERSON"),
    "person-export": ("person", "export", "--out", "OUT"),
    "explain": ("explain", "pas/pasL1", "gp/gpL1"),
    "quarantine-list": ("quarantine", "list"),
}


def look(root: Path, words: tuple[str, ...]) -> tuple[str, ...]:
    given = {"PERSON": shown_person(root, "pas", "pasL1"), "OUT": str(root / "out.csv")}
    return tuple(given.get(word, word) for word in words)


@pytest.mark.parametrize(("action", "words"), LOOKS.items(), ids=LOOKS)
def test_a_look_is_written_down_before_it_is_shown(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, action: str, words: tuple[str, ...]
) -> None:
    from store.sql_store import SqlStore

    words = look(workspace, words)
    before = road.events(workspace)
    assert road.done(workspace, *words).said
    (event,) = road.events(workspace)[len(before) :]
    assert (event["action"], event["outcome"]) == (action, "permitted")
    if action in ("person-show", "explain"):
        assert event["persons"] == [shown_person(workspace, "pas", "pasL1")]

    (workspace / "out.csv").unlink(missing_ok=True)

    def fails(*_: Any) -> None:
        raise RuntimeError("the log is full")

    monkeypatch.setattr(SqlStore, "append_event", fails)
    ended = road.call(workspace, *words)
    assert (ended.code, ended.out) == (1, ""), "no event, no answer"
    assert not (workspace / "out.csv").exists()


@pytest.mark.parametrize(("action", "words"), LOOKS.items(), ids=LOOKS)
def test_a_refusal_is_written_down(workspace: Path, action: str, words: tuple[str, ...]) -> None:
    words = look(workspace, words)
    rewrite_settings(workspace, role="operator")
    before = road.events(workspace)
    ended = road.call(workspace, *words)
    assert (ended.code, ended.out) == (6, "")
    (event,) = road.events(workspace)[len(before) :]
    assert (event["action"], event["outcome"], event["role"]) == (action, "refused", "operator")
    assert not (workspace / "out.csv").exists()


def test_a_search_for_nobody_is_written_down(workspace: Path) -> None:
    before = len(road.events(workspace))
    ended = road.call(workspace, "person", "show", "9434765919")
    assert "9434765919" not in ended.said, "what was typed may be a person's number"
    assert [e["outcome"] for e in road.events(workspace)[before:]] == ["failed"]


def test_a_restricted_person_s_whereabouts_are_withheld(workspace: Path) -> None:
    person = shown_person(workspace, "pas", "HIDDEN")
    for form in ((), ("--json",)):
        shown = road.done(workspace, "person", "show", person, *form).out
        assert "Quill" in shown
        assert "withheld: restricted" in shown
        for value in ("Secret", "SY9 9ZZ", "496 7777", "ottilie@"):
            assert value not in shown
    open_person = shown_person(workspace, "pas", "pasL1")
    assert "1 High Street" in road.done(workspace, "person", "show", open_person).out


def test_export_forms(workspace: Path) -> None:
    import pandas as pd

    frames = []
    for name in ("out.csv", "out.parquet"):
        assert road.done(workspace, "person", "export", "--out", workspace / name).out == ""
        read = pd.read_csv if name.endswith("csv") else pd.read_parquet
        frames.append(read(workspace / name))
    pd.testing.assert_frame_equal(*frames)
    held = {(r.source, r.local_id): r.person_id for r in frames[0].itertuples()}
    assert held == road.persons(workspace)
    bad = road.call(workspace, "person", "export", "--out", workspace / "out.xlsx")
    assert (bad.code, ".csv or .parquet" in bad.err) == (4, True)
    bad = road.call(workspace, "person", "export", "--out", workspace / "nosuch" / "out.csv")
    assert bad.code == 4


def test_an_unforeseen_error_shows_no_message(workspace: Path) -> None:
    put(workspace, "pas", "new.csv", FEEDS["pas"](clients(3, first=60)))
    ended = road.driven("tests.functional.failing", workspace, (), "nightly", "--json")
    assert (ended.code, ended.out) == (1, "")
    assert "unforeseen error: RuntimeError" in ended.err
    assert "failing.py" in ended.err
    assert "cannot load" not in ended.err


def test_json_documents_are_stable_in_their_keys(workspace: Path) -> None:
    document = json.loads(road.done(workspace, "nightly", "--json").out)
    assert set(document) >= {"sources", "link", "seconds", "totals", "report"}
    assert set(document["sources"][0]) >= {
        "source", "feeds", "already_known", "read", "new", "changed", "unchanged", "quarantined",
        "withdrawn_by_whole_list", "refused", "quarantined_for", "kept_as_sent", "notices",
    }  # fmt: skip
    assert Path(document["report"]).is_file()
