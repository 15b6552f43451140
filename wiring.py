"""Settings to objects: opens a workspace, its keys, its store; knows the clock and the lock."""

from __future__ import annotations

import fcntl
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapters.ahead import ReadAhead, calm_collector
from adapters.inbox import find_feeds
from schemas.dates import Instant, to_instant
from schemas.errors import SettingsError, WorkspaceBusy, WorkspaceMissing
from schemas.settings import Settings
from schemas.settings_file import parse_settings
from service.access import Actor
from service.model_files import write_whole
from service.nightly import Inputs
from service.ports import Store
from store.keyring import KEY_FILE, KEYSTORE_FILE, FileKey, choose_key, create_keyring, open_keyring
from store.sql_store import open_store

SETTINGS_FILE = "partnership.toml"
DEFAULT_PURPOSE = "data-quality"


def clock() -> Instant:
    """The time, in UTC."""
    return to_instant(datetime.now(UTC))


@dataclass(frozen=True)
class Workspace:
    """A folder with settings, keys, inbox, database, model, reports and log."""

    root: Path
    settings: Settings

    @property
    def inbox(self) -> Path:
        """Where feeds lie, one folder a source."""
        return self.root / "inbox"

    @property
    def keys(self) -> Path:
        """Workspace key and keystore."""
        return self.root / "keys"

    @property
    def model_file(self) -> Path:
        """The frozen model."""
        return self.root / "model.json"

    @property
    def reports(self) -> Path:
        """Run reports."""
        return self.root / "reports"

    @contextmanager
    def inputs(self) -> Iterator[Inputs]:
        """What ingest and link read, with the readers at work until the end."""
        calm_collector()
        with ReadAhead() as ahead:
            yield Inputs(self.inbox, self.model_file, ahead.readers, find_feeds)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The open store, closed at the end. Raises: StoreError."""
        keys = open_keyring(self.keys, choose_key(self.keys, os.environ))
        store = open_store(self._database_url(), keys)
        try:
            yield store
        finally:
            store.close()
            keys.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """The workspace's one lock: held by one writing run at a time. Raises: WorkspaceBusy."""
        with (self.root / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise WorkspaceBusy(
                    "another run is at work in this workspace; wait for it to end"
                ) from None
            yield

    def actor(self, command: str, purpose: str | None) -> Actor:
        """The operating-system account, its role, and the purpose asked for or the default."""
        name = account()
        chosen = purpose or self.settings.default_purpose.get(command, DEFAULT_PURPOSE)
        return Actor(name, self.settings.actors.get(name), chosen)

    def _database_url(self) -> str:
        url = self.settings.database
        prefix = "sqlite:///"
        if url.startswith(prefix) and not url.startswith(prefix + "/"):
            return prefix + str((self.root / url.removeprefix(prefix)).resolve())
        return url


def open_workspace(root: Path) -> Workspace:
    """An existing workspace. Raises: WorkspaceMissing, SettingsError."""
    path = root / SETTINGS_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise WorkspaceMissing(
            f"{root} holds no {SETTINGS_FILE}: make a workspace with `commonthread init` or"
            " `commonthread demo`, or name one with --workspace"
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(str(path), ["not UTF-8 text"]) from None
    return Workspace(root, parse_settings(text, str(path)))


def create_workspace(root: Path, settings_text: str) -> Workspace:
    """A new workspace: settings, fresh keys, empty inbox. Raises: SettingsError if one is there."""
    refuse_if_made(root)
    path = root / SETTINGS_FILE
    settings = parse_settings(settings_text, str(path))
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o700)
    workspace = Workspace(root, settings)
    workspace.inbox.mkdir(exist_ok=True)
    for source in settings.sources:
        (workspace.inbox / source.id).mkdir(exist_ok=True)
    workspace.reports.mkdir(exist_ok=True)
    if not (workspace.keys / KEYSTORE_FILE).exists():
        create_keyring(workspace.keys, FileKey(workspace.keys / KEY_FILE)).close()
    write_whole(path, settings_text.encode())
    return workspace


def refuse_if_made(root: Path) -> None:
    """Raises: SettingsError if the folder is a workspace already: nothing is overwritten."""
    if (root / SETTINGS_FILE).exists():
        raise SettingsError(
            str(root / SETTINGS_FILE), ["a workspace is here already; nothing was changed"]
        )


def account() -> str:
    """The operating-system account of the caller, as the system knows it: never as the
    environment claims it."""
    user = os.geteuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid-{user}"
