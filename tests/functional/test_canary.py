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

import pandas as pd
import psycopg
import pytest

from linkage.model import Model, uk_person
from service import linking, training
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
    "train": (("--report", "REPORT"), 0),
    "train as JSON": (("--json",), 0),
    "link": (("--full", "--json"), 0),
    "quarantine": (("list",), 0),
    "quarantine as JSON": (("list", "--json"), 0),
    "evaluate": ((), 4),
    "explain": (("pas/pasL1", "gp/gpL1"), 0),
    "person": (("show", "nobody"), 5),
    "consent": (("list", "nobody"), 6),
    "agreement": (("list",), 6),
    "break-glass": (("list",), 6),
}


@pytest.fixture
def small_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is enough to train on: the model file holds what training leaves in it."""
    for module in (linking, training):
        monkeypatch.setattr(module, "SMALLEST_TRAINING", 100)


def unforeseen(root: Path) -> str:
    """Runs into an unforeseen error; what was said."""
    failed = road.driven("tests.functional.failing", root, (), "ingest")
    assert failed.code == 1, failed.said
    assert "RuntimeError" in failed.err
    return failed.said


def said_by_everything(root: Path) -> Iterator[tuple[str, str]]:
    """Runs every command; (where, what was said)."""
    for name, (arguments, code) in COMMANDS.items():
        given = [root / "training.html" if word == "REPORT" else word for word in arguments]
        ended = road.call(root, name.split()[0], *given)
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
            "model.json", "workspace.key", "training.html",
        }  # fmt: skip
        assert len([name for name in names if name.startswith("model-")]) == 1, "the one replaced"
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


def test_a_training_tells_of_nobody(small_training: None, tmp_path: Path) -> None:
    """The files of models hold the names that ten records bear, and no other value of anybody."""
    root = new_workspace(tmp_path / "p")
    plant(root)
    prior = root / "prior.json"
    prior.write_bytes(uk_person().to_json())
    road.done(root, "nightly")
    ended = road.done(root, "train", "--prior", prior, "--report", root / "training.html")
    check_clear("train", ended.said.encode())
    models = sorted(root.glob("model*.json"))
    assert models
    for path in (*models, root / "training.html"):
        check_clear(path.name, path.read_bytes())
    for path in models:
        model = Model.from_json(path.read_bytes())
        assert set(model.frequencies) <= {"given", "family"}
        assert "EVERYBODY" in model.frequencies["family"].shares
    page = (root / "training.html").read_text()
    assert "everybody" not in page.lower(), "a page holds no name at all"


def rows_of(people: list[Client], prefix: str) -> pd.DataFrame:
    """The people as a table of a user's own, with a rare category and a rare number."""
    return pd.DataFrame(
        {
            "id": [f"{prefix}{n}" for n in range(len(people))],
            "NHS Number": [c.nhs_number for c in people],
            "First name": [c.given for c in people],
            "Surname": [c.family for c in people],
            "DOB": [c.birth_date for c in people],
            "Sex": [c.gender for c in people],
            "Postcode": [c.postcode for c in people],
            "Address 1": [c.street for c in people],
            "Telephone": [c.phone for c in people],
            "Email": [c.email for c in people],
            "case no": [c.local_id for c in people],
            "team": [c.family if "Canary" in c.family else "Everyteam" for c in people],
        }
    )


def test_what_link_file_writes_beside_its_table_tells_of_nobody(tmp_path: Path) -> None:
    """The model, the page, the pairs and what is said: ids of records, and counts."""
    people = [*clients(70), WHOLE, BROKEN]
    for name, prefix in (("one.csv", "a"), ("two.csv", "b")):
        rows_of(people, prefix).to_csv(tmp_path / name, index=False)
    files = [tmp_path / "one.csv", tmp_path / "two.csv"]
    written = {name: tmp_path / name for name in ("pairs.csv", "page.html", "model.json")}
    labels = tmp_path / "labels.csv"
    labels.write_text("left_id,right_id,match\na70,b70,true\na70,b71,false\n")
    ended = road.done(
        tmp_path, "link-file", *files, "--out", tmp_path / "out.csv", "--identifier", "case no",
        "--exact", "team", "--labels", labels, "--pairs", written["pairs.csv"],
        "--report", written["page.html"], "--save-model", written["model.json"],
    )  # fmt: skip
    planned = road.done(tmp_path, "link-file", *files, "--out", tmp_path / "x.csv", "--plan")
    check_clear("link-file", ended.said.encode() + planned.said.encode())
    for name, path in written.items():
        check_clear(name, path.read_bytes())
    check_clear("out.csv", (tmp_path / "out.csv").read_bytes())

    model = Model.from_json(written["model.json"].read_bytes())
    assert "EVERYTEAM" in model.frequencies["team"].shares, "what ten records bear may stand there"
    assert set(model.frequencies) == {"given", "family", "team"}
    assert "everyteam" not in written["page.html"].read_text().lower()
    pairs = pd.read_csv(written["pairs.csv"])
    texts = pairs.select_dtypes("object").columns
    assert set(texts) <= {"left_id", "right_id", "left_source", "right_source", "forbidden_by"}
    assert set(pairs["left_id"]) <= {f"{p}{n}" for p in "ab" for n in range(len(people))}


def test_errors_of_link_file_show_no_value(tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    frame = rows_of([WHOLE, BROKEN], "a")
    pd.concat([frame, frame]).to_csv(one, index=False)
    labels = tmp_path / "labels.csv"
    labels.write_text(f"left_id,right_id,match\n{WHOLE.nhs_number},a1,Canary\n")
    for extra in ([], ["--id", "DOB"], ["--id", "case no"], ["--labels", labels, "--id", "team"]):
        ended = road.call(tmp_path, "link-file", one, "--out", tmp_path / "out.csv", *extra)
        assert ended.code == 4
        check_clear("an error", ended.said.encode())
