"""The keys that sign checkpoints: Ed25519, wrapped in the keystore, named `log/1`, `log/2`, ...

Rules:
- A key that is added signs beside those that are there, so that a reader who knows either can
  check. A key that is retired signs no more: its private half is destroyed, its public half kept,
  so that what it signed can still be told.
- One key at least stays, whoever retires keys at once. Numbers are not given twice.
- Nothing is signed by no key: that is an error, never a note without signatures.
- A key's name is the log's origin, which is kept beside the first key: a partnership that changes
  its own name does not begin another log.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.notes import Kind, Note, Verifier, signed, verifier_of
from schemas.errors import InvalidValue, NotFound, StoreError
from store.keyring import KeyRing

_PREFIX, _RETIRED, _ORIGIN = "log/", "/retired", "log-origin"


@dataclass(frozen=True)
class LogKey:
    """One key: its number, its public half, whether it signs."""

    number: int
    verifier: Verifier
    signs: bool


class LogKeys:
    """The signing keys of one log."""

    def __init__(self, ring: KeyRing, origin: str, default: str = "") -> None:
        """Args:
        origin: of the settings; empty where they name none.
        default: what a new log is called then.
        """
        self._ring = ring
        kept = ring.secrets(_ORIGIN).get(_ORIGIN, b"").decode()
        self.origin = origin or kept or default

    def listed(self) -> list[LogKey]:
        """Every key ever, by number."""
        found = []
        for name, secret in self._ring.secrets(_PREFIX).items():
            number, retired = name.removeprefix(_PREFIX), name.endswith(_RETIRED)
            if retired:
                verifier = Verifier(self.origin, Kind.ED25519, secret)
            else:
                verifier = verifier_of(self.origin, Ed25519PrivateKey.from_private_bytes(secret))
            found.append(LogKey(int(number.removesuffix(_RETIRED)), verifier, not retired))
        return sorted(found, key=lambda key: key.number)

    def sign(self, text: str) -> bytes:
        """The text as a note, signed by every key that signs. Raises: StoreError: none does."""
        secrets = self._ring.secrets(_PREFIX)
        private = [
            Ed25519PrivateKey.from_private_bytes(secrets[name])
            for name in sorted(secrets, key=lambda name: (len(name), name))
            if not name.endswith(_RETIRED)
        ]
        if not private:
            raise StoreError(
                "the audit log: no key signs it any more; nothing was signed. Restore the keystore"
                " from the latest backup of the keys"
            )
        return Note(text, tuple(signed(text, self.origin, key) for key in private)).data()

    def add(self) -> LogKey:
        """A new key, durable when this returns."""
        number = max((key.number for key in self.listed()), default=0) + 1
        private = Ed25519PrivateKey.generate()
        kept = {f"{_PREFIX}{number}": private.private_bytes_raw()}
        if number == 1:
            kept[_ORIGIN] = self.origin.encode()
        self._ring.keep_secrets(kept)
        return LogKey(number, verifier_of(self.origin, private), signs=True)

    def retire(self, number: int) -> LogKey:
        """Destroys a key's private half. Raises: NotFound: no such key, or retired already;
        InvalidValue: it is the only one that signs; StoreError: the keystore is in use."""
        name, listed = f"{_PREFIX}{number}", {key.number: key for key in self.listed()}
        kept = {name + _RETIRED: listed[number].verifier.public} if number in listed else {}

        def check(names: Collection[str]) -> None:
            signing = [one for one in names if _signs(one)]
            if name not in signing:
                raise NotFound(
                    f"no key {number} that signs the log; see `commonthread audit keys list`"
                )
            if len(signing) == 1:
                raise InvalidValue(
                    f"key {number} is the only one that signs the log; add one first"
                )

        try:
            self._ring.keep_secrets(kept, dropped=[name], check=check)
        except NotFound:
            if (
                number in listed
            ):  # retired before, while somebody kept the keystore's log from going
                self._ring.keystore.empty_log()
            raise
        return LogKey(number, listed[number].verifier, signs=False)


def _signs(name: str) -> bool:
    """Whether it names a private half in the keystore."""
    return name.startswith(_PREFIX) and not name.endswith(_RETIRED)


def take_over(ring: KeyRing, other: KeyRing) -> None:
    """Brings in the signing keys that the other keystore has, of the same workspace, and retires
    what was retired there; the newest stays where that would leave none that signs."""
    mine = ring.secrets(_PREFIX) | ring.secrets(_ORIGIN)
    theirs = other.secrets(_PREFIX) | other.secrets(_ORIGIN)
    gone = [name for name in mine if name + _RETIRED in theirs]
    new = {
        name: secret
        for name, secret in theirs.items()
        if name not in mine and name + _RETIRED not in mine
    }
    if not {*filter(_signs, mine), *filter(_signs, new)} - {*gone}:
        # Two copies went apart and each retired what the other kept.
        gone.sort(key=lambda name: (len(name), name))
        for stays in gone[-1:]:
            gone.remove(stays)
            del new[stays + _RETIRED]
    if new or gone:
        ring.keep_secrets(new, dropped=gone)
