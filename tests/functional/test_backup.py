"""The restore drill: what was saved comes back, what was erased since does not. Both databases."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from demo.nights import generate_night
from schemas.errors import StoreError
from store.audit_tables import audit_event
from store.columns import is_sealed
from store.tables import all_tables
from tests.contract.conftest import DATABASES
from tests.functional import road
from tests.functional.conftest import on_postgres
from tests.functional.small import FEEDS, clients, new_workspace, put, put_all, with_ids
from tests.functional.test_canary import NEEDLES, WHOLE, check_clear
from tests.postgres import fresh_database, name_of

ERASED = f"pas/pas{WHOLE.local_id}"


def as_role(root: Path, role: str) -> None:
    """Maps the account to a role."""
    settings = root / "partnership.toml"
    text = settings.read_text("utf-8")
    for other in ("data_team", "operator", "ig_officer"):
        text = text.replace(f'= "{other}"', f'= "{role}"')
    settings.write_text(text, "utf-8")


def erase(root: Path, name: str, *options: str) -> road.Ended:
    as_role(root, "ig_officer")
    ended = road.done(root, "person", "erase", name, "--reason", "on instruction", *options)
    as_role(root, "data_team")
    return ended


def saved(root: Path, name: str = "b") -> tuple[Path, Path]:
    """A backup and its keys."""
    out, keys = root.parent / f"{name}-data", root.parent / f"{name}-keys"
    road.done(root, "backup", "--out", out, "--keys", keys)
    return out, keys


def restored(root: Path, out: Path, keys: Path, *options: object) -> road.Ended:
    return road.done(root, "restore", "--from", out, "--keys", keys, *options)


def export(root: Path) -> list[dict[str, str]]:
    out = root.parent / "export.parquet"
    road.done(root, "person", "export", "--out", out)
    rows: list[dict[str, str]] = pq.read_table(out).to_pylist()
    return rows


def payloads(root: Path) -> dict[tuple[str, str, int], bytes]:
    found = {}
    with road.opened(root) as store, store.database.reading() as conn:
        for table in all_tables.sorted_tables:
            for column in filter(is_sealed, table.columns):
                (key,) = table.primary_key.columns
                for row_id, payload in conn.execute(select(key, column)):
                    if payload or table is not audit_event:  # what a restore lost has none
                        found[table.name, column.name, row_id] = payload
    return found


def unseal_all(root: Path, found: dict[tuple[str, str, int], bytes]) -> Iterator[bytes | None]:
    with road.opened(root) as store:
        for (table, column, row_id), payload in found.items():
            try:
                yield store.database.sealer.unseal(
                    all_tables.tables[table], column, row_id, payload
                )
            except StoreError:
                yield None


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.slow
def test_the_restore_drill(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    root = tmp_path / "partnership"
    road.done(root, "demo", "--people", 200, "--items-per-person", 1)
    if kind == "postgresql":
        on_postgres(root, request.getfixturevalue("postgres_url"))
    road.done(root, "nightly")
    shown = road.persons(root)
    groups: dict[str, list[tuple[str, str]]] = {}
    for record, person in shown.items():
        groups.setdefault(person, []).append(record)
    person, members = next((p, m) for p, m in groups.items() if len(m) > 2)
    apart = "/".join(members[0])
    road.done(root, "person", "split", person, "--apart", apart, "--reason", "another")
    generate_night(root, 1)
    road.done(root, "nightly")
    with road.opened(root) as store:
        run = store.last_run()
    assert run is not None
    road.done(root, "person", "undo", "run", run.run_id)
    road.done(root, "link")
    before, former = export(root), payloads(root)
    out, keys = saved(root)

    generate_night(root, 2)
    road.done(root, "nightly")
    later = export(root)
    gone = next(m for m in groups.values() if len(m) == 2)[0]
    name = "/".join(gone)
    values = _values(root, gone)
    erase(root, name)
    road.done(root, "link")
    assert later != before

    restored(root, out, keys, "--replace")
    kept = [row for row in before if (row["source"], row["local_id"]) != gone]
    assert len(kept) == len(before) - 1
    assert export(root) == kept
    held = payloads(root)
    opened = list(unseal_all(root, held))
    assert None not in opened
    assert not [p for p in opened if p and gone[1].encode() in p and values[0] in p]
    assert any(p is None for p in unseal_all(root, former)), "what sealed it before opens no more"
    assert not [
        p for p in unseal_all(root, former) if p and gone[1].encode() in p and values[0] in p
    ]
    for path in [*(root / "keys").iterdir(), *root.glob("partnership.db*")]:
        data = path.read_bytes()
        assert not [value for value in values if value in data]
    assert road.call(root, "person", "show", shown[gone]).code in (0, 5)

    report = road.done(root, "nightly", "--json").document
    assert report["link"]["run_id"]
    after = export(root)
    assert gone not in {(row["source"], row["local_id"]) for row in after}
    assert len(after) == len(later) - 1
    road.done(root, "link", "--full")
    assert export(root) == after


def _values(root: Path, name: tuple[str, str]) -> list[bytes]:
    with road.opened(root) as store:
        held = store.record(*name)  # type: ignore[arg-type]
    assert held is not None
    number = held.record.nhs_number
    family = held.record.names[0].family or ""
    return [family.encode(), *([number.value.encode()] if number else [])]


# --- a small partnership ------------------------------------------------------------------------


def after_a_night(root: Path, **more: Any) -> Path:
    """A workspace after a night, with somebody in it who is found nowhere else."""
    new_workspace(root, **more)
    put_all(root, [*clients(30), WHOLE])
    road.done(root, "nightly")
    return root


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return after_a_night(tmp_path_factory.mktemp("sqlite") / "p")


@pytest.fixture(scope="module")
def in_postgresql(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str
) -> Iterator[tuple[Path, str]]:
    """The workspace and the URL of its database."""
    with fresh_database(postgres_server) as url:
        yield after_a_night(tmp_path_factory.mktemp("postgresql") / "p", database=url), url


@pytest.fixture
def small(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A copy of the workspace after a night, database and all."""
    root = tmp_path / "p"
    if kind == "sqlite":
        yield road.copy_of(request.getfixturevalue("on_sqlite"), root)
        return
    made, url = request.getfixturevalue("in_postgresql")
    with fresh_database(request.getfixturevalue("postgres_server"), name_of(url)) as own:
        settings = road.copy_of(made, root) / "partnership.toml"
        settings.write_text(settings.read_text("utf-8").replace(url, own), "utf-8")
        yield root


def dump(root: Path) -> list[str]:
    return [x for x in road.without_events(road.dump(root)) if not x.startswith("store_meta\t")]


def test_a_backup_comes_back_whole_and_tells_of_nobody(small: Path) -> None:
    before, held = dump(small), len(road.persons(small))
    out, keys = small.parent / "o", small.parent / "k"
    made = road.done(small, "backup", "--out", out, "--keys", keys, "--json").document
    written = [line for line in road.dump(small) if line.startswith("audit_event\t")]
    assert made["rows"]["audit_event"] == len(written) - 1
    for path in [p for p in (*out.rglob("*"), *keys.rglob("*")) if p.is_file()]:
        check_clear(path.name, path.read_bytes())
        assert path.stat().st_mode & 0o777 == 0o600
    assert out.stat().st_mode & 0o777 == 0o700
    assert not {p.name for p in out.rglob("*")} & {"keystore.db", "workspace.key"}
    assert not list(small.parent.glob(".*part"))
    checked = road.done(small, "backup", "verify", out, "--keys", keys, "--json").document
    assert checked["keys_checked"]
    assert checked["rows"]["record"] > 30
    put(small, "pas", "more.csv", FEEDS["pas"](clients(5, first=100)))
    road.done(small, "nightly")
    assert dump(small) != before
    assert restored(small, out, keys, "--replace", "--json").document == made
    assert dump(small) == before
    assert road.events(small)[-1]["action"] == "restore"
    road.done(small, "nightly")
    assert len(road.persons(small)) == held + 5, "a feed that came since is read again"


def test_into_another_place_and_another_kind_of_database(small: Path, tmp_path: Path) -> None:
    before = dump(small)
    out, keys = saved(small)
    settings = tmp_path / "other.toml"
    text = (small / "partnership.toml").read_text("utf-8")
    line = next(x for x in text.splitlines() if x.startswith("database"))
    settings.write_text(text.replace(line, 'database = "sqlite:///other.db"'), "utf-8")
    other = tmp_path / "deep" / "other"
    restored(small, out, keys, "--into", other, "--settings", settings)
    assert (other / "other.db").exists()
    assert dump(other) == before == dump(small)
    refused = road.call(small, "restore", "--from", out, "--keys", keys, "--into", other,
                        "--settings", settings)  # fmt: skip
    assert refused.code == 4
    assert "--replace" in refused.err


def test_what_was_erased_since_stays_erased(small: Path, tmp_path: Path) -> None:
    out, keys = saved(small)
    erase(small, ERASED)
    _, newer = saved(small, "newer")
    for place, options in (
        (small, ("--replace",)),
        (tmp_path / "fresh", ("--erasures", newer, "--replace")),
    ):
        if place is not small:
            shutil.rmtree(small / "keys")
            for file in small.glob("partnership.*"):
                file.unlink()
        restored(place, out, keys, *options)
        with road.opened(place) as store:
            assert store.record(*ERASED.split("/")) is None  # type: ignore[arg-type]
            assert store.barred_units(1) == 0
        assert not [x for x in dump(place) if f"pas{WHOLE.local_id}" in x]
    assert WHOLE.local_id in str(road.persons(tmp_path / "fresh")), "others that it has stay"


def test_a_feed_that_sends_it_again_is_quarantined(small: Path) -> None:
    told = road.call(small, "person", "erase", ERASED, "--reason", "r")
    assert told.code == 6, "the data team may not"
    erase(small, ERASED)
    put(small, "pas", "again.csv", FEEDS["pas"](with_ids([WHOLE], "pas")))
    report = road.done(small, "nightly", "--json").document
    assert "erased" in road.done(small, "quarantine", "list").out
    assert report["link"] is not None
    assert not road.persons(small).get(tuple(ERASED.split("/")))
    assert erase(small, ERASED, "--allow-return", "--json").document["lifted"]
    put(small, "pas", "anew.csv", FEEDS["pas"](with_ids([WHOLE], "pas")) + b"\n")
    road.done(small, "nightly")
    assert tuple(ERASED.split("/")) in road.persons(small)


def test_history_says_erased_and_no_value(small: Path) -> None:
    person = road.persons(small)["pas", f"pas{WHOLE.local_id}"]
    erase(small, ERASED)
    told = road.done(small, "person", "history", person).out
    assert "erased on instruction" in told
    road.done(small, "link")
    told = road.done(small, "person", "history", person).out
    assert "erased on instruction" in told
    for needle in NEEDLES:
        assert needle.lower() not in told.lower()
    (event,) = [e for e in road.events(small) if e["action"] == "person-erase"]
    assert event["persons"] == [person]
    assert WHOLE.local_id not in str(event)
    as_role(small, "ig_officer")
    again = road.run(small, "person", "erase", ERASED, "--reason", "on instruction")
    assert again.code != 0
    last = [e for e in road.events(small) if e["action"] == "person-erase"][-1]
    assert (last["outcome"], last["details"]["error"]) == ("failed", "InvalidValue")


DAMAGE: dict[str, tuple[Any, str]] = {
    # what: (what is done to backup and keys, what is said)
    "a byte of a table": (lambda out, _: _flip(out / "tables" / "record.parquet"), "is damaged"),
    "a byte of the keystore": (lambda _, keys: _flip(keys / "keystore.db"), "is damaged"),
    "a file gone": (lambda out, _: (out / "tables" / "feed.parquet").unlink(), "is missing"),
    "a file too many": (lambda out, _: (out / "x").write_text(""), "does not belong"),
    "no manifest": (lambda out, _: (out / "manifest.json").unlink(), "no backup"),
    "an altered manifest": (lambda out, _: _edit(out, '"run": 1', '"run": 2'), "was altered"),
    "a newer schema": (lambda out, _: _edit(out, '"schema": "', '"schema": "9'), "was altered"),
    "other keys": (lambda out, keys: _edit(keys, '"identity": "', '"identity": "f'), "belong"),
}


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _edit(folder: Path, old: str, new: str) -> None:
    path = folder / "manifest.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_what_is_damaged_is_refused_and_changes_nothing(small: Path) -> None:
    before = dump(small)
    out, keys = saved(small)
    for name, (damage, told) in DAMAGE.items():
        broken = [road.copy_of(folder, small.parent / f"x-{folder.name}") for folder in (out, keys)]
        damage(*broken)
        for command in (
            ("backup", "verify", broken[0], "--keys", broken[1]),
            ("restore", "--from", broken[0], "--keys", broken[1], "--replace"),
        ):
            ended = road.call(small, *command)
            assert ended.code in (4, 9), (name, ended.said)
            assert told in ended.err, (name, ended.said)
        for folder in broken:
            shutil.rmtree(folder)
    assert dump(small) == before
    assert not (small / ".restore").exists()


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_where_backups_may_lie_and_who_may_make_them(small: Path) -> None:
    there = small.parent
    for out, keys, told in (
        (there / "o", there / "o", "never lie with"),
        (there / "o", there / "o" / "k", "never lie with"),
        (small, there / "k", "there already"),
        (there / "no" / "o", None, "no such folder"),
    ):
        ended = road.call(small, "backup", "--out", out, *(["--keys", keys] if keys else []))
        assert (ended.code, told in ended.err) == (4, True), ended.said
    assert not (there / "o").exists()
    assert road.call(small, "backup").code == 2
    out = there / "only"
    assert "NOT saved" in road.done(small, "backup", "--out", out).out
    assert "not checked" in road.done(small, "backup", "verify", out).out
    as_role(small, "ig_officer")
    for command in (
        ("backup", "--out", there / "z"),
        ("restore", "--from", out, "--keys", saved_by_operator(small), "--replace"),
    ):
        as_role(small, "ig_officer")
        assert road.call(small, *command).code == 6
    refused = [e["action"] for e in road.events(small) if e["outcome"] == "refused"]
    assert refused == ["backup", "restore"]


def saved_by_operator(root: Path) -> Path:
    as_role(root, "operator")
    return saved(root, "op")[1]


KILLS = [
    # the moment of the kill: (target, nth call, before or after)
    ("store.restoring:_fill", 1, "before"),
    ("store.restoring:_fill_table", 8, "after"),
    ("store.erasing:finish", 1, "before"),
    ("store.erasing:_remove", 1, "after"),
    ("service.backup:_make_ready", 1, "before"),
    ("service.backup:_make_ready", 1, "after"),
    ("service.backup:_move", 1, "after"),
    ("store.restoring:Landing.show", 1, "before"),
    ("store.restoring:Landing.show", 1, "after"),
    ("service.backup:_move", 4, "after"),
]


@pytest.mark.slow
def test_a_restore_killed_anywhere_and_run_again_is_the_same(small: Path) -> None:
    out, keys = saved(small)
    before = dump(small)
    erase(small, ERASED)
    erased = dump(small)
    assert erased != before
    expected = None
    for target, nth, when in [*KILLS, ("cli:main", 9, "before")]:
        options = ("restore", "--from", str(out), "--keys", str(keys), "--replace")
        ended = road.driven("tests.functional.killer", small, (target, str(nth), when), *options)
        died = ended.code == -signal.SIGKILL
        assert died == (target != "cli:main"), ended.said
        if died:
            look = road.call(small, "person", "export", "--out", small.parent / "x.csv")
            assert look.code == 0 or "interrupted" in look.err, (target, nth, look.said)
            restored(small, out, keys, "--replace")
        found = dump(small)
        expected = expected or found
        assert found == expected, (target, nth, when)
        assert not (small / ".restore").exists()
        with road.opened(small) as store:
            assert store.record(*ERASED.split("/")) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_backup_killed_leaves_none(small: Path) -> None:
    out, keys = small.parent / "o", small.parent / "k"
    arguments = ("backup", "--out", str(out), "--keys", str(keys))
    ended = road.driven(
        "tests.functional.killer", small, ("service.backup:_finish", "1", "before"), *arguments
    )
    assert ended.code == -signal.SIGKILL
    assert not out.exists()
    assert not keys.exists()
    road.done(small, *arguments)
    road.done(small, "backup", "verify", out, "--keys", keys)
