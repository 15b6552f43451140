"""Values that stand in feeds, whole or broken, stand nowhere else in clear.

Canaries of every kind are planted in feeds of all formats. Then every command runs, one of them
into an error that nobody foresaw, and everything that was written or said is searched.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from service import linking
from tests.functional import road
from tests.functional.small import (
    FEEDS,
    Client,
    clients,
    message,
    new_workspace,
    nhs_number,
    patient,
    put,
    put_all,
    row,
    with_ids,
)


def canary(n: int) -> Client:
    """A client all of whose values are found nowhere else."""
    return Client(
        f"CANARYID{n}", f"Canarygiven{n}", f"Canaryfamily{n}", f"191{n}-11-27", "female",
        nhs_number(900 + n), f"{n} Canarystreet", f"ZE{n} 9JZ", f"07700 91357{n}",
        f"canary{n}@canarymail.example",
    )  # fmt: skip


WHOLE, BROKEN = canary(1), canary(2)
NEEDLES = [
    needle
    for c in (WHOLE, BROKEN)
    for needle in (
        c.local_id, c.given, c.family, c.birth_date, c.birth_date.replace("-", ""), c.nhs_number,
        c.street, c.postcode, c.postcode.replace(" ", ""), c.phone, c.phone.replace(" ", ""),
        c.email, "Canary",
    )
]  # fmt: skip


def plant(root: Path) -> None:
    """Feeds of all formats with a canary, and one more in a unit that breaks."""
    put_all(root, [*clients(70), WHOLE])
    # One family name is everybody's: such names the model may list.
    everybody = [replace(c, family="Everybody") for c in clients(40, first=100)]
    put(root, "pas", "more.csv", FEEDS["pas"](with_ids(everybody, "more")))
    put(root, "pas", "broken.csv", FEEDS["pas"]([WHOLE]) + row(BROKEN).encode() + b",,\n")
    put(root, "gp", "broken.ndjson", patient(BROKEN, gender=["x"]).encode() + b"\n")
    put(root, "acute", "broken.hl7", message(BROKEN).encode().replace(b"PID|", b"PID|\0"))
    header = FEEDS["pas"]([BROKEN]).replace(b"DOB", b"Canary")
    put(root, "pas", "headless.csv", header)
    put(root, "gp", "Canarygiven1.json", patient(BROKEN).encode()[:70])


COMMANDS: dict[str, tuple[tuple[str, ...], int]] = {
    "nightly": ((), 0),
    "nightly again": (("--json",), 0),
    "ingest": (("--strict",), 0),
    "link": (("--full", "--json"), 0),
    "quarantine": (("list",), 0),
    "quarantine as JSON": (("list", "--json"), 0),
    "evaluate": ((), 4),
    "explain": (("pas/pasL1", "gp/gpL1"), 0),
    "person": (("show", "nobody"), 5),
}


@pytest.fixture
def small_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is enough to train on: the model file holds what training leaves in it."""
    monkeypatch.setattr(linking, "SMALLEST_TRAINING", 100)


def unforeseen(root: Path) -> str:
    """Runs into an unforeseen error; what was said."""
    failed = road.driven("tests.functional.failing", root, (), "ingest")
    assert failed.code == 1, failed.said
    assert "RuntimeError" in failed.err
    return failed.said


def said_by_everything(root: Path) -> Iterator[tuple[str, str]]:
    """Runs every command; (where, what was said)."""
    for name, (arguments, code) in COMMANDS.items():
        ended = road.call(root, name.split()[0], *arguments)
        assert ended.code == code, (name, ended.said)
        yield name, ended.said


def check_clear(where: str, content: bytes) -> None:
    lowered = content.lower()
    for needle in NEEDLES:
        for encoding in ("utf-8", "utf-16-le"):
            assert needle.lower().encode(encoding) not in lowered, f"{needle} stands in {where}"


def test_no_value_leaves_its_place(small_training: None, tmp_path: Path) -> None:
    root = new_workspace(tmp_path / "p")
    plant(root)
    check_clear("an unforeseen error", unforeseen(root).encode())
    reader = subprocess.Popen(
        [sys.executable, "-c", "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1]);"
         " c.execute('begin'); c.execute('select 1 from sqlite_master').fetchall();"
         " print(1, flush=True); time.sleep(300)", str(root / "partnership.db")],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert reader.stdout is not None
    try:
        # An open reader keeps the write-ahead log from being folded in and removed.
        reader.stdout.readline()
        for where, said in said_by_everything(root):
            check_clear(where, said.encode())
        files = [p for p in root.rglob("*") if p.is_file() and "inbox" not in p.parts]
        names = {p.name for p in files}
        assert names >= {
            "partnership.db", "partnership.db-wal", "partnership.db-shm", "keystore.db",
            "model.json", "workspace.key",
        }  # fmt: skip
        assert any(p.suffix == ".html" for p in files)
        assert (root / "partnership.db-wal").stat().st_size > 0
        for path in files:
            check_clear(path.name, path.name.encode() + path.read_bytes())
    finally:
        reader.kill()
        reader.wait()
        reader.stdout.close()
    model = (root / "model.json").read_text()
    assert '"everybody"' in model.lower(), "the model was trained here"
    assert WHOLE.local_id in str(road.persons(root)), "the canary is held"


def test_no_value_stands_in_postgresql(
    small_training: None, tmp_path: Path, postgres_url: str
) -> None:
    root = new_workspace(tmp_path / "p", database=postgres_url)
    plant(root)
    check_clear("an unforeseen error", unforeseen(root).encode())
    for where, said in said_by_everything(root):
        check_clear(where, said.encode())
    with psycopg.connect(postgres_url.replace("postgresql+psycopg", "postgresql")) as conn:
        tables = conn.execute(
            "select quote_ident(table_name) from information_schema.tables"
            " where table_schema = 'public'"
        ).fetchall()
        assert len(tables) > 10
        for (table,) in tables:
            for encode in ("escape", "hex"):
                query = f"copy (select * from {table}) to stdout"
                conn.execute(f"set bytea_output = '{encode}'")
                with conn.cursor().copy(query) as copy:
                    check_clear(table, b"".join(bytes(part) for part in copy))
