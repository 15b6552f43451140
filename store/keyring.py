"""The keys of a workspace: the workspace key, the index keys, the data keys of key groups.

Rules:
- The workspace key (32 bytes) comes from `keys/workspace.key` (owner-only, refused otherwise) or
  from the environment variable COMMONTHREAD_WORKSPACE_KEY (base64). It seals no data: it wraps.
- Everything in the keystore is wrapped by it with AES-256-GCM, bound to the wrapped key's name or
  id, so that keys cannot be swapped.
- A data key seals at most `GROUP_ROWS` rows of one source, then a new one begins. Keys left part
  used when a process ends are not taken up again.
- The key of the second journal is derived from the workspace key, so that it needs no keystore.
- The keystore has a random identity that the database remembers: a database is never opened with
  another workspace's keys.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.errors import StoreError
from store.indexes import Indexes, KeyedDigest
from store.keystore import KeyStore

ENVIRONMENT_VARIABLE = "COMMONTHREAD_WORKSPACE_KEY"
KEY_FILE = "workspace.key"
KEYSTORE_FILE = "keystore.db"
KEY_BYTES = 32
JOURNAL_PURPOSE = b"commonthread second journal"
"""What the key of the second journal is derived for."""
GROUP_ROWS = 256
"""Rows of one source that one data key seals, at most."""
_NONCE_BYTES = 12
_INDEX_NAMES = ("index/number", "index/local", "index/content")
_PREFETCH = 1_024


class WorkspaceKey(Protocol):
    """Where the workspace key is kept."""

    @property
    def where(self) -> str:
        """The place, for messages."""

    def load(self) -> bytes:
        """The 32 bytes. Raises: StoreError where they are not to be had."""


@dataclass(frozen=True)
class FileKey:
    """The workspace key in a file of its own: base64 on one line, mode 0600."""

    path: Path

    @property
    def where(self) -> str:
        """The file's name."""
        return f"the file {self.path.name}"

    def create(self) -> None:
        """Writes a fresh key. Raises: StoreError if a file is there already."""
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            raise StoreError(f"{self.path.name}: a key is there already; not overwritten") from None
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def load(self) -> bytes:
        """The key. Raises: StoreError: no file, open to others, or not a key."""
        try:
            mode = self.path.stat().st_mode
            text = self.path.read_bytes()
        except OSError as error:
            raise StoreError(
                f"{self.path.name}: the key cannot be read ({error.strerror}); restore it, or set"
                f" {ENVIRONMENT_VARIABLE}"
            ) from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StoreError(f"{self.path.name}: open to other accounts; set its mode to 0600")
        return _decoded(text, self.where)


@dataclass(frozen=True)
class EnvironmentKey:
    """The workspace key in the environment, base64."""

    environment: Mapping[str, str]

    @property
    def where(self) -> str:
        """The variable's name."""
        return f"the environment variable {ENVIRONMENT_VARIABLE}"

    def load(self) -> bytes:
        """The key. Raises: StoreError: not set, or not a key."""
        text = self.environment.get(ENVIRONMENT_VARIABLE)
        if text is None:
            raise StoreError(f"{self.where} is not set")
        return _decoded(text.encode(), self.where)


def _decoded(text: bytes, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreError(f"{where}: expected {KEY_BYTES} bytes in base64; got something else")
    return key


def choose_key(folder: Path, environment: Mapping[str, str]) -> WorkspaceKey:
    """The environment's key if that is set, else the file's in the keys folder."""
    if ENVIRONMENT_VARIABLE in environment:
        return EnvironmentKey(environment)
    return FileKey(folder / KEY_FILE)


@dataclass(frozen=True)
class Lease:
    """Leave to seal `rows` rows under one data key."""

    key_id: int
    cipher: AESGCM
    rows: int


class KeyRing:
    """The opened keys of one workspace. Safe to use from several threads."""

    def __init__(self, keystore: KeyStore, key: WorkspaceKey) -> None:
        secret = key.load()
        self.keystore, self._wrapping = keystore, AESGCM(secret)
        self.journal = AESGCM(_derived(secret, JOURNAL_PURPOSE))
        self._lock = threading.Lock()
        self._ciphers: dict[int, AESGCM] = {}
        self._open_groups: dict[str, Lease] = {}
        wrapped = keystore.fixed()
        try:
            number, local, content = (
                KeyedDigest(self._unwrapped(name, wrapped[name])) for name in _INDEX_NAMES
            )
            self.identity = int.from_bytes(self._unwrapped("identity", wrapped["identity"]), "big")
        except (InvalidTag, KeyError):
            keystore.close()
            raise StoreError(
                f"{KEYSTORE_FILE}: the workspace key in {key.where} does not open this keystore;"
                " expected the key it was made with"
            ) from None
        self.indexes = Indexes(number, local, content)

    def close(self) -> None:
        """Releases the keystore's file; the next use opens it again."""
        self.keystore.close()

    def lease(self, source: str, rows: int) -> list[Lease]:
        """Leave to seal that many rows of the source, under as few keys as the rule allows.

        New keys are durable in the keystore when this returns. Requires: rows >= 1.
        """
        with self._lock:
            leases = []
            left = self._open_groups.pop(source, None)
            if left is not None:
                taken = min(left.rows, rows)
                leases.append(Lease(left.key_id, left.cipher, taken))
                rows -= taken
                left = Lease(left.key_id, left.cipher, left.rows - taken)
            if rows:
                key_ids = self._new_keys(source, -(-rows // GROUP_ROWS))
                for key_id in key_ids:
                    taken = min(GROUP_ROWS, rows)
                    leases.append(Lease(key_id, self._ciphers[key_id], taken))
                    rows -= taken
                left = Lease(key_ids[-1], self._ciphers[key_ids[-1]], GROUP_ROWS - leases[-1].rows)
            if left is not None and left.rows:
                self._open_groups[source] = left
            return leases

    def lease_alone(self, source: str) -> Lease:
        """A fresh key for one row that stands for many records (a match segment)."""
        with self._lock:
            key_id = self._new_keys(source, 1)[0]
            return Lease(key_id, self._ciphers[key_id], 1)

    def secrets(self, prefix: str) -> dict[str, bytes]:
        """Name → secret of those fixed keys whose name begins so. Raises: StoreError: one of them
        is damaged."""
        found = {}
        for name, wrapped in self.keystore.fixed().items():
            if name.startswith(prefix):
                try:
                    found[name] = self._unwrapped(name, wrapped)
                except InvalidTag:
                    raise StoreError(f"{KEYSTORE_FILE}: the key {name} is damaged") from None
        return found

    def keep_secrets(
        self,
        kept: Mapping[str, bytes],
        dropped: Collection[str] = (),
        check: Callable[[Collection[str]], None] | None = None,
    ) -> None:
        """Adds secrets by name and destroys others, durably and together.

        Args: `check` gets the names that are there when nobody else can change them any more; what
            it raises ends this, and nothing is changed.
        Raises: StoreError: a name is there already, or the keystore is in use by another program.
        """
        wrapped = {name: _wrapped(self._wrapping, name, kept[name]) for name in kept}
        self.keystore.change_fixed(wrapped, dropped, check)

    def sign(self, document: bytes) -> str:
        """A keyed digest of a document about this workspace, hex."""
        return self.indexes.content_hashes("document", "", [document])[0].hex()

    def held_back(self, source: str) -> None:
        """The source's next rows are sealed under keys that are made for them."""
        with self._lock:
            self._open_groups.pop(source, None)

    def drop_destroyed(self, source: str) -> None:
        """Leaves the source's open key group if another process destroyed its key."""
        with self._lock:
            left = self._open_groups.get(source)
            if left is not None and not self.keystore.data_keys(left.key_id, left.key_id):
                del self._open_groups[source]

    def destroy(self, source: str, key_ids: Collection[int], at: str) -> None:
        """Destroys data keys of a source: what they sealed is unreadable from now on, for ever.

        Raises: StoreError: the keystore is in use by another program.
        """
        with self._lock:
            self._open_groups.pop(source, None)
            for key_id in key_ids:
                self._ciphers.pop(key_id, None)
        self.keystore.destroy(key_ids, at)

    def cipher(self, key_id: int) -> AESGCM:
        """The data key of this id. Raises: StoreError if the keystore does not hold it."""
        found = self._ciphers.get(key_id)
        if found is None:
            with self._lock:
                self._load(key_id)
            found = self._ciphers.get(key_id)
        if found is None:
            raise StoreError(
                f"{KEYSTORE_FILE}: no data key {key_id}; the keystore is older than the database,"
                " or the key was destroyed"
            )
        return found

    def _load(self, key_id: int) -> None:
        for found, wrapped in self.keystore.data_keys(key_id, key_id + _PREFETCH).items():
            try:
                self._ciphers[found] = AESGCM(self._unwrapped(f"data/{found}", wrapped))
            except InvalidTag:
                # Read ahead of need: a damaged neighbour is reported when it is asked for.
                if found == key_id:
                    raise StoreError(f"{KEYSTORE_FILE}: data key {found} is damaged") from None

    def _new_keys(self, source: str, count: int) -> range:
        made: dict[int, bytes] = {}

        def wrap_new(key_id: int) -> bytes:
            made[key_id] = secrets.token_bytes(KEY_BYTES)
            return _wrapped(self._wrapping, f"data/{key_id}", made[key_id])

        ids = self.keystore.add(source, count, wrap_new)
        self._ciphers.update((key_id, AESGCM(key)) for key_id, key in made.items())
        return ids

    def _unwrapped(self, name: str, wrapped: bytes) -> bytes:
        nonce, body = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        return self._wrapping.decrypt(nonce, body, name.encode())


def _derived(secret: bytes, purpose: bytes) -> bytes:
    """A key of its own for a purpose: HKDF-SHA-256 (RFC 5869) of the workspace key."""
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=purpose).derive(secret)


def _wrapped(wrapping: AESGCM, name: str, key: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + wrapping.encrypt(nonce, key, name.encode())


def create_keyring(folder: Path, key: WorkspaceKey) -> KeyRing:
    """A new keystore in the folder (made owner-only), wrapped by the workspace key.

    A `FileKey` whose file is not there yet is created. Raises: StoreError if a keystore is there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if isinstance(key, FileKey) and not key.path.exists():
        key.create()
    wrapping = AESGCM(key.load())
    fixed = {n: _wrapped(wrapping, n, secrets.token_bytes(KEY_BYTES)) for n in _INDEX_NAMES}
    # 62 bits, so that the database can hold it as a positive integer.
    identity = (secrets.randbits(62) | 1).to_bytes(8, "big")
    fixed["identity"] = _wrapped(wrapping, "identity", identity)
    return KeyRing(KeyStore.create(folder / KEYSTORE_FILE, fixed), key)


def open_keyring(folder: Path, key: WorkspaceKey) -> KeyRing:
    """The keys of an existing workspace. Raises: StoreError: no keystore, or not this key."""
    return KeyRing(KeyStore.open(folder / KEYSTORE_FILE), key)
