"""Sealing: AES-256-GCM around every payload that identifies a person.

Rules:
- A sealed payload is header ‖ nonce ‖ ciphertext ‖ tag. The header is one version byte and the
  data key's id (8 bytes, big-endian); the nonce is 12 random bytes (NIST SP 800-38D, 8.2.2: at
  most 2^32 per key; a key here seals a few hundred).
- Associated data are table, column, key id and row id: a payload moved to another row, column or
  table does not open.
- A payload that does not open is a StoreError that names the place, never the content.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cryptography.exceptions import InvalidTag
from sqlalchemy import Table

from schemas.errors import StoreError
from store.keyring import KeyRing, Lease

_VERSION = 1
_HEADER = struct.Struct(">BQ")
_ROW_ID = struct.Struct(">q")
_NONCE_BYTES = 12
_TAG_BYTES = 16
_BODY = _HEADER.size + _NONCE_BYTES
OVERHEAD_BYTES = _BODY + _TAG_BYTES


class Sealer:
    """Seals and unseals payloads under the data keys of a key ring."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def seal(self, source: str, table: Table, column: str, row_id: int, plain: bytes) -> bytes:
        """One payload sealed, in the source's open key group."""
        return self.seal_many(source, table, column, [row_id], [plain])[0]

    def seal_many(
        self,
        source: str,
        table: Table,
        column: str,
        row_ids: Sequence[int],
        plains: Sequence[bytes],
    ) -> list[bytes]:
        """Payloads sealed, one per row, in order. Requires: as many row ids as payloads."""
        if not plains:
            return []
        sealed: list[bytes] = []
        for lease in self._keys.lease(source, len(plains)):
            part = slice(len(sealed), len(sealed) + lease.rows)
            sealed += _sealed(lease, table, column, row_ids[part], plains[part])
        return sealed

    def seal_alone(
        self, source: str, table: Table, row_id: int, plains: Mapping[str, bytes]
    ) -> dict[str, bytes]:
        """The columns of one row sealed under a data key that no other row shares."""
        lease = self._keys.lease_alone(source)
        return {
            column: _sealed(lease, table, column, [row_id], [plain])[0]
            for column, plain in plains.items()
        }

    def unseal(self, table: Table, column: str, row_id: int, payload: bytes) -> bytes:
        """The plain payload. Raises: StoreError if it was not sealed for this place."""
        return next(self.unseal_many(table, column, [(row_id, payload)]))

    def unseal_many(
        self, table: Table, column: str, rows: Iterable[tuple[int, bytes]]
    ) -> Iterator[bytes]:
        """The plain payloads of (row id, payload) pairs. Raises: StoreError, as `unseal`."""
        cipher_of, prefixes = self._keys.cipher, dict[int, bytes]()
        unpack, pack = _HEADER.unpack_from, _ROW_ID.pack
        for row_id, payload in rows:
            if len(payload) < OVERHEAD_BYTES or payload[0] != _VERSION:
                raise StoreError(
                    f"{table.name}.{column}, row {row_id}: not a sealed payload of version"
                    f" {_VERSION} ({len(payload)} bytes)"
                )
            key_id = unpack(payload)[1]
            prefix = prefixes.get(key_id)
            if prefix is None:
                prefix = prefixes[key_id] = _place(table, column, key_id)
            try:
                yield cipher_of(key_id).decrypt(
                    payload[_HEADER.size : _BODY], payload[_BODY:], prefix + pack(row_id)
                )
            except InvalidTag:
                raise StoreError(
                    f"{table.name}.{column}, row {row_id}: the seal is broken: the payload was"
                    " altered, or sealed for another place"
                ) from None


def key_of(payload: bytes) -> int:
    """The id of the data key that a payload was sealed under."""
    return int(_HEADER.unpack_from(payload)[1])


def _place(table: Table, column: str, key_id: int) -> bytes:
    return f"{table.name}\0{column}\0".encode() + _HEADER.pack(_VERSION, key_id)


def _sealed(
    lease: Lease, table: Table, column: str, row_ids: Sequence[int], plains: Sequence[bytes]
) -> list[bytes]:
    header = _HEADER.pack(_VERSION, lease.key_id)
    prefix = _place(table, column, lease.key_id)
    nonces = os.urandom(_NONCE_BYTES * len(plains))
    encrypt, pack = lease.cipher.encrypt, _ROW_ID.pack
    sealed = []
    for at, (row_id, plain) in enumerate(zip(row_ids, plains, strict=True)):
        nonce = nonces[_NONCE_BYTES * at : _NONCE_BYTES * (at + 1)]
        sealed.append(header + nonce + encrypt(nonce, plain, prefix + pack(row_id)))
    return sealed
