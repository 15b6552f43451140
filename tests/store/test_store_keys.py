"""Keys, digests, and where they are kept."""

from __future__ import annotations

import base64
import hmac
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import StoreError
from store.database import open_engine
from store.indexes import DIGEST_BYTES, Indexes, KeyedDigest
from store.keyring import (
    ENVIRONMENT_VARIABLE,
    GROUP_ROWS,
    KEY_FILE,
    KEYSTORE_FILE,
    EnvironmentKey,
    FileKey,
    KeyRing,
    choose_key,
    create_keyring,
    open_keyring,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def ring(folder: Path) -> KeyRing:
    return create_keyring(folder, FileKey(folder / KEY_FILE))


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=32, max_size=64), st.binary(max_size=40), st.lists(st.binary()))
def test_digests_are_hmac_sha256_cut(key: bytes, prefix: bytes, messages: list[bytes]) -> None:
    expected = [hmac.digest(key, prefix + m, "sha256")[:DIGEST_BYTES] for m in messages]
    assert KeyedDigest(key).many(prefix, messages) == expected


def test_no_two_questions_share_a_digest() -> None:
    digest = KeyedDigest(b"k" * 32)
    same = Indexes(digest, digest, digest)
    found = [
        *same.number_keys(["1"]),
        *same.record_keys("a", ["1", "b\0001"]),
        *same.record_keys("ab", ["1"]),
        *same.item_keys("a", ["alert"], ["1"]),
        *same.staff_keys("a", ["1"]),
        *same.content_hashes("record", "a", [b"1"]),
        *same.content_hashes("item", "a", [b"1"]),
    ]
    # A record's key and the hash of content of the same bytes meet only under one and the same key.
    assert len(set(found)) == len(found) - 1


def test_folder_and_files_are_the_owners_alone(ring: KeyRing, folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    ring.lease("a", 1)
    assert {p.name: p.stat().st_mode & 0o777 for p in folder.iterdir()} == {
        KEY_FILE: 0o600,
        KEYSTORE_FILE: 0o600,
        f"{KEYSTORE_FILE}-wal": 0o600,
        f"{KEYSTORE_FILE}-shm": 0o600,
    }


@pytest.mark.parametrize(
    ("asks", "spans"),
    [
        pytest.param([("a", 10), ("a", 20)], [[10], [20]], id="one group"),
        pytest.param([("a", 300)], [[256, 44]], id="two groups"),
        pytest.param([("a", 300), ("a", 300)], [[256, 44], [212, 88]], id="the rest first"),
        pytest.param([("a", 256), ("a", 1)], [[256], [1]], id="full"),
        pytest.param([("a", 10), ("b", 10), ("a", 10)], [[10], [10], [10]], id="by source"),
    ],
)
def test_a_data_key_seals_so_many_rows_of_one_source(
    ring: KeyRing, asks: list[tuple[str, int]], spans: list[list[int]]
) -> None:
    used: dict[int, int] = {}
    owner: dict[int, str] = {}
    for (source, rows), expected in zip(asks, spans, strict=True):
        leases = ring.lease(source, rows)
        assert [lease.rows for lease in leases] == expected
        for lease in leases:
            used[lease.key_id] = used.get(lease.key_id, 0) + lease.rows
            assert owner.setdefault(lease.key_id, source) == source
    assert max(used.values()) <= GROUP_ROWS


def test_keys_are_durable_when_leased(ring: KeyRing, folder: Path) -> None:
    (lease,) = ring.lease("a", 1)
    alone = ring.lease_alone("a")
    sealed = lease.cipher.encrypt(b"0" * 12, b"plain", b"")
    other = open_keyring(folder, FileKey(folder / KEY_FILE))
    assert other.cipher(lease.key_id).decrypt(b"0" * 12, sealed, b"") == b"plain"
    assert (alone.rows, alone.key_id) == (1, lease.key_id + 1)
    assert other.identity == ring.identity
    assert other.indexes.number_keys(["1"]) == ring.indexes.number_keys(["1"])


def test_key_ids_are_never_given_twice(ring: KeyRing, folder: Path) -> None:
    last = ring.lease("a", 300)[-1].key_id
    ring.close()
    with sqlite3.connect(folder / KEYSTORE_FILE) as connection:
        connection.execute("DELETE FROM data_key")
    connection.close()
    again = open_keyring(folder, FileKey(folder / KEY_FILE))
    with pytest.raises(StoreError, match=f"no data key {last}"):
        again.cipher(last)
    assert again.lease("a", 1)[0].key_id == last + 1


def test_swapped_keys_do_not_open(ring: KeyRing, folder: Path) -> None:
    first, second = (lease.key_id for lease in ring.lease("a", 300))
    ring.close()
    with sqlite3.connect(folder / KEYSTORE_FILE) as connection:
        swap = "UPDATE data_key SET wrapped = (SELECT wrapped FROM data_key WHERE key_id = ?)"
        connection.execute(f"{swap} WHERE key_id = ?", (second, first))
    connection.close()
    again = open_keyring(folder, FileKey(folder / KEY_FILE))
    with pytest.raises(StoreError, match=f"data key {first} is damaged"):
        again.cipher(first)
    again.cipher(second)


def test_the_wrong_workspace_key_is_told(ring: KeyRing, folder: Path) -> None:
    environment = {ENVIRONMENT_VARIABLE: base64.b64encode(os.urandom(32)).decode()}
    with pytest.raises(StoreError, match="does not open this keystore") as caught:
        open_keyring(folder, EnvironmentKey(environment))
    assert ENVIRONMENT_VARIABLE in str(caught.value)
    assert environment[ENVIRONMENT_VARIABLE] not in str(caught.value)


@pytest.mark.parametrize("value", ["", "not base64!", "c2hvcnQ="], ids=["empty", "text", "short"])
def test_what_is_no_key_is_told(value: str) -> None:
    with pytest.raises(StoreError, match="expected 32 bytes in base64"):
        EnvironmentKey({ENVIRONMENT_VARIABLE: value}).load()


def test_keys_that_are_not_there_are_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not set"):
        EnvironmentKey({}).load()
    with pytest.raises(StoreError, match="cannot be read"):
        FileKey(tmp_path / KEY_FILE).load()
    with pytest.raises(StoreError, match="no keystore there"):
        open_keyring(folder, FileKey(folder / KEY_FILE))


def test_a_key_file_open_to_others_is_refused(ring: KeyRing, folder: Path) -> None:
    (folder / KEY_FILE).chmod(0o640)
    with pytest.raises(StoreError, match="open to other accounts"):
        open_keyring(folder, FileKey(folder / KEY_FILE))


def test_nothing_is_overwritten(ring: KeyRing, folder: Path) -> None:
    with pytest.raises(StoreError, match="a keystore is there already"):
        create_keyring(folder, FileKey(folder / KEY_FILE))
    with pytest.raises(StoreError, match="a key is there already"):
        FileKey(folder / KEY_FILE).create()


def test_another_file_is_no_keystore(folder: Path) -> None:
    folder.mkdir()
    (folder / KEYSTORE_FILE).write_bytes(b"something else, long enough to be read as a header" * 9)
    with pytest.raises(StoreError, match="expected a commonthread keystore"):
        open_keyring(folder, EnvironmentKey({}))


def test_the_environment_counts_before_the_file(folder: Path) -> None:
    assert isinstance(choose_key(folder, {}), FileKey)
    assert isinstance(choose_key(folder, {ENVIRONMENT_VARIABLE: "x"}), EnvironmentKey)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("not a url", "expected a URL"),
        ("mysql://host/name", "expected postgresql"),
        ("sqlite://", "a file after"),
        ("sqlite:///no-such-folder/x.db", "the folder of x.db is not there"),
    ],
)
def test_databases_that_cannot_be_are_told(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        open_engine(url)
