"""Nothing that identifies a person can be read from what a store writes, or moved about in it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Table, select, text, update

from audit.events import AuditEvent, EventOutcome
from schemas.errors import StoreError
from schemas.identifiers import LocalId
from service.runs import NewRun
from store import tables
from store.dump import logical_dump
from store.keyring import (
    ENVIRONMENT_VARIABLE,
    KEY_FILE,
    EnvironmentKey,
    FileKey,
    KeyRing,
    choose_key,
    create_keyring,
    open_keyring,
)
from store.schema import alembic_config, newest_schema
from store.sql_store import SqlStore, open_store
from tests.store_samples import (
    NOW,
    SOURCE,
    Bad,
    client,
    full_client,
    item,
    load,
    merge,
    one,
    publication,
    publish,
    staff,
    unmerge,
    withdraw,
)

CANARIES = (
    "Quillfeather", "9434765919", "1957-03-29", "19570329", "BS99 7QX", "Zebrafinch",
    "LOCAL-CANARY-1", "ITEM-CANARY-2", "STAFF-CANARY-3", "RAW-CANARY-4", "FILE-CANARY-5",
    "ACTOR-CANARY-6", "TEXT-CANARY-7", "MESSAGE-CANARY-8", "MERGE-CANARY-9", "SUMMARY-CANARY-10",
)  # fmt: skip


def fill(store: SqlStore) -> None:
    units = [
        one(full_client("LOCAL-CANARY-1")),
        one(client("2", "Quillfeather")),
        one(item("ITEM-CANARY-2", "LOCAL-CANARY-1", "TEXT-CANARY-7")),
        one(staff("STAFF-CANARY-3")),
        one(merge("MERGE-CANARY-9", "LOCAL-CANARY-1")),
        one(unmerge("MERGE-CANARY-9", "LOCAL-CANARY-1")),
        one(withdraw("MERGE-CANARY-9")),
        one(Bad("MESSAGE-CANARY-8", b"RAW-CANARY-4 Quillfeather 19570329")),
    ]
    load(store, units, "FILE-CANARY-5 Quillfeather.csv")
    opened = publication([("P1", 1), ("P2", 2)], [(1, "P1"), (2, "P2")])
    store.publish(NewRun("model-1", 1, {"note": "SUMMARY-CANARY-10"}), opened, NOW)
    store.append_event(
        AuditEvent(
            at=NOW,
            action="person-show",
            outcome=EventOutcome.PERMITTED,
            actor="ACTOR-CANARY-6",
            role="data-team",
            purpose="data-quality",
        )
    )


def spellings(value: str) -> Iterator[bytes]:
    """The value as it might lie in a file, in every alignment of base64."""
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        plain = value.encode(encoding)
        yield plain
        yield plain.hex().encode()
        for shift in range(3):
            # The characters at both ends mix with what stands beside them.
            yield base64.b64encode(b"\0" * shift + plain)[2 * shift :][:-4]


def assert_sealed(places: dict[str, bytes]) -> None:
    found = [
        (canary, place)
        for canary in CANARIES
        for spelling in spellings(canary)
        for place, content in places.items()
        if spelling.lower() in content
    ]
    assert not found


def test_the_leak_test_finds_leaks() -> None:
    for spelling in spellings(CANARIES[0]):
        with pytest.raises(AssertionError):
            assert_sealed({"file": b"..." + spelling.lower() + b"..."})
    leaked = base64.b64encode(b"name: Quillfeather, born").lower()
    with pytest.raises(AssertionError):
        assert_sealed({"file": leaked})


def test_nothing_identifying_is_written(
    store: SqlStore, url: str, database_kind: str, tmp_path: Path
) -> None:
    fill(store)
    assert all(any(c in line for line in logical_dump(store.database)) for c in CANARIES[4:6])
    places = {}
    if database_kind == "postgresql":
        with store.database.reading() as conn:
            for table in tables.all_tables.tables.values():
                rows = conn.execute(text(f"SELECT t::text FROM {table.name} AS t"))
                dumped = "\n".join(row[0] for row in rows).encode()
                places[table.name] = dumped.lower()
                raw = [c for row in conn.execute(select(table)) for c in row]
                places[f"{table.name}, bytes"] = b"\n".join(
                    c for c in raw if isinstance(c, bytes)
                ).lower()
    for path in [*tmp_path.glob("*.db*"), *(tmp_path / "keys").iterdir()]:
        places[path.name] = path.read_bytes().lower()
    assert "keystore.db" in places
    assert database_kind == "postgresql" or {"store1.db", "store1.db-wal"} <= set(places)
    assert_sealed(places)


SWAPS = [
    pytest.param(tables.record_version, "content", "content", id="between rows"),
    pytest.param(tables.match_segment, "ids", "features", id="between columns"),
]


@pytest.mark.parametrize(("table", "first", "second"), SWAPS)
def test_a_payload_in_another_place_does_not_open(
    store: SqlStore, table: Table, first: str, second: str
) -> None:
    fill(store)
    (key,) = table.primary_key.columns
    with store.database.writing() as conn:
        rows = conn.execute(select(table).order_by(key)).all()
        there = rows[-1]
        moved = getattr(rows[0], second)
        conn.execute(update(table).where(key == getattr(there, key.name)).values({first: moved}))
    with pytest.raises(StoreError, match=f"{table.name}.{first}, row .* the seal is broken"):
        list(logical_dump(store.database))


def test_a_payload_in_another_table_does_not_open(store: SqlStore) -> None:
    fill(store)
    with store.database.writing() as conn:
        payload = conn.scalar(select(tables.care_item_version.c.content))
        target = tables.record_version
        conn.execute(update(target).where(target.c.version_id == 1).values(content=payload))
    with pytest.raises(StoreError, match=r"record_version\.content, row 1: the seal is broken"):
        store.record(SOURCE, LocalId("LOCAL-CANARY-1"))


@pytest.mark.parametrize(
    ("at", "message"),
    [(0, "not a sealed payload"), (8, "no data key"), (20, "seal is broken"), (-1, "seal is")],
    ids=["version", "key id", "nonce or body", "tag"],
)
def test_an_altered_payload_does_not_open(store: SqlStore, at: int, message: str) -> None:
    fill(store)
    with store.database.writing() as conn:
        target = tables.record_version
        payload = bytearray(conn.scalar(select(target.c.content).where(target.c.version_id == 1)))
        payload[at] ^= 0x40
        conn.execute(update(target).where(target.c.version_id == 1).values(content=bytes(payload)))
    with pytest.raises(StoreError, match=message) as caught:
        store.record(SOURCE, LocalId("LOCAL-CANARY-1"))
    assert not any(canary in str(caught.value) for canary in CANARIES)


def test_a_database_error_shows_no_values(store: SqlStore) -> None:
    fill(store)
    with pytest.raises(StoreError) as caught:
        publish(store, publication([("P1", 1)]))
    assert "P1" not in str(caught.value)
    assert caught.value.__cause__ is None


# --- keys and databases belong together --------------------------------------------------------


def test_another_keyring_does_not_open_the_database(
    store: SqlStore, url: str, tmp_path: Path
) -> None:
    fill(store)
    folder = tmp_path / "others"
    other = create_keyring(folder, FileKey(folder / KEY_FILE))
    with pytest.raises(StoreError, match="another workspace's keys"):
        open_store(url, other)


def test_the_same_key_from_the_environment_opens_it(
    store: SqlStore, url: str, tmp_path: Path
) -> None:
    fill(store)
    before = list(logical_dump(store.database))
    folder = tmp_path / "keys"
    environment = {ENVIRONMENT_VARIABLE: (folder / KEY_FILE).read_text()}
    (folder / KEY_FILE).unlink()
    key = choose_key(folder, environment)
    assert isinstance(key, EnvironmentKey)
    again = open_store(url, open_keyring(folder, key))
    assert list(logical_dump(again.database)) == before
    again.close()


def test_a_newer_schema_is_refused(url: str, keys: KeyRing) -> None:
    store = open_store(url, keys)
    with store.database.writing() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(StoreError, match="schema 9999 is not known here"):
        open_store(url, keys)


def test_a_foreign_database_is_refused(url: str, keys: KeyRing) -> None:
    store = open_store(url, keys)
    with store.database.writing() as conn:
        conn.execute(text("DROP TABLE alembic_version"))
    store.close()
    with pytest.raises(StoreError, match="tables of something else"):
        open_store(url, keys)


def test_migrations_make_the_schema_of_the_tables(store: SqlStore) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.database.reading() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, tables.all_tables) == []


def test_the_newest_schema_is_that_of_the_last_migration() -> None:
    assert newest_schema() == ScriptDirectory.from_config(alembic_config()).get_current_head()
