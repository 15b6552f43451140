"""Backups: a copy of a workspace, its keys apart from it, what proves both whole, and the way back.

Rules:
- A backup is a folder that is there whole or not at all: it is written under another name. The
  keys stand first, so that a backup of the database is never without the keys that were asked for.
- The keys never lie in the folder of the database, nor it in theirs.
- Of the audit log the signed checkpoint is saved, before the database is: what it covers is in the
  database that is saved. Tiles are made anew from that.
- Each folder has a manifest: every file's digest and size, what the database held, which keys it
  belongs to. The manifest is signed with a key of the keystore.
- A restore stages everything beside what is there, erases there what was erased since, and only
  then, once all of it is durable, puts it in place. One that died before that changed nothing; one
  that died after it is completed by running it again, and the workspace is not opened until then.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from consent.commands import Action, decide
from schemas.dates import Clock
from schemas.errors import InputError, NotPermitted, StoreError
from service.access import Actor, permit, record
from service.durable import make_durable
from service.ports import LogPlaces, Store

MANIFEST, TABLES, FILES, READY = "manifest.json", "tables", "files", "ready"
STAGING = ".restore"
"""Folder in a workspace in which a restore prepares its files."""
KEYS = ("keystore.db", "workspace.key")
LOG, LOG_FILES = "log", ("checkpoint", "vkeys", "vkeys.retired")
"""Folder of the audit log, in a workspace as in a backup, and what of it is saved."""
_FORMAT = 1
_SUFFIX = ".commonthread-part"


class Keys(Protocol):
    """Opened keys, as far as a manifest needs them."""

    @property
    def identity(self) -> int:
        """Which keystore it is."""

    def sign(self, document: bytes) -> str:
        """See service.ports.Store.sign."""


OpenKeys = Callable[[Path], AbstractContextManager[Keys]]
"""Folder with saved keys → the keys, opened without touching the folder."""


class Place(Protocol):
    """Where a restored database goes: store/restoring.py."""

    url: str

    def occupied(self) -> bool:
        """Whether a database is there."""

    def discard(self) -> None:
        """Removes what a restore that died left."""

    def stage(
        self,
        tables: Path,
        schema: str,
        rows: Mapping[str, int],
        keys: Path,
        lists: Sequence[Path],
        live: Path | None,
        logs: LogPlaces,
    ) -> tuple[Store, Mapping[str, Any]]:
        """The database as saved, without what was erased since, beside the one that is there; and
        what became of the audit log."""

    def show(self) -> None:
        """Puts it in place; may be repeated."""


# --- making -------------------------------------------------------------------------------------


def backup(
    store: Store, root: Path, actor: Actor, out: Path, keys: Path | None, clock: Clock
) -> dict[str, Any]:
    """Makes a backup of the workspace; returns its manifest.

    Args:
        out: folder for database, settings and models; made.
        keys: folder for the keys; made. None: the keys are not saved.

    Raises: NotPermitted; InputError: a folder is there, or one lies in the other.
    """
    permit(actor, Action.BACKUP, store, clock)
    _check_places(out, keys)
    part, key_part = _begun(out), None if keys is None else _begun(keys)
    try:
        _copy_log(root / LOG, part / LOG)
        tables, held = store.save(part / TABLES, key_part)
        _copy_files(root, part / FILES)
        about: dict[str, Any] = {
            "format": _FORMAT,
            "backup": secrets.token_hex(8),
            "made_at": clock(),
            "identity": held.identity,
            "last_key": held.last_key,
        }
        contents = {"schema": tables.schema, "generation": tables.generation, "run": tables.run}
        rows = dict(tables.rows)
        manifest = about | {"kind": "database"} | contents | {"rows": rows}
        manifest = _signed(part, manifest, store.sign)
        if keys is not None and key_part is not None:
            _copy_key_file(root, key_part)
            _signed(key_part, about | {"kind": "keys"}, store.sign)
            _finish(key_part, keys)
        told = {"backup": about["backup"], "run": tables.run, "keys": keys is not None}
        record(actor, Action.BACKUP, store, clock, **told)
        _finish(part, out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or 'no room'})") from None
    finally:
        for folder in (part, key_part):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
    return manifest


def _check_places(out: Path, keys: Path | None) -> None:
    places = [p.resolve() for p in (out, keys) if p is not None]
    # Before what is there: a folder inside one that is yet to be made would seem only not to be.
    if len(places) == 2 and any(a == b or a in b.parents for a, b in (places, places[::-1])):
        raise InputError(
            "--keys: the keys never lie with the database; name a folder elsewhere, best on other"
            " storage, under another account"
        )
    for place in places:
        if place.exists():
            raise InputError(f"{place}: it is there already; name a folder that is to be made")
        if not place.parent.is_dir():
            raise InputError(f"{place.parent}: no such folder")


def _begun(place: Path) -> Path:
    """The empty folder that becomes the backup."""
    part = place.with_name(f".{place.name}{_SUFFIX}")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(mode=0o700)
    except OSError as error:
        raise InputError(f"{place}: cannot be written ({error.strerror})") from None
    return part


def _copy_files(root: Path, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    for path in (root / "partnership.toml", *sorted(root.glob("model*.json"))):
        if path.exists():
            _copy(path, folder / path.name)


def _copy_log(log: Path, folder: Path) -> None:
    """What cannot be made anew: the checkpoint, keys to check it, what witnesses signed last."""
    folder.mkdir(mode=0o700)
    witnessed = [p for p in (log / "witnessed").glob("*") if p.name.isdecimal()]
    paths = [log / name for name in LOG_FILES]
    paths += sorted(witnessed, key=lambda path: int(path.name))[-1:]
    for path in paths:
        if path.exists():
            target = folder / path.relative_to(log)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            _copy(path, target)


def _copy_key_file(root: Path, folder: Path) -> None:
    path = root / "keys" / KEYS[1]
    if path.exists():
        _copy(path, folder / KEYS[1])


def _copy(path: Path, target: Path) -> None:
    handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with path.open("rb") as source, os.fdopen(handle, "wb") as stream:
        shutil.copyfileobj(source, stream)


def _signed(folder: Path, manifest: dict[str, Any], sign: Callable[[bytes], str]) -> dict[str, Any]:
    """Writes the manifest, with every file of the folder in it."""
    files = {str(p.relative_to(folder)): _facts(p) for p in _files_in(folder)}
    manifest = manifest | {"files": files}
    manifest["signature"] = sign(_canonical(manifest))
    path = folder / MANIFEST
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as stream:
        json.dump(manifest, stream, indent=1)
    return manifest


def _files_in(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if not p.is_dir() and p.name != MANIFEST)


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        return {
            "sha256": hashlib.file_digest(stream, "sha256").hexdigest(),
            "bytes": path.stat().st_size,
        }


def _canonical(manifest: Mapping[str, Any]) -> bytes:
    told = {name: value for name, value in manifest.items() if name != "signature"}
    return json.dumps(told, sort_keys=True).encode()


def _finish(part: Path, place: Path) -> None:
    """Makes all of it durable, then gives it its name; takes that away again where it may not
    last. Raises: OSError."""
    for path in part.rglob("*"):
        make_durable(path)
    make_durable(part)
    part.rename(place)
    try:
        make_durable(place.parent)
    except OSError:
        place.rename(part)
        raise


# --- checking -----------------------------------------------------------------------------------


def verify(folder: Path, keys: Path | None, open_keys: OpenKeys) -> dict[str, Any]:
    """The manifest of a backup whose files are all there, whole, and belong to the keys.

    Raises: InputError: no backup, or damaged; StoreError: other keys, or altered.
    """
    manifest = _checked(folder, "database")
    if keys is None:
        return manifest
    other = _checked(keys, "keys")
    with open_keys(keys) as opened:
        identity = f"{opened.identity:016x}"
        for place, told in ((folder, manifest), (keys, other)):
            if told["identity"] != identity:
                raise StoreError(f"{place}: it does not belong to the keys in {keys}")
            if opened.sign(_canonical(told)) != told["signature"]:
                raise StoreError(f"{place}: its {MANIFEST} was altered")
    return manifest


def _checked(folder: Path, kind: str) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        raise InputError(f"{folder}: no backup; expected a folder with a {MANIFEST}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise InputError(f"{folder}: no backup that this program can read")
    if manifest.get("kind") != kind:
        raise InputError(f"{folder}: expected a backup of the {kind}; it is another one")
    told = manifest["files"]
    found = {str(p.relative_to(folder)): p for p in _files_in(folder)}
    faults = [f"{name} is missing" for name in sorted(told.keys() - found)]
    faults += [f"{name} does not belong to it" for name in sorted(found.keys() - told)]
    both = sorted(told.keys() & found)
    faults += [f"{name} is damaged" for name in both if _facts(found[name]) != told[name]]
    if faults:
        raise InputError(f"{folder}: {'; '.join(faults)}; use another backup")
    return manifest


# --- the way back -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Restore:
    """What is to be restored, from where to where.

    Attributes:
        folder, keys: of a backup.
        root: the workspace; locked by the caller.
        lists: folders of other backups of the same keys: what they say was erased counts too.
        settings: text of the settings that the workspace gets.
        replace: a workspace that is there may be replaced.
    """

    folder: Path
    keys: Path
    root: Path
    lists: Sequence[Path]
    settings: str
    replace: bool


def interrupted(root: Path) -> str | None:
    """The URL of the database of a restore that has to be completed; None where there is none."""
    ready = root / STAGING / READY
    return str(json.loads(ready.read_bytes())["url"]) if ready.exists() else None


def refuse_half_restored(root: Path) -> None:
    """Raises: StoreError where a restore has to be completed first."""
    if interrupted(root) is not None:
        raise StoreError("a restore of this workspace was interrupted; run it again to complete it")


def complete(root: Path, place: Place) -> str:
    """Puts in place what a restore has prepared; returns the backup's name. May be repeated."""
    staging = root / STAGING
    name = str(json.loads((staging / READY).read_bytes())["backup"])
    keys = root / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    if (staging / "keys" / KEYS[0]).exists():
        for part in ("-wal", "-shm"):
            (keys / f"{KEYS[0]}{part}").unlink(missing_ok=True)
    for key in KEYS:
        _move(staging / "keys" / key, keys / key)
    place.show()
    if (staging / LOG).exists():
        _set_aside(root / LOG)
        _move(staging / LOG, root / LOG)
    # The settings last: a workspace is one by them.
    names = [p.name for p in (staging / FILES).iterdir()]
    for file in sorted(names, key=lambda n: n == "partnership.toml"):
        _move(staging / FILES / file, root / file)
    (staging / READY).unlink()
    make_durable(staging)
    shutil.rmtree(staging)
    return name


def _set_aside(log: Path) -> None:
    """The log's folder under a name of its own: what was signed there is evidence."""
    if log.exists():
        number = len(list(log.parent.glob(f"{log.name}.set-aside-*"))) + 1
        log.rename(log.with_name(f"{log.name}.set-aside-{number}"))


def _move(path: Path, target: Path) -> None:
    if path.exists():
        path.replace(target)
        make_durable(target.parent)


def restore(
    plan: Restore, actor: Actor, place: Place, open_keys: OpenKeys, clock: Clock
) -> dict[str, Any]:
    """Restores a backup; returns its manifest.

    Raises: NotPermitted; InputError: no backup, damaged, or a workspace is there; StoreError: keys
    and database do not belong together, a newer schema.
    """
    decision = decide(actor.role, Action.RESTORE, actor.purpose)
    if not decision.permitted:
        raise NotPermitted(f"{Action.RESTORE.value}: {decision.reason}")
    manifest = verify(plan.folder, plan.keys, open_keys)
    staging = plan.root / STAGING
    there = (plan.root / "partnership.toml").exists() or place.occupied()
    if there and not plan.replace:
        raise InputError(f"{plan.root}: a workspace is there, or its database; see --replace")
    live = plan.root / "keys"
    shutil.rmtree(staging, ignore_errors=True)
    place.discard()
    staging.mkdir(mode=0o700)
    try:
        _stage_files(plan, staging)
        lists = [*plan.lists]
        logs = LogPlaces(plan.folder / LOG, plan.root / LOG, staging / LOG, actor.name)
        store, became = place.stage(
            plan.folder / TABLES,
            manifest["schema"],
            manifest["rows"],
            staging / "keys",
            lists,
            live if (live / KEYS[0]).exists() else None,
            logs,
        )
        try:
            told = {"backup": manifest["backup"], "run": manifest["run"]}
            record(actor, Action.RESTORE, store, clock, **told, **became)
        finally:
            store.close()
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        place.discard()
        raise
    _make_ready(staging, {"backup": manifest["backup"], "url": place.url})
    complete(plan.root, place)
    return manifest


def _stage_files(plan: Restore, staging: Path) -> None:
    for name in ("keys", FILES):
        (staging / name).mkdir(mode=0o700)
    for name in KEYS:
        if (plan.keys / name).exists():
            _copy(plan.keys / name, staging / "keys" / name)
    for path in (plan.folder / FILES).iterdir():
        if path.name != "partnership.toml":
            _copy(path, staging / FILES / path.name)
    settings = staging / FILES / "partnership.toml"
    settings.touch(mode=0o600)
    settings.write_text(plan.settings, "utf-8")


def _make_ready(staging: Path, told: Mapping[str, str]) -> None:
    """From here on the restore is completed, whatever happens."""
    for path in staging.rglob("*"):
        make_durable(path)
    part = staging / f"{READY}.part"
    part.touch(mode=0o600)
    part.write_text(json.dumps(told))
    make_durable(part)
    part.replace(staging / READY)
    make_durable(staging)
